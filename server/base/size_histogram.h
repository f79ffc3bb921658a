// A histogram of sizes in bytes, in coarse steps: each bound is four times the one before. One thread
// records, any thread reads what was settled.
//
// Sizes in a row are mostly of one bucket: as long as they are, a record is a comparison and an addition
// to a number that nobody else reads.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/counter.h"

namespace gyre {

struct SizeCounts {
  static constexpr std::size_t kBoundCount = 10;  // 64 bytes to 16 MiB
  static constexpr std::uint64_t BoundOf(std::size_t bucket) {
    return std::uint64_t{64} << (2 * bucket);
  }
  // Inclusive upper bounds; the last bucket has what is larger.
  static constexpr std::size_t BucketOf(std::uint64_t bytes) {
    const auto width = static_cast<std::size_t>(std::bit_width(bytes - (bytes != 0 ? 1 : 0)));
    return std::min((std::max<std::size_t>(width, 6) - 5) / 2, kBoundCount);
  }

  std::array<std::uint64_t, kBoundCount + 1> counts{};  // of each bucket, not cumulative
  std::uint64_t sum = 0;

  SizeCounts& operator+=(const SizeCounts& other) {
    for (std::size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
    sum += other.sum;
    return *this;
  }
};

class SizeHistogram {
 public:
  void Record(std::uint64_t bytes) {
    if (bytes - first_ > span_) [[unlikely]]
      TurnTo(bytes);
    ++run_;
    run_sum_ += bytes;
  }
  // So many that are `sum` bytes together: each counts with their mean.
  void RecordMany(std::uint64_t sum, std::uint64_t count) {
    if (count == 0) return;
    const std::uint64_t mean = count == 1 ? sum : sum / count;
    if (mean - first_ > span_) [[unlikely]]
      TurnTo(mean);
    run_ += count;
    run_sum_ += sum;
  }
  // What was recorded can be read from now on.
  void Settle() {
    counts_[bucket_].Add(run_);
    sum_.Add(run_sum_);
    run_ = run_sum_ = 0;
  }
  // Any thread.
  SizeCounts Read() const {
    SizeCounts read;
    for (std::size_t i = 0; i < counts_.size(); ++i) read.counts[i] = counts_[i].value();
    read.sum = sum_.value();
    return read;
  }

 private:
  void TurnTo(std::uint64_t bytes) {
    Settle();
    bucket_ = SizeCounts::BucketOf(bytes);
    first_ = bucket_ == 0 ? 0 : SizeCounts::BoundOf(bucket_ - 1) + 1;
    span_ =
        (bucket_ == SizeCounts::kBoundCount ? ~std::uint64_t{0} : SizeCounts::BoundOf(bucket_)) -
        first_;
  }

  // The sizes since the last Settle, all of this bucket, which has those from `first_` to
  // `first_ + span_`. The recording thread's.
  std::size_t bucket_ = 0;
  std::uint64_t first_ = 0;
  std::uint64_t span_ = SizeCounts::BoundOf(0);
  std::uint64_t run_ = 0;
  std::uint64_t run_sum_ = 0;

  std::array<Counter, SizeCounts::kBoundCount + 1> counts_;
  Counter sum_;
};

}  // namespace gyre
