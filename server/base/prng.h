// A small, fast, seedable generator (xoshiro256**, Blackman and Vigna, https://prng.di.unimi.it).
// The simulator owes its repeatability to it: std::mt19937's distributions differ between standard
// libraries, these do not.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace gyre {

__extension__ typedef unsigned __int128
    Wide;  // NOLINT(modernize-use-using): __extension__ takes no alias

class Prng {
 public:
  explicit Prng(std::uint64_t seed) {
    // SplitMix64, as the authors advise, so that similar seeds give unrelated streams.
    for (std::uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15ULL;
      std::uint64_t mixed = seed;
      mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
      mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
      word = mixed ^ (mixed >> 31);
    }
  }

  std::uint64_t Next() {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

  // Uniform in [0, bound); bound > 0 (Lemire's multiply-shift; the bias is below 2^-32 for bounds
  // below 2^32).
  std::uint64_t Below(std::uint64_t bound) {
    return static_cast<std::uint64_t>((static_cast<Wide>(Next()) * bound) >> 64);
  }
  // Uniform in [0, 1).
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  bool Chance(double probability) { return Unit() < probability; }

 private:
  std::array<std::uint64_t, 4> state_;
};

}  // namespace gyre
