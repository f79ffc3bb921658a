#include "base/clock.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

TEST(ClockTest, SteadyNeverRunsBackwards) {
  TimePoint last = SteadyNow();
  for (int i = 0; i < 1000; ++i) {
    const TimePoint now = SteadyNow();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(ClockTest, UnixIsInMillisecondsOfThisAge) {
  constexpr UnixMillis kYear2020 = 1'577'836'800'000;
  constexpr UnixMillis kYear2200 = 7'258'118'400'000;
  EXPECT_GT(UnixNow(), kYear2020);
  EXPECT_LT(UnixNow(), kYear2200);
}

}  // namespace
}  // namespace gyre
