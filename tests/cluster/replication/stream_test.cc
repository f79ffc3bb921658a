// The order of a partition's writes, from its owner to its copies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/data_fixture.h"
#include "peer/effect_codec.h"
#include "peer/peer_codec.h"
#include "proto_gen/cluster.pb.h"

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// A link on which nothing gets through until it is told.
class HeldTransport final : public Transport {
 public:
  explicit HeldTransport(Transport& link) : link_(link) {}
  void Call(const NodeId& to, FrameType type, std::string payload, Duration deadline,
            Done done) override {
    held_.emplace_back([this, to, type, payload = std::move(payload), deadline,
                        done = std::move(done)] { link_.Call(to, type, payload, deadline, done); });
  }
  void After(Duration delay, std::function<void()> done) override {
    link_.After(delay, std::move(done));
  }
  void Release() {
    for (const auto& call : std::exchange(held_, {})) call();
  }

 private:
  Transport& link_;
  std::vector<std::function<void()>> held_;
};

class StreamTest : public DataTest {
 protected:
  StreamTest() {
    const auto make = [this](Transport& link) {
      return std::make_unique<ReplicatorImpl>(ReplicatorOptions{}, *n(0).engine, *n(0).table,
                                              n(0).views, link, [this] { return world.now(); });
    };
    held_loop_ = make(held_);
    other_loop_ = make(other_link_);
  }

  PartitionId PartitionOf(const std::string& key) { return n(0).engine->KeyOf(key).partition; }

  // What a command of node 0 left of several keys of one partition, by one of its loops.
  Replicator::Ticket WriteBy(ReplicatorImpl& loop, const std::vector<std::string>& keys,
                             const std::string& value) {
    std::vector<Key> hashed;
    std::vector<Effect> group;
    for (const std::string& key : keys) hashed.push_back(n(0).engine->KeyOf(key));
    Shard& shard = n(0).engine->ShardOf(hashed.front().partition);
    MutexLock lock(shard.mutex());
    const Version version = shard.NextVersion(world.unix_now());
    for (const Key& key : hashed) {
      EXPECT_TRUE(shard.Store(key, value, kNeverExpires, 0, version));
    }
    for (const Key& key : hashed) group.push_back(Effect::Put(key, shard.Peek(key)));
    return loop.Submit(hashed.front().partition, group);
  }

  StreamPosition LastOf(std::size_t node, PartitionId partition) {
    MutexLock lock(n(node).engine->ShardOf(partition).mutex());
    return n(node).table->LastOf(partition);
  }
  StreamPosition SettledOf(PartitionId partition) {
    MutexLock lock(n(0).engine->ShardOf(partition).mutex());
    return n(0).table->StreamsOf(partition).kept.settled(partition);
  }
  GroupReceiverStats Received(std::size_t node) { return n(node).service->groups().stats(); }

  // One group as another owner sends it.
  static void AddGroup(wire::PeerRequest& request, PartitionId partition, StreamPosition position,
                       StreamPosition base, const std::string& key, const std::string& value,
                       Version version) {
    wire::Group& group = *request.mutable_replicate_groups()->add_groups();
    group.set_partition(partition);
    group.set_term(position.term);
    group.set_number(position.number);
    group.set_base_term(base.term);
    group.set_base_number(base.number);
    wire::Replicate effects;
    wire::Mutation& mutation = *effects.add_mutations();
    mutation.set_partition(partition);
    mutation.set_key(key);
    mutation.set_value(value);
    mutation.set_version(version);
    group.set_effects(effects.SerializeAsString());
  }
  struct Answer {
    bool came = false;
    wire::PeerReply reply;
    const wire::ReplicateGroupsReply& groups() const { return reply.replicate_groups(); }
  };
  std::shared_ptr<Answer> Ask(std::size_t node, const wire::PeerRequest& request) {
    auto answer = std::make_shared<Answer>();
    n(node).service->Handle(request.SerializeAsString(), [answer](const std::string& bytes) {
      EXPECT_FALSE(std::exchange(answer->came, true));
      EXPECT_TRUE(answer->reply.ParseFromString(bytes));
    });
    return answer;
  }

