#include "codec_fuzz.h"
#include "protocol/resp_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gyre;
  static Session session;
  testing::FuzzCodec([] { return std::make_unique<RespCodec>(session, testing::kFuzzLimits); },
                     {reinterpret_cast<const char*>(data), size});
  return 0;
}
