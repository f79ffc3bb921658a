// The routes of a command through a cluster of three.

#include "command/router.h"

#include <gtest/gtest.h>

#include "command/test_cluster.h"

namespace gyre::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class RouterTest : public ClusterTest {
 protected:
  std::string RunOnClusterPort(std::size_t index, const std::string& line) {
    return TextOf(cluster_.RunAs(index, cluster_.node(index).cluster_client, Words(line)));
  }
  RouterStats stats(std::size_t index) { return cluster_.node(index).dispatcher().router_stats(); }

  // Partition 1 is node 1's.
  const PartitionId partition_ = 1;
  const std::string key_ = cluster_.KeyIn(partition_);
};

TEST_F(RouterTest, AnyNodeAnswersAnyKey) {
  EXPECT_EQ(Run(0, "SET " + key_ + " v"), "OK");
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(Run(i, "GET " + key_), "\"v\"") << i;
  EXPECT_EQ(cluster_.node(1).received.front(), "SET " + key_ + " v");
  EXPECT_EQ(stats(0).forwarded, 2U);
  EXPECT_EQ(stats(1).forwarded, 0U);
}

TEST_F(RouterTest, OwnersErrorsPassUnchanged) {
  Run(0, "SET " + key_ + " text");
  EXPECT_EQ(Run(0, "INCR " + key_), "wrong_type: value is not an integer or out of range");
  cluster_.node(1).replicator.outcome = Fail(ErrorCode::kUnknownOutcome, "late");
  Request request = RequestOf("SET " + key_ + " v");
  request.write_acks = 2;
  EXPECT_EQ(TextOf(cluster_.RunAs(0, cluster_.node(0).client, request)), "unknown_outcome: late");
}

TEST_F(RouterTest, RecordsKeepFlagsAndVersionAcrossAForward) {
  cluster_.RunAs(1, cluster_.node(1).memcached_client, {"mc.set", key_, "77", "0", "v"});
  const Reply here = cluster_.RunAs(1, cluster_.node(1).memcached_client, {"mc.gets", key_});
  const Reply there = cluster_.RunAs(2, cluster_.node(2).memcached_client, {"mc.gets", key_});
  EXPECT_EQ(there.elements.at(0).flags, 77U);
  EXPECT_EQ(there.elements.at(0).version, here.elements.at(0).version);
  EXPECT_NE(there.elements.at(0).version, 0U);
}

TEST_F(RouterTest, ClientsThatRouteAreTold) {
  Request request = RequestOf("GET " + key_);
  request.no_forward = true;
  EXPECT_EQ(cluster_.RunAs(0, cluster_.node(0).peer, request).error, ErrorCode::kNotOwner);
  EXPECT_EQ(TextOf(cluster_.RunAs(1, cluster_.node(1).peer, request)), "nil");
  request = RequestOf("MGET a b c d e f");
  request.no_forward = true;
  EXPECT_EQ(cluster_.RunAs(0, cluster_.node(0).peer, request).error, ErrorCode::kNotOwner);
}

TEST_F(RouterTest, ANodeWhoseViewIsBehindForwards) {
  cluster_.Give(partition_, 2);
  cluster_.PublishTo(1);
  cluster_.PublishTo(2);  // node 0 still believes in node 1
  EXPECT_EQ(Run(0, "SET " + key_ + " v"), "OK");
  EXPECT_EQ(stats(1).forwarded, 1U);
  EXPECT_EQ(Run(2, "GET " + key_), "\"v\"");
}

TEST_F(RouterTest, ViewsThatDisagreeDoNotLoop) {
  // 0 says 1, 1 says 2, 2 says 0: nobody owns it.
  cluster_.Give(partition_, kNoMember);
  for (MemberIndex i = 0; i < 3; ++i) {
    cluster_.SetOwnerInView(partition_, static_cast<MemberIndex>((i + 1) % 3));
    cluster_.PublishTo(i);
  }
  const auto slot = Start(0, "SET " + key_ + " v");
  cluster_.time.Advance(milliseconds(100));
  EXPECT_FALSE(slot->finished()) << "node 0 goes on trying";
  cluster_.Give(partition_, 2);
  cluster_.Publish();
  cluster_.time.Advance(milliseconds(200));
  ASSERT_TRUE(slot->finished());
  EXPECT_EQ(TextOf(slot->reply()), "OK");
}

