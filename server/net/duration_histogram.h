// A histogram of durations: one thread records, any thread reads. Recording costs a few relaxed
// stores, no locked instruction; a reader may see a count one ahead of the sum.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace gyre {

class DurationHistogram {
 public:
  // Upper bounds, inclusive; one more bucket takes what is longer. 5 ms is the pause that a worker
  // must not exceed, so it is a bound of its own.
  static constexpr std::array<Duration, 16> kBounds = {
      std::chrono::microseconds(10),  std::chrono::microseconds(25),
      std::chrono::microseconds(50),  std::chrono::microseconds(100),
      std::chrono::microseconds(250), std::chrono::microseconds(500),
      std::chrono::milliseconds(1),   std::chrono::microseconds(2500),
      std::chrono::milliseconds(5),   std::chrono::milliseconds(10),
      std::chrono::milliseconds(25),  std::chrono::milliseconds(50),
      std::chrono::milliseconds(100), std::chrono::milliseconds(250),
      std::chrono::milliseconds(500), std::chrono::seconds(1)};

  struct Snapshot {
    std::array<std::uint64_t, kBounds.size() + 1> counts{};  // of each bucket, not cumulative
    std::uint64_t count = 0;
    Duration sum{};
    Duration max{};
  };

  // One thread.
  void Record(Duration duration) {
    std::size_t bucket = 0;
    while (bucket < kBounds.size() && duration > kBounds[bucket]) ++bucket;
    Add(counts_[bucket], 1);
    Add(sum_ns_, static_cast<std::uint64_t>(duration.count()));
    const auto nanos = static_cast<std::uint64_t>(duration.count());
    if (nanos > max_ns_.load(std::memory_order_relaxed)) {
      max_ns_.store(nanos, std::memory_order_relaxed);
    }
  }

  // Any thread.
  Snapshot Read() const {
    Snapshot snapshot;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      snapshot.counts[i] = counts_[i].load(std::memory_order_relaxed);
      snapshot.count += snapshot.counts[i];
    }
    snapshot.sum = Duration(sum_ns_.load(std::memory_order_relaxed));
    snapshot.max = Duration(max_ns_.load(std::memory_order_relaxed));
    return snapshot;
  }

 private:
  static void Add(std::atomic<std::uint64_t>& counter, std::uint64_t amount) {
    counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }

  std::array<std::atomic<std::uint64_t>, kBounds.size() + 1> counts_{};
  std::atomic<std::uint64_t> sum_ns_{0};
  std::atomic<std::uint64_t> max_ns_{0};
};

}  // namespace gyre
