#include "base/log_queue.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>

namespace gyre {
namespace {

using testing::StartsWith;

constexpr Duration kPatience = std::chrono::seconds(30);

std::string Notice(std::uint64_t dropped) { return std::to_string(dropped) + " dropped\n"; }

// A pipe that holds one page, whose reader may be idle.
class LogQueueTest : public ::testing::Test {
 protected:
  LogQueueTest() {
    EXPECT_EQ(pipe(ends_.data()), 0);
    EXPECT_EQ(fcntl(ends_[1], F_SETPIPE_SZ, 4096), 4096);
  }
  ~LogQueueTest() override {
    // A thread that still waits for the pipe ends with an error.
    close(ends_[0]);
    queue_.reset();
  }

  int write_end() const { return ends_[1]; }

  // Reads until `last` was read.
  std::string ReadUntil(std::string_view last) {
    std::string text;
    std::array<char, 4096> some{};
    while (text.find(last) == std::string::npos) {
      const ssize_t count = read(ends_[0], some.data(), some.size());
      if (count <= 0) break;
      text.append(some.data(), static_cast<std::size_t>(count));
    }
    return text;
  }

  std::array<int, 2> ends_{};
  std::unique_ptr<LogQueue> queue_;
};

TEST_F(LogQueueTest, WritesLinesInTheirOrder) {
  queue_ = std::make_unique<LogQueue>(write_end(), Notice);
  queue_->Push("one\n");
  queue_->Push("two\n");
  EXPECT_TRUE(queue_->Flush(kPatience));
  EXPECT_EQ(ReadUntil("two\n"), "one\ntwo\n");
  EXPECT_EQ(queue_->dropped(), 0U);
}

TEST_F(LogQueueTest, NobodyWaitsForAPipeThatNobodyReads) {
  constexpr std::size_t kBytesMax = 64 * 1024;
  queue_ = std::make_unique<LogQueue>(write_end(), Notice, kBytesMax);
  const std::string line = std::string(1023, 'x') + "\n";
  for (int i = 0; i < 1000; ++i) queue_->Push(line);
  EXPECT_GE(queue_->dropped(), 1000U - 4 - 2 * kBytesMax / line.size());
  EXPECT_FALSE(queue_->Flush(std::chrono::milliseconds(1)));

  // Once it is read, what was lost is said where it was lost: perhaps at two places, for the thread
  // may have taken the first lines late.
  std::string text;
  std::uint64_t said = 0;
  while (said < queue_->dropped()) {
    text += ReadUntil("dropped\n");
    said += std::stoull(text.substr(text.rfind('x') + 2));
  }
  EXPECT_EQ(said, queue_->dropped());
  EXPECT_THAT(text, StartsWith(line));
  queue_->Push("later\n");
  EXPECT_EQ(ReadUntil("later\n"), "later\n");
}

TEST_F(LogQueueTest, ItsEndDoesNotWaitEither) {
  queue_ = std::make_unique<LogQueue>(write_end(), Notice);
  queue_->Push(std::string(100'000, 'x') + "\n");
  queue_.reset();
}

TEST_F(LogQueueTest, CountsWhatAFullDiskRefuses) {
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  queue_ = std::make_unique<LogQueue>(full, Notice);
  queue_->Push("one\ntwo\n");
  queue_->Push("three\n");
  EXPECT_TRUE(queue_->Flush(kPatience));
  EXPECT_EQ(queue_->dropped(), 3U);
  // Room again.
  ASSERT_EQ(dup2(write_end(), full), full);
  queue_->Push("four\n");
  EXPECT_EQ(ReadUntil("four\n"), "3 dropped\nfour\n");
  EXPECT_TRUE(queue_->Flush(kPatience));
  close(full);
}

TEST_F(LogQueueTest, WaitsWhereTheFileIsNonBlocking) {
  fcntl(write_end(), F_SETFL, O_NONBLOCK);
  queue_ = std::make_unique<LogQueue>(write_end(), Notice);
  queue_->Push(std::string(100'000, 'x') + "\n");
  queue_->Push("end\n");
  EXPECT_EQ(ReadUntil("end\n").size(), 100'005U);
  EXPECT_EQ(queue_->dropped(), 0U);
}

}  // namespace
}  // namespace gyre
