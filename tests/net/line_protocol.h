// Two small protocols for tests of connections: lines, answered in order, and frames, answered as
// they finish.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/frame.h"
#include "protocol/codec.h"

namespace gyre::test {

// Replies as text: one line each.
class LineWriter : public ReplyWriter {
 public:
  explicit LineWriter(Buffer& out) : out_(out) {}

  void Bulk(std::string_view bytes) override { Line("", bytes); }
  void Fail(const Error& error) override { Line("-", error.message); }
  void Word(Outcome) override { Line("", "OK"); }
  void Text(std::string_view line) override { Line("", line); }
  void Null() override { Line("", "null"); }
  void Integer(std::int64_t value) override { Line("", std::to_string(value)); }
  void Unsigned(std::uint64_t value) override { Line("", std::to_string(value)); }
  void Double(double value) override { Line("", std::to_string(value)); }
  void Boolean(bool value) override { Line("", value ? "true" : "false"); }
  void BeginList(ListShape, std::size_t count) override { Line("*", std::to_string(count)); }
  void EndList() override {}
  void BeginRecord(const RecordHead&) override {}
  void Chunk(std::string_view bytes) override { out_.Append(bytes); }
  void EndRecord() override { out_.Append('\n'); }
  void Peer(std::string_view payload) override { Bulk(payload); }

 protected:
  virtual void Line(std::string_view mark, std::string_view text) {
    out_.Append(mark);
    out_.Append(text);
    out_.Append('\n');
  }

  Buffer& out_;
};

inline std::atomic<std::size_t> writers_alive{0};  // given out and not recycled

template <typename Writer>
struct Recycled {
  static ReplyWriter* Give(Writer* writer) {
    ++writers_alive;
    return writer;
  }
  static void Take(ReplyWriter* writer) {
    --writers_alive;
    delete static_cast<Writer*>(writer);
  }
};

inline void SplitWords(std::string_view line, std::vector<std::string_view>& words) {
  while (!line.empty()) {
    const std::size_t space = std::min(line.find(' '), line.size());
    words.push_back(line.substr(0, space));
    line.remove_prefix(std::min(space + 1, line.size()));
  }
}

// A request is a line of words. "put N" is followed by N bytes and a newline, so that it announces
// its size. "@" in front makes it quiet. "?..." is an error that the stream survives, "!..." one
// that it does not. Empty lines are skipped. A line that begins with "=" may not be read ahead.
class LineCodec final : public Codec {
 public:
  Decoded Decode(std::string_view input, Request& request) override {
    request.Clear();
    const std::size_t end = input.find('\n');
    if (end == std::string_view::npos) return {};
    std::string_view line = input.substr(0, end);
    const std::size_t consumed = end + 1;
    if (line.empty()) return {.status = Decoded::Status::kSkip, .consumed = consumed};
    if (line[0] == '?') {
      return {Decoded::Status::kError, consumed, 0, {ErrorCode::kTooLarge, "skipped"}};
    }
    if (line[0] == '!') {
      return {Decoded::Status::kMalformed, consumed, 0, {ErrorCode::kProtocol, "malformed"}};
    }
    if (line[0] == '@') {
      request.quiet = true;
      line.remove_prefix(1);
    }
    SplitWords(line, request.args);
    if (request.args[0] == "from-peer") request.hops = 1;
    if (request.args[0] != "put")
      return {.status = Decoded::Status::kRequest, .consumed = consumed};
    const std::size_t size = std::stoul(std::string(request.args[1]));
    const std::size_t whole = consumed + size + 1;
    if (input.size() < whole) return {.status = Decoded::Status::kNeedMore, .wanted = whole};
    request.payload = input.substr(consumed, size);
    return {.status = Decoded::Status::kRequest, .consumed = whole};
  }
  ReplyWriter* WriterFor(const Request&, Buffer& out) override {
    return Recycled<LineWriter>::Give(new LineWriter(out));
  }
  void Recycle(ReplyWriter* writer) override { Recycled<LineWriter>::Take(writer); }
  ReplyWriter* PushWriterFor(std::uint64_t, Buffer& out) override {
    return Recycled<LineWriter>::Give(new LineWriter(out));
  }
  bool MayReadAhead(std::string_view input) const override { return input.front() != '='; }
  bool ordered() const override { return true; }
};

// Replies as frames that carry the line and the id of the request.
class FrameWriter final : public LineWriter {
 public:
  FrameWriter(std::uint64_t id, Buffer& out, FrameType type = FrameType::kReply)
      : LineWriter(out), id_(id), type_(type) {}

 private:
  void Line(std::string_view mark, std::string_view text) override {
    std::string frame;
    AppendFrame(type_, id_, std::string(mark) + std::string(text), frame);
    out_.Append(frame);
  }
  std::uint64_t id_;
  FrameType type_;
};

class FrameCodec final : public Codec {
 public:
  static constexpr std::size_t kPayloadBytesMax = 64 << 20;

  Decoded Decode(std::string_view input, Request& request) override {
    request.Clear();
    if (input.size() < FrameHeader::kBytes) return {.wanted = FrameHeader::kBytes};
    const auto header = DecodeFrameHeader(input.data(), kPayloadBytesMax);
    if (!header) return {Decoded::Status::kMalformed, 0, 0, header.error()};
    const std::size_t whole = FrameHeader::kBytes + header->payload_bytes;
    if (input.size() < whole) return {.wanted = whole};
    request.id = header->request_id;
    SplitWords(input.substr(FrameHeader::kBytes, header->payload_bytes), request.args);
    return {.status = Decoded::Status::kRequest, .consumed = whole};
  }
  ReplyWriter* WriterFor(const Request& request, Buffer& out) override {
    return Recycled<FrameWriter>::Give(new FrameWriter(request.id, out));
  }
  void Recycle(ReplyWriter* writer) override { Recycled<FrameWriter>::Take(writer); }
  ReplyWriter* PushWriterFor(std::uint64_t request_id, Buffer& out) override {
    return Recycled<FrameWriter>::Give(new FrameWriter(request_id, out, FrameType::kPush));
  }
  bool WriteGoodbye(Buffer& out) override {
    std::string frame;
    AppendFrame(FrameType::kGoodbye, 0, "", frame);
    out.Append(frame);
    return true;
  }
  bool ordered() const override { return false; }
};

inline CodecFactory Lines() {
  return [](Session&) { return std::make_unique<LineCodec>(); };
}
inline CodecFactory Frames() {
  return [](Session&) { return std::make_unique<FrameCodec>(); };
}

}  // namespace gyre::test
