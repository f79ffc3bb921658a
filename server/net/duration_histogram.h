// A histogram of durations: one thread records, any thread reads. Recording costs a few relaxed
// stores, no locked instruction; a reader may see a count one ahead of the sum.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "base/counter.h"

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
    const auto nanos = static_cast<std::uint64_t>(duration.count());
    counts_[bucket].Add(1);
    sum_ns_.Add(nanos);
    if (nanos > max_ns_.value()) max_ns_.Set(nanos);
  }

  // Any thread.
  Snapshot Read() const {
    Snapshot snapshot;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      snapshot.counts[i] = counts_[i].value();
      snapshot.count += snapshot.counts[i];
    }
    snapshot.sum = Duration(sum_ns_.value());
    snapshot.max = Duration(max_ns_.value());
    return snapshot;
  }

 private:
  std::array<Counter, kBounds.size() + 1> counts_;
  Counter sum_ns_;
  Counter max_ns_;
};

}  // namespace gyre
