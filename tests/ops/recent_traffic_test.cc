#include "ops/recent_traffic.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

class RecentTrafficTest : public ::testing::Test {
 protected:
  // Seconds pass, each with so many requests of that length.
  void Pass(int count, std::uint64_t requests, Duration each) {
    for (int i = 0; i < count; ++i) {
      if (requests > 0) histogram_.Record(each, requests);
      totals_.durations = histogram_.Read();
      recent_.Sample(now_ += seconds(1), totals_);
    }
  }
  RecentFigures Read() const { return recent_.Read(now_, totals_); }

  RecentTraffic recent_;
  RequestHistogram histogram_;
  ClientTotals totals_;
  TimePoint now_{};
};

TEST_F(RecentTrafficTest, WithoutRequestsThereIsNothingToTell) {
  EXPECT_EQ(Read().requests_per_second, 0);
  recent_.Sample(now_, totals_);
  Pass(3, 0, {});
  EXPECT_EQ(Read().requests_per_second, 0);
  EXPECT_FALSE(Read().latency_p99_seconds);
  EXPECT_FALSE(Read().hit_ratio);
}

TEST_F(RecentTrafficTest, HowHardTheNodeWorked) {
  recent_.Sample(now_, totals_);
  for (int i = 0; i < 4; ++i) {
    totals_.evicted += 10;
    totals_.loops_busy += milliseconds(250);
    totals_.network_in += 1000;
    totals_.network_out += 3000;
    Pass(1, 0, {});
  }
  EXPECT_DOUBLE_EQ(Read().evictions_per_second, 10);
  EXPECT_DOUBLE_EQ(Read().loops_busy, 0.25);
  EXPECT_DOUBLE_EQ(Read().network_in_bytes_per_second, 1000);
  EXPECT_DOUBLE_EQ(Read().network_out_bytes_per_second, 3000);
}

TEST_F(RecentTrafficTest, OldSecondsAreForgotten) {
  recent_.Sample(now_, totals_);
  Pass(5, 100, milliseconds(40));
  EXPECT_DOUBLE_EQ(Read().requests_per_second, 100);
  EXPECT_NEAR(*Read().latency_p99_seconds, 0.05, 0.001) << "the bucket's end";
  Pass(10, 10, microseconds(80));
  EXPECT_DOUBLE_EQ(Read().requests_per_second, 10);
  EXPECT_LE(*Read().latency_p99_seconds, 0.0001);
}

TEST_F(RecentTrafficTest, SamplesThatComeTooOftenAreLeftOut) {
  recent_.Sample(now_, totals_);
  histogram_.Record(milliseconds(1), 50);
  totals_.durations = histogram_.Read();
  for (int i = 0; i < 39; ++i) recent_.Sample(now_ += milliseconds(250), totals_);
  EXPECT_DOUBLE_EQ(Read().requests_per_second, 50 / 9.75);
}

TEST_F(RecentTrafficTest, TheHitRatioIsOfTheWindow) {
  totals_.hits = 1000;
  recent_.Sample(now_, totals_);
  totals_.hits += 3;
  totals_.misses += 1;
  EXPECT_DOUBLE_EQ(*recent_.Read(now_ + seconds(1), totals_).hit_ratio, 0.75);
  EXPECT_DOUBLE_EQ(recent_.Read(now_ + seconds(2), totals_).reads_per_second, 2);
}

}  // namespace
}  // namespace gyre
