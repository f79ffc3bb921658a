#include "command/routing.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "command/command_table.h"
#include "proto/limits.h"

namespace gyre {
namespace {

TEST(ChooseRouteTest, Table) {
  constexpr MemberIndex kSelf = 0;
  constexpr MemberIndex kOther = 1;
  struct Case {
    const char* what;
    RouteFacts facts;
    Route expected;
  };
  const Case cases[] = {
      {"another owns it", {.owner = kOther, .self = kSelf}, Route::kForward},
      {"a replica's view names another",
       {.role = Role::kReplica, .owner = kOther, .self = kSelf},
       Route::kForward},
      {"nobody owns it", {.owner = kNoMember, .self = kSelf}, Route::kWait},
      {"the view is ahead of the role",
       {.role = Role::kWarming, .owner = kSelf, .self = kSelf},
       Route::kWait},
      {"its last writes settle",
       {.role = Role::kHandingOver, .owner = kOther, .self = kSelf},
       Route::kWait},
      {"a cluster client", {.owner = kOther, .self = kSelf, .redirects = true}, Route::kMoved},
      {"a cluster client during a handover",
       {.role = Role::kHandingOver, .owner = kOther, .self = kSelf, .redirects = true},
       Route::kWait},
      {"too many hops",
       {.owner = kOther, .self = kSelf, .hops = kForwardHopsMax},
       Route::kNotOwner},
      {"one hop left",
       {.owner = kOther, .self = kSelf, .hops = kForwardHopsMax - 1},
       Route::kForward},
      {"no owner, no hop left", {.owner = kNoMember, .hops = kForwardHopsMax}, Route::kWait},
      {"the client routes itself",
       {.owner = kOther, .self = kSelf, .no_forward = true},
       Route::kNotOwner},
      {"the client routes itself, during a failover",
       {.owner = kNoMember, .no_forward = true},
       Route::kNotOwner},
  };
  for (const Case& c : cases) EXPECT_EQ(ChooseRoute(c.facts), c.expected) << c.what;
}

TEST(MayExecuteTest, ReplicasAnswerReadsOfThoseWhoAsk) {
  const Origin asks{.replica_reads = true};
  EXPECT_TRUE(MayExecute(Role::kOwner, false, {}));
  EXPECT_TRUE(MayExecute(Role::kReplica, true, asks));
  EXPECT_FALSE(MayExecute(Role::kReplica, false, asks));
  EXPECT_FALSE(MayExecute(Role::kReplica, true, {}));
  EXPECT_FALSE(MayExecute(Role::kWarming, true, asks));
  EXPECT_FALSE(MayExecute(Role::kHandingOver, true, asks));
}

// ---- By a view ------------------------------------------------------------------------------------

// Of three: this node is the first, and partition p is the p-th one's; nobody owns partition 3. Each
// partition is complete at its owner and at the one behind.
class RoutingTest : public ::testing::Test {
 protected:
  RoutingTest() {
    view_.partition_count = 4;
    view_.self = 0;
    for (std::uint8_t number = 0; number < 3; ++number) {
      MemberInfo member;
      member.id.bytes[0] = number;
      member.host = "host" + std::to_string(number);
      member.resp_cluster_port = static_cast<std::uint16_t>(7000 + number);
      view_.members.push_back(member);
    }
    view_.owner = {0, 1, 2, kNoMember};
    view_.complete = {{0, 1}, {1, 2}, {2, 0}, {}};
  }
  static const Command& Named(const char* name) { return *CommandTable::Get().Find(name); }
  MemberIndex Answerer(const char* name, PartitionId partition, bool stand_in = true) const {
    return AnswererOf(view_, Named(name), partition, stand_in);
  }