TEST_F(RouterTest, AWriteWaitsForACopyThatIsBeingFilled) {
  cluster_.node(1).replicator.check = Fail(ErrorCode::kUnavailable, "being filled");
  const auto slot = Start(1, "SET " + key_ + " v");
  const auto both = Start(1, "MSET " + key_ + " w " + cluster_.KeyIn(partition_, 1) + " w");
  cluster_.time.Advance(milliseconds(50));
  EXPECT_FALSE(slot->finished());
  EXPECT_FALSE(both->finished());
  cluster_.node(1).replicator.check = {};
  cluster_.time.Advance(milliseconds(200));
  ASSERT_TRUE(slot->finished() && both->finished());
  EXPECT_EQ(TextOf(slot->reply()), "OK");
  EXPECT_EQ(TextOf(both->reply()), "OK");
}

// ---- An owner that was stopped ------------------------------------------------------------------

// Its clients waited for it; others may have gone on meanwhile.
class StoppedOwner : public RouterTest {
 protected:
  void SetUp() override {
    EXPECT_EQ(Run(1, "SET " + key_ + " old"), "OK");
    self_fence().Confirm(cluster_.time.steady_now() - 2 * SelfFence::kFor);
  }
  SelfFence& self_fence() { return cluster_.node(1).replication.fence.self(); }
  std::shared_ptr<TestSlot> StartWaited(const std::string& line) {
    Request request = RequestOf(line);
    request.waited = true;
    return Start(1, request);
  }
};

TEST_F(StoppedOwner, ReadsThatWaitedForItWaitUntilItKnowsWhoOwns) {
  const auto one = StartWaited("GET " + key_);
  const auto two = StartWaited("MGET " + key_ + " " + key_);
  cluster_.time.Advance(milliseconds(50));
  EXPECT_FALSE(one->finished());
  EXPECT_FALSE(two->finished());
  cluster_.Give(partition_, 2);
  cluster_.Publish();
  EXPECT_EQ(Run(2, "SET " + key_ + " new"), "OK");
  self_fence().Confirm(TimePoint::max());
  cluster_.time.Advance(milliseconds(200));
  ASSERT_TRUE(one->finished());
  ASSERT_TRUE(two->finished());
  EXPECT_EQ(TextOf(one->reply()), "\"new\"");
  EXPECT_EQ(TextOf(two->reply()), "[\"new\", \"new\"]");
}

// Declared dead and owner again between two looks at what waits. A node that sent a write was told of the
// death, and had it carried out elsewhere.
TEST_F(StoppedOwner, AWriteOfANodeThatWaitedThroughItsDeathIsNotCarriedOut) {
  Request forwarded = RequestOf("SET " + key_ + " stale");
  forwarded.id = 9;
  forwarded.hops = 1;
  const auto stale = Start(1, forwarded);
  const auto own = Start(1, RequestOf("SET " + key_ + " waited"));
  EXPECT_FALSE(stale->finished());
  self_fence().Overrule();
  self_fence().Confirm(TimePoint::max());
  cluster_.time.Advance(milliseconds(200));
  ASSERT_TRUE(stale->finished() && own->finished());
  EXPECT_TRUE(TextOf(stale->reply()).starts_with("not_owner")) << TextOf(stale->reply());
  EXPECT_EQ(TextOf(own->reply()), "OK") << "its client knows no other node";
  EXPECT_EQ(Run(1, "GET " + key_), "\"waited\"");
}

TEST_F(StoppedOwner, StillOwningItAnswersThem) {
  const auto read = StartWaited("GET " + key_);
  EXPECT_FALSE(read->finished());
  self_fence().Confirm(TimePoint::max());
  cluster_.time.Advance(milliseconds(200));
  ASSERT_TRUE(read->finished());
  EXPECT_EQ(TextOf(read->reply()), "\"old\"");
}

