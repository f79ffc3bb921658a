#include "ops/recent_traffic.h"

#include <algorithm>
#include <chrono>

namespace gyre {

void RecentTraffic::Sample(TimePoint at, const ClientTotals& now) {
  MutexLock lock(mutex_);
  if (marked_ > 0 && at - marks_[(marked_ - 1) % kMarks].at < kStep) return;
  marks_[marked_++ % kMarks] = {at, now};
}

RecentFigures RecentTraffic::Read(TimePoint at, const ClientTotals& now) const {
  MutexLock lock(mutex_);
  RecentFigures figures;
  if (marked_ == 0) return figures;
  const Mark& oldest = marks_[marked_ < kMarks ? 0 : marked_ % kMarks];
  const double seconds = std::chrono::duration<double>(at - oldest.at).count();
  const RequestHistogram::Snapshot durations = now.durations.Since(oldest.totals.durations);
  if (seconds > 0) figures.requests_per_second = static_cast<double>(durations.count) / seconds;
  if (const std::optional<Duration> p99 = durations.Quantile(0.99)) {
    figures.latency_p99_seconds = std::chrono::duration<double>(*p99).count();
  }
  const std::uint64_t hits = now.hits - oldest.totals.hits;
  const std::uint64_t reads = hits + now.misses - oldest.totals.misses;
  const auto rate = [seconds](auto later, auto earlier) {
    return seconds > 0 ? static_cast<double>(later - earlier) / seconds : 0;
  };
  figures.reads_per_second = rate(reads, 0U);
  figures.evictions_per_second = rate(now.evicted, oldest.totals.evicted);
  figures.network_in_bytes_per_second = rate(now.network_in, oldest.totals.network_in);
  figures.network_out_bytes_per_second = rate(now.network_out, oldest.totals.network_out);
  if (seconds > 0) {
    figures.loops_busy =
        std::chrono::duration<double>(now.loops_busy - oldest.totals.loops_busy).count() / seconds;
  }
  if (reads > 0) figures.hit_ratio = static_cast<double>(hits) / static_cast<double>(reads);
  return figures;
}

}  // namespace gyre
