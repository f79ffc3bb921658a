// The native protocol as one node says it to another: payloads of frames, without sockets.
#pragma once

#include <string>
#include <string_view>

#include "proto/frame.h"
#include "protocol/native_codec.h"

namespace gyre::testing {

// Gives `use` the request that a kRequest frame of this payload holds, as the native port would. The
// request is valid for the call. False if it holds none.
template <typename Use>
bool WithNativeRequest(std::string_view payload, Use&& use) {
  std::string frame;
  AppendFrame(FrameType::kRequest, 1, payload, frame);
  NativeCodec codec{CodecLimits{}};
  Request request;
  if (codec.Decode(frame, request).status != Decoded::Status::kRequest) return false;
  use(request);
  return true;
}

// The payload of the kReply frame by which the native port would answer.
inline std::string EncodeNativeReply(const Reply& reply) {
  NativeCodec codec{CodecLimits{}};
  Request request;
  request.id = 1;
  Buffer out;
  ReplyWriter* const writer = codec.WriterFor(request, out);
  Replay(reply, *writer);
  std::string payload(out.view().substr(FrameHeader::kBytes));
  codec.Recycle(writer);
  return payload;
}

}  // namespace gyre::testing