  sim::SimTransport other_link_{world, 0, 1};
  HeldTransport held_{n(0).transport};
  std::unique_ptr<ReplicatorImpl> held_loop_;
  std::unique_ptr<ReplicatorImpl> other_loop_;
};

// Positions that could be, stamped now.
constexpr std::uint64_t kTerm = std::uint64_t{1} << 60;

TEST_F(StreamTest, CopiesStandWhereTheOwnerDoes) {
  MakeOwner({1}, {2});
  n(0).Write("k", "1");
  n(0).Write("k", "2");
  n(0).replicator->Flush();
  world.Run(milliseconds(20));
  const StreamPosition last = LastOf(0, PartitionOf("k"));
  EXPECT_EQ(last.number, 2U);
  EXPECT_EQ(LastOf(1, PartitionOf("k")), last);
  EXPECT_EQ(SettledOf(PartitionOf("k")), last);
}

TEST_F(StreamTest, AGroupThatOvertookItsPredecessorWaitsForIt) {
  MakeOwner({1});
  WriteBy(*held_loop_, {"{t}a"}, "first");
  const Replicator::Ticket ticket = WriteBy(*other_loop_, {"{t}a", "{t}b"}, "second");
  bool acknowledged = false;
  other_loop_->Await(ticket, 2, [&](const Status& status) { acknowledged = status.has_value(); });
  other_loop_->Flush();
  world.Run(milliseconds(50));
  EXPECT_EQ(n(1).Read("{t}b"), "-");
  EXPECT_EQ(Received(1).waited, 1U);
  EXPECT_FALSE(acknowledged);
  EXPECT_EQ(SettledOf(PartitionOf("{t}a")), (StreamPosition{}));
  held_.Release();
  world.Run(milliseconds(50));
  EXPECT_EQ(n(1).Read("{t}a"), "second");
  EXPECT_EQ(n(1).Read("{t}b"), "second");
  EXPECT_TRUE(acknowledged);
  EXPECT_EQ(SettledOf(PartitionOf("{t}a")), LastOf(0, PartitionOf("{t}a")));
  EXPECT_EQ(InFlight(), 0U);
}

TEST_F(StreamTest, WhatDoesNotComeIsSentAgainFromWhatIsKept) {
  MakeOwner({1});
  WriteBy(*held_loop_, {"{t}a"}, "first");
  WriteBy(*other_loop_, {"{t}b"}, "second");
  other_loop_->Flush();
  world.Run(GroupReceiver::kEarlyWait + milliseconds(50));
  EXPECT_EQ(n(1).Read("{t}a"), "first");
  EXPECT_EQ(n(1).Read("{t}b"), "second");
  EXPECT_EQ(other_loop_->stats().groups_resent, 2U) << "the opening of the term, and the first";
  held_.Release();  // after all: a duplicate
  world.Run(milliseconds(50));
  EXPECT_EQ(InFlight(), 0U);
  EXPECT_EQ(LastOf(1, PartitionOf("{t}a")), LastOf(0, PartitionOf("{t}a")));
}

TEST_F(StreamTest, ACopyThatLacksMoreThanIsKeptMustPull) {
  MakeOwner({1});
  n(0).Write("{t}a", "first");
  n(0).replicator->Flush();
  world.Run(milliseconds(20));
  n(1).SetRole(PartitionOf("{t}a"), Role::kReplica);
  {
    MutexLock lock(n(1).engine->ShardOf(PartitionOf("{t}a")).mutex());
    n(1).table->StreamsOf(PartitionOf("{t}a")).kept.Restart(PartitionOf("{t}a"), {7, 3});
  }
  n(0).Write("{t}a", "second");
  n(0).replicator->Flush();
  world.Run(seconds(1));
  EXPECT_EQ(n(0).Targets(PartitionOf("{t}a")).targets[0].standing, ReplicaSet::Standing::kLagging);
  EXPECT_EQ(InFlight(), 0U);
}

