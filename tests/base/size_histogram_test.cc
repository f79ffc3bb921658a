#include "base/size_histogram.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

TEST(SizeHistogramTest, BoundsAreInclusive) {
  EXPECT_EQ(SizeCounts::BucketOf(0), 0U);
  for (std::size_t bucket = 0; bucket < SizeCounts::kBoundCount; ++bucket) {
    EXPECT_EQ(SizeCounts::BucketOf(SizeCounts::BoundOf(bucket)), bucket);
    EXPECT_EQ(SizeCounts::BucketOf(SizeCounts::BoundOf(bucket) + 1), bucket + 1);
  }
  EXPECT_EQ(SizeCounts::BoundOf(0), 64U);
  EXPECT_EQ(SizeCounts::BoundOf(SizeCounts::kBoundCount - 1), 16U << 20);
  EXPECT_EQ(SizeCounts::BucketOf(~std::uint64_t{0}), SizeCounts::kBoundCount);
}

TEST(SizeHistogramTest, AddsUp) {
  SizeHistogram histogram;
  histogram.Record(10);
  histogram.Record(64);
  histogram.Record(65);
  histogram.Settle();
  SizeCounts counts = histogram.Read();
  counts += histogram.Read();
  EXPECT_EQ(counts.counts[0], 4U);
  EXPECT_EQ(counts.counts[1], 2U);
  EXPECT_EQ(counts.sum, 2U * 139);
}

TEST(SizeHistogramTest, ManyCountWithTheirMean) {
  SizeHistogram histogram;
  histogram.RecordMany(0, 0);
  histogram.RecordMany(300, 3);
  histogram.RecordMany(60, 1);
  histogram.Settle();
  EXPECT_EQ(histogram.Read().counts[1], 3U);
  EXPECT_EQ(histogram.Read().counts[0], 1U);
  EXPECT_EQ(histogram.Read().sum, 360U);
}

TEST(SizeHistogramTest, RunsOfEachBucketAndBack) {
  SizeHistogram histogram;
  const std::uint64_t sizes[] = {0,
                                 1,
                                 64,
                                 65,
                                 256,
                                 256,
                                 257,
                                 5,
                                 std::uint64_t{1} << 24,
                                 (std::uint64_t{1} << 24) + 1,
                                 ~std::uint64_t{0} >> 8,
                                 64};
  SizeCounts wanted;
  for (const std::uint64_t size : sizes) {
    histogram.Record(size);
    ++wanted.counts[SizeCounts::BucketOf(size)];
    wanted.sum += size;
  }
  histogram.Settle();
  histogram.Settle();
  EXPECT_EQ(histogram.Read().counts, wanted.counts);
  EXPECT_EQ(histogram.Read().sum, wanted.sum);
}

}  // namespace
}  // namespace gyre
