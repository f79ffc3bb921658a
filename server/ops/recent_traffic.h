// The last seconds: what clients felt (how many requests, how slow the slow ones were, how many reads
// found something), and how hard the node worked for it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/duration_histogram.h"
#include "common/mutex.h"

namespace gyre {

// Since the start.
struct ClientTotals {
  RequestHistogram::Snapshot
      durations;  // of clients of all protocols; what peers ask is not theirs
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t evicted = 0;
  Duration loops_busy{};         // the sum over the loops of clients
  std::uint64_t network_in = 0;  // bytes, of clients and peers
  std::uint64_t network_out = 0;
};

struct RecentFigures {
  double requests_per_second = 0;
  double reads_per_second = 0;                // keys that were looked for
  std::optional<double> latency_p99_seconds;  // empty: there were no requests
  std::optional<double> hit_ratio;            // empty: there were no reads
  double evictions_per_second = 0;
  double loops_busy = 0;  // seconds in a second, of all loops
  double network_in_bytes_per_second = 0;
  double network_out_bytes_per_second = 0;
};

// Thread-safe.
class RecentTraffic {
 public:
  // As far as the figures reach back, once the node has run for so long.
  static constexpr Duration kWindow = std::chrono::seconds(10);
  static constexpr Duration kStep = std::chrono::seconds(1);

  // To be called once a kStep or more often: what comes sooner is left out.
  void Sample(TimePoint at, const ClientTotals& now);
  // From the oldest sample that is kept up to `now`.
  RecentFigures Read(TimePoint at, const ClientTotals& now) const;

 private:
  struct Mark {
    TimePoint at{};
    ClientTotals totals;
  };
  static constexpr std::size_t kMarks = kWindow / kStep;

  mutable Mutex mutex_;
  std::array<Mark, kMarks> marks_ GYRE_GUARDED_BY(mutex_);  // a ring
  std::size_t marked_ GYRE_GUARDED_BY(mutex_) = 0;
};

}  // namespace gyre