// The other copies did not get the last writes of the owner that died.
TEST_F(StreamTest, AnHeirBringsTheOthersToWhereItBegins) {
  MakeOwner({1, 2});
  const PartitionId partition = PartitionOf("{t}a");
  n(0).Write("{t}a", "1");
  n(0).replicator->Flush();
  world.Run(milliseconds(20));
  world.CutBoth(0, 2);
  n(0).Write("{t}a", "2");
  n(0).Write("{t}b", "3");
  n(0).replicator->Flush();
  world.Run(milliseconds(20));
  ASSERT_EQ(n(2).Read("{t}b"), "-");
  world.Crash(0);
  world.Heal();
  n(1).SetRole(partition, Role::kOwner);
  n(1).SetTargets(partition, {{sim::IdOf(2), 1, ReplicaSet::Standing::kGossip, true}});
  n(1).Write("{t}c", "4");
  n(1).replicator->Flush();
  world.Run(milliseconds(50));
  EXPECT_EQ(n(2).Read("{t}a"), "2");
  EXPECT_EQ(n(2).Read("{t}b"), "3");
  EXPECT_EQ(n(2).Read("{t}c"), "4");
  EXPECT_EQ(LastOf(2, partition), LastOf(1, partition));
  EXPECT_GT(LastOf(1, partition).term, LastOf(0, partition).term);
  EXPECT_EQ(Received(2).diverged, 0U);
}

TEST_F(StreamTest, ACopyThatIsAheadOfTheHeirAdoptsWhereItBegins) {
  MakeOwner({});
  for (const sim::NodeIndex node : {1, 2}) n(node).SetRole(0, Role::kReplica);
  const std::string key = "k";
  const PartitionId partition = PartitionOf(key);
  n(1).SetRole(partition, Role::kReplica);
  wire::PeerRequest request;
  AddGroup(request, partition, {kTerm, 1}, {}, key, "1", kTerm + 1);
  AddGroup(request, partition, {kTerm, 2}, {}, key, "2", kTerm + 2);
  AddGroup(request, partition, {kTerm + 9, 1}, {kTerm, 1}, key, "3", kTerm + 10);
  const auto answer = Ask(1, request);
  EXPECT_TRUE(answer->came);
  EXPECT_EQ(n(1).Read(key), "3");
  EXPECT_EQ(Received(1).diverged, 1U);
  EXPECT_EQ(LastOf(1, partition), (StreamPosition{kTerm + 9, 1}));
}

TEST_F(StreamTest, WhoWasReplacedIsRefused) {
  const std::string key = "k";
  const PartitionId partition = PartitionOf(key);
  n(1).SetRole(partition, Role::kReplica);
  wire::PeerRequest request;
  AddGroup(request, partition, {kTerm + 9, 1}, {}, key, "new", kTerm + 10);
  EXPECT_THAT(Ask(1, request)->groups().refused(), IsEmpty());
  request.Clear();
  AddGroup(request, partition, {kTerm, 7}, {}, key, "old", kTerm + 20);
  EXPECT_THAT(Ask(1, request)->groups().refused(), ElementsAre(partition));
  EXPECT_EQ(n(1).Read(key), "new");
}

TEST_F(StreamTest, WhatIsHereAlreadyIsAcknowledgedAgainAndNotApplied) {
  const std::string key = "k";
  const PartitionId partition = PartitionOf(key);
  n(1).SetRole(partition, Role::kReplica);
  wire::PeerRequest request;
  AddGroup(request, partition, {kTerm, 1}, {}, key, "v", kTerm + 1);
  for (int i = 0; i < 2; ++i) {
    const auto answer = Ask(1, request);
    EXPECT_TRUE(answer->came);
    EXPECT_THAT(answer->groups().refused(), IsEmpty());
    EXPECT_THAT(answer->groups().failed(), IsEmpty());
    EXPECT_THAT(answer->groups().behind(), IsEmpty());
  }
  EXPECT_EQ(Received(1).applied, 1U);
}

