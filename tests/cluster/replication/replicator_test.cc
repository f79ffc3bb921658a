#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/data_fixture.h"
#include "peer/peer_codec.h"

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ReplicatorTest : public DataTest {};

TEST_F(ReplicatorTest, AWriteReachesEveryTarget) {
  MakeOwner({1}, {2});
  n(0).Write("k", "v");
  n(0).replicator->Flush();
  world.Run(milliseconds(20));
  EXPECT_EQ(n(1).Read("k"), "v");
  EXPECT_EQ(n(2).Read("k"), "v");
  EXPECT_EQ(InFlight(), 0U);
  EXPECT_EQ(n(0).replicator->stats().mutations_acked, 2U);
}

// What a peer answers is no reason to look outside of what there is, nor to look for ever.
TEST_F(ReplicatorTest, AnAnswerOfImpossiblePartitionsAndPositionsIsSteppedOver) {
  MakeOwner({1});
  ReplicateResult nonsense;
  for (const std::uint32_t number : {kPartitions, kPartitions + 1, 1U << 31, ~0U}) {
    nonsense.refused.push_back(number);
    nonsense.failed.push_back(number);
    nonsense.behind.push_back({number, {number, number}});
  }
  for (const BatchForm form : {BatchForm::kRecords, BatchForm::kGroups}) {
    n(0).table->ordered = form == BatchForm::kGroups;
    world.Boot(
        1,
        [&](sim::NodeIndex, FrameType, const std::string&, std::function<void(std::string)> reply) {
          reply(EncodeReplicateReply(nonsense, form));
        },
        nullptr, {});
    const auto outcome = WriteAndAwait("k", "v", 2);
    world.RunUntil([&] { return outcome->status.has_value(); }, seconds(1));
    EXPECT_TRUE(outcome->ok());
  }
}

TEST_F(ReplicatorTest, OneAckIsThereAtOnceTwoOnlyWithTheCopy) {
  MakeOwner({1});
  EXPECT_TRUE(WriteAndAwait("a", "1", 1)->ok());
  const auto outcome = WriteAndAwait("b", "2", 2);
  EXPECT_FALSE(outcome->status.has_value());
  world.RunUntil([&] { return outcome->status.has_value(); }, seconds(1));
  EXPECT_TRUE(outcome->ok());
  EXPECT_EQ(n(1).Read("b"), "2");
}

TEST_F(ReplicatorTest, ADeletionAndAFlushTravelToo) {
  MakeOwner({1});
  n(0).Write("k", "v");
  n(0).replicator->Flush();
  world.Run(milliseconds(10));
  ASSERT_EQ(n(1).Read("k"), "v");
  n(0).Delete("k");
  n(0).replicator->Flush();
  world.Run(milliseconds(10));
  EXPECT_EQ(n(1).Read("k"), "-");

  n(0).Write("f", "v");
  const PartitionId partition = n(0).engine->KeyOf("f").partition;
  Version version = 0;
  {
    Shard& shard = n(0).engine->ShardOf(partition);
    MutexLock lock(shard.mutex());
    version = shard.NextVersion(world.unix_now());
    shard.Flush(partition, version);
    n(0).replicator->SubmitOne(Effect::Flush(Key{.partition = partition}, version));
  }
  n(0).replicator->Flush();
  world.Run(milliseconds(10));
  EXPECT_EQ(n(1).Read("f"), "-");
}

// It pulled, and the ring gives the partition to another by now: its refusals must not be waited for.
TEST_F(ReplicatorTest, APullerThatGaveItsCopyUpIsNotWaitedFor) {
  MakeOwner({}, {2});
  const PartitionId partition = n(0).engine->KeyOf("k").partition;
  n(0).SetTargets(partition, {{sim::IdOf(1), 1, ReplicaSet::Standing::kPulling, false,
                               n(0).table->revision.load()},
                              {sim::IdOf(2), 1, ReplicaSet::Standing::kGossip, false}});
  const auto outcome = WriteAndAwait("k", "v", 2);
  world.RunUntil([&] { return outcome->status.has_value(); }, seconds(5));
  EXPECT_TRUE(outcome->ok());
  EXPECT_EQ(InFlight(), 0U);
  EXPECT_EQ(n(0).Targets(partition).targets[0].standing, ReplicaSet::Standing::kLagging);
}

