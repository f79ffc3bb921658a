#include "client/byte_budget.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

namespace gyre::client {
namespace {

// For how many of these requests, from the first one on, `budget` has room.
std::size_t Take(ByteBudget& budget, const std::vector<std::size_t>& bytes) {
  return budget.Take(bytes.size(), [&](std::size_t index) { return bytes[index]; });
}

std::size_t TakeBy(ByteBudget& budget, std::chrono::steady_clock::time_point deadline,
                   const std::vector<std::size_t>& bytes) {
  return budget.TakeBy(deadline, bytes.size(), [&](std::size_t index) { return bytes[index]; });
}

TEST(ByteBudgetTest, BoundsWhatIsTaken) {
  ByteBudget budget(100);
  EXPECT_EQ(Take(budget, {60}), 1u);
  EXPECT_EQ(Take(budget, {41}), 0u);
  EXPECT_EQ(Take(budget, {40}), 1u);
  EXPECT_EQ(budget.used(), 100u);
  budget.Give(60);
  EXPECT_EQ(Take(budget, {60}), 1u);
}

TEST(ByteBudgetTest, ASingleHugeRequestPassesAlone) {
  ByteBudget budget(100);
  EXPECT_EQ(Take(budget, {1000}), 1u);
  EXPECT_EQ(Take(budget, {1}), 0u);
  budget.Give(1000);
  EXPECT_EQ(Take(budget, {1}), 1u);
  EXPECT_EQ(Take(budget, {1000}), 0u);
}

TEST(ByteBudgetTest, WaitingEndsAtTheDeadline) {
  ByteBudget budget(10);
  ASSERT_EQ(Take(budget, {10}), 1u);
  EXPECT_EQ(TakeBy(budget, std::chrono::steady_clock::now(), {1}), 0u);
}

TEST(ByteBudgetTest, WhoWaitsGetsWhatIsGivenBack) {
  ByteBudget budget(10);
  ASSERT_EQ(Take(budget, {10}), 1u);
  std::thread waiter([&] {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    EXPECT_EQ(TakeBy(budget, deadline, {5, 2, 4}), 2u);
  });
  budget.Give(10);
  waiter.join();
  EXPECT_EQ(budget.used(), 7u);
}

TEST(ByteBudgetTest, OfManyRequestsTheFirstOnesAreTaken) {
  ByteBudget budget(100);
  EXPECT_EQ(Take(budget, {40, 50, 20, 1}), 2u) << "nothing overtakes the one that does not fit";
  EXPECT_EQ(budget.used(), 90u);
  EXPECT_EQ(Take(budget, {20, 1}), 0u);
  EXPECT_EQ(Take(budget, {}), 0u);
  budget.Give(90);
  EXPECT_EQ(Take(budget, {1000, 1}), 1u);
}

}  // namespace
}  // namespace gyre::client
