#include "storage/version.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

constexpr UnixMillis kNow = 1'700'000'000'000;

TEST(VersionClockTest, GrowsWithTheWallAndNamesTheNode) {
  VersionClock clock(42);
  const Version first = clock.Next(kNow);
  EXPECT_EQ(MillisOf(first), kNow);
  EXPECT_EQ(first & 0xff, 42u);
  const Version second = clock.Next(kNow);
  EXPECT_GT(second, first);
  EXPECT_EQ(MillisOf(second), kNow);
  EXPECT_EQ(MillisOf(clock.Next(kNow + 5)), kNow + 5);
}

TEST(VersionClockTest, NeverRunsBackwards) {
  VersionClock clock(1);
  const Version first = clock.Next(kNow);
  EXPECT_GT(clock.Next(kNow - 100'000), first);
}

TEST(VersionClockTest, CarriesIntoTheMilliseconds) {
  VersionClock clock(1);
  Version last = 0;
  for (int i = 0; i < 3 << kVersionCountBits; ++i) {
    const Version next = clock.Next(kNow);
    ASSERT_GT(next, last);
    last = next;
  }
  EXPECT_EQ(MillisOf(last), kNow + 2);
}

TEST(VersionClockTest, IsAheadOfAllItObserved) {
  VersionClock here(1);
  VersionClock there(200);
  const Version seen = there.Next(kNow + 10'000);
  here.Observe(seen);
  EXPECT_GT(here.Next(kNow), seen);
  here.Observe(5);
  EXPECT_GT(here.Next(kNow), seen);
}

}  // namespace
}  // namespace gyre
