// The frame of the native protocol: a 16-byte header, then a Protobuf message.
//
//    0    1    2        3      4              8                16
//   'G'  'Y'  version  type   payload bytes  request id        payload ...
//                             (u32, LE)      (u64, LE)
//
// A reply carries the id of its request; replies may come in any order. A process speaks
// `kProtocolVersion` and reads the versions up to it; there has been one so far. A frame that breaks
// these rules ends the connection: after it, nothing in the stream can be trusted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "proto/result.h"

namespace gyre {

inline constexpr std::uint8_t kProtocolVersion = 1;
inline constexpr std::uint8_t kProtocolVersionMin = 1;

enum class FrameType : std::uint8_t {
  kRequest = 1,      // native.proto Request: a command
  kReply = 2,        // native.proto Reply
  kPeerRequest = 3,  // cluster.proto PeerRequest: node to node
  kPeerReply = 4,    // cluster.proto PeerReply
  // The first frame each way on a link between nodes with --gossip-key; what follows is no frames,
  // but a sealed stream of them (server/crypto/link_handshake.h).
  kHandshake = 5,
  // native.proto Reply, unasked: of what the request with this id has subscribed to (command FEED).
  kPush = 6,
  // The last frame of a node that closes the connection in order, without a payload, to who takes it
  // (Request.takes_goodbye): what was sent here and has no reply was not carried out, and will not be.
  kGoodbye = 7,
};

struct FrameHeader {
  static constexpr std::size_t kBytes = 16;

  std::uint8_t version = kProtocolVersion;
  FrameType type = FrameType::kRequest;
  std::uint32_t payload_bytes = 0;
  std::uint64_t request_id = 0;

  std::size_t frame_bytes() const { return kBytes + payload_bytes; }
};

// Writes kBytes at `out`.
void EncodeFrameHeader(const FrameHeader& header, char* out);

// Whether these bytes are those of a frame, as far as they are there: who speaks another protocol is
// told at its first bytes, not once it has sent a header's.
bool BeginsAsFrame(std::string_view bytes);

// Reads the kBytes at `in`. Fails on a wrong magic, version, type, or a payload of more than
// `payload_bytes_max`.
Result<FrameHeader> DecodeFrameHeader(const char* in, std::size_t payload_bytes_max);

// Header and payload, appended to `out`; for cold paths and tests.
void AppendFrame(FrameType type, std::uint64_t request_id, std::string_view payload,
                 std::string& out);

}  // namespace gyre
