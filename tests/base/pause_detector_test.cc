#include "base/pause_detector.h"

#include <gtest/gtest.h>

#include <chrono>

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kStart{seconds(100)};

TEST(PauseDetector, CountsNoSleepBeforeTheFirstBeat) {
  const PauseDetector watch;
  EXPECT_EQ(watch.Pauses(kStart), 0U);
}

TEST(PauseDetector, CountsNothingWhileItBeats) {
  PauseDetector watch;
  for (int i = 0; i < 100; ++i) {
    watch.Beat(kStart + i * milliseconds(250));
    EXPECT_EQ(watch.Pauses(kStart + i * milliseconds(250) + milliseconds(1000)), 0U);
  }
}

TEST(PauseDetector, SaysTheSameBeforeAndAfterTheBeatThatEndsASleep) {
  PauseDetector watch;
  watch.Beat(kStart);
  const TimePoint woken = kStart + PauseDetector::kPaused;
  EXPECT_EQ(watch.Pauses(woken), 1U);  // another thread woke first
  watch.Beat(woken);
  EXPECT_EQ(watch.Pauses(woken), 1U);
  EXPECT_EQ(watch.Pauses(woken + PauseDetector::kPaused), 2U);
}

}  // namespace
}  // namespace gyre