TEST_F(StoppedOwner, WritesThatWaitedForItAreNotCarriedOut) {
  self_fence().Confirm(TimePoint::max());
  EXPECT_TRUE(TextOf(StartWaited("SET " + key_ + " late")->reply()).starts_with("unavailable"));
  EXPECT_EQ(Run(1, "GET " + key_), "\"old\"");
}

// ---- An owner that is suspected to be gone ------------------------------------------------------

class SuspectedOwner : public RouterTest {
 protected:
  // Node 2 is a complete copy of the partition, node 0 is not.
  void SetUp() override {
    cluster_.Give(partition_, 2);
    cluster_.Publish();
    EXPECT_EQ(Run(2, "SET " + key_ + " v"), "OK");
    cluster_.Give(partition_, 1);
    cluster_.suspects = {1};
    cluster_.Publish();
    cluster_.node(1).lose_requests = 1000;
  }
};

TEST_F(SuspectedOwner, ACompleteCopyAnswersReadsInItsPlace) {
  EXPECT_EQ(Run(2, "GET " + key_), "\"v\"");
  EXPECT_EQ(Run(2, "MGET " + key_), "[\"v\"]");
  EXPECT_EQ(stats(2).forwarded, 0U);
  EXPECT_EQ(Run(0, "GET " + key_), "\"v\"");
  EXPECT_EQ(cluster_.node(2).received.back(), "GET " + key_);
}

TEST_F(SuspectedOwner, WritesStillWaitForTheOwner) {
  const auto slot = Start(2, "SET " + key_ + " w", 1000);
  cluster_.time.Advance(milliseconds(900));
  EXPECT_FALSE(slot->finished());
  cluster_.time.Advance(milliseconds(1000));
  ASSERT_TRUE(slot->finished());
  EXPECT_EQ(slot->reply().error, ErrorCode::kUnknownOutcome);
}

TEST_F(SuspectedOwner, AForwardedReadIsNotLeftWithASilentNode) {
  cluster_.suspects = {};
  cluster_.Publish();
  const auto slot = Start(0, "GET " + key_, 5000);
  cluster_.time.Advance(milliseconds(100));
  cluster_.suspects = {1};
  cluster_.Publish();
  cluster_.time.Advance(milliseconds(300));
  ASSERT_TRUE(slot->finished());
  EXPECT_EQ(TextOf(slot->reply()), "\"v\"");
}

TEST(ReadsOfSuspects, WaitWhereOnlyOwnersMayAnswer) {
  TestCluster cluster(3, DispatcherOptions{.replicas_stand_in = false});
  const std::string key = cluster.KeyIn(1);
  cluster.suspects = {1};
  cluster.Publish();
  EXPECT_EQ(TextOf(cluster.RunAs(2, cluster.node(2).client, {"GET", key})), "nil");
  EXPECT_EQ(cluster.node(1).received.back(), "GET " + key);
}

// ---- Waiting ------------------------------------------------------------------------------------

TEST_F(RouterTest, AHandoverIsADelay) {
  cluster_.node(1).SetRole(partition_, Role::kHandingOver);
  const auto at_owner = Start(1, "SET " + key_ + " a");
  const auto elsewhere = Start(0, "APPEND " + key_ + " b");
  cluster_.time.Advance(milliseconds(50));
  EXPECT_FALSE(at_owner->finished());
  EXPECT_FALSE(elsewhere->finished());

  cluster_.Give(partition_, 2);
  cluster_.Publish();
  cluster_.time.Advance(milliseconds(200));
  EXPECT_EQ(TextOf(at_owner->reply()), "OK");
  EXPECT_EQ(TextOf(elsewhere->reply()), "2");
  EXPECT_EQ(Run(2, "GET " + key_), "\"ab\"");
}

