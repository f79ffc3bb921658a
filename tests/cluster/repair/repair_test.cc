#include "repair/repair.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/data_fixture.h"

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;

struct RuleCase {
  const char* name;
  std::optional<UnixMillis> here;  // version of the one record
  std::optional<UnixMillis> there;
  UnixMillis evicted_here = 0;
  UnixMillis evicted_there = 0;
  UnixMillis reliable_from = 0;
  const char* expected = "";  // send, fetch, withhold or nothing
};

class RepairRule : public ::testing::TestWithParam<RuleCase> {};

TEST_P(RepairRule, DecidesWhatIsShipped) {
  const RuleCase& rule = GetParam();
  RepairSide here;
  RepairSide there;
  if (rule.here) here.versions[42] = VersionAt(*rule.here);
  if (rule.there) there.versions[42] = VersionAt(*rule.there);
  here.newest_evicted = VersionAt(rule.evicted_here);
  there.newest_evicted = VersionAt(rule.evicted_there);
  const RepairPlan plan = PlanRepair(here, there, rule.reliable_from, 10'000);
  std::string said;
  if (!plan.send.empty()) said += "send";
  if (!plan.fetch.empty()) said += "fetch";
  if (plan.withheld != 0) said += "withhold";
  EXPECT_EQ(said, rule.expected);
}

INSTANTIATE_TEST_SUITE_P(
    Rule, RepairRule,
    ::testing::Values(RuleCase{"same", 500, 500, 0, 0, 0, ""},
                      RuleCase{"newer_here", 600, 500, 0, 0, 0, "send"},
                      RuleCase{"newer_there", 500, 600, 0, 0, 0, "fetch"},
                      RuleCase{"newer_here_whatever_was_evicted", 600, 500, 900, 900, 900, "send"},
                      RuleCase{"lost_there", 600, std::nullopt, 0, 500, 0, "send"},
                      RuleCase{"lost_here", std::nullopt, 600, 500, 0, 0, "fetch"},
                      RuleCase{"perhaps_evicted_there", 600, std::nullopt, 0, 600, 0, "withhold"},
                      RuleCase{"perhaps_evicted_here", std::nullopt, 600, 700, 0, 0, "withhold"},
                      RuleCase{"perhaps_deleted_there", 600, std::nullopt, 0, 0, 700, "withhold"},
                      RuleCase{"surely_not_deleted_there", 800, std::nullopt, 0, 0, 700, "send"},
                      RuleCase{"on_its_way", 10'000, std::nullopt, 0, 0, 0, ""},
                      RuleCase{"newer_on_its_way", 10'001, 500, 0, 0, 0, ""}),
    [](const auto& info) { return info.param.name; });

// After a death: what either side evicted of the last moments may have been newer than what the
// other still has.
TEST(RecoveryRule, AfterADeathOutdatedRecordsAreVoid) {
  RepairSide here{{{1, VersionAt(500)}, {2, VersionAt(600)}}, VersionAt(300)};
  RepairSide there{{{2, VersionAt(600)}, {3, VersionAt(200)}}, VersionAt(900)};
  EXPECT_THAT(PlanRepair(here, there, 0, 10'000).void_here, IsEmpty());
  EXPECT_THAT(PlanRepair(here, there, 0, 10'000, 1000).void_here, IsEmpty())
      << "it was evicted long before";
  const RepairPlan plan = PlanRepair(here, there, 0, 10'000, 250);
  EXPECT_THAT(plan.void_here, ElementsAre(1));
  EXPECT_EQ(plan.void_there, 1U);
  EXPECT_THAT(plan.send, IsEmpty());
  EXPECT_THAT(plan.fetch, IsEmpty());
}

class RepairTest : public DataTest {
 protected:
  RepairTest() {
    MakeOwner({1, 2});
    MakeRepair({});
  }
  void MakeRepair(const RepairOptions& options) {
    repair = std::make_unique<Repair>(options, n(0).id, *n(0).engine, n(0).views, n(0).transport,
                                      [this] { return world.unix_now(); });
    repair->Start();
  }
  // How a recovery of partition 3 ends while node 1 has this role.
  std::vector<RecoveryOutcome> RecoverWhileTheOtherIs(Role role) {
    std::vector<RecoveryOutcome> ended;
    repair->on_recovered = [&ended](PartitionId, const NodeId&, RecoveryOutcome outcome) {
      ended.push_back(outcome);
    };
    {
      Shard& shard = n(1).engine->ShardOf(3);
      MutexLock lock(shard.mutex());
      shard.SetRole(3, role);
    }
    repair->Recover(3, n(1).id);
    world.Run(milliseconds(100));
    repair->on_recovered = nullptr;
    return ended;
  }
  void ApplyAt(std::size_t node, const std::string& key, const std::string& value,
               Version version) {
    const Key k = n(node).engine->KeyOf(key);
    Shard& shard = n(node).engine->ShardOf(k.partition);
    MutexLock lock(shard.mutex());
    Mutation mutation;
    mutation.partition = k.partition;
    mutation.key = key;
    mutation.value = value;
    mutation.version = version;
    EXPECT_TRUE(shard.Apply(mutation, world.unix_now()));
  }
  Version Now() { return VersionAt(world.unix_now()); }

  std::unique_ptr<Repair> repair;
};

TEST_F(RepairTest, LostWritesArriveAndNewerOnesComeBack) {
  for (int i = 0; i < 3000; ++i) {
    const std::string key = "k" + std::to_string(i);
    ApplyAt(0, key, "same", Now());
    if (i % 3 != 0) ApplyAt(1, key, "same", Now());
    ApplyAt(2, key, "same", Now());
  }
  world.Run(milliseconds(10));
  ApplyAt(1, "only there", "x", Now());
  ApplyAt(2, "k1", "newer", Now());
  world.Run(seconds(10));
  for (int i = 0; i < 3000; ++i) {
    const std::string key = "k" + std::to_string(i);
    for (std::size_t node : {0U, 1U, 2U}) {
      ASSERT_EQ(n(node).Read(key), i == 1 ? "newer" : "same") << key << " at " << node;
    }
  }
  EXPECT_EQ(n(0).Read("only there"), "x");
  EXPECT_EQ(n(2).Read("only there"), "x");
  const RepairStats stats = repair->stats();
  EXPECT_GE(stats.sent, 1000U);
  EXPECT_GE(stats.fetched, 2U);
  EXPECT_GT(stats.compared, stats.different);
}

TEST_F(RepairTest, ADeletionWinsOverTheRecordThatMissedIt) {
  n(0).Write("k", "v");
  n(0).replicator->Flush();
  world.Run(milliseconds(10));
  world.CutBoth(0, 1);
  n(0).Delete("k");
  n(0).SetTargets(n(0).engine->KeyOf("k").partition, {});  // as if it had never been sent
  world.Run(seconds(3));
  ASSERT_EQ(n(1).Read("k"), "v");
  world.Heal();
  world.Run(seconds(10));
  EXPECT_EQ(n(1).Read("k"), "-");
  EXPECT_EQ(n(0).Read("k"), "-");
}

TEST_F(RepairTest, ARecoveryEvensOutEvenWhatIsYoungAtOnceAndBothWays) {
  std::map<std::pair<PartitionId, NodeId>, RecoveryOutcome> ended;
  repair->on_recovered = [&ended](PartitionId partition, const NodeId& node,
                                  RecoveryOutcome outcome) {
    ended[{partition, node}] = outcome;
  };
  ApplyAt(1, "only there", "x", Now());
  ApplyAt(0, "only here", "y", Now());
  ApplyAt(0, "both", "old", Now());
  ApplyAt(1, "both", "new", Now() + 1);
  const std::uint32_t count = n(0).engine->options().partition_count;
  for (PartitionId partition = 0; partition < count; ++partition) {
    repair->Recover(partition, n(1).id);
  }
  world.Run(milliseconds(100));  // less than a round
  EXPECT_EQ(ended.size(), count);
  for (const auto& [pair, outcome] : ended) {
    EXPECT_EQ(outcome, RecoveryOutcome::kAgreed) << pair.first;
  }
  for (std::size_t node : {0U, 1U}) {
    EXPECT_EQ(n(node).Read("only there"), "x");
    EXPECT_EQ(n(node).Read("only here"), "y");
    EXPECT_EQ(n(node).Read("both"), "new");
  }
}

TEST_F(RepairTest, ARecoveryFromANodeThatDoesNotAnswerEndsAsFailed) {
  std::vector<RecoveryOutcome> ended;
  repair->on_recovered = [&ended](PartitionId, const NodeId&, RecoveryOutcome outcome) {
    ended.push_back(outcome);
  };
  world.CutBoth(0, 1);
  repair->Recover(3, n(1).id);
  world.Run(seconds(3));
  EXPECT_EQ(ended, std::vector{RecoveryOutcome::kFailed});
}

TEST_F(RepairTest, OfTwoThatTakeAPartitionOverOneGoesFirst) {
  const std::vector agreed{RecoveryOutcome::kAgreed};
  const std::vector contended{RecoveryOutcome::kContended};
  EXPECT_EQ(RecoverWhileTheOtherIs(Role::kReplica), agreed);
  EXPECT_EQ(RecoverWhileTheOtherIs(Role::kOwner), contended);
  const bool other_first = n(1).id < n(0).id;
  EXPECT_EQ(RecoverWhileTheOtherIs(Role::kRecovering), other_first ? contended : agreed);
}

// A claim without a lease must not keep the leaseholder from what the copy has.
TEST_F(RepairTest, WhereLeasesDecideACopyIsComparedWhateverItsNodeClaims) {
  MakeRepair({.yields = false});
  ApplyAt(1, "k", "v", Now());
  for (const Role role : {Role::kOwner, Role::kRecovering}) {
    EXPECT_EQ(RecoverWhileTheOtherIs(role), std::vector{RecoveryOutcome::kAgreed});
  }
}

TEST_F(RepairTest, WhatAHolderEvictedStaysAway) {
  // One small node evicts; the owner has it all.
  for (int i = 0; i < 6000; ++i) {
    ApplyAt(0, "k" + std::to_string(i), std::string(1000, 'v'), Now());
  }
  EngineOptions small = n(1).engine->options();
  small.memory_bytes = std::size_t{4} << 20;
  small.shard_count = 1;
  n(1).engine = std::move(*Engine::Create(small));
  n(1).service = std::make_unique<PeerService>(*n(1).engine, *n(1).table, n(1).views, n(1).control,
                                               [this] { return world.unix_now(); });
  MakeOwner({1, 2});
  for (int i = 0; i < 6000; ++i) {
    ApplyAt(1, "k" + std::to_string(i), std::string(1000, 'v'), Now());
    ApplyAt(2, "k" + std::to_string(i), std::string(1000, 'v'), Now());
  }
  const std::uint64_t evicted = n(1).engine->stats().evicted;
  ASSERT_GT(evicted, 0U);
  world.Run(seconds(20));
  EXPECT_EQ(n(1).engine->stats().evicted, evicted) << "repair pushed out what was there";
  EXPECT_GT(repair->stats().withheld, 0U);
}

}  // namespace
}  // namespace gyre
