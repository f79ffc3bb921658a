// A secret permutation of the numbers of so many bits: what strangers are given is as short as what it
// stands for, and tells nothing of it.
//
//   number = | left | right |         ten times:  left, right = right, left xor F(round, right)
//
// A Feistel network as in FF1 of NIST SP 800-38G, over halves of equal size; F is SipHash-2-4 (of
// libsodium) of the round, the half and a tweak: a number beside which the same number looks different.
// 0 stays 0. Where the result is 0, or has a bit too many because the halves are of equal size, it is
// permuted again, until it is a number of those bits ("cycle walking"): so the whole is a permutation of
// the others. That is one round more on average.
//
// Cost: about half a microsecond.
#pragma once

#include <cstdint>
#include <string_view>

#include "crypto/secret_bytes.h"

namespace gyre {

// Immutable, so any thread.
class NumberCipher {
 public:
  static constexpr std::size_t kKeyBytes = crypto_shorthash_KEYBYTES;

  // `key`: kKeyBytes, random. Numbers of 2 to 63 bits.
  NumberCipher(std::string_view key, int bits);

  std::uint64_t Encipher(std::uint64_t number, std::uint64_t tweak) const;
  std::uint64_t Decipher(std::uint64_t number, std::uint64_t tweak) const;

 private:
  std::uint64_t Function(std::uint64_t round, std::uint64_t half, std::uint64_t tweak) const;
  bool IsOutside(std::uint64_t number) const { return number == 0 || number >> bits_ != 0; }

  SecretBytes<kKeyBytes> key_;
  const int bits_;
  const int half_bits_;
  const std::uint64_t half_mask_;
};

}  // namespace gyre
