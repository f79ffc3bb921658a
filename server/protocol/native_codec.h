// Requests of the native protocol: frames (proto/frame.h) with a wire::Request or a
// wire::PeerRequest.
//
// The payload is read in place: arguments are views into the input, unknown fields are stepped
// over. A frame that cannot be trusted ends the connection; a payload that makes no sense costs
// only its own request, because the frame says where the next one begins. Replies carry the id of
// their request and leave in any order.
#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <string_view>

#include "proto/result.h"
#include "protocol/codec.h"
#include "protocol/native_writer.h"
#include "protocol/writer_pool.h"

namespace gyre {

class NativeCodec final : public Codec {
 public:
  explicit NativeCodec(const CodecLimits& limits);

  Decoded Decode(std::string_view input, Request& request) override;
  bool MayReadAhead(std::string_view) const override { return true; }
  ReplyWriter* WriterFor(const Request& request, Buffer& out) override;
  void Recycle(ReplyWriter* writer) override { writers_.Return(writer); }
  ReplyWriter* PushWriterFor(std::uint64_t request_id, Buffer& out) override;
  bool WriteGoodbye(Buffer& out) override;
  bool ordered() const override { return false; }

 private:
  const CodecLimits limits_;
  WriterPool<NativeWriter> writers_;
  bool takes_goodbye_ = false;  // the client does
};

// The payload of a kRequest frame (wire::Request) that says what `request` says; a kCommand one.
// For forwarding: the caller has counted `hops` up.
std::string EncodeRequest(const Request& request);

// Reads the payload of a kReply frame (wire::Reply). Where `stale_ring` is not null it gets that
// field. The result is at most about 64 times as large as the payload, whose length the caller
// bounds; kTooLarge where that would be over `bytes_max`. kProtocol if it cannot be read.
Result<Reply> DecodeReply(std::string_view wire_reply, bool* stale_ring,
                          std::size_t bytes_max = std::numeric_limits<std::size_t>::max());

}  // namespace gyre
