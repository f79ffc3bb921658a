// How busy this node's worker loops are with clients, so that what runs in the background can stand
// back.
//
// Whoever has the loops in view (BackgroundThread) reports their busy time and their requests now and
// then; PeerService reports the pulls among them and the time that it spent on them, which is the
// mover's own and does not count. What is left is work for clients, theirs forwarded by other nodes and
// the replication of their writes included. A loop that waits for a CPU while it serves a pull is busy,
// too: so what is left is at most what so many requests can have taken.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/clock.h"
#include "base/statistic.h"

namespace gyre {

struct LoadStats {
  std::uint64_t permille = 0;  // LoadGauge::permille

  static constexpr Statistic<LoadStats> kStatistics[] = {
      {&LoadStats::permille,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kPermille,
        .name = "gyre_client_load_ratio",
        .help = "Part of the worker loops' time that clients take, as pulls see it when they stand "
                "back."}},
  };
};
static_assert(AllDescribed<LoadStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

class LoadGauge {
 public:
  static constexpr std::uint32_t kFull = 1000;

  // From a worker loop: it served a pull for so long.
  void AddPullTime(Duration time) {
    pull_ns_.fetch_add(time.count(), std::memory_order_relaxed);
    pulls_.fetch_add(1, std::memory_order_relaxed);
  }

  // From one thread: in the last `window` the `loops` worker loops were busy for `busy` together, and
  // executed so many requests, pulls included.
  void Report(std::size_t loops, Duration busy, std::uint64_t requests, Duration window) {
    const Duration pulling(pull_ns_.exchange(0, std::memory_order_relaxed));
    const std::uint64_t pulls = pulls_.exchange(0, std::memory_order_relaxed);
    if (loops == 0 || window <= Duration{}) return;
    const std::uint64_t others = requests - std::min(requests, pulls);
    const Duration::rep left = std::min((busy - kPullShare * pulling).count(),
                                        static_cast<Duration::rep>(others) * kRequestMax.count());
    const double clients = static_cast<double>(left) /
                           (static_cast<double>(window.count()) * static_cast<double>(loops));
    // Up at once, down over some windows: a load that comes in bursts is a load.
    const double now = std::clamp(clients, 0.0, 1.0) * kFull;
    level_ = now > level_ ? now : level_ + kDecay * (now - level_);
    permille_.store(static_cast<std::uint32_t>(level_), std::memory_order_relaxed);
  }

  // Any thread: 0 is idle, kFull saturated.
  std::uint32_t permille() const { return permille_.load(std::memory_order_relaxed); }

 private:
  // Reading a page off the shard is about half of what it costs its loop; the rest is writing it to
  // the socket.
  static constexpr int kPullShare = 2;
  // What a request takes at most, in the mean of those of a window.
  static constexpr Duration kRequestMax = std::chrono::microseconds(200);
  static constexpr double kDecay = 0.2;

  std::atomic<Duration::rep> pull_ns_{0};
  std::atomic<std::uint64_t> pulls_{0};
  std::atomic<std::uint32_t> permille_{0};
  double level_ = 0;  // of the reporting thread
};

}  // namespace gyre
