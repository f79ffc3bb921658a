#include "protocol/memcached_codec.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>

#include "protocol/decoded.h"
#include "protocol/memcached_binary.h"

namespace gyre {
namespace {

// Where memcached gives up a line without an end. A retrieval may name many keys, so it gets more.
constexpr std::size_t kLineBytesMax = 2048;
constexpr std::size_t kRetrievalLineBytesMax = 1024 * 1024;
// Lengths above are no lengths to memcached.
constexpr std::int64_t kDataBytesMax = std::numeric_limits<std::int32_t>::max() - 2;

constexpr const char* kBadFormat = "bad command line format";
constexpr const char* kBadExptime = "invalid exptime argument";

bool BeginsRetrieval(std::string_view input) {
  input.remove_prefix(std::min(input.find_first_not_of(' '), input.size()));
  for (const std::string_view name : {"get ", "gets ", "gat ", "gats "}) {
    if (input.substr(0, name.size()) == name) return true;
  }
  return false;
}

void SplitWords(std::string_view line, std::vector<std::string_view>& words) {
  const char* at = line.data();
  const char* const end = at + line.size();
  while (true) {
    while (at != end && *at == ' ') ++at;
    if (at == end) return;
    const char* const begin = at;
    while (at != end && *at != ' ') ++at;
    words.emplace_back(begin, static_cast<std::size_t>(at - begin));
  }
}

bool TakesNoreply(MemcachedForm form) {
  switch (form) {
    case MemcachedForm::kRetrieve:
    case MemcachedForm::kTouchAndRetrieve:
    case MemcachedForm::kWords:
    case MemcachedForm::kBare:
    case MemcachedForm::kQuit:
      return false;
    default:
      return true;
  }
}

// A request line, or the header that browsers send with all of them.
bool LooksLikeHttp(const std::vector<std::string_view>& words) {
  return words.back().starts_with("HTTP/") || EqualsLetters(words.front(), "host:");
}

bool IsExptime(std::string_view text) { return ParseInteger<std::int64_t>(text).has_value(); }

}  // namespace

Decoded MemcachedCodec::Decode(std::string_view input, Request& request) {
  if (swallow_left_ > 0) return Swallow(input);
  if (store_ != nullptr) return FinishStore(input, request);
  return DecodeLine(input, request);
}

Decoded MemcachedCodec::Swallow(std::string_view input) {
  if (input.empty()) return NeedMore();
  const std::size_t bytes = std::min(swallow_left_, input.size());
  swallow_left_ -= bytes;
  return Skip(bytes);
}

// "get <key> CR LF", the line that comes most often, in one pass. Returns its bytes; 0 for any
// other line, which is then judged word by word.
std::size_t MemcachedCodec::DecodeGet(std::string_view input, Request& request) const {
  constexpr std::string_view kBegin = "get ";
  if (!input.starts_with(kBegin)) return 0;
  const char* const key = input.data() + kBegin.size();
  const std::size_t left = input.size() - kBegin.size();
  const char* const key_end =
      MemcachedKeyEnd(key, key + std::min(left, kMemcachedKeyBytesMax + kCrLf.size()));
  const auto bytes = static_cast<std::size_t>(key_end - key);
  if (bytes == 0 || bytes > kMemcachedKeyBytesMax) return 0;
  if (left - bytes < kCrLf.size() || key_end[0] != '\r' || key_end[1] != '\n') return 0;
  BeginRequest(request);
  request.args.emplace_back(get_.target);
  request.args.emplace_back(key, bytes);
  return kBegin.size() + bytes + kCrLf.size();
}

// A request of the binary protocol: its client is told in binary that it must speak text.
Decoded MemcachedCodec::RefuseBinary(std::string_view input, Request& request) {
  if (input.size() < MemcachedBinary::kHeaderBytes) return NeedMore(MemcachedBinary::kHeaderBytes);
  BeginRequest(request);
  request.id = MemcachedBinary::Mark(input);
  return MalformedInput(ErrorCode::kProtocol, "the binary protocol is not supported; use text");
}

Decoded MemcachedCodec::DecodeLine(std::string_view input, Request& request) {
  if (input.starts_with(MemcachedBinary::kRequestMagic)) return RefuseBinary(input, request);
  if (scanned_ == 0) {
    if (const std::size_t bytes = DecodeGet(input, request); bytes > 0) return Done(bytes);
  }
  const std::size_t line_end = input.find('\n', scanned_);
  const std::size_t known = std::min(line_end, input.size());
  if (known > kLineBytesMax && (known > kRetrievalLineBytesMax || !BeginsRetrieval(input))) {
    request.Clear();
    return MalformedInput(ErrorCode::kProtocol, "line too long");
  }
  if (line_end == std::string_view::npos) {
    scanned_ = input.size();
    return NeedMore();
  }
  scanned_ = 0;
  line_bytes_ = line_end + 1;
  noreply_ = false;
  std::string_view line = input.substr(0, line_end);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);

