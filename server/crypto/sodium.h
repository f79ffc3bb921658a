// What every user of libsodium here needs. Private to this module.
#pragma once

#include <sodium.h>

#include <string_view>

namespace gyre {

// Before the first random number or key; any thread, any number of times.
inline void InitSodium() { [[maybe_unused]] static const int ready = sodium_init(); }

inline const unsigned char* SodiumBytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace gyre
