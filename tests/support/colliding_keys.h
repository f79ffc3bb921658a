// Keys that all have the same hash, for as many as one likes.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

namespace gyre {

// XXH3 multiplies the key's first 8 bytes, xor the first of its secret, with what is made of the next
// 8: equal to the secret, the former make the product 0, whatever the latter are. All share a slot.
inline std::string CollidingKey(std::uint32_t number) {
  constexpr char kFirstOfSecret[] = "\xb8\xfe\x6c\x39\x23\xa4\x4b\xbe";
  char free[9];
  std::snprintf(free, sizeof free, "%08u", number);
  return std::string(kFirstOfSecret, 8) + free + "{colliding}-keys";
}

}  // namespace gyre
