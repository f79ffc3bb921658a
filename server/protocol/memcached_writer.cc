#include "protocol/memcached_writer.h"

#include <cassert>
#include <string_view>

#include "protocol/ascii.h"
#include "protocol/memcached_binary.h"

namespace gyre {
namespace {

constexpr std::string_view kEnd = "END\r\n";

bool IsRetrieval(std::string_view command) {
  return command == "mc.get" || command == "mc.gets" || command == "mc.gat" || command == "mc.gats";
}

}  // namespace

void MemcachedWriter::Start(const Request& request, Buffer& out) {
  const std::string_view command = request.args.empty() ? std::string_view() : request.args.front();
  out_ = &out;
  quiet_ = request.quiet;
  binary_mark_ = request.id;
  retrieval_ = IsRetrieval(command);
  with_token_ = retrieval_ && command.back() == 's';
  Restart();
}

void MemcachedWriter::Restart() {
  depth_ = 0;
  map_ = name_written_ = failed_ = false;
}

void MemcachedWriter::Raw(std::string_view bytes) {
  Put(out_->Prepare(bytes.size()), bytes);
  out_->Commit(bytes.size());
}

void MemcachedWriter::Line(std::string_view text) {
  if (silent()) return;
  constexpr std::string_view kStat = "STAT ";
  char* const begin = out_->Prepare(kStat.size() + text.size() + kCrLf.size());
  char* at = begin;
  if (map_ && !name_written_) {
    at = Put(PutOneLine(Put(at, kStat), text), " ");
  } else {
    at = Put(PutOneLine(at, text), kCrLf);
  }
  name_written_ = map_ && !name_written_;
  out_->Commit(static_cast<std::size_t>(at - begin));
}

void MemcachedWriter::Null() {
  if (map_) return Line("");
  if (silent() || depth_ > 0) return;
  retrieval_ ? Raw(kEnd) : Line(OutcomeWord(Outcome::kNotFound));
}

void MemcachedWriter::Word(Outcome outcome) { Line(OutcomeWord(outcome)); }
void MemcachedWriter::Text(std::string_view line) { Line(line); }
void MemcachedWriter::Bulk(std::string_view bytes) { Line(bytes); }

void MemcachedWriter::Integer(std::int64_t value) {
  char text[kIntegerTextMax];
  Line({text, static_cast<std::size_t>(PutInteger(text, value) - text)});
}

void MemcachedWriter::Unsigned(std::uint64_t value) {
  char text[kIntegerTextMax];
  Line({text, static_cast<std::size_t>(PutInteger(text, value) - text)});
}

void MemcachedWriter::Double(double value) {
  char text[kDoubleTextMax];
  Line({text, static_cast<std::size_t>(PutDouble(text, value) - text)});
}

void MemcachedWriter::Boolean(bool value) { Line(value ? "1" : "0"); }

void MemcachedWriter::Fail(const Error& error) {
  if (silent()) return;
  if (binary_mark_ != 0) return Raw(MemcachedBinary::Refusal(binary_mark_, error.message));
  if (depth_ > 0) {
    out_->Truncate(begin_);
    failed_ = true;
  }
  switch (error.code) {
    case ErrorCode::kUnknownCommand:
      return Raw("ERROR\r\n");
    case ErrorCode::kOutOfMemory:
      return Raw("SERVER_ERROR out of memory storing object\r\n");
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kWrongType:
    case ErrorCode::kProtocol:
      Raw("CLIENT_ERROR ");
      break;
    default:
      Raw("SERVER_ERROR ");
      break;
  }
  char* const at = out_->Prepare(error.message.size() + kCrLf.size());
  Put(PutOneLine(at, error.message), kCrLf);
  out_->Commit(error.message.size() + kCrLf.size());
}

void MemcachedWriter::BeginList(ListShape shape, std::size_t) {
  if (depth_++ > 0) return;
  begin_ = out_->size();
  map_ = shape == ListShape::kMap;
}

void MemcachedWriter::EndList() {
  assert(depth_ > 0);
  if (depth_ > 1) {
    --depth_;
    return;
  }
  if (!silent()) Raw(kEnd);
  Restart();
}

void MemcachedWriter::BeginRecord(const RecordHead& head) {
  if (silent()) return;
  constexpr std::string_view kValue = "VALUE ";
  constexpr std::size_t kNumbersMax = 3 * (1 + kIntegerTextMax) + 2 * kCrLf.size() + kEnd.size();
  char* const begin =
      out_->Prepare(kValue.size() + head.key.size() + kNumbersMax + head.value_bytes);
  char* at = Put(Put(begin, kValue), head.key);
  *at++ = ' ';
  at = PutInteger(at, head.flags);
  *at++ = ' ';
  at = PutInteger(at, head.value_bytes);
  if (with_token_) {
    *at++ = ' ';
    at = PutInteger(at, head.version);
  }
  at = Put(at, kCrLf);
  out_->Commit(static_cast<std::size_t>(at - begin));
}

void MemcachedWriter::Chunk(std::string_view bytes) {
  if (!silent()) Raw(bytes);
}

void MemcachedWriter::EndRecord() {
  if (silent()) return;
  Raw(kCrLf);
  if (depth_ == 0) Raw(kEnd);
}

void MemcachedWriter::Peer(std::string_view) {
  assert(false && "peer requests come by the native protocol only");
  Fail({ErrorCode::kInternal, "a node's reply was sent to a memcached client"});
}

}  // namespace gyre
