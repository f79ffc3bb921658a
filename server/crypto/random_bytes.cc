#include "crypto/random_bytes.h"

#include "crypto/sodium.h"

namespace gyre {

std::string RandomBytes(std::size_t count) {
  InitSodium();
  std::string bytes(count, '\0');
  randombytes_buf(bytes.data(), count);
  return bytes;
}

}  // namespace gyre
