// Deaths that count only once a majority knows of them.
#include "ownership/death_fences.h"

#include <gtest/gtest.h>

#include "cluster/membership_fixture.h"

namespace gyre {
namespace {

TEST(DeathFences, ADeadMemberIsShownAsItWasUntilAMajorityKnows) {
  ClusterState state;
  state.self = TestId(0);
  state.members[TestId(0)].id = TestId(0);
  MemberInfo& other = state.members[TestId(1)];
  other.id = TestId(1);
  other.incarnation = 5;
  state.holdings[TestId(1)] = Holdings{5, 1, PartitionSet(1, true), PartitionSet(1, true)};
  DeathFences fences;
  EXPECT_TRUE(fences.Present(state, {{TestId(1), {5, 0}}}).members.at(TestId(1)).serving());

  other.state = MemberState::kDead;
  state.holdings.erase(TestId(1));
  const ClusterState& shown = fences.Present(state, {{TestId(1), {5, 5}}});
  EXPECT_EQ(shown.members.at(TestId(1)).state, MemberState::kSuspect);
  EXPECT_TRUE(shown.holdings.contains(TestId(1)));
  EXPECT_EQ(fences.unconfirmed(), (std::map<NodeId, std::uint64_t>{{TestId(1), 5}}));

  EXPECT_TRUE(fences.Confirm({{TestId(1), 5}}));
  EXPECT_FALSE(fences.Confirm({{TestId(1), 5}}));
  EXPECT_EQ(fences.Present(state, {{TestId(1), {5, 5}}}).members.at(TestId(1)).state,
            MemberState::kDead);

  other.state = MemberState::kAlive;  // a new life, ended by nobody but itself
  other.incarnation = 9;
  EXPECT_TRUE(fences.Present(state, {{TestId(1), {9, 5}}}).members.at(TestId(1)).serving());
  EXPECT_TRUE(fences.unconfirmed().empty());
}

}  // namespace
}  // namespace gyre