TEST_F(RouterTest, ARefusedHandoverIsADelayToo) {
  cluster_.node(1).SetRole(partition_, Role::kHandingOver);
  const auto slot = Start(1, "SET " + key_ + " a");
  cluster_.time.Advance(milliseconds(20));
  cluster_.Give(partition_, 1);
  cluster_.time.Advance(milliseconds(100));
  EXPECT_EQ(TextOf(slot->reply()), "OK");
}

TEST_F(RouterTest, PipelinedCommandsKeepTheirOrder) {
  cluster_.node(1).SetRole(partition_, Role::kHandingOver);
  std::vector<std::shared_ptr<TestSlot>> slots;
  for (int i = 0; i < 5; ++i) {
    slots.push_back(Start(1, "APPEND " + key_ + " " + std::to_string(i)));
    cluster_.time.Advance(milliseconds(3));
  }
  // The role is back, but those who waited come first.
  cluster_.Give(partition_, 1);
  const auto last = Start(1, "GET " + key_);
  EXPECT_FALSE(last->finished());
  cluster_.time.Advance(milliseconds(200));
  EXPECT_EQ(TextOf(last->reply()), "\"01234\"");
  EXPECT_EQ(Run(1, "APPEND " + key_ + " 5"), "6");
}

TEST_F(RouterTest, NoOwnerIsUnavailableAtTheDeadline) {
  cluster_.Give(partition_, kNoMember);
  cluster_.Publish();
  const auto slot = Start(0, "GET " + key_);
  cluster_.time.Advance(milliseconds(1900));
  EXPECT_FALSE(slot->finished());
  cluster_.time.Advance(milliseconds(300));
  ASSERT_TRUE(slot->finished());
  EXPECT_EQ(slot->reply().error, ErrorCode::kUnavailable);
}

TEST_F(RouterTest, ARequestsOwnDeadlineCounts) {
  cluster_.node(1).SetRole(partition_, Role::kHandingOver);
  const auto slot = Start(1, "SET " + key_ + " v", 30);
  cluster_.time.Advance(milliseconds(120));
  ASSERT_TRUE(slot->finished());
  EXPECT_EQ(slot->reply().error, ErrorCode::kTimeout);
  // It is not executed later.
  cluster_.Give(partition_, 1);
  cluster_.time.Advance(seconds(5));
  EXPECT_EQ(Run(1, "GET " + key_), "nil");
}

TEST_F(RouterTest, TheFirstViewIsWaitedFor) {
  TestNode& lonely = cluster_.node(0);
  lonely.SetRole(partition_, Role::kAbsent);
  lonely.views.Publish(nullptr);
  const auto slot = Start(0, "SET " + key_ + " v");
  cluster_.time.Advance(milliseconds(50));
  EXPECT_FALSE(slot->finished());
  cluster_.PublishTo(0);
  cluster_.time.Advance(milliseconds(200));
  EXPECT_EQ(TextOf(slot->reply()), "OK");
}

TEST_F(RouterTest, AViewMayComeAtAnyStepOfACommand) {
  TestNode& node = cluster_.node(0);
  int most = 0;
  for (int at = 0; at == 0 || at < most; ++at) {
    int readings = 0;
    node.on_clock_read = [&] {
      if (readings++ == at) cluster_.PublishAlone(0);
    };
    const auto one = Start(0, "SET " + key_ + " v");
    const auto several =
        Start(0, "MGET " + key_ + " " + cluster_.KeyIn(0) + " " + cluster_.KeyIn(2));
    node.on_clock_read = nullptr;
    most = std::max(most, readings);
    cluster_.PublishTo(0);
    cluster_.time.Advance(seconds(1));
    EXPECT_EQ(TextOf(one->reply()), "OK") << at;
    EXPECT_EQ(TextOf(several->reply()), "[\"v\", nil, nil]") << at;
  }
  EXPECT_GT(most, 2);
}