  BeginRequest(request);
  SplitWords(line, request.args);
  const std::size_t words = request.args.size();
  const MemcachedCommand* command = words == 0 ? nullptr : FindMemcachedCommand(request.args[0]);
  if (command == nullptr && words > 0 && LooksLikeHttp(request.args)) {
    // A web page makes the browser talk to this port. The body could hold commands.
    request.Clear();
    return MalformedInput(ErrorCode::kProtocol, "this port speaks memcached, not HTTP");
  }
  if (command == nullptr || words < command->word_count_min || words > command->word_count_max) {
    return Refuse(request, ErrorCode::kUnknownCommand, "unknown command");
  }
  return Interpret(*command, input, request);
}

// Turns the words of a line, which are in `request.args`, into the request.
Decoded MemcachedCodec::Interpret(const MemcachedCommand& command, std::string_view input,
                                  Request& request) {
  std::vector<std::string_view>& args = request.args;
  args[0] = command.target;
  noreply_ = TakesNoreply(command.form) && args.back() == "noreply";
  request.quiet = noreply_;
  switch (command.form) {
    case MemcachedForm::kRetrieve:
      return Retrieve(1, request);
    case MemcachedForm::kTouchAndRetrieve:
      if (!IsExptime(args[1])) return Refuse(request, ErrorCode::kInvalidArgument, kBadExptime);
      return Retrieve(2, request);
    case MemcachedForm::kStore:
    case MemcachedForm::kCompareAndStore:
      return BeginStore(command, input, request);
    case MemcachedForm::kDelete:
      return Delete(request);
    case MemcachedForm::kDelta:
      if (!IsMemcachedKey(args[1])) return Refuse(request, ErrorCode::kInvalidArgument, kBadFormat);
      if (!ParseInteger<std::uint64_t>(args[2])) {
        return Refuse(request, ErrorCode::kInvalidArgument, "invalid numeric delta argument");
      }
      args.resize(3);
      break;
    case MemcachedForm::kTouch:
      if (!IsMemcachedKey(args[1])) return Refuse(request, ErrorCode::kInvalidArgument, kBadFormat);
      if (!IsExptime(args[2])) return Refuse(request, ErrorCode::kInvalidArgument, kBadExptime);
      args.resize(3);
      break;
    case MemcachedForm::kFlush:
      return Flush(request);
    case MemcachedForm::kVerbosity:
      return Verbosity(request);
    case MemcachedForm::kWords:
      // These exist for their answer alone.
      if (args.back() == "noreply") {
        return Refuse(request, ErrorCode::kInvalidArgument, kBadFormat);
      }
      break;
    case MemcachedForm::kBare:
      args.resize(1);
      break;
    case MemcachedForm::kQuit:
      args.resize(1);
      request.quiet = true;
      break;
  }
  return Done(line_bytes_);
}

Decoded MemcachedCodec::Retrieve(std::size_t keys_begin, Request& request) {
  if (request.args.size() > limits_.argument_count_max) {
    return Refuse(request, ErrorCode::kProtocol, "too many keys in one command");
  }
  for (std::size_t i = keys_begin; i < request.args.size(); ++i) {
    if (!IsMemcachedKey(request.args[i])) {
      return Refuse(request, ErrorCode::kInvalidArgument, kBadFormat);
    }
  }
  return Done(line_bytes_);
}

