// Which keys are asked for most, by one loop: a sample of what its handlers work on, so that a
// command costs a decrement and a branch.
//
// Of kSampleEach keys one is counted, at random, because a period would see the rhythm of a client.
// Counting is Space-Saving (Metwally, Agrawal, El Abbadi, 2005): kKeysMax counters; a key that has
// none takes the smallest one, with its count as what the key's own may be too high by. A key that
// makes up more than 1 / kKeysMax of the sample surely has a counter. What is told is the count
// without that error, so that where all keys are alike none looks hot.
//
// Two windows of time, of which the older one counts less and less, so that what was hot before is
// forgotten.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/prng.h"
#include "common/mutex.h"
#include "storage/key.h"

namespace gyre {

struct HotKey {
  std::uint64_t hash = 0;
  std::string key;        // its first kKeyBytesMax bytes
  bool whole = true;      // `key` is all of it
  double per_second = 0;  // an estimate, rather too low
};

class HotKeys {
 public:
  static constexpr std::uint64_t kSampleEach = 61;
  static constexpr std::size_t kKeysMax = 64;
  static constexpr std::size_t kKeyBytesMax = 128;
  static constexpr UnixMillis kWindow = 10'000;

  explicit HotKeys(std::uint64_t seed) : random_(seed) {}

  // The loop's thread.
  void Saw(const Key& key, UnixMillis now) {
    if (--until_sample_ == 0) [[unlikely]]
      Sample(key, now);
  }

  // Any thread. The hottest first.
  std::vector<HotKey> Read(UnixMillis now) const;

 private:
  struct Counter {
    std::uint64_t hash = 0;
    std::uint32_t count = 0;  // 0: free
    std::uint32_t error = 0;  // of it
    std::uint16_t key_bytes = 0;
    bool whole = true;
    std::array<char, kKeyBytesMax> key{};
  };
  struct Window {
    UnixMillis begin = 0;  // 0: nothing was counted
    std::array<Counter, kKeysMax> counters{};
  };

  void Sample(const Key& key, UnixMillis now);
  static void Count(const Key& key, Window& window);

  // The loop's own.
  Prng random_;
  std::uint64_t until_sample_ = kSampleEach;

  mutable Mutex mutex_;
  // The one that is counted in, and the one before.
  std::array<Window, 2> windows_ GYRE_GUARDED_BY(mutex_);
  std::size_t current_ GYRE_GUARDED_BY(mutex_) = 0;
};

// Those of several loops as one list of at most HotKeys::kKeysMax, the hottest first.
std::vector<HotKey> Merge(std::vector<HotKey> all);

}  // namespace gyre