// Until it is told where it began it cannot know; then it does.
TEST_F(StreamTest, AWarmingCopyAppliesWhatComesAndKnowsItsPlaceWithTheFirstPage) {
  const std::string key = "k";
  const PartitionId partition = PartitionOf(key);
  n(1).SetRole(partition, Role::kWarming);
  wire::PeerRequest request;
  AddGroup(request, partition, {kTerm, 5}, {}, key, "5", kTerm + 5);
  AddGroup(request, partition, {kTerm, 4}, {}, key, "4", kTerm + 4);
  EXPECT_TRUE(Ask(1, request)->came);
  EXPECT_EQ(n(1).Read(key), "5");
  EXPECT_EQ(LastOf(1, partition), (StreamPosition{}));
  {
    MutexLock lock(n(1).engine->ShardOf(partition).mutex());
    n(1).table->BeginCopy(partition, {kTerm, 3});
  }
  EXPECT_EQ(LastOf(1, partition), (StreamPosition{kTerm, 5}));
  n(1).SetRole(partition, Role::kReplica);
  request.Clear();
  AddGroup(request, partition, {kTerm, 6}, {}, key, "6", kTerm + 6);
  EXPECT_TRUE(Ask(1, request)->came);
  EXPECT_EQ(LastOf(1, partition), (StreamPosition{kTerm, 6}));
}

TEST_F(StreamTest, HostilePositionsAreMalformed) {
  const PartitionId partition = PartitionOf("k");
  n(1).SetRole(partition, Role::kReplica);
  struct Case {
    StreamPosition position;
    StreamPosition base;
  };
  for (const Case& each : {Case{{0, 1}, {}}, Case{{kTerm, ~0ULL}, {}}, Case{{kTerm, 1}, {kTerm, 4}},
                           Case{{kTerm, 0}, {kTerm, 0}}, Case{{kTerm, 1}, {kTerm + 1, 0}},
                           Case{{kTerm, 1}, {kTerm - 1, ~0ULL}}, Case{{kTerm, 0}, {0, 4}}}) {
    wire::PeerRequest request;
    AddGroup(request, partition, each.position, each.base, "k", "v", kTerm);
    EXPECT_TRUE(Ask(1, request)->reply.has_error());
  }
  wire::PeerRequest request;
  AddGroup(request, partition, {kTerm, 1}, {}, "k", "v", kTerm);
  request.mutable_replicate_groups()->mutable_groups(0)->set_partition(partition == 0 ? 1 : 0);
  EXPECT_TRUE(Ask(1, request)->reply.has_error()) << "effects of another partition";
  request.Clear();
  AddGroup(request, partition, {~0ULL, 1}, {}, "k", "v", kTerm);
  EXPECT_THAT(Ask(1, request)->groups().refused(), SizeIs(1)) << "from the year 2527";
  EXPECT_EQ(n(1).Read("k"), "-");
}

// A group that finds no room at a copy leaves nothing of an older state there.
TEST_F(StreamTest, AGroupWithoutRoomDropsItsKeysAndTheStreamGoesOn) {
  const std::string key = "k";
  const PartitionId partition = PartitionOf(key);
  n(1).SetRole(partition, Role::kReplica);
  wire::PeerRequest request;
  AddGroup(request, partition, {kTerm, 1}, {}, key, "old", kTerm + 1);
  AddGroup(request, partition, {kTerm, 2}, {}, key, std::string(1'000'000, 'v'), kTerm + 2);
  AddGroup(request, partition, {kTerm, 3}, {}, key + "x", "v", kTerm + 3);
  const auto answer = Ask(1, request);
  EXPECT_TRUE(answer->came);
  EXPECT_THAT(answer->groups().behind(), IsEmpty());
  EXPECT_NE(n(1).Read(key), "old");
}

// As a member of the release before knows it.
// ---- Removals ----------------------------------------------------------------------------------

