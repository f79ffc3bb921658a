#include "protocol/resp_codec.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "protocol/decoded.h"
#include "protocol/resp_inline.h"

namespace gyre {
namespace {

// As in Redis (PROTO_INLINE_MAX_SIZE): a line longer than this is no command that a person typed.
constexpr std::size_t kInlineBytesMax = 64 * 1024;
// Lengths of ten digits and more are over every limit.
constexpr int kLengthDigitsMax = 10;
// A request with more arguments is long enough not to need a short way.
constexpr std::size_t kArgumentsWholeMax = 16;

struct Length {
  enum class Status { kDone, kPartial, kBad };
  Status status = Status::kBad;
  std::int64_t value = 0;
  std::size_t end = 0;  // behind the CR LF
};

// Reads "<number> CR LF" at `at`. Decides at the first byte that is wrong, so that the result does
// not depend on how much of the input is there yet.
Length ReadLength(std::string_view input, std::size_t at) {
  const char* const end = input.data() + input.size();
  const char* p = input.data() + at;
  Length length;
  const bool negative = p != end && *p == '-';
  if (negative) ++p;
  const char* const digits = p;
  for (; p != end && *p >= '0' && *p <= '9'; ++p) {
    if (p - digits == kLengthDigitsMax) return length;
    length.value = length.value * 10 + (*p - '0');
  }
  if (p != end && (*p != '\r' || p == digits)) return length;
  if (p == end || p + 1 == end) {
    length.status = Length::Status::kPartial;
    return length;
  }
  if (p[1] != '\n') return length;
  if (negative) length.value = -length.value;
  length.status = Length::Status::kDone;
  length.end = static_cast<std::size_t>(p + 2 - input.data());
  return length;
}

// Reads "<number> CR LF" of one to four digits at `at`; returns what is behind it, or null if
// something else is there, or so little that this was not looked at.
[[gnu::always_inline]] inline const char* ReadShortLength(const char* at, const char* end,
                                                          std::size_t& value) {
  constexpr int kDigitsMax = 4;
  if (end - at < kDigitsMax + static_cast<std::ptrdiff_t>(kCrLf.size())) return nullptr;
  unsigned number = 0;
#pragma GCC unroll 4
  for (int digits = 0; digits < kDigitsMax; ++digits, ++at) {
    const unsigned digit = static_cast<unsigned char>(*at) - unsigned{'0'};
    if (digit > 9) {
      if (digits == 0) return nullptr;
      break;
    }
    number = number * 10 + digit;
  }
  value = number;
  return at[0] == '\r' && at[1] == '\n' ? at + 2 : nullptr;
}

Decoded ProtocolError(std::string_view what) {
  return MalformedInput(ErrorCode::kProtocol, "Protocol error: " + std::string(what));
}

Decoded OverLimit(std::string_view what, std::size_t limit, std::string_view unit) {
  return MalformedInput(ErrorCode::kTooLarge, "Protocol error: " + std::string(what) +
                                                  ": over the limit of " + std::to_string(limit) +
                                                  " " + std::string(unit));
}

// An HTTP request's first line or its Host header: a web page makes the browser talk to this port.
// The body could hold commands, so the connection ends here (as in Redis).
bool LooksLikeHttp(std::string_view word) {
  return EqualsLetters(word, "post") || EqualsLetters(word, "host:");
}

}  // namespace

RespCodec::RespCodec(Session& session, const CodecLimits& limits)
    : session_(session),
      limits_{limits.key_bytes_max, limits.value_bytes_max, limits.argument_count_max,
              std::min(limits.request_bytes_max, kRequestBytesHardMax)},
      bulk_bytes_max_(std::max(limits.key_bytes_max, limits.value_bytes_max)) {}

Decoded RespCodec::Decode(std::string_view input, Request& request) {
  if (position_ == 0) {
    if (input.empty()) return NeedMore();
    if (input.front() != '*') return DecodeInline(input, request);
    if (const std::size_t bytes = DecodeWhole(input, request)) return Done(bytes);
    Decoded header = BeginArray(input);
    if (position_ == 0) return header;
  }
  return DecodeArguments(input, request);
}

// The usual request: all of it is there, nothing is wrong with it, and its lengths have few digits.
// Returns its bytes; 0 for any other, which then goes the way that judges each byte and remembers
// how far it came.
std::size_t RespCodec::DecodeWhole(std::string_view input, Request& request) const {
  const char* const end = input.data() + input.size();
  const char* at = input.data();
  std::size_t arguments = 0;
  at = ReadShortLength(at + 1, end, arguments);
  if (at == nullptr || arguments == 0 || arguments > kArgumentsWholeMax ||
      arguments > limits_.argument_count_max) {
    return 0;
  }
  BeginRequest(request);
  for (; arguments > 0; --arguments) {
    if (at == end || *at != '$') return 0;
    std::size_t bytes = 0;
    at = ReadShortLength(at + 1, end, bytes);
    if (at == nullptr || bytes > bulk_bytes_max_) return 0;
    if (static_cast<std::size_t>(end - at) < bytes + kCrLf.size()) return 0;
    if (at[bytes] != '\r' || at[bytes + 1] != '\n') return 0;
    request.args.emplace_back(at, bytes);
    at += bytes + kCrLf.size();
  }
  const auto total = static_cast<std::size_t>(at - input.data());
  return total <= limits_.request_bytes_max ? total : 0;
}

// Reads "*<count> CR LF". Leaves `position_` at 0 where no arguments follow.
Decoded RespCodec::BeginArray(std::string_view input) {
  const Length count = ReadLength(input, 1);
  if (count.status == Length::Status::kPartial) return NeedMore();
  if (count.status == Length::Status::kBad) return ProtocolError("invalid multibulk length");
  if (count.value <= 0) return Skip(count.end);
  if (static_cast<std::uint64_t>(count.value) > limits_.argument_count_max) {
    return OverLimit("invalid multibulk length", limits_.argument_count_max, "arguments");
  }
  arguments_left_ = static_cast<std::size_t>(count.value);
  position_ = count.end;
  return NeedMore();
}

Decoded RespCodec::DecodeArguments(std::string_view input, Request& request) {
  for (; arguments_left_ > 0; --arguments_left_) {
    if (!in_body_) {
      if (position_ >= input.size()) return NeedMore();
      if (input[position_] != '$') {
        return ProtocolError(std::string("expected '$', got '") + input[position_] + "'");
      }
      const Length length = ReadLength(input, position_ + 1);
      if (length.status == Length::Status::kPartial) return NeedMore();
      if (length.status == Length::Status::kBad || length.value < 0) {
        return ProtocolError("invalid bulk length");
      }
      body_bytes_ = static_cast<std::size_t>(length.value);
      if (body_bytes_ > bulk_bytes_max_) {
        return OverLimit("invalid bulk length", bulk_bytes_max_, "bytes (see --max-value)");
      }
      position_ = length.end;
      in_body_ = true;
      if (position_ + body_bytes_ + kCrLf.size() > limits_.request_bytes_max) {
        return OverLimit("too big request", limits_.request_bytes_max,
                         "bytes for one command: send fewer keys at once");
      }
    }
    const std::size_t body_end = position_ + body_bytes_;
    if (input.size() < body_end + kCrLf.size()) return NeedMore(body_end + kCrLf.size());
    if (input[body_end] != '\r' || input[body_end + 1] != '\n') {
      return ProtocolError("expected CR LF behind a bulk string");
    }
    spans_.push_back(
        {static_cast<std::uint32_t>(position_), static_cast<std::uint32_t>(body_bytes_)});
    position_ = body_end + kCrLf.size();
    in_body_ = false;
  }
  return Complete(input, request);
}

Decoded RespCodec::Complete(std::string_view input, Request& request) {
  BeginRequest(request);
  request.args.reserve(spans_.size());
  for (const auto& span : spans_) {
    request.args.emplace_back(input.data() + span.offset, span.bytes);
  }
  ClearKept(spans_);
  return Done(std::exchange(position_, 0));
}

Decoded RespCodec::DecodeInline(std::string_view input, Request& request) {
  const std::size_t line_end = input.find('\n', scanned_);
  if (std::min(line_end, input.size()) > kInlineBytesMax) {
    return OverLimit("too big inline request", kInlineBytesMax, "bytes");
  }
  if (line_end == std::string_view::npos) {
    scanned_ = input.size();
    return NeedMore();
  }
  scanned_ = 0;
  std::string_view line = input.substr(0, line_end);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  BeginRequest(request);
  if (!SplitInline(line, unescaped_, request.args)) {
    return ProtocolError("unbalanced quotes in request");
  }
  if (request.args.empty()) return Skip(line_end + 1);
  if (LooksLikeHttp(request.args.front())) {
    return ProtocolError("this port speaks RESP, not HTTP");
  }
  return Done(line_end + 1);
}

void RespCodec::Rewind() {
  position_ = scanned_ = 0;
  in_body_ = false;
  ClearKept(spans_);
}

ReplyWriter* RespCodec::WriterFor(const Request&, Buffer& out) {
  RespWriter* writer = writers_.Take(session_);
  writer->Start(out);
  return writer;
}

CodecFactory MakeRespCodecFactory(const CodecLimits& limits) {
  return [limits](Session& session) { return std::make_unique<RespCodec>(session, limits); };
}

}  // namespace gyre
