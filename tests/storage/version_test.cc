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

TEST(VersionClockTest, AnotherByteIsOfLaterVersions) {
  VersionClock clock(200);
  Version last = clock.Next(kNow);
  for (const std::uint8_t node : {1, 255, 1, 0}) {
    clock.set_node(node);
    const Version next = clock.Next(kNow);
    EXPECT_GT(next, last);
    EXPECT_EQ(next & 0xff, node);
    last = next;
  }
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

// The wall clock is set back by a day: versions go on growing, and follow the wall again once it
// has caught up.
TEST(VersionClockTest, SurvivesAJumpBackwards) {
  constexpr UnixMillis kDay = 86'400'000;
  VersionClock clock(1);
  Version last = clock.Next(kNow);
  for (int i = 0; i < 1000; ++i) {
    const Version next = clock.Next(kNow - kDay + i);
    ASSERT_GT(next, last);
    last = next;
  }
  EXPECT_EQ(MillisOf(last), kNow) << "a thousand writes fit the count of one millisecond";
  EXPECT_EQ(MillisOf(clock.Next(kNow + 1)), kNow + 1);
}

// Set forward by a day and back again: later writes still come out newer, and the wall catches up.
TEST(VersionClockTest, SurvivesAJumpForwardsAndBack) {
  constexpr UnixMillis kDay = 86'400'000;
  VersionClock clock(1);
  const Version before = clock.Next(kNow);
  const Version ahead = clock.Next(kNow + kDay);
  EXPECT_GT(ahead, before);
  const Version back = clock.Next(kNow + 5);
  EXPECT_GT(back, ahead);
  EXPECT_EQ(MillisOf(back), kNow + kDay);
  EXPECT_EQ(MillisOf(clock.Next(kNow + 2 * kDay)), kNow + 2 * kDay);
}

// A node starts again and its clock shows an earlier time: what it reads from its snapshot, or
// pulls from others, lifts its clock above its own old versions.
TEST(VersionClockTest, ARestartWithAnEarlierClockGoesOnAboveWhatItObserves) {
  VersionClock first_life(7);
  const Version written = first_life.Next(kNow);
  VersionClock second_life(7);
  second_life.Observe(written);
  const Version next = second_life.Next(kNow - 3'600'000);
  EXPECT_GT(next, written);
  EXPECT_EQ(MillisOf(next), kNow);
}

// A peer's clock is an hour ahead: its record can be overwritten at once, and no clock runs faster
// than the writes that it orders.
TEST(VersionClockTest, APeerFarAheadIsOverwrittenAndNotOvertaken) {
  constexpr UnixMillis kHour = 3'600'000;
  VersionClock peer(200);
  const Version far = peer.Next(kNow + kHour);
  VersionClock here(1);
  here.Observe(far);
  Version last = far;
  for (int i = 0; i < 100; ++i) {
    const Version next = here.Next(kNow + i);
    ASSERT_GT(next, last);
    last = next;
  }
  EXPECT_EQ(MillisOf(last), kNow + kHour);
  // Both see each other's writes: neither pushes the other further ahead than one count a write.
  peer.Observe(last);
  EXPECT_EQ(MillisOf(peer.Next(kNow + 200)), kNow + kHour);
}

}  // namespace
}  // namespace gyre