class ForgettingTest : public StreamTest {
 protected:
  PartitionInfo Info(std::size_t node, PartitionId partition) {
    MutexLock lock(n(node).engine->ShardOf(partition).mutex());
    return n(node).engine->ShardOf(partition).info(partition);
  }
  void WriteAndRun(const std::string& key) {
    n(0).Write(key, "v");
    n(0).replicator->Flush();
    world.Run(milliseconds(20));
  }
  void DeleteAndRun(const std::string& key) {
    n(0).Delete(key);
    n(0).replicator->Flush();
    world.Run(milliseconds(20));
  }
};

TEST_F(ForgettingTest, WhatAllHoldersHaveIsForgottenByTheOwnerAndTheCopiesAlike) {
  MakeOwner({1, 2});
  WriteAndRun("{k}");
  DeleteAndRun("{k}");
  const PartitionId partition = PartitionOf("{k}");
  for (std::size_t node : {0U, 1U, 2U}) ASSERT_EQ(Info(node, partition).tombstones, 1U) << node;
  WriteAndRun("{k}other");
  for (std::size_t node : {0U, 1U, 2U}) {
    EXPECT_EQ(Info(node, partition).tombstones, 0U) << node;
    EXPECT_EQ(Info(node, partition).digest, Info(0, partition).digest) << node;
    EXPECT_EQ(Info(node, partition).newest_forgotten, Info(0, partition).newest_forgotten) << node;
    EXPECT_EQ(n(node).Read("{k}"), "-");
    EXPECT_EQ(n(node).Read("{k}other"), "v");
  }
}

TEST_F(ForgettingTest, WhereNobodyWritesAnyMoreItIsForgottenSoon) {
  MakeOwner({1});
  DeleteAndRun("k");
  world.Run(seconds(4));
  for (std::size_t node : {0U, 1U}) EXPECT_EQ(Info(node, PartitionOf("k")).tombstones, 0U) << node;
  const StreamPosition last = LastOf(0, PartitionOf("k"));
  world.Run(seconds(10));
  EXPECT_EQ(LastOf(0, PartitionOf("k")), last) << "there is nothing more to say";
}

TEST_F(ForgettingTest, WhatACopyHasNotAcknowledgedStays) {
  MakeOwner({1, 2});
  WriteAndRun("{k}");
  world.CutBoth(0, 2);
  for (int i = 0; i < 5; ++i) DeleteAndRun("{k}");
  world.Run(milliseconds(500));
  for (std::size_t node : {0U, 1U}) {
    EXPECT_EQ(Info(node, PartitionOf("{k}")).tombstones, 1U) << node;
  }
  world.Heal();
  world.Run(seconds(5));
  for (std::size_t node : {0U, 1U, 2U}) {
    EXPECT_EQ(Info(node, PartitionOf("{k}")).tombstones, 0U) << node;
    EXPECT_EQ(n(node).Read("{k}"), "-") << node;
  }
}

// A page with what was removed may be on its way to it.
TEST_F(ForgettingTest, WhileACopyIsFilledAllStays) {
  MakeOwner({1}, {2});
  for (int i = 0; i < 5; ++i) DeleteAndRun("{k}");
  world.Run(seconds(4));
  for (std::size_t node : {0U, 1U, 2U}) {
    EXPECT_EQ(Info(node, PartitionOf("{k}")).tombstones, 1U) << node;
  }
}

TEST_F(ForgettingTest, WhileAMemberIsAwayAllStays) {
  MakeOwner({1});
  {
    MutexLock lock(n(0).engine->ShardOf(PartitionOf("{k}")).mutex());
    n(0).table->sets[PartitionOf("{k}")].all_serve = false;
  }
  for (int i = 0; i < 5; ++i) DeleteAndRun("{k}");
  world.Run(seconds(4));
  EXPECT_EQ(Info(0, PartitionOf("{k}")).tombstones, 1U);
  EXPECT_EQ(Info(1, PartitionOf("{k}")).tombstones, 1U);
}

