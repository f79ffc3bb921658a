#include "ownership/view_builder.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "cluster/membership_fixture.h"

namespace gyre {
namespace {

// Member `number` in zone `zone`, on the ring and alive.
void Add(ClusterState& state, std::uint64_t number, const std::string& zone,
         std::uint32_t weight = 1) {
  MemberInfo info = TestMember(number);
  info.zone = zone;
  if (state.members.empty()) state.self = info.id;
  state.ring[info.id] = {info.id, zone, weight, 1, false, false};
  state.members.emplace(info.id, info);
}

BuiltView Build(const ClusterState& state) {
  const Placement placement =
      ComputePlacement(RingMembersOf(state), state.replicas, state.partition_count);
  return BuildView(state, placement, std::vector<LocalKnowledge>(state.partition_count));
}

// Zones that have a serving member.
std::set<std::string> LiveZones(const ClusterState& state) {
  std::set<std::string> zones;
  for (const auto& [id, member] : state.members) {
    if (member.serving()) zones.insert(member.zone);
  }
  return zones;
}

// Each partition has `replicas` holders, or all that live, of as many zones as live.
bool SpreadsOverZones(const ClusterState& state, const ClusterView& view) {
  const std::size_t serving =
      static_cast<std::size_t>(std::count_if(state.members.begin(), state.members.end(),
                                             [](const auto& m) { return m.second.serving(); }));
  const std::size_t holders = std::min<std::size_t>(state.replicas, serving);
  for (PartitionId partition = 0; partition < view.partition_count; ++partition) {
    std::set<std::string> zones;
    std::set<MemberIndex> distinct;
    for (MemberIndex member : view.holders[partition]) {
      if (!view.members[member].serving()) return false;
      zones.insert(view.members[member].zone);
      distinct.insert(member);
    }
    if (distinct.size() != view.holders[partition].size() || distinct.size() != holders) {
      return false;
    }
    if (zones.size() != std::min(holders, LiveZones(state).size())) return false;
  }
  return true;
}

TEST(ViewBuilder, HoldersAreTheFirstServingMembersWithoutZones) {
  ClusterState state;
  state.partition_count = 64;
  for (std::uint64_t number = 0; number < 8; ++number) Add(state, number, "");
  state.members.at(TestId(3)).state = MemberState::kDead;
  const Placement placement =
      ComputePlacement(RingMembersOf(state), state.replicas, state.partition_count);
  const ClusterView view = Build(state).view;
  for (PartitionId partition = 0; partition < 64; ++partition) {
    std::vector<NodeId> expected;
    for (std::uint16_t member : placement.preference[partition]) {
      const NodeId& id = placement.members[member].id;
      if (id != TestId(3) && expected.size() < state.replicas) expected.push_back(id);
    }
    std::vector<NodeId> holders;
    for (MemberIndex member : view.holders[partition]) holders.push_back(view.members[member].id);
    EXPECT_EQ(holders, expected);
  }
}

// The next of the preference list may be of the owner's zone: the dead are of one zone.
TEST(ViewBuilder, ReplicasStayInDifferentZonesWhileMostOfAZoneIsDead) {
  ClusterState state;
  state.partition_count = 256;
  for (std::uint64_t number = 0; number < 12; ++number) {
    Add(state, number, std::string(1, static_cast<char>('a' + number % 3)));
  }
  for (const std::uint64_t dead : {1, 4, 7, 2, 5, 8}) {  // three of four in b, and in c
    state.members.at(TestId(dead)).state = MemberState::kDead;
    EXPECT_TRUE(SpreadsOverZones(state, Build(state).view)) << dead;
  }
  for (const std::uint64_t dead : {10, 11}) {
    state.members.at(TestId(dead)).state = MemberState::kDead;
  }
  EXPECT_TRUE(SpreadsOverZones(state, Build(state).view)) << "one zone is left";
}

// All members of a zone that a preference list names are dead, yet the zone is not.
TEST(ViewBuilder, FindsTheLastOfAZoneThatThePreferenceListLeavesOut) {
  ClusterState state;
  state.partition_count = 64;
  constexpr std::uint64_t kMembers = 60;
  for (std::uint64_t number = 0; number < kMembers; ++number) {
    Add(state, number, number % 2 == 0 ? "a" : "b");
  }
  for (std::uint64_t number = 3; number < kMembers; number += 2) {
    state.members.at(TestId(number)).state = MemberState::kDead;
  }
  EXPECT_TRUE(SpreadsOverZones(state, Build(state).view));
}

RC_GTEST_PROP(ViewBuilderProperty, ReplicasAreNeverInOneZoneWhileAnotherLives, ()) {
  ClusterState state;
  state.partition_count = 64;
  state.replicas = *rc::gen::inRange<std::uint32_t>(1, 4);
  const auto members = *rc::gen::inRange<std::uint64_t>(1, 40);
  const auto zones = *rc::gen::inRange<std::uint64_t>(1, 5);
  const auto percent_dead = *rc::gen::inRange<std::uint64_t>(0, 100);
  Prng prng(*rc::gen::arbitrary<std::uint64_t>());
  for (std::uint64_t number = 0; number < members; ++number) {
    // Zones of unequal size, members of unequal weight.
    const std::uint64_t zone = prng.Below(prng.Below(zones) + 1);
    Add(state, number, std::string(1, static_cast<char>('a' + zone)), 1U << prng.Below(3));
    if (number != 0 && prng.Below(100) < percent_dead) {
      state.members.at(TestId(number)).state = MemberState::kDead;
    }
  }
  RC_ASSERT(SpreadsOverZones(state, Build(state).view));
}

bool Same(const ClusterView& a, const ClusterView& b) {
  return a.digest == b.digest && a.owner == b.owner && a.holders == b.holders &&
         a.complete == b.complete;
}

RC_GTEST_PROP(ViewBuilderProperty, WhatIsUpdatedIsAsIfItWasBuiltAnew, ()) {
  ClusterState state;
  state.partition_count = 64;
  const auto members = *rc::gen::inRange<std::uint64_t>(1, 12);
  Prng prng(*rc::gen::arbitrary<std::uint64_t>());
  for (std::uint64_t number = 0; number < members; ++number) {
    Add(state, number, std::string(1, static_cast<char>('a' + prng.Below(3))));
    const NodeId id = TestId(number);
    if (prng.Below(4) == 0) state.ring.at(id).removed = true;
    state.holdings[id] = {state.members.at(id).incarnation, 1, PartitionSet(64), PartitionSet(64)};
  }
  const Placement placement =
      ComputePlacement(RingMembersOf(state), state.replicas, state.partition_count);
  std::vector<LocalKnowledge> local(state.partition_count);
  ViewBuilder builder(state, placement, local);
  builder.Rebuild();
  for (int round = 0; round < 20; ++round) {
    PartitionSet changed(64);
    for (std::uint64_t change = prng.Below(4); change > 0; --change) {
      const auto partition = static_cast<PartitionId>(prng.Below(64));
      const NodeId id = TestId(prng.Below(members));
      changed.Set(partition);
      state.holdings.at(id).complete.Assign(partition, prng.Below(2) == 0);
      state.holdings.at(id).owned.Assign(partition, prng.Below(2) == 0);
      local[partition].complete = prng.Below(2) == 0;
      local[partition].owns = local[partition].complete && prng.Below(2) == 0;
      if (prng.Below(4) == 0) local[partition].granted_to = id;
      if (prng.Below(4) == 0) local[partition].taken_from = id;
      if (prng.Below(4) == 0) local[partition].last_owner = id;
    }
    builder.Update(changed);
    const BuiltView anew = BuildView(state, placement, local);
    RC_ASSERT(Same(builder.built().view, anew.view));
    RC_ASSERT(builder.built().claimant == anew.claimant);
  }
}

}  // namespace
}  // namespace gyre
