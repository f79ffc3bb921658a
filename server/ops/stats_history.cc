#include "ops/stats_history.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace gyre {

void StatsHistory::Sample(TimePoint at, const NodeFigures& now) {
  MutexLock lock(mutex_);
  used_bytes_peak_ = std::max(used_bytes_peak_, now.storage.bytes_used);
  samples_[sampled_++ % kSamples] = {at, now.server.requests, now.server.bytes_in,
                                     now.server.bytes_out, now.loops_busy};
  loops_ = now.loops;
}

void StatsHistory::Reset(NodeFigures now) {
  MutexLock lock(mutex_);
  used_bytes_peak_ = now.storage.bytes_used;
  baseline_ = std::move(now);
}

NodeFigures StatsHistory::SinceReset(NodeFigures now) const {
  MutexLock lock(mutex_);
  now.storage = Since(baseline_.storage, now.storage);
  now.server = Since(baseline_.server, now.server);
  // The baseline has none before the first reset.
  for (std::size_t i = 0; i < baseline_.commands.size(); ++i) {
    now.commands[i] = Since(baseline_.commands[i], now.commands[i]);
  }
  return now;
}

TrafficRates StatsHistory::Rates() const {
  MutexLock lock(mutex_);
  if (sampled_ < 2) return {};
  const Traffic& newest = samples_[(sampled_ - 1) % kSamples];
  const Traffic& oldest = samples_[sampled_ < kSamples ? 0 : sampled_ % kSamples];
  const double seconds = std::chrono::duration<double>(newest.at - oldest.at).count();
  if (seconds <= 0) return {};
  return {static_cast<double>(newest.requests - oldest.requests) / seconds,
          static_cast<double>(newest.bytes_in - oldest.bytes_in) / seconds,
          static_cast<double>(newest.bytes_out - oldest.bytes_out) / seconds,
          loops_ == 0
              ? 0
              : std::chrono::duration<double>(newest.loops_busy - oldest.loops_busy).count() /
                    seconds / static_cast<double>(loops_)};
}

std::uint64_t StatsHistory::UsedBytesPeak(std::uint64_t used_bytes) {
  MutexLock lock(mutex_);
  used_bytes_peak_ = std::max(used_bytes_peak_, used_bytes);
  return used_bytes_peak_;
}

}  // namespace gyre
