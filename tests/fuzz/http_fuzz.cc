// Whatever comes to the HTTP port, and however it is split: the same requests, and a response to
// each error.
#include "codec_fuzz.h"
#include "ops/http_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gyre;
  static constexpr HttpLimits kLimits = {.header_bytes_max = 512, .body_bytes_max = 128};
  testing::FuzzCodec([] { return std::make_unique<HttpCodec>(kLimits); },
                     {reinterpret_cast<const char*>(data), size});
  return 0;
}