TEST_F(RouterTest, TheRetryQueueIsBounded) {
  cluster_.node(1).SetRole(partition_, Role::kHandingOver);
  const std::string megabyte(std::size_t{1} << 20, 'x');
  int refused = 0;
  for (int i = 0; i < 80; ++i) {
    const auto slot = Start(1, "SET " + key_ + " " + megabyte);
    if (!slot->finished()) continue;
    ++refused;
    EXPECT_EQ(slot->reply().error, ErrorCode::kUnavailable);
  }
  EXPECT_GE(refused, 80 - 64);
  cluster_.Give(partition_, 1);
  cluster_.time.Advance(milliseconds(200));
  EXPECT_EQ(Run(1, "STRLEN " + key_), std::to_string(megabyte.size()));
}

// ---- Failures -----------------------------------------------------------------------------------

TEST_F(RouterTest, AFailoverIsADelay) {
  cluster_.node(1).down = true;
  const auto slot = Start(0, "INCR " + key_);
  cluster_.time.Advance(milliseconds(500));
  EXPECT_FALSE(slot->finished());
  cluster_.Give(partition_, 2);
  cluster_.Publish();
  cluster_.time.Advance(milliseconds(200));
  EXPECT_EQ(TextOf(slot->reply()), "1");
  EXPECT_GT(stats(0).retried, 1U);
}

TEST_F(RouterTest, ALostWriteIsNeverCalledOk) {
  for (const char* command : {"INCR", "GETDEL"}) {
    cluster_.node(1).lose_replies = 1;
    EXPECT_TRUE(Run(0, std::string(command) + " " + key_).starts_with("unknown_outcome"));
    cluster_.node(1).lose_requests = 1;
    EXPECT_TRUE(Run(0, std::string(command) + " " + key_).starts_with("unknown_outcome"));
  }
  cluster_.node(1).lose_replies = 1;
  EXPECT_TRUE(Run(0, "SET " + key_ + " v NX").starts_with("unknown_outcome"));
  EXPECT_EQ(Run(0, "GET " + key_), "\"v\"");
}

TEST_F(RouterTest, ALostReadIsRepeated) {
  EXPECT_EQ(Run(0, "SET " + key_ + " v"), "OK");
  cluster_.node(1).lose_requests = 2;
  EXPECT_EQ(Run(0, "GET " + key_), "\"v\"");
}

TEST_F(RouterTest, ALostWriteThatMayBeRepeatedIsOnceItsOwnerIsKnownToBeGone) {
  cluster_.node(1).lose_replies = 1;
  const auto slot = Start(0, "SET " + key_ + " v");
  cluster_.time.Advance(milliseconds(100));
  EXPECT_FALSE(slot->finished());
  cluster_.dead = {1};
  cluster_.Give(partition_, 2);
  cluster_.Publish();
  cluster_.time.Advance(milliseconds(100));
  ASSERT_TRUE(slot->finished());
  EXPECT_EQ(TextOf(slot->reply()), "OK");
  EXPECT_EQ(cluster_.node(2).received.back(), "SET " + key_ + " v");
}

TEST_F(RouterTest, SoIsOneWhoseOwnerWasStartedAgain) {
  cluster_.node(1).lose_requests = 1;
  const auto slot = Start(0, "SET " + key_ + " v");
  cluster_.time.Advance(milliseconds(100));
  cluster_.incarnation_of[1] = 2;
  cluster_.Publish();
  cluster_.time.Advance(milliseconds(100));
  ASSERT_TRUE(slot->finished());
  EXPECT_EQ(TextOf(slot->reply()), "OK");
}

// It may still have the command in a buffer, and execute it after the repetition and after later
// writes.
TEST_F(RouterTest, ALostWriteIsNotRepeatedWhileItsOwnerLives) {
  cluster_.node(1).lose_requests = 1;
  const auto slot = Start(0, "SET " + key_ + " v");
  cluster_.Give(partition_, 2);
  cluster_.Publish();
  cluster_.time.Advance(seconds(1));
  ASSERT_TRUE(slot->finished());
  EXPECT_EQ(slot->reply().error, ErrorCode::kUnknownOutcome);
  EXPECT_EQ(Run(2, "GET " + key_), "nil");
}