// What was refused before it began to pull says nothing of it: it gets that from the walk.
TEST_F(ReplicatorTest, APullerThatBeganSinceARefusalStaysOne) {
  MakeOwner({}, {2});
  const PartitionId partition = n(0).engine->KeyOf("k").partition;
  n(0).SetTargets(partition, {{sim::IdOf(1), 1, ReplicaSet::Standing::kPulling, false, ~0ULL},
                              {sim::IdOf(2), 1, ReplicaSet::Standing::kGossip, false}});
  n(0).Write("k", "v");
  n(0).replicator->Flush();
  world.Run(seconds(1));
  EXPECT_EQ(n(0).Targets(partition).targets[0].standing, ReplicaSet::Standing::kPulling);
}

TEST_F(ReplicatorTest, AWarmingTargetDoesNotCountWhileACompleteOneIsThere) {
  MakeOwner({1}, {2});
  world.CutBoth(0, 1);
  const auto outcome = WriteAndAwait("k", "v", 2);
  world.Run(milliseconds(500));
  EXPECT_EQ(n(2).Read("k"), "v");
  EXPECT_FALSE(outcome->status.has_value()) << "the complete target does not have it";
  world.Run(seconds(3));
  EXPECT_TRUE(outcome->unknown());
  EXPECT_EQ(n(0).replicator->stats().acks_late, 1U);
}

TEST_F(ReplicatorTest, AWarmingTargetCountsWhereThereIsNoOther) {
  MakeOwner({}, {2});
  const auto outcome = WriteAndAwait("k", "v", 2);
  world.Run(milliseconds(20));
  EXPECT_TRUE(outcome->ok());
}

TEST_F(ReplicatorTest, WhatALinkLostIsSentAgain) {
  MakeOwner({1});
  world.Cut(1, 0);  // the mutation arrives, its acknowledgement does not
  const auto outcome = WriteAndAwait("k", "v", 2);
  world.Run(seconds(1));
  EXPECT_FALSE(outcome->status.has_value());
  EXPECT_EQ(InFlight(), 1U);
  EXPECT_NEAR(static_cast<double>(n(0).replicator->stats().lag_ns), 1e9, 5e7);
  world.Heal();
  world.Run(seconds(4));
  EXPECT_EQ(InFlight(), 0U) << "acknowledged once the link was back";
  EXPECT_EQ(n(0).replicator->stats().queue_bytes, 0U);
  EXPECT_EQ(n(0).replicator->stats().lag_ns, 0U);
}

TEST_F(ReplicatorTest, ABrokenLinkIsRetriedWithinTheTimeout) {
  MakeOwner({1});
  world.Crash(1);
  const auto outcome = WriteAndAwait("k", "v", 2);
  world.Run(milliseconds(300));
  EXPECT_FALSE(outcome->status.has_value());
  Boot(1);
  world.Run(milliseconds(700));
  EXPECT_TRUE(outcome->ok());
}

TEST_F(ReplicatorTest, WhenTheNeededTargetDiesTheNewHolderGetsTheWriteAndCompletesIt) {
  MakeOwner({1});
  world.Crash(1);
  const auto outcome = WriteAndAwait("k", "v", 2);
  world.Run(milliseconds(100));
  PublishViews({MemberState::kAlive, MemberState::kDead, MemberState::kAlive});
  for (PartitionId partition = 0; partition < kPartitions; ++partition) {
    n(2).SetRole(partition, Role::kWarming);
    n(0).SetTargets(partition, {{sim::IdOf(2), 1, ReplicaSet::Standing::kGossip, false}});
  }
  world.Run(milliseconds(200));
  EXPECT_TRUE(outcome->ok());
  EXPECT_EQ(n(2).Read("k"), "v");
  EXPECT_EQ(InFlight(), 0U);
}