  ClusterView view_;
  Request request_;
};

TEST_F(RoutingTest, AViewSaysWhereACommandGoes) {
  EXPECT_EQ(RouteFor(&view_, 1, Role::kAbsent, request_, {}), Route::kForward);
  EXPECT_EQ(RouteFor(&view_, 0, Role::kWarming, request_, {}), Route::kWait);
  EXPECT_EQ(RouteFor(&view_, 3, Role::kAbsent, request_, {}), Route::kWait);
  EXPECT_EQ(RouteFor(nullptr, 1, Role::kAbsent, request_, {}), Route::kWait);
  request_.hops = kForwardHopsMax;
  EXPECT_EQ(RouteFor(&view_, 1, Role::kAbsent, request_, {}), Route::kNotOwner);
}

TEST_F(RoutingTest, ClusterClientsAreSentWhereThereIsAPort) {
  const Origin client{.cluster_port = true};
  EXPECT_EQ(RouteFor(&view_, 1, Role::kAbsent, request_, client), Route::kMoved);
  const Key key{.bytes = "k", .partition = 1};
  const Error moved = Refusal(&view_, Route::kMoved, key);
  EXPECT_EQ(moved.code, ErrorCode::kMoved);
  EXPECT_EQ(moved.message, "7629 host1:7001");

  view_.members[1].resp_cluster_port = 0;
  EXPECT_EQ(RouteFor(&view_, 1, Role::kAbsent, request_, client), Route::kForward);
  EXPECT_EQ(Refusal(&view_, Route::kMoved, key).code, ErrorCode::kNotOwner);
  view_.owner[1] = kNoMember;
  EXPECT_EQ(Refusal(&view_, Route::kMoved, key).code, ErrorCode::kUnavailable);
}

TEST_F(RoutingTest, ASuspectedOwnersReadsHaveAStandIn) {
  EXPECT_EQ(Answerer("get", 1), 1);
  view_.members[1].state = view_.members[2].state = MemberState::kSuspect;
  EXPECT_EQ(Answerer("get", 2), 0) << "this node is complete";
  EXPECT_EQ(Answerer("set", 2), 2);
  EXPECT_EQ(Answerer("get", 2, false), 2);
  EXPECT_EQ(Answerer("get", 1), 1) << "the other copy is suspected, too";
  view_.members[2].state = MemberState::kAlive;
  EXPECT_EQ(Answerer("get", 1), 2);
  EXPECT_EQ(Answerer("get", 3), kNoMember);
}

TEST_F(RoutingTest, OnlyAReplicaStandsIn) {
  view_.members[2].state = MemberState::kSuspect;
  EXPECT_TRUE(StandsIn(&view_, Named("get"), 2, Role::kReplica, true));
  EXPECT_FALSE(StandsIn(&view_, Named("get"), 2, Role::kWarming, true));
  EXPECT_FALSE(StandsIn(&view_, Named("set"), 2, Role::kReplica, true));
  EXPECT_FALSE(StandsIn(&view_, Named("get"), 2, Role::kReplica, false));
  EXPECT_FALSE(StandsIn(nullptr, Named("get"), 2, Role::kReplica, true));
}

TEST_F(RoutingTest, OneStepNeedsOneOwner) {
  const auto route = [this](std::vector<PartitionId> partitions) {
    std::vector<Key> keys;
    for (const PartitionId partition : partitions) keys.push_back({.partition = partition});
    return AtomicRouteFor(&view_, keys, request_, {});
  };
  EXPECT_EQ(route({1, 1}), Route::kForward);
  EXPECT_EQ(route({1, 2}).error().code, ErrorCode::kCrossSlot);
  EXPECT_EQ(route({1, 3}), Route::kWait) << "who will own it may own the other";
  view_.owner[2] = 1;
  EXPECT_EQ(route({1, 2}), Route::kForward);
}

TEST_F(RoutingTest, ADeadlineSaysWhatWasMissing) {
  EXPECT_EQ(DeadlineError(nullptr, 0, true).code, ErrorCode::kUnavailable);
  EXPECT_EQ(DeadlineError(&view_, 3, true).code, ErrorCode::kUnavailable);
  EXPECT_EQ(DeadlineError(&view_, 0, false).code, ErrorCode::kUnavailable);
  EXPECT_EQ(DeadlineError(&view_, 0, true).code, ErrorCode::kTimeout);
  EXPECT_EQ(DeadlineError(&view_, 1, false).code, ErrorCode::kTimeout);
}

}  // namespace
}  // namespace gyre
