#include "codec_fuzz.h"
#include "proto/frame.h"
#include "protocol/native_codec.h"

namespace gyre::testing {
namespace {

// A reply that can be read can be said again, and is read again.
void FuzzReply(std::string_view payload) {
  const Result<Reply> reply = DecodeReply(payload, nullptr);
  if (!reply) return;
  NativeCodec codec(kFuzzLimits);
  Buffer out;
  ReplyWriter* writer = codec.WriterFor(Request{}, out);
  Replay(*reply, *writer);
  codec.Recycle(writer);
  const auto header = DecodeFrameHeader(out.data(), out.size());
  if (!header || header->payload_bytes != out.size() - FrameHeader::kBytes) std::abort();
  if (!DecodeReply(out.view().substr(FrameHeader::kBytes), nullptr)) std::abort();
}

// The input as payload of a request frame: a fuzzer seldom finds a header whose length is right.
void FuzzRequest(std::string_view payload) {
  std::string frame(8, 's');
  AppendFrame(FrameType::kRequest, 1, payload, frame);
  FuzzCodec([] { return std::make_unique<NativeCodec>(kFuzzLimits); }, frame);
}

}  // namespace
}  // namespace gyre::testing

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gyre;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  testing::FuzzCodec([] { return std::make_unique<NativeCodec>(testing::kFuzzLimits); }, bytes);
  testing::FuzzRequest(bytes);
  testing::FuzzReply(bytes);
  return 0;
}
