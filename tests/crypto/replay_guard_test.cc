#include "crypto/replay_guard.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <set>

namespace gyre {
namespace {

using Verdict = ReplayGuard::Verdict;
constexpr UnixMillis kNoon = 1'800'000'000'000;
constexpr TimePoint kStart{std::chrono::hours(1)};

class ReplayGuardTest : public ::testing::Test {
 protected:
  Verdict Check(std::uint64_t life, std::uint64_t count) {
    return guard_.Check({life, count, kNoon}, now_, kNoon);
  }

  ReplayGuard guard_;
  TimePoint now_ = kStart;
};

TEST_F(ReplayGuardTest, TakesEachCountOnceInAnyOrder) {
  for (const std::uint64_t count : {10U, 12U, 11U, 500U, 13U, 499U}) {
    EXPECT_EQ(Check(1, count), Verdict::kFresh) << count;
  }
  for (const std::uint64_t count : {10U, 12U, 11U, 500U, 13U, 499U}) {
    EXPECT_EQ(Check(1, count), Verdict::kReplayed) << count;
  }
}

TEST_F(ReplayGuardTest, WhatIsBehindTheWindowIsRefused) {
  EXPECT_EQ(Check(1, 1), Verdict::kFresh);
  EXPECT_EQ(Check(1, ReplayGuard::kWindow + 2), Verdict::kFresh);
  EXPECT_EQ(Check(1, 2), Verdict::kReplayed);
  EXPECT_EQ(Check(1, 3), Verdict::kFresh);
  EXPECT_EQ(Check(1, ~std::uint64_t{0}), Verdict::kFresh);
  EXPECT_EQ(Check(1, 5), Verdict::kReplayed);
}

TEST_F(ReplayGuardTest, WhatCameBeforeTheFirstIsRefused) {
  EXPECT_EQ(Check(1, 100), Verdict::kFresh);
  EXPECT_EQ(Check(1, 99), Verdict::kReplayed);
  EXPECT_EQ(Check(1, 101), Verdict::kFresh);
}

TEST_F(ReplayGuardTest, LivesAreApart) {
  EXPECT_EQ(Check(1, 7), Verdict::kFresh);
  EXPECT_EQ(Check(2, 7), Verdict::kFresh);
  EXPECT_EQ(Check(1, 7), Verdict::kReplayed);
}

TEST_F(ReplayGuardTest, ForgetsOnlyWhatIsTooOldToComeBack) {
  EXPECT_EQ(Check(1, 7), Verdict::kFresh);
  now_ += ReplayGuard::kForgetAfter - std::chrono::seconds(1);
  EXPECT_EQ(Check(2, 1), Verdict::kFresh);
  EXPECT_EQ(guard_.lives(), 2U);
  now_ += std::chrono::minutes(1);
  EXPECT_EQ(Check(2, 2), Verdict::kFresh);
  EXPECT_EQ(guard_.lives(), 1U);
  const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(now_ - kStart).count();
  EXPECT_EQ(guard_.Check({1, 7, kNoon}, now_, kNoon + passed), Verdict::kStale);
}

TEST_F(ReplayGuardTest, MemoryIsBounded) {
  for (std::uint64_t life = 0; life < 2 * ReplayGuard::kLivesMax; ++life) {
    now_ += std::chrono::milliseconds(1);
    EXPECT_EQ(Check(life, 1), Verdict::kFresh);
  }
  EXPECT_EQ(guard_.lives(), ReplayGuard::kLivesMax);
  EXPECT_EQ(Check(2 * ReplayGuard::kLivesMax - 1, 1), Verdict::kReplayed);
}

TEST_F(ReplayGuardTest, NoStampOverflows) {
  for (const UnixMillis sent : {INT64_MIN, INT64_MAX, std::int64_t{0}}) {
    EXPECT_EQ(guard_.Check({9, 1, sent}, now_, kNoon), Verdict::kStale);
  }
}

RC_GTEST_PROP(ReplayGuardProperty, NothingIsTakenTwice, ()) {
  ReplayGuard guard;
  std::set<std::uint64_t> taken;
  const auto counts = *rc::gen::container<std::vector<std::uint32_t>>(
      rc::gen::inRange<std::uint32_t>(0, 3 * ReplayGuard::kWindow));
  for (const std::uint64_t count : counts) {
    const Verdict verdict = guard.Check({1, count, kNoon}, kStart, kNoon);
    if (verdict == Verdict::kFresh) RC_ASSERT(taken.insert(count).second);
  }
}

}  // namespace
}  // namespace gyre