TEST_F(ForgettingTest, WhileSomebodyCannotAllStays) {
  n(0).table->forgets = false;
  MakeOwner({1});
  for (int i = 0; i < 5; ++i) DeleteAndRun("{k}");
  world.Run(seconds(4));
  EXPECT_EQ(Info(1, PartitionOf("{k}")).tombstones, 1U);
}

// A queue: what is added at one end is removed at the other.
TEST_F(ForgettingTest, AQueueLeavesNothingBehind) {
  MakeOwner({1, 2});
  for (int i = 0; i < 2000; ++i) {
    n(0).Write("job" + std::to_string(i), "v");
    if (i >= 10) n(0).Delete("job" + std::to_string(i - 10));
    n(0).replicator->Flush();
    world.Run(milliseconds(1));
  }
  for (std::size_t node : {0U, 1U, 2U}) {
    std::uint64_t tombstones = 0;
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      tombstones += Info(node, partition).tombstones;
    }
    EXPECT_LT(tombstones, 200U) << node;
    EXPECT_EQ(n(node).Read("job1989"), "-");
    EXPECT_EQ(n(node).Read("job1990"), "v");
  }
}

TEST_F(StreamTest, WhileSomebodyKnowsNoOrderWritesGoEachByItself) {
  MakeOwner({1});
  n(0).table->ordered = false;
  wire::PeerRequest sent;
  world.Boot(1,
             [&](sim::NodeIndex, FrameType, const std::string& payload,
                 std::function<void(std::string)> reply) {
               EXPECT_TRUE(sent.ParseFromString(payload));
               n(1).service->Handle(payload, std::move(reply));
             },
             nullptr, {});
  WriteBy(*other_loop_, {"{t}a", "{t}b"}, "v");
  other_loop_->Flush();
  world.Run(milliseconds(20));
  EXPECT_TRUE(sent.has_replicate());
  EXPECT_EQ(sent.replicate().mutations_size(), 2);
  EXPECT_EQ(n(1).Read("{t}b"), "v");
  // And then everybody does.
  n(0).table->ordered = true;
  WriteBy(*other_loop_, {"{t}a", "{t}b"}, "w");
  other_loop_->Flush();
  world.Run(milliseconds(20));
  ASSERT_TRUE(sent.has_replicate_groups());
  EXPECT_EQ(sent.replicate_groups().groups_size(), 1);
  EXPECT_EQ(n(1).Read("{t}a"), "w");
  EXPECT_EQ(LastOf(1, PartitionOf("{t}a")), LastOf(0, PartitionOf("{t}a")));
}

TEST_F(StreamTest, GeneratedAndHandWrittenGroupsAreTheSame) {
  std::string payload;
  BeginReplicate(payload, BatchForm::kGroups);
  AppendGroup({3, {kTerm, 1}, {kTerm - 1, 4}, "effects"}, payload);
  AppendGroup({0, {kTerm, 300}, {kTerm - 1, 4}, std::string(100'000, 'e')}, payload);
  SealReplicate(payload, BatchForm::kGroups);
  wire::PeerRequest request;
  ASSERT_TRUE(request.ParseFromString(payload));
  ASSERT_EQ(request.replicate_groups().groups_size(), 2);
  const wire::Group& first = request.replicate_groups().groups(0);
  EXPECT_EQ(first.partition(), 3U);
  EXPECT_EQ(first.term(), kTerm);
  EXPECT_EQ(first.number(), 1U);
  EXPECT_EQ(first.base_term(), kTerm - 1);
  EXPECT_EQ(first.base_number(), 4U);
  EXPECT_EQ(first.effects(), "effects");
  EXPECT_EQ(request.replicate_groups().groups(1).number(), 300U);
  EXPECT_EQ(request.replicate_groups().groups(1).base_term(), 0U);
  std::vector<GroupView> groups;
  ASSERT_TRUE(DecodeGroups(request.replicate_groups().SerializeAsString(), groups));
  EXPECT_THAT(groups, SizeIs(2));
  EXPECT_EQ(groups[0].base, (StreamPosition{kTerm - 1, 4}));
}

}  // namespace
}  // namespace gyre
