#include "storage/expiry.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>
#include <map>
#include <set>
#include <vector>

#include "base/prng.h"

namespace gyre {
namespace {

constexpr UnixMillis kStart = 1'700'000'000'000;
// A tick and its rounding: a record leaves at most so much after its time.
constexpr UnixMillis kLag = 256;

// Records that are nothing but their expiry, in a block of memory that looks like an arena.
class Wheel {
 public:
  explicit Wheel(std::size_t records)
      : memory_((records + kFirst) * kBytes), wheel_(memory_.data()) {}

  Ref Add(UnixMillis expiry, UnixMillis now) {
    const Ref ref = (kFirst + next_++) * (kBytes / kGranuleBytes);
    Item(At(ref)).WriteHeader(PlainShape(0, 0, true, false, false), 1, expiry, 0);
    wheel_.Insert(ref, now);
    expected_[ref] = expiry;
    return ref;
  }
  void Remove(Ref ref) {
    wheel_.Remove(ref);
    expected_.erase(ref);
  }
  Ref Move(Ref from) {
    const Ref to = (kFirst + next_++) * (kBytes / kGranuleBytes);
    std::memcpy(At(to), At(from), kBytes);
    wheel_.Moved(from, to);
    expected_[to] = expected_[from];
    expected_.erase(from);
    std::memset(At(from), 0xee, kBytes);
    return to;
  }
  // Takes out all that is due, checking that nothing is early; says how many.
  std::size_t Advance(UnixMillis now) {
    std::size_t taken = 0;
    for (;;) {
      std::size_t budget = 10;
      const Ref ref = wheel_.NextDue(now, budget);
      if (ref == 0 && budget == 0) continue;
      if (ref == 0) return taken;
      EXPECT_LE(expected_.at(ref), now);
      Remove(ref);
      ++taken;
    }
  }
  UnixMillis Earliest() const {
    UnixMillis earliest = std::numeric_limits<UnixMillis>::max();
    for (const auto& [ref, expiry] : expected_) earliest = std::min(earliest, expiry);
    return earliest;
  }
  bool Balances() const {
    std::set<Ref> found;
    const bool sound = wheel_.CheckInvariants([&](Ref ref) { found.insert(ref); });
    if (!sound || found.size() != expected_.size()) return false;
    for (const Ref ref : found) {
      if (!expected_.contains(ref)) return false;
    }
    return true;
  }
  std::size_t size() const { return wheel_.size(); }
  const std::map<Ref, UnixMillis>& expected() const { return expected_; }
  TimingWheel& wheel() { return wheel_; }

 private:
  static constexpr std::size_t kBytes = 32;
  static constexpr Ref kFirst = kPageBytesMin / kBytes;

  char* At(Ref ref) { return memory_.data() + std::size_t{ref} * kGranuleBytes; }

