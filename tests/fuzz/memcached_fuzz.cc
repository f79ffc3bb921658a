#include "codec_fuzz.h"
#include "protocol/memcached_codec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gyre;
  testing::FuzzCodec([] { return std::make_unique<MemcachedCodec>(testing::kFuzzLimits); },
                     {reinterpret_cast<const char*>(data), size});
  return 0;
}
