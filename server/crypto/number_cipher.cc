#include "crypto/number_cipher.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace gyre {
namespace {

constexpr std::uint64_t kRounds = 10;

}  // namespace

NumberCipher::NumberCipher(std::string_view key, int bits)
    : bits_(bits), half_bits_((bits + 1) / 2), half_mask_((std::uint64_t{1} << half_bits_) - 1) {
  assert(key.size() == kKeyBytes && bits >= 2 && bits < 64);
  std::copy(key.begin(), key.end(), key_.data());
}

std::uint64_t NumberCipher::Function(std::uint64_t round, std::uint64_t half,
                                     std::uint64_t tweak) const {
  const std::uint64_t words[] = {round, half, tweak};
  unsigned char bytes[sizeof words];
  std::memcpy(bytes, words, sizeof words);
  unsigned char hashed[crypto_shorthash_BYTES];
  crypto_shorthash(hashed, bytes, sizeof bytes, key_.data());
  std::uint64_t result = 0;
  std::memcpy(&result, hashed, sizeof result);
  return result & half_mask_;
}

std::uint64_t NumberCipher::Encipher(std::uint64_t number, std::uint64_t tweak) const {
  if (number == 0) return 0;
  do {
    std::uint64_t left = number >> half_bits_;
    std::uint64_t right = number & half_mask_;
    for (std::uint64_t round = 0; round < kRounds; ++round) {
      const std::uint64_t mixed = left ^ Function(round, right, tweak);
      left = right;
      right = mixed;
    }
    number = left << half_bits_ | right;
  } while (IsOutside(number));
  return number;
}

std::uint64_t NumberCipher::Decipher(std::uint64_t number, std::uint64_t tweak) const {
  if (number == 0) return 0;
  do {
    std::uint64_t left = number >> half_bits_;
    std::uint64_t right = number & half_mask_;
    for (std::uint64_t round = kRounds; round-- > 0;) {
      const std::uint64_t mixed = right ^ Function(round, left, tweak);
      right = left;
      left = mixed;
    }
    number = left << half_bits_ | right;
  } while (IsOutside(number));
  return number;
}

}  // namespace gyre
