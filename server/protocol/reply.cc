#include "protocol/reply.h"

#include <cassert>
#include <utility>

namespace gyre {

Reply ReplyOf(const Error& error) {
  Reply reply;
  reply.kind = Reply::Kind::kError;
  reply.error = error.code;
  reply.bytes = error.message;
  return reply;
}

void Replay(const Reply& reply, ReplyWriter& writer) {
  switch (reply.kind) {
    case Reply::Kind::kNull:
      return writer.Null();
    case Reply::Kind::kOutcome:
      return writer.Word(reply.outcome);
    case Reply::Kind::kText:
      return writer.Text(reply.bytes);
    case Reply::Kind::kBulk:
      return writer.Bulk(reply.bytes);
    case Reply::Kind::kInteger:
      return writer.Integer(reply.integer);
    case Reply::Kind::kUnsigned:
      return writer.Unsigned(reply.unsigned_integer);
    case Reply::Kind::kDouble:
      return writer.Double(reply.number);
    case Reply::Kind::kBoolean:
      return writer.Boolean(reply.boolean);
    case Reply::Kind::kError:
      return writer.Fail(Error{reply.error, reply.bytes});
    case Reply::Kind::kList: {
      const std::size_t count =
          reply.shape == ListShape::kMap ? reply.elements.size() / 2 : reply.elements.size();
      writer.BeginList(reply.shape, count);
      for (const Reply& element : reply.elements) Replay(element, writer);
      return writer.EndList();
    }
    case Reply::Kind::kRecord:
      writer.BeginRecord({reply.key, reply.flags, reply.version, reply.bytes.size()});
      writer.Chunk(reply.bytes);
      return writer.EndRecord();
  }
}

Reply ReplyRecorder::Take() {
  assert(open_.empty() && !in_record_);
  charge_.Set(0);
  return std::exchange(root_, Reply{});
}

Reply& ReplyRecorder::Add(Reply::Kind kind, std::size_t bytes) {
  Charge((open_.empty() ? sizeof(Reply) : 0) + bytes);
  Reply reply;
  reply.kind = kind;
  if (open_.empty()) {
    root_ = std::move(reply);
    return root_;
  }
  return open_.back().elements.emplace_back(std::move(reply));
}

void ReplyRecorder::Charge(std::size_t bytes) {
  if (!charge_.Grow(bytes)) throw ClientMemoryFull(charge_.bytes() + bytes);
}

void ReplyRecorder::Null() { Add(Reply::Kind::kNull); }
void ReplyRecorder::Word(Outcome outcome) { Add(Reply::Kind::kOutcome).outcome = outcome; }
void ReplyRecorder::Text(std::string_view line) {
  Add(Reply::Kind::kText, line.size()).bytes = line;
}
void ReplyRecorder::Bulk(std::string_view bytes) {
  Add(Reply::Kind::kBulk, bytes.size()).bytes = bytes;
}
void ReplyRecorder::Integer(std::int64_t value) { Add(Reply::Kind::kInteger).integer = value; }
void ReplyRecorder::Unsigned(std::uint64_t value) {
  Add(Reply::Kind::kUnsigned).unsigned_integer = value;
}
void ReplyRecorder::Double(double value) { Add(Reply::Kind::kDouble).number = value; }
void ReplyRecorder::Boolean(bool value) { Add(Reply::Kind::kBoolean).boolean = value; }

void ReplyRecorder::Fail(const Error& error) {
  Reply& reply = Add(Reply::Kind::kError);
  reply.error = error.code;
  reply.bytes = error.message;
}

void ReplyRecorder::BeginList(ListShape shape, std::size_t count) {
  Reply list;
  list.kind = Reply::Kind::kList;
  list.shape = shape;
  Charge((shape == ListShape::kMap ? 2 * count : count) * sizeof(Reply));
  list.elements.reserve(shape == ListShape::kMap ? 2 * count : count);
  open_.push_back(std::move(list));
}

void ReplyRecorder::EndList() {
  Reply list = std::move(open_.back());
  open_.pop_back();
  if (open_.empty()) {
    root_ = std::move(list);
  } else {
    open_.back().elements.push_back(std::move(list));
  }
}

void ReplyRecorder::BeginRecord(const RecordHead& head) {
  assert(!in_record_);
  Charge(head.key.size() + head.value_bytes);
  in_record_ = true;
  record_ = Reply{};
  record_.kind = Reply::Kind::kRecord;
  record_.key = head.key;
  record_.flags = head.flags;
  record_.version = head.version;
  record_.bytes.reserve(head.value_bytes);
}

void ReplyRecorder::Chunk(std::string_view bytes) { record_.bytes.append(bytes); }

void ReplyRecorder::EndRecord() {
  in_record_ = false;
  Add(Reply::Kind::kRecord) = std::move(record_);
}

void ReplyRecorder::Peer(std::string_view payload) { Bulk(payload); }

void ReplyRecorder::Restart() {
  open_.clear();
  in_record_ = false;
  root_ = Reply{};
  charge_.Set(0);
}

}  // namespace gyre
