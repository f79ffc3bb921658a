#include "base/sleep_watch.h"

#include <gtest/gtest.h>

#include <chrono>

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kStart{seconds(100)};

TEST(SleepWatch, CountsNoSleepBeforeTheFirstBeat) {
  const SleepWatch watch;
  EXPECT_EQ(watch.Sleeps(kStart), 0U);
}

TEST(SleepWatch, CountsNothingWhileItBeats) {
  SleepWatch watch;
  for (int i = 0; i < 100; ++i) {
    watch.Beat(kStart + i * milliseconds(250));
    EXPECT_EQ(watch.Sleeps(kStart + i * milliseconds(250) + milliseconds(1000)), 0U);
  }
}

TEST(SleepWatch, SaysTheSameBeforeAndAfterTheBeatThatEndsASleep) {
  SleepWatch watch;
  watch.Beat(kStart);
  const TimePoint woken = kStart + SleepWatch::kSlept;
  EXPECT_EQ(watch.Sleeps(woken), 1U);  // another thread woke first
  watch.Beat(woken);
  EXPECT_EQ(watch.Sleeps(woken), 1U);
  EXPECT_EQ(watch.Sleeps(woken + SleepWatch::kSlept), 2U);
}

}  // namespace
}  // namespace gyre
