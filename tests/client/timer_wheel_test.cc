#include "client/timer_wheel.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <vector>

namespace gyre::client {
namespace {

constexpr std::uint64_t kStart = 1'000'000;
constexpr std::uint64_t kTurn = TimerWheel::kTickMs * TimerWheel::kSlots;

struct Alarm : TimerEntry {
  std::uint64_t due_ms = 0;
  std::uint64_t fired_ms = 0;
};

class TimerWheelTest : public ::testing::Test {
 protected:
  void Arm(Alarm& alarm, std::uint64_t due_ms) {
    alarm.due_ms = due_ms;
    wheel_.Arm(alarm, due_ms);
  }
  void AdvanceTo(std::uint64_t now_ms) {
    wheel_.Advance(now_ms, [&](TimerEntry& entry) {
      static_cast<Alarm&>(entry).fired_ms = now_ms;
      fired_.push_back(&static_cast<Alarm&>(entry));
    });
  }

  TimerWheel wheel_{kStart};
  std::vector<Alarm*> fired_;
};

TEST_F(TimerWheelTest, FiresOnceDueNeverEarlyAndAtMostATickLate) {
  std::mt19937 random(1);
  std::deque<Alarm> alarms(500);
  for (Alarm& alarm : alarms) Arm(alarm, kStart + 1 + random() % (3 * kTurn));
  for (std::uint64_t now = kStart; now <= kStart + 4 * kTurn; ++now) AdvanceTo(now);
  EXPECT_EQ(fired_.size(), alarms.size());
  EXPECT_TRUE(wheel_.empty());
  for (const Alarm& alarm : alarms) {
    EXPECT_GE(alarm.fired_ms, alarm.due_ms);
    EXPECT_LE(alarm.fired_ms, alarm.due_ms + TimerWheel::kTickMs);
  }
}

TEST_F(TimerWheelTest, ALongSleepFiresAllThatIsDueAndNothingElse) {
  Alarm soon;
  Alarm later;
  Alarm far;
  Arm(soon, kStart + 5);
  Arm(later, kStart + 5 * kTurn);
  Arm(far, kStart + 20 * kTurn);
  AdvanceTo(kStart + 10 * kTurn);
  EXPECT_EQ(fired_.size(), 2u);
  EXPECT_TRUE(far.armed());
  wheel_.Cancel(far);
}

TEST_F(TimerWheelTest, WhatIsCancelledDoesNotFire) {
  Alarm kept;
  Alarm cancelled;
  Arm(kept, kStart + 8);
  Arm(cancelled, kStart + 8);
  wheel_.Cancel(cancelled);
  wheel_.Cancel(cancelled);
  AdvanceTo(kStart + 100);
  EXPECT_EQ(fired_, std::vector<Alarm*>{&kept});
}

TEST_F(TimerWheelTest, ArmingAgainMoves) {
  Alarm alarm;
  Arm(alarm, kStart + 8);
  Arm(alarm, kStart + 80);
  EXPECT_EQ(wheel_.count(), 1u);
  AdvanceTo(kStart + 40);
  EXPECT_TRUE(fired_.empty());
  AdvanceTo(kStart + 84);
  EXPECT_EQ(fired_.size(), 1u);
}

TEST_F(TimerWheelTest, ThePastIsTheNextTick) {
  Alarm alarm;
  Arm(alarm, kStart - 500);
  AdvanceTo(kStart + TimerWheel::kTickMs);
  EXPECT_EQ(fired_.size(), 1u);
}

TEST_F(TimerWheelTest, ACallbackMayArmItselfAndCancelOthers) {
  Alarm again;
  Alarm victim;
  Arm(again, kStart + 8);
  Arm(victim, kStart + 8);
  int rounds = 0;
  for (std::uint64_t now = kStart; now < kStart + 2 * kTurn; now += TimerWheel::kTickMs) {
    wheel_.Advance(now, [&](TimerEntry& entry) {
      ASSERT_EQ(&entry, &again);
      wheel_.Cancel(victim);
      if (++rounds < 3) wheel_.Arm(again, now + 8);
    });
  }
  EXPECT_EQ(rounds, 3);
  EXPECT_TRUE(wheel_.empty());
}

TEST_F(TimerWheelTest, AnyFindsWhatIsArmed) {
  EXPECT_EQ(wheel_.Any(), nullptr);
  Alarm alarm;
  Arm(alarm, kStart + kTurn / 2);
  EXPECT_EQ(wheel_.Any(), &alarm);
  wheel_.Cancel(alarm);
  EXPECT_EQ(wheel_.Any(), nullptr);
}

}  // namespace
}  // namespace gyre::client
