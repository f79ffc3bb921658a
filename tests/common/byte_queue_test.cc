#include "common/byte_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "base/buffer.h"
#include "base/prng.h"

namespace gyre {
namespace {

// As the client has it, and as the server does.
template <typename Queue>
class ByteQueueTest : public ::testing::Test {};
using Queues = ::testing::Types<ByteQueue<>, Buffer>;
TYPED_TEST_SUITE(ByteQueueTest, Queues);

TYPED_TEST(ByteQueueTest, IsAQueueOfBytes) {
  TypeParam queue;
  EXPECT_TRUE(queue.empty());
  queue.Append("hello ");
  queue.Append('w');
  queue.Append("orld");
  queue.Append(std::string_view{});  // of no address
  EXPECT_EQ(queue.view(), "hello world");
  queue.Consume(6);
  EXPECT_EQ(queue.view(), "world");
  queue.Truncate(2);
  EXPECT_EQ(queue.view(), "wo");
  queue.mutable_data()[0] = 'n';
  EXPECT_EQ(queue.view(), "no");
  queue.Clear();
  EXPECT_TRUE(queue.empty());
  EXPECT_GT(queue.capacity(), 0u);
  queue.Release();
  EXPECT_EQ(queue.capacity(), 0u);
}

TYPED_TEST(ByteQueueTest, PrepareIsNeverNullAndCommitTakesWhatWasWritten) {
  TypeParam queue;
  EXPECT_NE(queue.Prepare(0), nullptr);
  char* at = queue.Prepare(100);
  EXPECT_GE(queue.writable(), 100u);
  std::memcpy(at, "abc", 3);
  queue.Commit(3);
  EXPECT_EQ(queue.view(), "abc");
}

TYPED_TEST(ByteQueueTest, TheSteadyStateKeepsItsBlock) {
  TypeParam queue;
  queue.Append(std::string(1000, 'x'));
  queue.Consume(1000);
  const std::size_t capacity = queue.capacity();
  for (int i = 0; i < 1000; ++i) {
    queue.Append(std::string(600, 'y'));
    queue.Consume(500);
    queue.Consume(100);
  }
  EXPECT_EQ(queue.capacity(), capacity);
}

TYPED_TEST(ByteQueueTest, MovesLeaveAnEmptyBuffer) {
  TypeParam source;
  source.Append("text");
  TypeParam target = std::move(source);
  EXPECT_EQ(target.view(), "text");
  EXPECT_TRUE(source.empty());  // NOLINT(bugprone-use-after-move): part of its contract
  source.Append("again");
  EXPECT_EQ(source.view(), "again");
  target = std::move(source);
  EXPECT_EQ(target.view(), "again");
}

TYPED_TEST(ByteQueueTest, GivesTheMemoryOfABurstBackWhereItIsTrimmed) {
  constexpr std::size_t kKept = 4096;
  TypeParam queue;
  queue.Append(std::string(2 * kKept, 'x'));
  queue.Trim(kKept);
  EXPECT_EQ(queue.size(), 2 * kKept) << "what is readable stays";
  queue.Consume(queue.size());
  queue.Trim(kKept);
  EXPECT_EQ(queue.capacity(), 0u);
  queue.Append("small");
  queue.Consume(5);
  queue.Trim(kKept);
  EXPECT_GT(queue.capacity(), 0u) << "small memory is kept";
}

TYPED_TEST(ByteQueueTest, EqualsAString) {
  Prng prng(3);
  TypeParam queue;
  std::string model;
  for (int i = 0; i < 20000; ++i) {
    if (prng.Below(2) == 0) {
      const std::string text(prng.Below(300), static_cast<char>('a' + prng.Below(26)));
      queue.Append(text);
      model += text;
    } else {
      const std::size_t bytes = prng.Below(model.size() + 1);
      queue.Consume(bytes);
      model.erase(0, bytes);
    }
    ASSERT_EQ(queue.view(), model);
  }
}

}  // namespace
}  // namespace gyre
