#include "repair/repair.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/data_fixture.h"
#include "proto_gen/cluster.pb.h"

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
  UnixMillis forgotten_here = 0;
  UnixMillis forgotten_there = 0;
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
  here.newest_forgotten = VersionAt(rule.forgotten_here);
  there.newest_forgotten = VersionAt(rule.forgotten_there);
  const RepairPlan plan = PlanRepair(here, there, rule.reliable_from, 10'000);
  std::string said;
  if (!plan.send.empty()) said += "send";
  if (!plan.fetch.empty()) said += "fetch";
  if (plan.withheld != 0) said += "withhold";
  EXPECT_EQ(said, rule.expected);
}

INSTANTIATE_TEST_SUITE_P(
    Rule, RepairRule,
    ::testing::Values(
        RuleCase{"same", 500, 500, 0, 0, 0, ""}, RuleCase{"newer_here", 600, 500, 0, 0, 0, "send"},
        RuleCase{"newer_there", 500, 600, 0, 0, 0, "fetch"},
        RuleCase{"newer_here_whatever_was_evicted", 600, 500, 900, 900, 900, "send"},
        RuleCase{"lost_there", 600, std::nullopt, 0, 500, 0, "send"},
        RuleCase{"lost_here", std::nullopt, 600, 500, 0, 0, "fetch"},
        RuleCase{"perhaps_evicted_there", 600, std::nullopt, 0, 600, 0, "withhold"},
        RuleCase{"perhaps_evicted_here", std::nullopt, 600, 700, 0, 0, "withhold"},
        RuleCase{"perhaps_deleted_there", 600, std::nullopt, 0, 0, 700, "withhold"},
        RuleCase{"surely_not_deleted_there", 800, std::nullopt, 0, 0, 700, "send"},
        RuleCase{"removed_and_forgotten_there", 600, std::nullopt, 0, 0, 0, "withhold", 0, 600},
        RuleCase{"removed_and_forgotten_here", std::nullopt, 600, 0, 0, 0, "withhold", 700, 0},
        RuleCase{"written_since_the_removals_there", 600, std::nullopt, 0, 0, 0, "send", 900, 599},
        RuleCase{"newer_whatever_was_forgotten", 600, 500, 0, 0, 0, "send", 900, 900},
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
  // The changes in what a node keeps of the partition's stream.
  std::vector<std::string> ToldBy(std::size_t node, PartitionId partition) {
    std::vector<std::string> told;
    std::vector<DecodedEffect> effects;
    MutexLock lock(n(node).engine->ShardOf(partition).mutex());
    KeptStream& kept = n(node).table->StreamsOf(partition).kept;
    const auto tell = [&](const KeptStream::Group& group) {
      EXPECT_TRUE(DecodeEffects(partition, group.bytes, effects));
      for (const DecodedEffect& effect : effects) {
        const Mutation& change = effect.mutation;
        told.push_back(change.tombstone
                           ? "remove " + std::string(change.key)
                           : "set " + std::string(change.key) + " " + std::string(change.value));
      }
    };
    kept.Read(partition, kept.Nearest(partition, {}), std::size_t{1} << 20, KeptStream::Which::kAll,
              tell);
    return told;
  }

  std::unique_ptr<Repair> repair;
};

// Where few records differ, few are looked at; and far fewer bytes than 16 for each record go over.
TEST_F(RepairTest, WhatDiffersIsFoundWithoutAListOfAll) {
  constexpr int kRecords = 16'000;
  for (int i = 0; i < kRecords; ++i) {
    for (std::size_t node : {0U, 1U, 2U}) ApplyAt(node, "k" + std::to_string(i), "same", Now());
  }
  world.Run(seconds(1));
  ApplyAt(0, "k17", "newer at the owner", Now());
  ApplyAt(1, "k18", "newer at the copy", Now());
  ApplyAt(1, "only there", "lost here", Now());
  world.Run(seconds(6));
  for (std::size_t node : {0U, 1U, 2U}) {
    EXPECT_EQ(n(node).Read("k17"), "newer at the owner") << node;
    EXPECT_EQ(n(node).Read("k18"), "newer at the copy") << node;
    EXPECT_EQ(n(node).Read("only there"), "lost here") << node;
  }
  EXPECT_LT(repair->stats().listed, 2000U);
  EXPECT_GE(repair->stats().listed, 3U);
}

// It knows no question for digests of ranges from whom it sends no writes.
TEST_F(RepairTest, ACopyOfAnOlderReleaseIsListedWhole) {
  for (int i = 0; i < 2000; ++i) {
    for (std::size_t node : {0U, 1U}) ApplyAt(node, "k" + std::to_string(i), "same", Now());
  }
  world.Boot(1,
             [this](sim::NodeIndex, FrameType, const std::string& payload,
                    std::function<void(std::string)> reply) {
               wire::PeerRequest request;
               ASSERT_TRUE(request.ParseFromString(payload));
               if (request.has_compare()) request.mutable_compare()->clear_looks();
               if (request.has_versions()) request.mutable_versions()->clear_last_hash();
               n(1).service->Handle(request.SerializeAsString(), std::move(reply));
             },
             nullptr, {});
  world.Run(seconds(1));
  ApplyAt(1, "k18", "newer at the copy", Now());
  world.Run(seconds(6));
  EXPECT_EQ(n(0).Read("k18"), "newer at the copy");
  EXPECT_GE(repair->stats().listed, 200U);
}

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

// After a stop of the whole ring no copy is whole, and none can pull from who recovers.
TEST_F(RepairTest, ARecoveryTakesWhatACopyHasThatIsNotWhole) {
  ApplyAt(1, "k", "theirs", Now());
  const PartitionId partition = n(0).engine->KeyOf("k").partition;
  for (const auto& [node, role] : {std::pair{0, Role::kRecovering}, std::pair{1, Role::kWarming}}) {
    Shard& shard = n(node).engine->ShardOf(partition);
    MutexLock lock(shard.mutex());
    shard.SetRole(partition, role);
  }
  std::vector<RecoveryOutcome> ended;
  repair->on_recovered = [&ended](PartitionId, const NodeId&, RecoveryOutcome outcome) {
    ended.push_back(outcome);
  };
  for (int round = 0; round < 2; ++round) {
    repair->Recover(partition, n(1).id);
    world.Run(milliseconds(100));
  }
  EXPECT_THAT(ended, ElementsAre(RecoveryOutcome::kGained, RecoveryOutcome::kAgreed));
  EXPECT_EQ(n(0).Read("k"), "theirs");
}

// Who took the partition over from an owner that died, and got something here that a copy may lack which it
// was compared with before: all are to be compared again. An owner that goes on is not asked for that.
TEST_F(RepairTest, ARecoveryThatBroughtSomethingSaysSo) {
  std::vector<RecoveryOutcome> ended;
  repair->on_recovered = [&ended](PartitionId, const NodeId&, RecoveryOutcome outcome) {
    ended.push_back(outcome);
  };
  const PartitionId partition = n(0).engine->KeyOf("k").partition;
  n(0).SetRole(partition, Role::kRecovering);
  ApplyAt(1, "k", "only there", Now());
  for (int round = 0; round < 2; ++round) {
    repair->Recover(partition, n(1).id);
    world.Run(milliseconds(100));
  }
  EXPECT_THAT(ended, ElementsAre(RecoveryOutcome::kGained, RecoveryOutcome::kAgreed));
  EXPECT_EQ(n(0).Read("k"), "only there");
}

// The last word of an owner that died reached one copy alone.
TEST_F(RepairTest, WhatAllHadIsForgottenByWhoeverTakesOver) {
  const PartitionId partition = n(0).engine->KeyOf("k").partition;
  for (std::size_t node : {0U, 1U}) {
    ApplyAt(node, "k", "v", Now());
    Shard& shard = n(node).engine->ShardOf(partition);
    MutexLock lock(shard.mutex());
    shard.Remove(n(node).engine->KeyOf("k"), Now() + 1, world.unix_now());
    if (node == 1) shard.ForgetRemovals(partition, Now() + 2);
  }
  n(0).SetRole(partition, Role::kRecovering);
  repair->Recover(partition, n(1).id);
  world.Run(milliseconds(100));
  for (std::size_t node : {0U, 1U}) {
    MutexLock lock(n(node).engine->ShardOf(partition).mutex());
    EXPECT_EQ(n(node).engine->ShardOf(partition).info(partition).tombstones, 0U) << node;
  }
}

// A reader of the stream missed the write with the owner that died: it is told it as the first group of the
// heir's term, before whatever that orders, and the other copies get it in the order, too.
TEST_F(RepairTest, WhatAnHeirTakesIsTheFirstGroupOfItsTerm) {
  repair->set_streams(*n(0).table, *n(0).replicator);
  const PartitionId partition = n(0).engine->KeyOf("taken").partition;
  n(0).SetRole(partition, Role::kRecovering);
  ApplyAt(1, "taken", "x", Now());
  repair->Recover(partition, n(1).id);
  world.Run(milliseconds(100));
  EXPECT_EQ(n(0).Read("taken"), "x");
  EXPECT_NE(n(0).table->in_flight[partition], 0U) << "nobody else may become the owner now";
  EXPECT_THAT(ToldBy(0, partition), IsEmpty()) << "it orders nothing yet";
  n(0).SetRole(partition, Role::kOwner);
  n(0).Delete("taken");
  n(0).replicator->Flush();
  world.Run(milliseconds(100));
  for (const std::size_t node : {0U, 1U, 2U}) {
    EXPECT_THAT(ToldBy(node, partition), ElementsAre("set taken x", "remove taken")) << node;
  }
  EXPECT_EQ(n(0).table->in_flight[partition], 0U);
}

TEST_F(RepairTest, WhatAnOwnerTakesIsAGroupWithoutAWrite) {
  repair->set_streams(*n(0).table, *n(0).replicator);
  ApplyAt(2, "taken", "x", Now());
  world.Run(seconds(10));
  EXPECT_THAT(ToldBy(1, n(0).engine->KeyOf("taken").partition), ElementsAre("set taken x"));
}

TEST_F(RepairTest, MoreThanCanBeKeptOfWhatWasTakenIsAGap) {
  repair->set_streams(*n(0).table, *n(0).replicator);
  const PartitionId partition = n(0).engine->KeyOf("{p}").partition;
  n(0).Write("{p}before", "x");
  n(0).replicator->Flush();
  world.Run(milliseconds(100));
  const StreamPosition before = n(0).table->LastOf(partition);
  n(0).SetRole(partition, Role::kRecovering);
  const std::string value(std::size_t{900} << 10, 'v');
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 3; ++i) ApplyAt(1, "{p}" + std::to_string(i), value, Now());
    repair->Recover(partition, n(1).id);
    world.Run(seconds(1));
  }
  n(0).SetRole(partition, Role::kOwner);
  n(0).Write("{p}after", "x");
  MutexLock lock(n(0).engine->ShardOf(partition).mutex());
  KeptStream& kept = n(0).table->StreamsOf(partition).kept;
  EXPECT_FALSE(kept.Reaches(partition, before));
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

// The rounds find the same difference, at any moment.
TEST_F(RepairTest, ARecoveryEndsWhateverTheRoundsFind) {
  int ended = 0;
  repair->on_recovered = [&ended](PartitionId, const NodeId&, RecoveryOutcome outcome) {
    EXPECT_EQ(outcome, RecoveryOutcome::kAgreed);
    ++ended;
  };
  std::vector<std::string> key_of(kPartitions);  // [partition]
  for (int i = 0; std::count(key_of.begin(), key_of.end(), "") != 0; ++i) {
    const std::string key = "k" + std::to_string(i);
    key_of[n(0).engine->KeyOf(key).partition] = key;
  }
  int asked = 0;
  for (int turn = 0; turn < 200; ++turn) {
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      ApplyAt(1, key_of[partition], std::to_string(turn), Now());
    }
    world.Run(milliseconds(7 * turn % 250));
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      repair->Recover(partition, n(1).id);
      ++asked;
    }
    world.Run(milliseconds(100));
    ASSERT_EQ(ended, asked) << "turn " << turn;
  }
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
