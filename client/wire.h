// Native messages (proto/native_request.h, native_reply.h) <-> the values of client.h, straight into
// and out of the buffers.
//
// A request is encoded in two steps. `EncodeRequest` runs on the caller's thread and writes all
// that is known then; the frame header with its id, and the time that is left, are known only when
// the request is sent (perhaps several times), so `AppendRequestFrame` adds them on the I/O thread.
// Protobuf lets fields come in any order, which makes this two appends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/byte_queue.h"
#include "gyre/client.h"
#include "proto/limits.h"

namespace gyre::client {

// One reply: the largest value, or a long list.
inline constexpr std::size_t kReplyBytesMax = kValueBytesHardMax + kFrameSlackBytes;

// The Request without its deadline. kTooLarge, kInvalidArgument (no arguments).
Result<std::string> EncodeRequest(const std::vector<std::string_view>& args,
                                  std::uint32_t write_acks);

// Makes a text protocol's port answer at once that it does not understand `request`: it would wait
// for the end of the line. Nodes skip it (Request.line_end).
void AppendLineEnd(std::string& request);

// Frame header, `request` and its deadline_ms; and, if so, that its sender knows FrameType::kGoodbye.
void AppendRequestFrame(std::uint64_t request_id, std::string_view request,
                        std::uint32_t deadline_ms, ByteQueue<>& out, bool takes_goodbye = false);

struct DecodedReply {
  Value value;  // kind kError for an error reply
  bool stale_ring = false;
};

// kProtocol if `payload` is not a Reply.
Result<DecodedReply> DecodeReply(std::string_view payload);

}  // namespace gyre::client
