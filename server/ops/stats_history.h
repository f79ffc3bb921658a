// What a node counts, and what is known of it over time: since CONFIG RESETSTAT, how fast it grew in
// the last seconds, how much memory was used at most.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "command/command_counts.h"
#include "common/mutex.h"
#include "net/server.h"
#include "storage/shard.h"

namespace gyre {

// Summed over the loops and shards.
struct NodeFigures {
  ShardStats storage;
  ServerStats server;
  std::vector<CommandCounts> commands;  // [Command::index]
  Duration loops_busy{};                // the sum over the loops of clients, and how many there are
  std::size_t loops = 0;
};

// In a second.
struct TrafficRates {
  double requests = 0;
  double bytes_in = 0;
  double bytes_out = 0;
  double loops_busy = 0;  // of the loops' time: 0 to 1
};

// Thread-safe.
class StatsHistory {
 public:
  // To be called a few times a second.
  void Sample(TimePoint at, const NodeFigures& now);
  // From now on SinceReset counts, and the peak is sought, from here.
  void Reset(NodeFigures now);

  NodeFigures SinceReset(NodeFigures now) const;
  // Between the oldest sample that is kept and the newest.
  TrafficRates Rates() const;
  // The most that was used, now or when it was sampled.
  std::uint64_t UsedBytesPeak(std::uint64_t used_bytes);

 private:
  struct Traffic {
    TimePoint at{};
    std::uint64_t requests = 0;
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    Duration loops_busy{};
  };
  static constexpr std::size_t kSamples = 16;

  mutable Mutex mutex_;
  NodeFigures baseline_ GYRE_GUARDED_BY(mutex_);
  std::array<Traffic, kSamples> samples_ GYRE_GUARDED_BY(mutex_);  // a ring
  std::size_t sampled_ GYRE_GUARDED_BY(mutex_) = 0;
  std::size_t loops_ GYRE_GUARDED_BY(mutex_) = 0;
  std::uint64_t used_bytes_peak_ GYRE_GUARDED_BY(mutex_) = 0;
};

}  // namespace gyre