TEST_F(ReplicatorTest, WithNobodyLeftTheOutcomeIsUnknownNeverOk) {
  MakeOwner({1});
  world.Crash(1);
  const auto outcome = WriteAndAwait("k", "v", 2);
  PublishViews({MemberState::kAlive, MemberState::kDead, MemberState::kAlive});
  for (PartitionId partition = 0; partition < kPartitions; ++partition) {
    n(0).SetTargets(partition, {});
  }
  world.Run(seconds(1));
  EXPECT_FALSE(outcome->status.has_value());
  world.Run(seconds(2));
  EXPECT_TRUE(outcome->unknown());
  EXPECT_EQ(InFlight(), 0U);
}

TEST_F(ReplicatorTest, CheckRefusesWhatCannotBeHad) {
  MakeOwner({1});
  EXPECT_TRUE(n(0).Check(0, 1));
  EXPECT_TRUE(n(0).Check(0, 2));
  const Status three = n(0).Check(0, 3);
  ASSERT_FALSE(three);
  EXPECT_EQ(three.error().code, ErrorCode::kTooFewReplicas);
  n(0).SetTargets(0, {});
  EXPECT_FALSE(n(0).Check(0, 2));
  EXPECT_TRUE(n(0).Check(0, 1));
}

TEST_F(ReplicatorTest, ANodeThatHoldsNothingDoesNotCountAsACopy) {
  MakeOwner({1});
  for (PartitionId partition = 0; partition < kPartitions; ++partition) {
    n(1).SetRole(partition, Role::kAbsent);
  }
  const auto outcome = WriteAndAwait("k", "v", 2);
  world.Run(milliseconds(100));
  EXPECT_FALSE(outcome->status.has_value());
  EXPECT_EQ(InFlight(), 0U);
  const PartitionId partition = n(0).engine->KeyOf("k").partition;
  const ReplicaSet set = n(0).Targets(partition);
  ASSERT_EQ(set.count, 1U);
  EXPECT_FALSE(set.targets[0].complete);
  EXPECT_FALSE(n(0).Check(partition, 2));
  world.Run(seconds(3));
  EXPECT_TRUE(outcome->unknown());
}

TEST_F(ReplicatorTest, AGroupIsAcknowledgedAsAWhole) {
  MakeOwner({1});
  // Large enough that they do not stand in one batch.
  const std::string value(ReplicaQueue::kBatchBytesMax, 'x');
  const Key keys[] = {n(0).engine->KeyOf("{k}1"), n(0).engine->KeyOf("{k}2"),
                      n(0).engine->KeyOf("{k}3")};
  Replicator::Ticket ticket = 0;
  {
    Shard& shard = n(0).engine->ShardOf(keys[0].partition);
    MutexLock lock(shard.mutex());
    std::vector<Effect> group;
    for (const Key& key : keys) {
      const auto stored =
          shard.Store(key, value, kNeverExpires, 0, shard.NextVersion(world.unix_now()));
      ASSERT_TRUE(stored);
      group.push_back(Effect::Put(key, *stored));
    }
    ticket = n(0).replicator->Submit(keys[0].partition, group);
  }
  std::vector<Status> told;
  n(0).replicator->Await(ticket, 2, [&told](const Status& status) { told.push_back(status); });
  n(0).replicator->Await(ticket, 3, [&told](const Status& status) { told.push_back(status); });
  n(0).replicator->Flush();
  EXPECT_TRUE(told.empty());
  world.Run(milliseconds(100));
  ASSERT_EQ(told.size(), 1U);
  EXPECT_TRUE(told[0]);
  for (const Key& key : keys) EXPECT_EQ(n(1).Read(std::string(key.bytes)), value);
  world.Run(seconds(3));
  ASSERT_EQ(told.size(), 2U) << "with three copies that there are not: once, with the first error";
  EXPECT_EQ(told[1].error().code, ErrorCode::kUnknownOutcome);
}

