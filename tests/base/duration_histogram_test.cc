#include "base/duration_histogram.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(DurationHistogramTest, PutsEachDurationIntoItsBucket) {
  const struct {
    Duration duration;
    std::size_t bucket;
  } cases[] = {
      {Duration::zero(), 0},
      {microseconds(10), 0},  // bounds are inclusive
      {microseconds(10) + Duration(1), 1},
      {milliseconds(5), 8},
      {milliseconds(5) + Duration(1), 9},
      {seconds(1), DurationHistogram::kBounds.size() - 1},
      {seconds(2), DurationHistogram::kBounds.size()},
  };
  for (const auto& c : cases) {
    DurationHistogram histogram;
    histogram.Record(c.duration);
    const auto snapshot = histogram.Read();
    EXPECT_EQ(snapshot.counts[c.bucket], 1U) << c.duration.count();
    EXPECT_EQ(snapshot.count, 1U);
    EXPECT_EQ(snapshot.sum, c.duration);
    EXPECT_EQ(snapshot.max, c.duration);
  }
}

TEST(DurationHistogramTest, AddsUp) {
  DurationHistogram histogram;
  for (int i = 1; i <= 100; ++i) histogram.Record(microseconds(i));
  const auto snapshot = histogram.Read();
  EXPECT_EQ(snapshot.count, 100U);
  EXPECT_EQ(snapshot.sum, microseconds(5050));
  EXPECT_EQ(snapshot.max, microseconds(100));
  EXPECT_EQ(snapshot.counts[0], 10U);
  EXPECT_EQ(snapshot.counts[1], 15U);
}

TEST(DurationHistogramTest, TakesManyAtOnceAndForgetsWhatWasBefore) {
  DurationHistogram histogram;
  histogram.Record(seconds(2));
  const auto before = histogram.Read();
  histogram.Record(microseconds(20), 7);
  auto since = histogram.Read().Since(before);
  EXPECT_EQ(since.count, 7U);
  EXPECT_EQ(since.counts[1], 7U);
  EXPECT_EQ(since.counts.back(), 0U);
  EXPECT_EQ(since.sum, microseconds(140));
  since += before;
  EXPECT_EQ(since.count, 8U);
  EXPECT_EQ(since.sum, histogram.Read().sum);
}

TEST(DurationHistogramTest, QuantilesAreEstimatedWithinTheirBucket) {
  DurationHistogram histogram;
  EXPECT_FALSE(histogram.Read().Quantile(0.99));
  histogram.Record(microseconds(5), 90);
  histogram.Record(microseconds(700), 10);
  EXPECT_EQ(histogram.Read().Quantile(0.45), microseconds(5));
  EXPECT_EQ(histogram.Read().Quantile(0.95), microseconds(750)) << "halfway from 500 to 1000";
  histogram.Record(seconds(30), 900);
  EXPECT_EQ(histogram.Read().Quantile(0.99), seconds(1)) << "the last bound";
}

}  // namespace
}  // namespace gyre
