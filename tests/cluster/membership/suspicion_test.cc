#include "membership/suspicion.h"

#include <gtest/gtest.h>

#include "cluster/membership_fixture.h"

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct TimeoutCase {
  std::size_t expected;   // confirmations, K
  std::size_t confirmed;  // C
  Duration timeout;
};

class SuspicionTimeoutTable : public ::testing::TestWithParam<TimeoutCase> {};

TEST_P(SuspicionTimeoutTable, ShrinksWithConfirmations) {
  const auto& [expected, confirmed, timeout] = GetParam();
  EXPECT_EQ(SuspicionTimeout({seconds(2), seconds(30), expected}, confirmed), timeout);
}

// The values of the paper's formula: 30 s down to 2 s.
INSTANTIATE_TEST_SUITE_P(
    , SuspicionTimeoutTable,
    ::testing::Values(TimeoutCase{0, 0, seconds(2)}, TimeoutCase{3, 0, seconds(30)},
                      TimeoutCase{3, 1, seconds(16)}, TimeoutCase{3, 2, milliseconds(7810)},
                      TimeoutCase{3, 3, seconds(2)}, TimeoutCase{3, 4, seconds(2)},
                      TimeoutCase{2, 1, milliseconds(12333)}, TimeoutCase{1, 1, seconds(2)}));

TEST(Suspicion, CountsEachAccuserOnceAndNotTheFirst) {
  Suspicion suspicion(TimePoint{}, {seconds(2), seconds(30), 3}, TestId(0));
  EXPECT_FALSE(suspicion.Confirm(TestId(0)));
  EXPECT_TRUE(suspicion.Confirm(TestId(1)));
  EXPECT_FALSE(suspicion.Confirm(TestId(1)));
  EXPECT_EQ(suspicion.confirmations(), 1U);
  EXPECT_EQ(suspicion.deadline(), TimePoint{} + seconds(16));
}

TEST(Suspicion, NeedsNoMoreThanExpected) {
  Suspicion suspicion(TimePoint{}, {seconds(2), seconds(30), 2}, TestId(0));
  EXPECT_TRUE(suspicion.Confirm(TestId(1)));
  EXPECT_TRUE(suspicion.Confirm(TestId(2)));
  EXPECT_FALSE(suspicion.Confirm(TestId(3)));
  EXPECT_EQ(suspicion.deadline(), TimePoint{} + seconds(2));
}

}  // namespace
}  // namespace gyre
