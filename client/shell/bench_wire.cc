#include "client/shell/bench_wire.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>

#include "client/wire.h"
#include "proto/frame.h"

namespace gyre::client {
namespace {

void WriteDigits(std::uint64_t number, char* out) {
  for (std::size_t i = kBenchKeyDigits; i-- > 0; number /= 10) {
    out[i] = static_cast<char>('0' + number % 10);
  }
}

// The number of a line like "$12\r\n" from its second byte on; nothing if it is none.
std::optional<std::int64_t> ParseLength(std::string_view digits) {
  std::int64_t length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return length;
}

void CountError(std::string_view text, ReplyCounts& counts) {
  if (counts.first_error.empty()) counts.first_error = text.substr(0, 200);
  ++counts.errors;
  ++counts.replies;
}

// ---- Native ------------------------------------------------------------------------------------

class NativeWire final : public BenchWire {
 public:
  explicit NativeWire(std::string_view value) {
    const std::string key = BenchKey(0);
    get_ = Frame({"GET", key});
    set_ = Frame({"SET", key, value});
  }

  std::ptrdiff_t Count(std::string_view in, ReplyCounts& counts) override {
    std::size_t at = 0;
    while (in.size() - at >= FrameHeader::kBytes) {
      const auto header = DecodeFrameHeader(in.data() + at, kReplyBytesMax);
      if (!header || header->type != FrameType::kReply) return -1;
      if (in.size() - at < header->frame_bytes()) break;
      CountPayload(in.substr(at + FrameHeader::kBytes, header->payload_bytes), counts);
      at += header->frame_bytes();
    }
    return static_cast<std::ptrdiff_t>(at);
  }

 private:
  static Template Frame(const std::vector<std::string_view>& args) {
    ByteQueue<> out;
    AppendRequestFrame(0, *EncodeRequest(args, 0), 0, out);
    return MakeTemplate(std::string(out.view()));
  }

  void StampId(char* frame) override {
    ++next_id_;
    std::memcpy(frame + 8, &next_id_, sizeof next_id_);
  }

  // Reply{1: Value{...}}: the tag behind the length of field 1 tells the kind; anything else takes
  // the long way.
  static void CountPayload(std::string_view payload, ReplyCounts& counts) {
    constexpr char kValueTag = 0x0a;
    constexpr char kRecordTag = 0x5a;
    constexpr char kOutcomeTag = 0x10;
    constexpr char kNullTag = 0x08;
    // A forwarded reply says so (stale_ring) before its value.
    constexpr std::string_view kStaleRing("\x10\x01", 2);
    if (payload.starts_with(kStaleRing)) payload.remove_prefix(kStaleRing.size());
    std::size_t kind_at = 1;
    while (kind_at < payload.size() && (payload[kind_at] & 0x80) != 0) ++kind_at;
    ++kind_at;
    if (payload.starts_with(kValueTag) && kind_at < payload.size()) {
      const char tag = payload[kind_at];
      counts.hits += tag == kRecordTag ? 1 : 0;
      counts.misses += tag == kNullTag ? 1 : 0;
      counts.stored += tag == kOutcomeTag ? 1 : 0;
      if (tag == kRecordTag || tag == kNullTag || tag == kOutcomeTag) {
        ++counts.replies;
        return;
      }
    }
    const Result<DecodedReply> reply = DecodeReply(payload);
    CountError(!reply ? reply.error().message : reply->value.text, counts);
  }

  std::uint64_t next_id_ = 0;
};

// ---- RESP --------------------------------------------------------------------------------------

class RespWire final : public BenchWire {
 public:
  explicit RespWire(std::string_view value) {
    const std::string key = BenchKey(0);
    get_ = MakeTemplate("*2\r\n$3\r\nGET\r\n" + Bulk(key));
    set_ = MakeTemplate("*3\r\n$3\r\nSET\r\n" + Bulk(key) + Bulk(value));
  }