// Where it was passed on, a third node may have it, whose death nobody here would learn of.
TEST_F(RouterTest, AWriteThatWasPassedOnIsNotRepeated) {
  // Node 0 does not know yet that node 2 owns the partition.
  cluster_.Give(partition_, 2);
  cluster_.SetOwnerInView(partition_, 2);
  cluster_.PublishTo(1);
  cluster_.PublishTo(2);
  EXPECT_EQ(Run(0, "SET " + key_ + " v"), "OK");
  EXPECT_EQ(std::count(cluster_.node(1).received.begin(), cluster_.node(1).received.end(),
                       "SET " + key_ + " v"),
            2)
      << "refused, and then passed on";
  EXPECT_EQ(stats(1).forwarded, 1U);

  const auto slot = Start(0, "SET " + key_ + " w");
  cluster_.time.Advance(std::chrono::microseconds(250));  // it was refused
  cluster_.node(1).lose_replies = 1;
  cluster_.time.Advance(milliseconds(10));
  ASSERT_TRUE(slot->finished());
  EXPECT_EQ(slot->reply().error, ErrorCode::kUnknownOutcome);
  EXPECT_EQ(Run(2, "GET " + key_), "\"w\"");
}

TEST_F(RouterTest, ARepeatedWriteThatFailsIsOfUnknownOutcome) {
  cluster_.node(1).lose_replies = 1;
  const auto slot = Start(0, "SET " + key_ + " v");
  cluster_.time.Advance(milliseconds(1));
  cluster_.node(1).down = true;
  cluster_.time.Advance(seconds(3));
  ASSERT_TRUE(slot->finished());
  EXPECT_EQ(slot->reply().error, ErrorCode::kUnknownOutcome);
}

// The promise of "too few replicas" is that nothing was written; here the first owner may have.
TEST_F(RouterTest, ARepeatedWriteThatIsRefusedIsOfUnknownOutcome) {
  for (const std::size_t heir : {0U, 2U}) {  // the node that was asked, or another
    cluster_.dead = {};
    cluster_.Give(partition_, 1);
    cluster_.Publish();
    cluster_.node(1).lose_replies = 1;
    cluster_.node(heir).replicator.check = Fail(ErrorCode::kTooFewReplicas, "only 1");
    const auto slot = Start(0, "SET " + key_ + " v");
    cluster_.time.Advance(milliseconds(1));
    cluster_.dead = {1};
    cluster_.Give(partition_, static_cast<MemberIndex>(heir));
    cluster_.Publish();
    cluster_.time.Advance(seconds(3));
    ASSERT_TRUE(slot->finished());
    EXPECT_EQ(slot->reply().error, ErrorCode::kUnknownOutcome) << TextOf(slot->reply());
    EXPECT_NE(slot->reply().bytes.find("only 1"), std::string::npos);
  }
}

TEST_F(RouterTest, AnOwnerThatIsSilentTimesOut) {
  // It has the request, but waits itself.
  cluster_.node(1).SetRole(partition_, Role::kHandingOver);
  const auto write = Start(0, "INCR " + key_);
  const auto read = Start(0, "GET " + key_);
  cluster_.time.Advance(seconds(3));
  ASSERT_TRUE(write->finished() && read->finished());
  EXPECT_EQ(write->reply().error, ErrorCode::kTimeout) << "the owner says that nothing was written";
  EXPECT_EQ(read->reply().error, ErrorCode::kTimeout);
}

TEST_F(RouterTest, ADispatcherMayGoFirst) {
  cluster_.node(1).SetRole(partition_, Role::kHandingOver);
  const auto waiting = Start(1, "SET " + key_ + " v");
  const auto forwarded = Start(0, "SET " + key_ + " v");
  const auto scattered = Start(0, "MGET a b c d e f g h");
  const auto scanning = Start(0, "SCAN 0 COUNT 1000");
  cluster_.node(0).Crash();
  cluster_.node(1).down = true;
  for (PartitionId p = 0; p < TestCluster::kPartitions; ++p) cluster_.SetOwnerInView(p, 1);
  cluster_.time.Advance(milliseconds(1));
  cluster_.node(1).Crash();
  cluster_.time.Advance(seconds(5));
  for (const auto& slot : {waiting, forwarded, scattered, scanning}) {
    ASSERT_TRUE(slot->finished());
    EXPECT_EQ(slot->reply().kind, Reply::Kind::kError);
  }
}