  std::vector<char> memory_;
  TimingWheel wheel_;
  std::map<Ref, UnixMillis> expected_;
  Ref next_ = 0;
};

TEST(TimingWheelTest, NothingIsEarlyAndNothingMuchLate) {
  for (const UnixMillis delay :
       {1LL, 127LL, 128LL, 8192LL, 500'000LL, 40'000'000LL, 3'000'000'000LL, 100'000'000'000LL}) {
    Wheel wheel(1);
    wheel.Add(kStart + delay, kStart);
    EXPECT_EQ(wheel.Advance(kStart), 0u);
    EXPECT_EQ(wheel.Advance(kStart + delay - 1), 0u);
    EXPECT_EQ(wheel.Advance(kStart + delay + kLag), 1u) << delay;
    EXPECT_EQ(wheel.size(), 0u);
  }
}

TEST(TimingWheelTest, ExtremeTimes) {
  Wheel wheel(5);
  wheel.Add(std::numeric_limits<UnixMillis>::max(), kStart);
  wheel.Add(std::numeric_limits<UnixMillis>::min(), kStart);
  wheel.Add(-1, kStart);
  wheel.Add(1, kStart);
  EXPECT_TRUE(wheel.Balances());
  EXPECT_EQ(wheel.Advance(kStart), 3u);
  EXPECT_EQ(wheel.Advance(kStart * 3), 0u) << "the year 2131";
  EXPECT_EQ(wheel.Advance(kStart * 10), 0u) << "beyond the wheel";
  EXPECT_TRUE(wheel.Balances());
}

TEST(TimingWheelTest, AClockThatRunsBackwardsOnlyDelays) {
  Wheel wheel(2);
  wheel.Add(kStart + 1000, kStart);
  EXPECT_EQ(wheel.Advance(kStart + 900), 0u);
  wheel.Add(kStart - 50'000, kStart - 60'000);
  EXPECT_EQ(wheel.Advance(kStart - 60'000), 0u);
  EXPECT_EQ(wheel.Advance(kStart - 50'000), 1u);
  EXPECT_EQ(wheel.Advance(kStart + 1000 + kLag), 1u);
}

TEST(TimingWheelTest, EachCallIsBounded) {
  constexpr std::size_t kRecords = 10000;
  Wheel wheel(kRecords);
  for (std::size_t i = 0; i < kRecords; ++i) wheel.Add(kStart + 1'000'000, kStart);
  std::size_t calls = 0;
  for (std::size_t budget = 0; budget == 0; ++calls) {
    budget = 100;
    EXPECT_EQ(wheel.wheel().NextDue(kStart + 999'999, budget), 0u);
  }
  EXPECT_GE(calls, kRecords / 100) << "moving to lower levels is paid for";
  EXPECT_EQ(wheel.Advance(kStart + 1'000'000 + kLag), kRecords);
}

RC_GTEST_PROP(TimingWheelTest, HoldsExactlyWhatWasPutIn, (std::uint64_t seed)) {
  Prng prng(seed);
  Wheel wheel(3000);
  UnixMillis now = kStart;
  for (int i = 0; i < 2000; ++i) {
    const auto& expected = wheel.expected();
    const std::uint64_t what = prng.Below(10);
    if (what < 6) {
      wheel.Add(now - 500 + static_cast<UnixMillis>(prng.Below(std::uint64_t{1} << prng.Below(38))),
                now);
    } else if (what == 6 && !expected.empty()) {
      wheel.Remove(
          std::next(expected.begin(), static_cast<long>(prng.Below(expected.size())))->first);
    } else if (what == 7 && !expected.empty()) {
      wheel.Move(
          std::next(expected.begin(), static_cast<long>(prng.Below(expected.size())))->first);
    } else {
      now += static_cast<UnixMillis>(prng.Below(std::uint64_t{1} << prng.Below(32)));
      wheel.Advance(now);
      RC_ASSERT(wheel.Earliest() > now - kLag);
    }
    if (i % 100 == 0) RC_ASSERT(wheel.Balances());
  }
  RC_ASSERT(wheel.Balances());
}

// Between one and two kPatience after it was set aside, wherever it moves meanwhile.
TEST(TimingWheelTest, WhatIsSetAsideIsOverdueAfterAWhile) {
  Wheel wheel(16);
  const auto due = [&wheel](UnixMillis now) {
    std::size_t budget = 10;
    return wheel.wheel().NextDue(now, budget);
  };
  const Ref first = wheel.Add(kStart + 1000, kStart);
  const Ref second = wheel.Add(kStart + 1000, kStart);
  EXPECT_EQ(wheel.wheel().NextOverdue(kStart), 0u);
  const UnixMillis aside = kStart + 2000;
  for (Ref ref; (ref = due(aside)) != 0;) wheel.wheel().SetAside(ref);
  EXPECT_EQ(wheel.size(), 2u);
  EXPECT_TRUE(wheel.Balances());
  wheel.Remove(first);
  const Ref moved = wheel.Move(second);
  EXPECT_TRUE(wheel.Balances());
  UnixMillis now = aside;
  while (wheel.wheel().NextOverdue(now) == 0) {
    EXPECT_EQ(due(now), 0u);
    now += 100;
    ASSERT_LE(now, aside + 2 * TimingWheel::kPatience);
  }
  EXPECT_GE(now, aside + TimingWheel::kPatience);
  EXPECT_EQ(wheel.wheel().NextOverdue(now), moved);
  wheel.Remove(moved);
  EXPECT_EQ(wheel.wheel().NextOverdue(now), 0u);
  EXPECT_TRUE(wheel.Balances());
}

}  // namespace
}  // namespace gyre