  std::ptrdiff_t Count(std::string_view in, ReplyCounts& counts) override {
    std::size_t at = 0;
    while (true) {
      const std::size_t end = in.find("\r\n", at);
      if (end == std::string_view::npos) break;
      const std::string_view line = in.substr(at, end - at);
      std::size_t bytes = line.size() + 2;
      if (line.empty()) return -1;
      switch (line[0]) {
        case '$': {
          const auto length = ParseLength(line.substr(1));
          if (!length) return -1;
          if (*length >= 0) {
            bytes += static_cast<std::size_t>(*length) + 2;
            if (in.size() - at < bytes) return static_cast<std::ptrdiff_t>(at);
          }
          ++(*length >= 0 ? counts.hits : counts.misses);
          ++counts.replies;
          break;
        }
        case '_':
          ++counts.misses;
          ++counts.replies;
          break;
        case '+':
          ++counts.stored;
          ++counts.replies;
          break;
        case '-':
          CountError(line.substr(1), counts);
          break;
        default:
          return -1;
      }
      at += bytes;
    }
    return static_cast<std::ptrdiff_t>(at);
  }

 private:
  static std::string Bulk(std::string_view bytes) {
    return "$" + std::to_string(bytes.size()) + "\r\n" + std::string(bytes) + "\r\n";
  }
};

// ---- memcached ---------------------------------------------------------------------------------

class MemcachedWire final : public BenchWire {
 public:
  explicit MemcachedWire(std::string_view value) {
    const std::string key = BenchKey(0);
    get_ = MakeTemplate("get " + key + "\r\n");
    set_ = MakeTemplate("set " + key + " 0 0 " + std::to_string(value.size()) + "\r\n" +
                        std::string(value) + "\r\n");
  }

  // A hit is "VALUE key flags length\r\n" data "\r\nEND\r\n"; a miss "END\r\n".
  std::ptrdiff_t Count(std::string_view in, ReplyCounts& counts) override {
    constexpr std::string_view kTail = "\r\nEND\r\n";
    std::size_t at = 0;
    while (true) {
      const std::size_t end = in.find("\r\n", at);
      if (end == std::string_view::npos) break;
      const std::string_view line = in.substr(at, end - at);
      std::size_t bytes = line.size() + 2;
      if (line.starts_with("VALUE ")) {
        const auto length = ParseLength(line.substr(line.rfind(' ') + 1));
        if (!length || *length < 0) return -1;
        bytes += static_cast<std::size_t>(*length) + kTail.size();
        if (in.size() - at < bytes) break;
        if (in.substr(at + bytes - kTail.size(), kTail.size()) != kTail) return -1;
        ++counts.hits;
        ++counts.replies;
      } else if (line == "END") {
        ++counts.misses;
        ++counts.replies;
      } else if (line == "STORED") {
        ++counts.stored;
        ++counts.replies;
      } else if (line.starts_with("SERVER_ERROR") || line.starts_with("CLIENT_ERROR") ||
                 line == "ERROR" || line == "NOT_STORED") {
        CountError(line, counts);
      } else {
        return -1;
      }
      at += bytes;
    }
    return static_cast<std::ptrdiff_t>(at);
  }
};

}  // namespace

std::string BenchKey(std::uint64_t number) {
  std::string key = "key:" + std::string(kBenchKeyDigits, '0');
  WriteDigits(number, key.data() + 4);
  return key;
}

std::unique_ptr<BenchWire> BenchWire::Make(BenchProtocol protocol, std::string_view value) {
  switch (protocol) {
    case BenchProtocol::kNative:
      return std::make_unique<NativeWire>(value);
    case BenchProtocol::kResp:
      return std::make_unique<RespWire>(value);
    case BenchProtocol::kMemcached:
      return std::make_unique<MemcachedWire>(value);
  }
  return nullptr;
}

BenchWire::Template BenchWire::MakeTemplate(std::string bytes) {
  const std::size_t key_at = bytes.find(BenchKey(0));
  return {std::move(bytes), key_at + 4};
}

void BenchWire::Append(const Template& request, std::uint64_t key, ByteQueue<>& out) {
  char* at = out.Prepare(request.bytes.size());
  std::copy(request.bytes.begin(), request.bytes.end(), at);
  WriteDigits(key, at + request.key_digits_at);
  StampId(at);
  out.Commit(request.bytes.size());
}

}  // namespace gyre::client
