#include "client/byte_queue.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <thread>

#include "client/byte_budget.h"

namespace gyre::client {
namespace {

TEST(ByteQueueTest, BehavesLikeAString) {
  std::mt19937 random(7);
  ByteQueue queue;
  std::string model;
  for (int i = 0; i < 5000; ++i) {
    if (random() % 2 == 0) {
      const std::string bytes(random() % 3000, static_cast<char>('a' + i % 26));
      queue.Append(bytes);
      model += bytes;
    } else {
      const std::size_t bytes = model.empty() ? 0 : random() % (model.size() + 1);
      queue.Consume(bytes);
      model.erase(0, bytes);
    }
    ASSERT_EQ(queue.view(), model);
  }
}

TEST(ByteQueueTest, GivesTheMemoryOfABurstBack) {
  ByteQueue queue;
  queue.Append(std::string(ByteQueue::kKeepBytesMax * 2, 'x'));
  queue.Consume(queue.size());
  EXPECT_EQ(queue.writable(), 0u);
  queue.Append("small");
  queue.Consume(5);
  EXPECT_GT(queue.writable(), 0u) << "small memory is kept";
}

TEST(ByteQueueTest, SwapExchanges) {
  ByteQueue a;
  ByteQueue b;
  a.Append("a");
  swap(a, b);
  EXPECT_TRUE(a.empty());
  EXPECT_EQ(b.view(), "a");
}

TEST(ByteBudgetTest, BoundsWhatIsTaken) {
  ByteBudget budget(100);
  EXPECT_TRUE(budget.TryTake(60));
  EXPECT_FALSE(budget.TryTake(41));
  EXPECT_TRUE(budget.TryTake(40));
  EXPECT_EQ(budget.used(), 100u);
  budget.Give(60);
  EXPECT_TRUE(budget.TryTake(60));
}

TEST(ByteBudgetTest, ASingleHugeRequestPassesAlone) {
  ByteBudget budget(100);
  EXPECT_TRUE(budget.TryTake(1000));
  EXPECT_FALSE(budget.TryTake(1));
  budget.Give(1000);
  EXPECT_TRUE(budget.TryTake(1));
  EXPECT_FALSE(budget.TryTake(1000));
}

TEST(ByteBudgetTest, WaitingEndsAtTheDeadline) {
  ByteBudget budget(10);
  ASSERT_TRUE(budget.TryTake(10));
  EXPECT_FALSE(budget.TakeBy(1, std::chrono::steady_clock::now()));
}

TEST(ByteBudgetTest, WhoWaitsGetsWhatIsGivenBack) {
  ByteBudget budget(10);
  ASSERT_TRUE(budget.TryTake(10));
  std::thread waiter([&] {
    EXPECT_TRUE(budget.TakeBy(5, std::chrono::steady_clock::now() + std::chrono::minutes(1)));
  });
  budget.Give(10);
  waiter.join();
  EXPECT_EQ(budget.used(), 5u);
}

}  // namespace
}  // namespace gyre::client
