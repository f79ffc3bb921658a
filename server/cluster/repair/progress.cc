#include "repair/progress.h"

#include <algorithm>

namespace gyre {
namespace {

constexpr Duration kRateWindow = std::chrono::seconds(3);
// A rate over less time says nothing.
constexpr Duration kRateWindowMin = std::chrono::milliseconds(150);

}  // namespace

double ProgressPercent(const TransferProgress& progress) {
  if (progress.partitions_left == 0) return 100;
  const bool by_bytes = progress.bytes_left > 0;
  const auto done = static_cast<double>(by_bytes ? progress.bytes_done : progress.partitions_done);
  const auto left = static_cast<double>(by_bytes ? progress.bytes_left : progress.partitions_left);
  return 100 * done / (done + left);
}

std::optional<std::uint64_t> SecondsLeft(const TransferProgress& progress) {
  if (progress.partitions_left == 0) return 0;
  const bool held_up = progress.paused && progress.moves_left == progress.partitions_left;
  if (progress.bytes_per_second == 0 || held_up) return std::nullopt;
  return (progress.bytes_left + progress.bytes_per_second - 1) / progress.bytes_per_second;
}

void Add(TransferProgress& sum, const TransferProgress& one) {
  sum.partitions_left += one.partitions_left;
  sum.moves_left += one.moves_left;
  sum.partitions_done += one.partitions_done;
  sum.bytes_left += one.bytes_left;
  sum.bytes_done += one.bytes_done;
  sum.bytes_per_second += one.bytes_per_second;
}

void RateMeter::Sample(TimePoint now, std::uint64_t counter) {
  samples_.push_back({now, counter});
  while (samples_.size() > 2 && now - samples_[1].at >= kRateWindow) samples_.pop_front();
}

std::uint64_t RateMeter::per_second() const {
  if (samples_.size() < 2) return 0;
  const Duration time = samples_.back().at - samples_.front().at;
  if (time < kRateWindowMin) return 0;
  const auto grown = static_cast<double>(samples_.back().counter - samples_.front().counter);
  return static_cast<std::uint64_t>(grown * 1e9 / static_cast<double>(time.count()));
}

}  // namespace gyre
