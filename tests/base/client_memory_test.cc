#include "base/client_memory.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <utility>

#include "base/buffer.h"

namespace gyre {
namespace {

using Kind = ClientMemory::Kind;

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(ClientMemoryTest, LargeBlocksLeaveAnEighthToSmallOnes) {
  ClientMemory memory(8 * kMiB);
  ClientMemoryAccount& buffers = memory.account(Kind::kBuffers);
  EXPECT_TRUE(buffers.TryCharge(7 * kMiB, 7 * kMiB));
  EXPECT_FALSE(buffers.TryCharge(1, ClientMemory::kSmallBytes + 1));
  EXPECT_EQ(memory.refused(), 1u);
  EXPECT_EQ(memory.used(), 7 * kMiB);
  EXPECT_FALSE(memory.over());
  // Small ones are granted even beyond the limit: then others must go.
  for (int i = 0; i < 17; ++i) {
    EXPECT_TRUE(buffers.TryCharge(ClientMemory::kSmallBytes, ClientMemory::kSmallBytes));
  }
  EXPECT_TRUE(memory.over());
  EXPECT_EQ(memory.excess(), 17 * ClientMemory::kSmallBytes);
  buffers.Release(7 * kMiB);
  EXPECT_EQ(memory.used(), 17 * ClientMemory::kSmallBytes);
  EXPECT_EQ(buffers.bytes(), memory.used());
  EXPECT_EQ(memory.excess(), 0u);
}

TEST(ClientMemoryTest, ARefusedBlockIsNeverSeenAsTaken) {
  ClientMemory memory(kMiB);
  std::atomic<bool> stop{false};
  std::thread asking([&] {
    while (!stop) EXPECT_FALSE(memory.account(Kind::kGathered).TryCharge(2 * kMiB, 2 * kMiB));
  });
  bool was_over = false;
  while (memory.refused() < 1'000'000 && !was_over) was_over = memory.over();
  stop = true;
  asking.join();
  EXPECT_FALSE(was_over) << "somebody would have been closed for it";
}

TEST(ClientMemoryTest, WhatWaitsForOtherNodesIsNeverRefused) {
  ClientMemory memory(kMiB);
  EXPECT_TRUE(memory.account(Kind::kLinkOutput).TryCharge(2 * kMiB, 2 * kMiB));
  EXPECT_FALSE(memory.account(Kind::kBuffers).TryCharge(kMiB, kMiB));
  EXPECT_TRUE(memory.over());
}

TEST(ClientMemoryTest, ABufferIsChargedForItsBlockWhereverItGoes) {
  ClientMemory memory(8 * kMiB);
  ClientMemoryAccount& account = memory.account(Kind::kBuffers);
  {
    Buffer buffer(&account);
    EXPECT_EQ(memory.used(), 0u);
    buffer.Append(std::string(100'000, 'x'));
    EXPECT_EQ(memory.used(), buffer.capacity());
    Buffer moved = std::move(buffer);
    EXPECT_EQ(memory.used(), moved.capacity());
    Buffer other(&account);
    other.Append("small");
    other = std::move(moved);
    EXPECT_EQ(memory.used(), other.capacity());
    other.Release();
    EXPECT_EQ(memory.used(), 0u);
    other.Append("again");
  }
  EXPECT_EQ(memory.used(), 0u);
}

TEST(ClientMemoryTest, ABufferWithoutRoomKeepsWhatItHas) {
  ClientMemory memory(kMiB);
  Buffer buffer(&memory.account(Kind::kBuffers));
  const std::string half(kMiB / 2, 'a');
  buffer.Append(half);
  EXPECT_FALSE(buffer.TryReserve(kMiB));
  EXPECT_THROW(buffer.Append(std::string(kMiB, 'b')), ClientMemoryFull);
  EXPECT_EQ(buffer.view(), half);
  // What it consumed is room again.
  buffer.Consume(kMiB / 2 - 3);
  EXPECT_TRUE(buffer.TryReserve(kMiB / 4));
  EXPECT_EQ(buffer.view(), "aaa");
}

TEST(ClientMemoryTest, AChargeGoesWithItsOwner) {
  ClientMemory memory(8 * kMiB);
  {
    ClientMemoryCharge charge(&memory.account(Kind::kGathered));
    EXPECT_TRUE(charge.Set(3 * kMiB));
    EXPECT_TRUE(charge.Grow(kMiB));
    EXPECT_FALSE(charge.Grow(4 * kMiB));
    EXPECT_EQ(charge.bytes(), 4 * kMiB);
    ClientMemoryCharge moved = std::move(charge);
    EXPECT_EQ(memory.used(), 4 * kMiB);
    EXPECT_TRUE(moved.Set(kMiB));
    EXPECT_EQ(memory.used(), kMiB);
  }
  EXPECT_EQ(memory.used(), 0u);
}

TEST(ClientMemoryTest, AShareIsTakenInStepsAndGivenBack) {
  ClientMemory memory(8 * kMiB);
  {
    ClientMemoryShare share(&memory.account(Kind::kRequests));
    EXPECT_TRUE(share.TryTake(100));
    const std::size_t step = memory.used();
    EXPECT_GE(step, 100u);
    for (int i = 0; i < 100; ++i) EXPECT_TRUE(share.TryTake(100));
    EXPECT_EQ(memory.used(), step);  // no more was taken from the node
    EXPECT_FALSE(share.TryTake(8 * kMiB));
    EXPECT_TRUE(share.TryTake(4 * kMiB));
    share.GiveBack(4 * kMiB);
    EXPECT_LE(memory.used(), 4 * ClientMemoryShare::kStepBytes);
  }
  EXPECT_EQ(memory.used(), 0u);
}

}  // namespace
}  // namespace gyre