TEST_F(ReplicatorTest, WaitCountsTheNodesThatHaveAllOfIt) {
  MakeOwner({1});
  world.Cut(0, 1);
  const Replicator::Ticket ticket = n(0).Write("k", "v");
  n(0).replicator->Flush();
  std::optional<std::uint32_t> copies;
  n(0).replicator->AwaitAll(ticket, 1, milliseconds(100),
                            [&copies](std::uint32_t have) { copies = have; });
  EXPECT_FALSE(copies);
  world.Run(milliseconds(200));
  EXPECT_EQ(copies, 0U);
  world.Heal();
  world.Run(seconds(4));
  copies.reset();
  n(0).replicator->AwaitAll(ticket, 1, milliseconds(100),
                            [&copies](std::uint32_t have) { copies = have; });
  EXPECT_EQ(copies, 1U);
}

TEST_F(ReplicatorTest, WhatDoesNotFitInTheQueueMakesTheTargetLag) {
  ReplicatorOptions options;
  options.queue_bytes_max = 10'000;
  n(0).replicator =
      std::make_unique<ReplicatorImpl>(options, *n(0).engine, *n(0).table, n(0).views,
                                       n(0).transport, [this] { return world.now(); });
  MakeOwner({1});
  world.CutBoth(0, 1);
  for (int i = 0; i < 100; ++i) {
    n(0).Write("k" + std::to_string(i), std::string(500, 'x'));
    n(0).replicator->Flush();
  }
  world.Run(milliseconds(50));
  EXPECT_LE(n(0).replicator->stats().queue_bytes, 11'000U);
  EXPECT_GT(n(0).replicator->stats().mutations_dropped, 0U);
  std::size_t lagging = 0;
  for (PartitionId partition = 0; partition < kPartitions; ++partition) {
    const ReplicaSet set = n(0).Targets(partition);
    if (set.targets[0].standing != ReplicaSet::Standing::kLagging) continue;
    ++lagging;
    EXPECT_FALSE(set.targets[0].complete);
    EXPECT_FALSE(n(0).Check(partition, 2)) << "it cannot acknowledge what it does not get";
  }
  EXPECT_GT(lagging, 0U);
  EXPECT_EQ(n(0).replicator->stats().resyncs, lagging);
  world.Heal();
  world.Run(seconds(4));
  EXPECT_EQ(InFlight(), 0U);
}

class ThreeCopies : public DataTest {
 protected:
  ThreeCopies() : DataTest(4, 3) {}
};

TEST_F(ThreeCopies, TwoAcksOfThreeNeedOneOther) {
  MakeOwner({1, 2});
  world.CutBoth(0, 2);
  const auto outcome = WriteAndAwait("k", "v", 2);
  world.Run(milliseconds(20));
  EXPECT_TRUE(outcome->ok());
}

TEST_F(ThreeCopies, AllAcksNeedEveryCompleteTarget) {
  MakeOwner({1, 2});
  world.CutBoth(0, 2);
  const auto outcome = WriteAndAwait("k", "v", 3);
  world.Run(milliseconds(500));
  EXPECT_FALSE(outcome->status.has_value());
}

TEST_F(ThreeCopies, WhereOneIsWarmingItFillsUpTheNumberBehindTheCompleteOne) {
  MakeOwner({1}, {2});
  world.CutBoth(0, 2);
  const auto outcome = WriteAndAwait("k", "v", 3);
  world.Run(milliseconds(100));
  EXPECT_FALSE(outcome->status.has_value()) << "two copies are not three";
  world.Heal();
  world.Run(milliseconds(1900));
  const auto again = WriteAndAwait("k2", "v", 3);
  world.Run(seconds(1));
  EXPECT_TRUE(again->ok());
}

TEST_F(ThreeCopies, MoreCompleteTargetsThanAcksMustAllHaveItAtFullAcks) {
  MakeOwner({1, 2, 3});  // a ring change: one holder too many for a while
  world.CutBoth(0, 3);
  const auto outcome = WriteAndAwait("k", "v", 3);
  world.Run(milliseconds(500));
  EXPECT_FALSE(outcome->status.has_value());
}

}  // namespace
}  // namespace gyre