// ---- The cluster port ---------------------------------------------------------------------------

TEST_F(RouterTest, TheClusterPortRedirects) {
  EXPECT_EQ(RunOnClusterPort(0, "SET " + key_ + " v"),
            "moved: " + std::to_string(SlotOf(key_)) + " 127.0.0.1:7302");
  EXPECT_EQ(RunOnClusterPort(1, "SET " + key_ + " v"), "OK");
  EXPECT_EQ(stats(0).moved, 1U);
  EXPECT_EQ(stats(0).forwarded, 0U);
}

TEST_F(RouterTest, TheClusterPortWantsOneSlot) {
  const std::string cross = "cross_slot: Keys in request don't hash to the same slot";
  EXPECT_EQ(RunOnClusterPort(0, "MGET a b"), cross);
  EXPECT_EQ(RunOnClusterPort(0, "DEL a b"), cross);
  EXPECT_EQ(RunOnClusterPort(1, "MSET {" + key_ + "}a 1 {" + key_ + "}b 2"), "OK");
  EXPECT_TRUE(RunOnClusterPort(0, "MGET {" + key_ + "}a {" + key_ + "}b").starts_with("moved: "));
}

TEST_F(RouterTest, ReadOnlyConnectionsReadReplicas) {
  Run(1, "SET " + key_ + " v");
  EXPECT_TRUE(RunOnClusterPort(2, "GET " + key_).starts_with("moved"));
  EXPECT_EQ(RunOnClusterPort(2, "READONLY"), "OK");
  EXPECT_EQ(RunOnClusterPort(2, "GET " + key_), "nil") << "the replica's own data";
  EXPECT_TRUE(RunOnClusterPort(2, "SET " + key_ + " w").starts_with("moved"));
  EXPECT_EQ(RunOnClusterPort(2, "READWRITE"), "OK");
  EXPECT_TRUE(RunOnClusterPort(2, "GET " + key_).starts_with("moved"));
}

TEST_F(RouterTest, AClusterClientWaitsThroughAFailover) {
  cluster_.Give(partition_, kNoMember);
  cluster_.Publish();
  Request request = RequestOf("SET " + key_ + " v");
  const auto slot = cluster_.node(0).Start(request, cluster_.node(0).cluster_client);
  cluster_.time.Advance(milliseconds(100));
  EXPECT_FALSE(slot->finished());
  cluster_.Give(partition_, 2);
  cluster_.Publish();
  cluster_.time.Advance(milliseconds(200));
  EXPECT_EQ(TextOf(slot->reply()), "moved: " + std::to_string(SlotOf(key_)) + " 127.0.0.1:7303");
}

// ---- WAIT ---------------------------------------------------------------------------------------

TEST_F(RouterTest, WaitCoversWhatWasForwarded) {
  EXPECT_EQ(Run(0, "WAIT 1 100"), "1") << "nothing was written: every copy has it";
  EXPECT_EQ(Run(0, "SET " + key_ + " v"), "OK");
  cluster_.node(1).replicator.copies = 0;
  EXPECT_EQ(Run(0, "WAIT 1 100"), "0") << "the owner's replica has not";
  EXPECT_EQ(cluster_.node(1).replicator.awaited_all.size(), 1U);
  cluster_.node(1).replicator.copies = 1;
  EXPECT_EQ(Run(0, "WAIT 1 100"), "1");
  cluster_.node(1).down = true;
  EXPECT_EQ(Run(0, "WAIT 1 100"), "0") << "nothing can be said for a node that is silent";
}

}  // namespace
}  // namespace gyre::testing
