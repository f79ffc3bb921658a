#include "net/duration_histogram.h"

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

}  // namespace
}  // namespace gyre
