#include "client/shell/histogram.h"

#include <algorithm>
#include <cmath>

namespace gyre::client {

static_assert(Histogram::kBuckets > (63 - Histogram::kSubBucketBits) * Histogram::kSubBuckets +
                                        2 * Histogram::kSubBuckets - 1,
              "the largest value has a bucket");

std::uint64_t Histogram::UpperEnd(std::size_t index) {
  if (index < 2 * kSubBuckets) return index;
  const std::uint64_t shift = index / kSubBuckets - 1;
  const std::uint64_t step = index % kSubBuckets + kSubBuckets;
  return ((step + 1) << shift) - 1;
}

void Histogram::Add(const Histogram& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  count_ += other.count_;
  sum_ += other.sum_;
  max_ = std::max(max_, other.max_);
}

double Histogram::mean() const {
  return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
}

std::uint64_t Histogram::CountUpTo(std::uint64_t value) const {
  if (value >= max_) return count_;
  std::uint64_t count = 0;
  for (std::size_t i = 0; i <= IndexOf(value); ++i) count += counts_[i];
  return count;
}

std::uint64_t Histogram::Percentile(double percent) const {
  if (count_ == 0) return 0;
  const auto wanted = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(std::ceil(percent / 100 * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += counts_[i];
    if (seen >= wanted) return std::min(UpperEnd(i), max_);
  }
  return max_;
}

}  // namespace gyre::client
