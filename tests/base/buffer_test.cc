#include "base/buffer.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "base/prng.h"

namespace gyre {
namespace {

TEST(BufferTest, IsAQueueOfBytes) {
  Buffer buffer;
  EXPECT_TRUE(buffer.empty());
  buffer.Append("hello ");
  buffer.Append('w');
  buffer.Append("orld");
  EXPECT_EQ(buffer.view(), "hello world");
  buffer.Consume(6);
  EXPECT_EQ(buffer.view(), "world");
  buffer.Truncate(2);
  EXPECT_EQ(buffer.view(), "wo");
  buffer.mutable_data()[0] = 'n';
  EXPECT_EQ(buffer.view(), "no");
  buffer.Clear();
  EXPECT_TRUE(buffer.empty());
  EXPECT_GT(buffer.capacity(), 0u);
  buffer.Release();
  EXPECT_EQ(buffer.capacity(), 0u);
}

TEST(BufferTest, PrepareIsNeverNullAndCommitTakesWhatWasWritten) {
  Buffer buffer;
  EXPECT_NE(buffer.Prepare(0), nullptr);
  char* at = buffer.Prepare(100);
  EXPECT_GE(buffer.writable(), 100u);
  std::memcpy(at, "abc", 3);
  buffer.Commit(3);
  EXPECT_EQ(buffer.view(), "abc");
}

TEST(BufferTest, TheSteadyStateKeepsItsBlock) {
  Buffer buffer;
  buffer.Append(std::string(1000, 'x'));
  buffer.Consume(1000);
  const std::size_t capacity = buffer.capacity();
  for (int i = 0; i < 1000; ++i) {
    buffer.Append(std::string(600, 'y'));
    buffer.Consume(500);
    buffer.Consume(100);
  }
  EXPECT_EQ(buffer.capacity(), capacity);
}

TEST(BufferTest, MovesLeaveAnEmptyBuffer) {
  Buffer source;
  source.Append("text");
  Buffer target = std::move(source);
  EXPECT_EQ(target.view(), "text");
  EXPECT_TRUE(source.empty());  // NOLINT(bugprone-use-after-move): part of its contract
  source.Append("again");
  EXPECT_EQ(source.view(), "again");
  target = std::move(source);
  EXPECT_EQ(target.view(), "again");
}

TEST(BufferTest, EqualsAString) {
  Prng prng(3);
  Buffer buffer;
  std::string model;
  for (int i = 0; i < 20000; ++i) {
    if (prng.Below(2) == 0) {
      const std::string text(prng.Below(300), static_cast<char>('a' + prng.Below(26)));
      buffer.Append(text);
      model += text;
    } else {
      const std::size_t bytes = prng.Below(model.size() + 1);
      buffer.Consume(bytes);
      model.erase(0, bytes);
    }
    ASSERT_EQ(buffer.view(), model);
  }
}

}  // namespace
}  // namespace gyre
