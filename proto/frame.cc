#include "proto/frame.h"

#include <cstring>

namespace gyre {
namespace {

// The project builds for little-endian machines only, so the wire's order is the machine's.
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "frames are little-endian on the wire");

constexpr std::string_view kMagic = "GY";

}  // namespace

void EncodeFrameHeader(const FrameHeader& header, char* out) {
  out[0] = kMagic[0];
  out[1] = kMagic[1];
  out[2] = static_cast<char>(header.version);
  out[3] = static_cast<char>(header.type);
  std::memcpy(out + 4, &header.payload_bytes, 4);
  std::memcpy(out + 8, &header.request_id, 8);
}

bool BeginsAsFrame(std::string_view bytes) {
  return kMagic.starts_with(bytes.substr(0, kMagic.size()));
}

Result<FrameHeader> DecodeFrameHeader(const char* in, std::size_t payload_bytes_max) {
  if (in[0] != kMagic[0] || in[1] != kMagic[1]) {
    return Fail(ErrorCode::kProtocol,
                "not a Gyre frame: is another protocol's client on this port?");
  }
  FrameHeader header;
  header.version = static_cast<std::uint8_t>(in[2]);
  if (header.version < kProtocolVersionMin || header.version > kProtocolVersion) {
    return Fail(ErrorCode::kProtocol,
                "protocol version " + std::to_string(header.version) + " is not spoken here (" +
                    std::to_string(kProtocolVersionMin) + " to " +
                    std::to_string(kProtocolVersion) + "): upgrade one release at a time");
  }
  const auto type = static_cast<std::uint8_t>(in[3]);
  if (type < static_cast<std::uint8_t>(FrameType::kRequest) ||
      type > static_cast<std::uint8_t>(FrameType::kGoodbye)) {
    return Fail(ErrorCode::kProtocol, "unknown frame type " + std::to_string(type));
  }
  header.type = static_cast<FrameType>(type);
  std::memcpy(&header.payload_bytes, in + 4, 4);
  std::memcpy(&header.request_id, in + 8, 8);
  if (header.payload_bytes > payload_bytes_max) {
    return Fail(ErrorCode::kTooLarge, "frame of " + std::to_string(header.payload_bytes) +
                                          " bytes is over the limit of " +
                                          std::to_string(payload_bytes_max) + ": see --max-value");
  }
  return header;
}

void AppendFrame(FrameType type, std::uint64_t request_id, std::string_view payload,
                 std::string& out) {
  FrameHeader header;
  header.type = type;
  header.request_id = request_id;
  header.payload_bytes = static_cast<std::uint32_t>(payload.size());
  char raw[FrameHeader::kBytes];
  EncodeFrameHeader(header, raw);
  out.append(raw, sizeof raw);
  out.append(payload);
}

}  // namespace gyre
