#include "control/restart_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "cluster/membership_fixture.h"
#include "repair/pull_kind.h"

namespace gyre {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

// A ring of three, two partitions: 0 on the nodes 0 and 1, 1 on 1 and 2.
ClusterView RingOfThree() {
  ClusterView view;
  view.partition_count = 2;
  view.replicas = 2;
  for (std::uint64_t number = 0; number < 3; ++number) view.members.push_back(TestMember(number));
  view.on_ring.assign(3, true);
  view.leaving.assign(3, false);
  view.self = 0;
  view.owner = {0, 1};
  view.holders = {{0, 1}, {1, 2}};
  view.complete = view.holders;
  return view;
}

TEST(RestartCheck, OfARingAtRestAnyNodeMay) {
  for (const MemberIndex node : {0, 1, 2})
    EXPECT_TRUE(CheckRestart(RingOfThree(), node, 2, true).safe());
}

TEST(RestartCheck, NotTheLastHolder) {
  ClusterView view = RingOfThree();
  view.complete[0] = {0};
  EXPECT_THAT(CheckRestart(view, 0, 1, false).reasons,
              Contains(HasSubstr("last holder of 1 partitions")));
  // Another may be, were it not for who is filling.
  EXPECT_THAT(CheckRestart(view, 2, 1, false).reasons, ElementsAre(HasSubstr("is filling: 1")));
}

TEST(RestartCheck, WhatAnotherThatStopsHasDoesNotCount) {
  ClusterView view = RingOfThree();
  view.leaving[1] = true;
  const RestartCheck check = CheckRestart(view, 0, 1, false);
  EXPECT_THAT(check.reasons, Contains(HasSubstr("last holder of 1 partitions")));
  EXPECT_THAT(check.reasons, Contains(HasSubstr("is stopping")));
}

TEST(RestartCheck, NotWhereWritesWouldFail) {
  ClusterView view = RingOfThree();
  EXPECT_THAT(CheckRestart(view, 0, 3, false).reasons, ElementsAre(HasSubstr("acks 3 would fail")));
  view.members[2].state = MemberState::kStopped;
  view.holders = view.complete = {{0, 1}, {1, 0}};
  EXPECT_THAT(CheckRestart(view, 0, 2, false).reasons, ElementsAre(HasSubstr("acks 2 would fail")));
  EXPECT_TRUE(CheckRestart(view, 0, 1, false).safe());
  EXPECT_THAT(CheckRestart(view, 0, 1, true).reasons, ElementsAre(HasSubstr("no majority")));
  EXPECT_THAT(CheckRestart(view, 2, 1, false).reasons, ElementsAre(HasSubstr("is down")));
}

TEST(View, APartitionLacksCopiesWhileAMemberOfTheRingIsAway) {
  ClusterView view = RingOfThree();
  EXPECT_EQ(view.UnderReplicated(), 0U);
  view.complete[1] = {1};
  EXPECT_EQ(view.UnderReplicated(), 1U);
  // Of a ring of two one is stopped: there is one copy only.
  ClusterView two = RingOfThree();
  two.members.pop_back();
  two.on_ring.assign(2, true);
  two.members[1].state = MemberState::kStopped;
  two.complete = {{0}, {0}};
  EXPECT_EQ(two.UnderReplicated(), 2U);
  // A node that has joined nothing yet has no copies, either.
  two.on_ring.assign(2, false);
  two.complete = {{}, {}};
  EXPECT_EQ(two.UnderReplicated(), 2U);
}

// A pause of moves does not hold up what a node that stops waits for.
TEST(View, WhatALeavingNodeHasIsLackingAlready) {
  ClusterView view = RingOfThree();
  view.self = 2;
  EXPECT_FALSE(LacksCopies(view, 0, CopiesWanted(view)));
  view.leaving[0] = true;
  EXPECT_TRUE(LacksCopies(view, 0, CopiesWanted(view)));
}

}  // namespace
}  // namespace gyre