// Judges the line of a storage command before any of its data is buffered.
Decoded MemcachedCodec::BeginStore(const MemcachedCommand& command, std::string_view input,
                                   Request& request) {
  const std::vector<std::string_view>& args = request.args;
  const bool has_token = command.form == MemcachedForm::kCompareAndStore;
  const auto bytes = ParseInteger<std::int64_t>(args[4]);
  if (!bytes || *bytes < 0 || *bytes > kDataBytesMax) {
    return Refuse(request, ErrorCode::kInvalidArgument, kBadFormat);
  }
  data_bytes_ = static_cast<std::size_t>(*bytes);
  if (!IsMemcachedKey(args[1]) || !ParseInteger<std::uint64_t>(args[2]) || !IsExptime(args[3]) ||
      (has_token && !ParseInteger<std::uint64_t>(args[5]))) {
    swallow_left_ = data_bytes_ + kCrLf.size();
    return Refuse(request, ErrorCode::kInvalidArgument, kBadFormat);
  }
  if (data_bytes_ > limits_.value_bytes_max) {
    swallow_left_ = data_bytes_ + kCrLf.size();
    if (command.target == "mc.set") {
      // It is executed at once, before its data is swallowed (MayReadAhead).
      request.args = {"mc.refused", args[1]};
      return Done(line_bytes_);
    }
    return Refuse(request, ErrorCode::kTooLarge, "object too large for cache");
  }
  const std::string_view words[] = {args[1], args[2], args[3],
                                    has_token ? args[5] : std::string_view(input.data(), 0)};
  for (std::size_t i = 0; i < store_words_.size(); ++i) {
    store_words_[i] = {static_cast<std::uint32_t>(words[i].data() - input.data()),
                       static_cast<std::uint32_t>(words[i].size())};
  }
  store_ = &command;
  return FinishStore(input, request);
}

Decoded MemcachedCodec::FinishStore(std::string_view input, Request& request) {
  const std::size_t data_end = line_bytes_ + data_bytes_;
  const std::size_t total = data_end + kCrLf.size();
  if (input.size() < total) return NeedMore(total);
  const MemcachedCommand& command = *std::exchange(store_, nullptr);
  if (input[data_end] != '\r' || input[data_end + 1] != '\n') {
    line_bytes_ = total;
    return Refuse(request, ErrorCode::kProtocol, "bad data chunk");
  }
  BeginRequest(request);
  request.quiet = noreply_;
  request.args.push_back(command.target);
  const std::size_t words = command.form == MemcachedForm::kCompareAndStore ? 4 : 3;
  for (std::size_t i = 0; i < words; ++i) request.args.push_back(store_words_[i].In(input));
  request.args.push_back(input.substr(line_bytes_, data_bytes_));
  return Done(total);
}

Decoded MemcachedCodec::Delete(Request& request) {
  std::vector<std::string_view>& args = request.args;
  // The time that old clients send must be 0; memcached takes noreply in its place, too.
  const bool plain = args.size() == 2 || args[2] == "0" || (args.size() == 3 && noreply_);
  if (!plain || (args.size() == 4 && !noreply_)) {
    return Refuse(request, ErrorCode::kInvalidArgument,
                  "bad command line format.  Usage: delete <key> [noreply]");
  }
  if (!IsMemcachedKey(args[1])) return Refuse(request, ErrorCode::kInvalidArgument, kBadFormat);
  args.resize(2);
  return Done(line_bytes_);
}

Decoded MemcachedCodec::Flush(Request& request) {
  std::vector<std::string_view>& args = request.args;
  if (noreply_) args.pop_back();
  args.resize(std::min<std::size_t>(args.size(), 2));
  if (args.size() == 1) args.emplace_back("0");
  if (!IsExptime(args[1])) return Refuse(request, ErrorCode::kInvalidArgument, kBadExptime);
  return Done(line_bytes_);
}

Decoded MemcachedCodec::Verbosity(Request& request) {
  std::vector<std::string_view>& args = request.args;
  if (noreply_) args.pop_back();
  args.resize(std::min<std::size_t>(args.size(), 2));
  if (args.size() == 1) args.emplace_back("0");  // "verbosity noreply"
  if (!ParseInteger<std::uint32_t>(args[1])) {
    return Refuse(request, ErrorCode::kInvalidArgument, kBadFormat);
  }
  return Done(line_bytes_);
}

// The line (with a bad data chunk: and its data) is answered with an error, or in silence if it
// said noreply.
Decoded MemcachedCodec::Refuse(Request& request, ErrorCode code, const char* message) {
  request.Clear();
  if (noreply_) return Skip(line_bytes_);
  return ErrorReply(line_bytes_, code, message);
}

void MemcachedCodec::Rewind() {
  scanned_ = 0;
  store_ = nullptr;
  swallow_left_ = 0;
}

ReplyWriter* MemcachedCodec::WriterFor(const Request& request, Buffer& out) {
  MemcachedWriter* writer = writers_.Take();
  writer->Start(request, out);
  return writer;
}

CodecFactory MakeMemcachedCodecFactory(const CodecLimits& limits) {
  return [limits](Session&) { return std::make_unique<MemcachedCodec>(limits); };
}

}  // namespace gyre
