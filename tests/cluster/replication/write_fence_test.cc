// What the fence answers commands and acknowledgements, in both modes.
#include "replication/write_fence.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Verdict = WriteFence::Verdict;

constexpr PartitionId kPartition = 1;
constexpr UnixMillis kStamp = 1'000;

class WriteFenceTest : public ::testing::Test {
 protected:
  explicit WriteFenceTest(bool majority = false)
      : fence(4, majority, [this] {
          ++readings;
          return now;
        }) {}
  // The newest ping that was answered was sent now.
  void Hear() { fence.self().Confirm(now); }

  TimePoint now{seconds(100)};
  int readings = 0;
  WriteFence fence;
};

TEST_F(WriteFenceTest, WithoutLeasesAReadAsksNothing) {
  Hear();
  now += seconds(10);
  const WriteFence::Turn turn = fence.Begin();
  EXPECT_TRUE(fence.MayAct(turn, kPartition, kStamp));
  now += seconds(10);
  EXPECT_TRUE(fence.Held(turn, kPartition));
  EXPECT_TRUE(fence.HasLease(kPartition));
  EXPECT_EQ(readings, 0);
}

TEST_F(WriteFenceTest, WhoHearsNobodyOrdersNothing) {
  Hear();
  now += SelfFence::kFor - milliseconds(1);
  EXPECT_TRUE(fence.MayOrder());
  now += milliseconds(1);
  EXPECT_FALSE(fence.MayOrder());
  Hear();
  EXPECT_TRUE(fence.MayOrder());
}

TEST_F(WriteFenceTest, WhoIsAloneOrdersForEver) {
  fence.self().Confirm(TimePoint::max());
  now += std::chrono::hours(1000);
  EXPECT_TRUE(fence.MayOrder());
}

TEST_F(WriteFenceTest, AnAcknowledgementWaitsUntilSomebodyAnswers) {
  Hear();
  const WriteFence::Mark mark = fence.MarkWrite();
  EXPECT_EQ(fence.Judge(mark, kPartition), Verdict::kHolds);
  now += SelfFence::kFor;
  EXPECT_EQ(fence.Judge(mark, kPartition), Verdict::kUnsure);
  Hear();
  EXPECT_EQ(fence.Judge(mark, kPartition), Verdict::kHolds);
}

TEST_F(WriteFenceTest, WhatWasWrittenBeforeADeclaredDeathIsNeverAcknowledged) {
  Hear();
  const WriteFence::Mark before = fence.MarkWrite();
  fence.self().Overrule();
  now += SelfFence::kFor;
  EXPECT_EQ(fence.Judge(before, kPartition), Verdict::kOverruled) << "even while nobody answers";
  Hear();
  EXPECT_EQ(fence.Judge(before, kPartition), Verdict::kOverruled);
  EXPECT_EQ(fence.Judge(fence.MarkWrite(), kPartition), Verdict::kHolds);
}

class LeasedFenceTest : public WriteFenceTest {
 protected:
  LeasedFenceTest() : WriteFenceTest(/*majority=*/true) {
    leases().LimitStamps(kStamp);
    Hear();
  }
  LeaseTable& leases() { return *fence.leases(); }
  void Lease(Duration span) { leases().Extend(kPartition, now, now + span); }
  bool MayAct(UnixMillis stamp = kStamp) { return fence.MayAct(fence.Begin(), kPartition, stamp); }
};

TEST_F(LeasedFenceTest, AnOwnerActsUnderALeaseOnly) {
  EXPECT_FALSE(MayAct());
  EXPECT_FALSE(fence.HasLease(kPartition));
  Lease(seconds(1));
  EXPECT_TRUE(MayAct());
  EXPECT_TRUE(fence.HasLease(kPartition));
  EXPECT_FALSE(MayAct(kStamp + 1)) << "beyond what the lease lets it stamp";
  now += seconds(1);
  EXPECT_FALSE(MayAct());
  EXPECT_EQ(leases().refusals(), 3U);
}

TEST_F(LeasedFenceTest, WhatAReplicaReadsNeedsNone) {
  const WriteFence::Turn turn;
  EXPECT_TRUE(fence.MayAct(turn, kPartition, kStamp));
  EXPECT_TRUE(fence.Held(turn, kPartition));
  EXPECT_EQ(leases().refusals() + leases().overruns(), 0U);
}

TEST_F(LeasedFenceTest, ACommandThatALeaseRanOutOverDoesNotCount) {
  Lease(seconds(1));
  const WriteFence::Turn turn = fence.Begin();
  EXPECT_TRUE(fence.Held(turn, kPartition));
  now += seconds(2);
  EXPECT_FALSE(fence.Held(turn, kPartition));
  Lease(seconds(1));
  EXPECT_FALSE(fence.Held(turn, kPartition)) << "another may have acted in between";
  EXPECT_EQ(leases().overruns(), 2U);
}

TEST_F(LeasedFenceTest, AWriteIsAcknowledgedOnlyIfItsLeaseHadNoGap) {
  Lease(seconds(1));
  const WriteFence::Mark mark = fence.MarkWrite();
  now += milliseconds(500);
  Lease(seconds(1));
  EXPECT_EQ(fence.Judge(mark, kPartition), Verdict::kHolds);
  now += seconds(1);
  Hear();
  EXPECT_EQ(fence.Judge(mark, kPartition), Verdict::kLapsed);
  Lease(seconds(1));
  EXPECT_EQ(fence.Judge(mark, kPartition), Verdict::kLapsed);
  EXPECT_EQ(leases().overruns(), 2U);
}

TEST_F(LeasedFenceTest, ALeaseDoesNotStandInForAnAnswer) {
  Lease(seconds(10));
  const WriteFence::Mark mark = fence.MarkWrite();
  now += SelfFence::kFor;
  EXPECT_FALSE(fence.MayOrder());
  EXPECT_EQ(fence.Judge(mark, kPartition), Verdict::kUnsure);
}

}  // namespace
}  // namespace gyre
