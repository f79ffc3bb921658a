#include "proto/placement.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "proto/limits.h"

namespace gyre {
namespace {

constexpr std::uint32_t kReplicas = 2;
// Rings of each kind over which movement is averaged: one ring alone is at the mercy of its hashes.
constexpr int kRings = 8;
constexpr int kLargeRings = 3;  // the hashes of a large ring even out, and cost more

struct Shape {
  std::size_t members = 3;
  bool weighted = false;
  std::uint32_t zones = 1;
  std::uint32_t partitions = kPartitionCountDefault;

  int rings() const { return members < 200 ? kRings : kLargeRings; }

  friend std::ostream& operator<<(std::ostream& out, const Shape& shape) {
    return out << shape.members << " members, " << (shape.weighted ? "1:2:4" : "equal") << ", "
               << shape.zones << " zones, " << shape.partitions << " partitions";
  }
};

RingMember Member(std::uint64_t seed, std::size_t index, const Shape& shape) {
  RingMember member;
  std::uint64_t state = seed * 0x9e3779b97f4a7c15ULL + index + 1;
  for (std::uint8_t& byte : member.id.bytes) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    byte = static_cast<std::uint8_t>(state >> 56);
  }
  member.weight = shape.weighted ? 1U << (index % 3) : 1;
  member.zone = std::string(1, static_cast<char>('a' + index % shape.zones));
  return member;
}

std::vector<RingMember> Ring(std::uint64_t seed, const Shape& shape, std::size_t more = 0) {
  std::vector<RingMember> ring;
  for (std::size_t i = 0; i < shape.members + more; ++i) ring.push_back(Member(seed, i, shape));
  return ring;
}

double WeightOf(const std::vector<RingMember>& ring) {
  return std::accumulate(ring.begin(), ring.end(), 0.0,
                         [](double sum, const RingMember& each) { return sum + each.weight; });
}

// The greatest load of a place, by the member's fair share.
double MaxLoad(const Placement& placement, std::size_t place) {
  std::vector<double> loads(placement.members.size());
  for (const auto& list : placement.preference) loads[list[place]] += 1;
  double most = 0;
  for (std::size_t i = 0; i < loads.size(); ++i) {
    const double fair = static_cast<double>(placement.preference.size()) *
                        placement.members[i].weight / WeightOf(placement.members);
    most = std::max(most, loads[i] / fair);
  }
  return most;
}

// The greatest number of copies, by the member's fair share.
double MaxCopies(const Placement& placement) {
  std::vector<double> copies(placement.members.size());
  for (const auto& list : placement.preference) {
    for (std::size_t place = 0; place < kReplicas; ++place) copies[list[place]] += 1;
  }
  double most = 0;
  for (std::size_t i = 0; i < copies.size(); ++i) {
    const double fair = static_cast<double>(placement.preference.size()) * kReplicas *
                        placement.members[i].weight / WeightOf(placement.members);
    most = std::max(most, copies[i] / fair);
  }
  return most;
}

NodeId At(const Placement& placement, std::size_t partition, std::size_t place) {
  return placement.members[placement.preference[partition][place]].id;
}

double MovedFirst(const Placement& before, const Placement& after) {
  double moved = 0;
  for (std::size_t p = 0; p < before.preference.size(); ++p) {
    if (At(before, p, 0) != At(after, p, 0)) moved += 1;
  }
  return moved;
}

// Copies that appear where there was none: what a ring change has to ship.
double MovedHeld(const Placement& before, const Placement& after) {
  double moved = 0;
  for (std::size_t p = 0; p < before.preference.size(); ++p) {
    for (std::size_t place = 0; place < kReplicas; ++place) {
      const NodeId id = At(after, p, place);
      if (id != At(before, p, 0) && id != At(before, p, 1)) moved += 1;
    }
  }
  return moved;
}

class PlacementShape : public ::testing::TestWithParam<Shape> {
 protected:
  static Placement Compute(const std::vector<RingMember>& ring) {
    return ComputePlacement(ring, kReplicas, GetParam().partitions);
  }
};

TEST_P(PlacementShape, BalancesFirstPlacesWithinFivePercent) {
  for (int seed = 0; seed < GetParam().rings(); ++seed) {
    EXPECT_LE(MaxLoad(Compute(Ring(seed, GetParam())), 0), 1.05) << "seed " << seed;
  }
}

TEST_P(PlacementShape, BalancesCopiesReasonably) {
  // In zones of different weights the small ones hold more than their share: a partition has only
  // one copy in the large one.
  if (GetParam().zones > 1 && GetParam().weighted) return;
  for (int seed = 0; seed < GetParam().rings(); ++seed) {
    const double most = GetParam().weighted && GetParam().members < 5 ? 1.45 : 1.27;
    EXPECT_LE(MaxCopies(Compute(Ring(seed, GetParam()))), most) << "seed " << seed;
  }
}

// Copies are what is shipped. What a join moves is what the leave of the same member moves back:
// the map depends on the members alone.
TEST_P(PlacementShape, MovesLittleOnJoinAndLeave) {
  double join = 0;
  double leave = 0;
  for (int seed = 0; seed < GetParam().rings(); ++seed) {
    const std::vector<RingMember> more = Ring(seed, GetParam(), 1);
    const Placement small = Compute(Ring(seed, GetParam()));
    const Placement large = Compute(more);
    const double ideal = GetParam().partitions * more.back().weight / WeightOf(more);
    join += MovedHeld(small, large) / ideal / kReplicas / GetParam().rings();
    leave += MovedHeld(large, small) / ideal / kReplicas / GetParam().rings();
  }
  EXPECT_LE(join, 1.25);
  EXPECT_LE(leave, 1.25);
}

// 200 members need all of the 16,384 partitions, 50 are well served by 4,096.
INSTANTIATE_TEST_SUITE_P(
    , PlacementShape,
    ::testing::Values(Shape{3}, Shape{5}, Shape{10}, Shape{20}, Shape{3, true}, Shape{5, true},
                      Shape{10, true}, Shape{20, true}, Shape{5, false, 3}, Shape{10, false, 3},
                      Shape{20, false, 3}, Shape{20, true, 3}, Shape{50}, Shape{50, true},
                      Shape{50, false, 3}, Shape{50, false, 1, 4096}, Shape{50, true, 1, 4096},
                      Shape{50, false, 3, 4096}, Shape{50, true, 3, 4096},
                      Shape{200, false, 1, 4096}, Shape{200, false, 1, 16384},
                      Shape{200, true, 1, 16384}, Shape{200, false, 3, 16384}));

// Owners that change are handovers: no data moves. Where a member has some dozen partitions only,
// one partition is the whole tolerance, nearly everybody stands at the bound, and owners change
// that the newcomer never sees. This keeps it from growing unnoticed.
struct Handovers {
  Shape shape;
  double most;
};

class PlacementHandovers : public ::testing::TestWithParam<Handovers> {};

TEST_P(PlacementHandovers, AreNotManyMoreThanTheNewcomerTakes) {
  const Shape& shape = GetParam().shape;
  double first = 0;
  for (int seed = 0; seed < shape.rings(); ++seed) {
    const std::vector<RingMember> more = Ring(seed, shape, 1);
    const double ideal = shape.partitions * more.back().weight / WeightOf(more);
    first += MovedFirst(ComputePlacement(Ring(seed, shape), kReplicas, shape.partitions),
                        ComputePlacement(more, kReplicas, shape.partitions)) /
             ideal / shape.rings();
  }
  EXPECT_LE(first, GetParam().most) << shape;
}

INSTANTIATE_TEST_SUITE_P(, PlacementHandovers,
                         ::testing::Values(Handovers{{3}, 1.1}, Handovers{{3, true}, 1.1},
                                           Handovers{{10}, 1.25}, Handovers{{10, true}, 1.25},
                                           Handovers{{20}, 1.4}, Handovers{{50}, 2.3},
                                           Handovers{{50, false, 1, 4096}, 1.3},
                                           Handovers{{50, false, 1, 16384}, 1.1},
                                           Handovers{{200, false, 1, 16384}, 1.7}));

// Without a second holder an owner that changes is a copy that moves.
TEST(Placement, BalancesAndMovesLittleWithoutReplicas) {
  for (const Shape& shape : {Shape{3}, Shape{10}, Shape{50, false, 1, 4096}}) {
    double moved = 0;
    for (int seed = 0; seed < shape.rings(); ++seed) {
      const std::vector<RingMember> more = Ring(seed, shape, 1);
      const Placement small = ComputePlacement(Ring(seed, shape), 1, shape.partitions);
      const Placement large = ComputePlacement(more, 1, shape.partitions);
      EXPECT_LE(MaxLoad(small, 0), 1.05) << shape;
      moved += MovedFirst(small, large) / (shape.partitions / WeightOf(more)) / shape.rings();
    }
    EXPECT_LE(moved, 1.25) << shape;
  }
}

// What a dead member owned is spread over the others: the second places of its partitions.
TEST(Placement, SpreadsThePartitionsOfADeadMemberOverTheOthers) {
  const Placement placement = ComputePlacement(Ring(1, {10}), kReplicas, 1024);
  for (std::uint16_t dead = 0; dead < 10; ++dead) {
    std::vector<std::size_t> heirs(10);
    std::size_t owned = 0;
    for (const auto& list : placement.preference) {
      if (list[0] != dead) continue;
      ++owned;
      ++heirs[list[1]];
    }
    for (std::uint16_t heir = 0; heir < 10; ++heir) {
      if (heir == dead) continue;
      EXPECT_LE(heirs[heir], owned / 3) << dead << " " << heir;
      EXPECT_GE(heirs[heir], 1U) << dead << " " << heir;
    }
  }
}

TEST(Placement, GivesMembersOfWeightZeroTheShareOfOne) {
  std::vector<RingMember> ring = Ring(1, {3});
  const Placement equal = ComputePlacement(ring, kReplicas, 1024);
  for (RingMember& member : ring) member.weight = 0;
  EXPECT_EQ(ComputePlacement(ring, kReplicas, 1024).preference, equal.preference);
}

TEST(Placement, HasEmptyListsWithoutMembers) {
  const Placement placement = ComputePlacement({}, kReplicas, 16);
  EXPECT_EQ(placement.preference.size(), 16U);
  EXPECT_TRUE(placement.preference[7].empty());
}

TEST(Placement, BoundsListsOfLargeRings) {
  const Placement placement = ComputePlacement(Ring(1, {300, false, 3}), 3, 4096);
  for (const auto& list : placement.preference) ASSERT_EQ(list.size(), kPreferenceMax);
}

// A map that changes with a compiler, a library or a careless edit would split a cluster in a
// rolling upgrade: this is the wire format of the ring.
TEST(Placement, StaysTheSameFromReleaseToRelease) {
  const Placement placement = ComputePlacement(Ring(42, {10, true, 3}), 3, 1024);
  std::uint64_t digest = 0;
  for (const auto& list : placement.preference) {
    for (std::uint16_t member : list) digest = digest * 1099511628211ULL + member + 1;
  }
  EXPECT_EQ(digest, 969405289216745696ULL);
}

// Owners are balanced, whatever the ring: within five percent, or one partition more than the mean. (Of 16
// members with 64 partitions in two zones one may own 5, in few rings of many.)
RC_GTEST_PROP(PlacementProperty, BalancesTheOwnersOfAnyRingOfEqualMembers, ()) {
  Shape shape;
  shape.members = *rc::gen::inRange<std::size_t>(1, 60);
  shape.zones = *rc::gen::inRange<std::uint32_t>(1, 4);
  shape.partitions = 1U << *rc::gen::inRange(4, 12);
  const auto replicas = *rc::gen::inRange<std::uint32_t>(1, kReplicasMax + 1);
  const std::vector<RingMember> ring = Ring(*rc::gen::arbitrary<std::uint64_t>(), shape);
  const Placement placement = ComputePlacement(ring, replicas, shape.partitions);
  std::vector<std::size_t> owned(ring.size());
  for (const auto& list : placement.preference) ++owned[list[0]];
  const double mean = static_cast<double>(shape.partitions) / static_cast<double>(ring.size());
  const double most = static_cast<double>(*std::max_element(owned.begin(), owned.end()));
  RC_ASSERT(most <= std::max(mean * 1.05, std::floor(mean) + 1));
}

RC_GTEST_PROP(PlacementProperty, DependsOnTheSetAloneAndRespectsZones, ()) {
  Shape shape;
  shape.members = *rc::gen::inRange<std::size_t>(1, 40);
  shape.weighted = *rc::gen::arbitrary<bool>();
  shape.zones = *rc::gen::inRange<std::uint32_t>(1, 5);
  const auto replicas = *rc::gen::inRange<std::uint32_t>(1, kReplicasMax + 1);
  const auto partitions = 1U << *rc::gen::inRange(0, 9);
  const std::vector<RingMember> ring = Ring(*rc::gen::arbitrary<std::uint64_t>(), shape);
  const Placement placement = ComputePlacement(ring, replicas, partitions);

  std::vector<RingMember> reversed(ring.rbegin(), ring.rend());
  RC_ASSERT(ComputePlacement(reversed, replicas, partitions).preference == placement.preference);

  std::set<std::string> zones;
  for (const RingMember& member : ring) zones.insert(member.zone);
  RC_ASSERT(placement.preference.size() == partitions);
  for (const auto& list : placement.preference) {
    RC_ASSERT(list.size() == std::min(ring.size(), kPreferenceMax));
    RC_ASSERT(std::set<std::uint16_t>(list.begin(), list.end()).size() == list.size());
    std::set<std::string> first_zones;
    const std::size_t spread = std::min({std::size_t{replicas}, zones.size(), list.size()});
    for (std::size_t i = 0; i < spread; ++i) {
      first_zones.insert(placement.members[list[i]].zone);
    }
    RC_ASSERT(first_zones.size() == spread);
  }
}

}  // namespace
}  // namespace gyre
