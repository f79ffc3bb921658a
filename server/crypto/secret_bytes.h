// Key material: a fixed number of bytes that are wiped when they go.
#pragma once

#include <sodium.h>

#include <array>
#include <cstddef>

namespace gyre {

template <std::size_t N>
class SecretBytes {
 public:
  SecretBytes() = default;
  SecretBytes(const SecretBytes&) = default;
  SecretBytes& operator=(const SecretBytes&) = default;
  ~SecretBytes() { sodium_memzero(bytes_.data(), N); }

  unsigned char* data() { return bytes_.data(); }
  const unsigned char* data() const { return bytes_.data(); }
  static constexpr std::size_t size() { return N; }

  // In constant time.
  friend bool operator==(const SecretBytes& one, const SecretBytes& other) {
    return sodium_memcmp(one.data(), other.data(), N) == 0;
  }

 private:
  std::array<unsigned char, N> bytes_{};
};

using Secret32 = SecretBytes<32>;

}  // namespace gyre
