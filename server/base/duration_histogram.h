// A histogram of durations: one thread records, any thread reads. Recording costs a few relaxed
// stores, no locked instruction; a reader may see a count one ahead of the sum.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/counter.h"

namespace gyre {

// What was recorded, by upper bounds, inclusive; the last bucket has what is longer.
template <const auto& kUpper>
struct DurationCounts {
  static constexpr const auto& kBounds = kUpper;

  std::array<std::uint64_t, kBounds.size() + 1> counts{};  // of each bucket, not cumulative
  std::uint64_t count = 0;
  Duration sum{};
  Duration max{};

  DurationCounts& operator+=(const DurationCounts& other) {
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
    count += other.count;
    sum += other.sum;
    max = std::max(max, other.max);
    return *this;
  }
  // What was recorded since `earlier`; `max` stays that of all.
  DurationCounts Since(const DurationCounts& earlier) const {
    DurationCounts since = *this;
    for (std::size_t i = 0; i < counts.size(); ++i) since.counts[i] -= earlier.counts[i];
    since.count -= earlier.count;
    since.sum -= earlier.sum;
    return since;
  }
  // The time that this share of them did not exceed, by even spread within a bucket, as Prometheus's
  // histogram_quantile estimates it; what is beyond the last bound counts as that. Empty: there are
  // none.
  std::optional<Duration> Quantile(double share) const {
    if (count == 0) return std::nullopt;
    const double rank = share * static_cast<double>(count);
    double below = 0;
    for (std::size_t i = 0; i < kBounds.size(); ++i) {
      const auto here = static_cast<double>(counts[i]);
      if (here > 0 && below + here >= rank) {
        const Duration lower = i == 0 ? Duration{} : kBounds[i - 1];
        return lower +
               std::chrono::duration_cast<Duration>((kBounds[i] - lower) * ((rank - below) / here));
      }
      below += here;
    }
    return kBounds.back();
  }
};

template <const auto& kUpper>
class DurationHistogramOf {
 public:
  using Snapshot = DurationCounts<kUpper>;
  static constexpr const auto& kBounds = kUpper;

  // One thread. So many of that duration.
  void Record(Duration duration, std::uint64_t count = 1) {
    std::size_t bucket = 0;
    while (bucket < kBounds.size() && duration > kBounds[bucket]) ++bucket;
    const auto nanos = static_cast<std::uint64_t>(duration.count());
    counts_[bucket].Add(count);
    sum_ns_.Add(nanos * count);
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

// Of a loop's iterations: 5 ms is the pause that a worker must not exceed, so it is a bound of its
// own.
inline constexpr std::array<Duration, 16> kLoopBounds = {
    std::chrono::microseconds(10),  std::chrono::microseconds(25),   std::chrono::microseconds(50),
    std::chrono::microseconds(100), std::chrono::microseconds(250),  std::chrono::microseconds(500),
    std::chrono::milliseconds(1),   std::chrono::microseconds(2500), std::chrono::milliseconds(5),
    std::chrono::milliseconds(10),  std::chrono::milliseconds(25),   std::chrono::milliseconds(50),
    std::chrono::milliseconds(100), std::chrono::milliseconds(250),  std::chrono::milliseconds(500),
    std::chrono::seconds(1)};
using DurationHistogram = DurationHistogramOf<kLoopBounds>;

// Of requests, as their clients feel them.
inline constexpr std::array<Duration, 17> kRequestBounds = {
    std::chrono::microseconds(50),  std::chrono::microseconds(100), std::chrono::microseconds(250),
    std::chrono::microseconds(500), std::chrono::milliseconds(1),   std::chrono::microseconds(2500),
    std::chrono::milliseconds(5),   std::chrono::milliseconds(10),  std::chrono::milliseconds(25),
    std::chrono::milliseconds(50),  std::chrono::milliseconds(100), std::chrono::milliseconds(250),
    std::chrono::milliseconds(500), std::chrono::seconds(1),        std::chrono::milliseconds(2500),
    std::chrono::seconds(5),        std::chrono::seconds(10)};
using RequestHistogram = DurationHistogramOf<kRequestBounds>;

// Of the execution of one command, which takes a microsecond or so.
inline constexpr std::array<Duration, 13> kCommandBounds = {
    std::chrono::microseconds(1),   std::chrono::nanoseconds(2500), std::chrono::microseconds(5),
    std::chrono::microseconds(10),  std::chrono::microseconds(25),  std::chrono::microseconds(50),
    std::chrono::microseconds(100), std::chrono::microseconds(250), std::chrono::milliseconds(1),
    std::chrono::milliseconds(5),   std::chrono::milliseconds(25),  std::chrono::milliseconds(100),
    std::chrono::seconds(1)};
using CommandHistogram = DurationHistogramOf<kCommandBounds>;

}  // namespace gyre
