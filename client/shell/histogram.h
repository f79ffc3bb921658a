// Latencies in few bytes: a log-linear histogram (as HdrHistogram's: each power of two is cut into
// kSubBuckets equal parts), so that every value is kept with a relative error below 1 /
// kSubBuckets, recording is a few instructions, and histograms of threads can be added. Not
// thread-safe.
//
//   value  0 .. 63 | 64 .. 127 | 128 .. 255 | ...
//   width     1    |     2     |      4     | ...     in nanoseconds
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace gyre::client {

class Histogram {
 public:
  static constexpr int kSubBucketBits = 5;
  static constexpr std::uint64_t kSubBuckets = 1 << kSubBucketBits;  // 3% is finer than runs repeat
  static constexpr std::size_t kBuckets = (64 - kSubBucketBits + 1) * kSubBuckets;

  Histogram() : counts_(kBuckets) {}

  void Record(std::uint64_t value, std::uint64_t times = 1) {
    counts_[IndexOf(value)] += times;
    count_ += times;
    sum_ += value * times;
    if (value > max_) max_ = value;
  }
  void Add(const Histogram& other);

  std::uint64_t count() const { return count_; }
  std::uint64_t max() const { return max_; }
  double mean() const;
  // The value that `percent` of all values do not exceed (its bucket's upper end); 0 if there are
  // none.
  std::uint64_t Percentile(double percent) const;

  // How many do not exceed `value`, to within its bucket.
  std::uint64_t CountUpTo(std::uint64_t value) const;

  static std::size_t IndexOf(std::uint64_t value) {
    if (value < 2 * kSubBuckets) return value;
    const int shift = 63 - std::countl_zero(value) - kSubBucketBits;
    return static_cast<std::size_t>(shift) * kSubBuckets + (value >> shift);
  }
  // The highest value of a bucket.
  static std::uint64_t UpperEnd(std::size_t index);

 private:
  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace gyre::client
