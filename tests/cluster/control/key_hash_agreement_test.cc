#include "control/key_hash_agreement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/prng.h"
#include "cluster/level.h"

namespace gyre {
namespace {

using Kind = KeyHashStep::Kind;

NodeId Node(std::uint8_t number) {
  NodeId id;
  id.bytes[0] = number;
  return id;
}

Membership::Ability Says(std::uint8_t number, KeyHashId hash = {},
                         std::uint32_t level = kLevelKeyHash, bool serves = true) {
  return {Node(number), serves, level, hash};
}

// The ring's level is that of the least.
KeyHashStep Next(const NodeId& self, const KeyHashId& own,
                 const std::vector<Membership::Ability>& others) {
  std::uint32_t level = kLevelKeyHash;
  for (const Membership::Ability& each : others) level = std::min(level, each.level);
  return NextKeyHashStep(self, own, level, others);
}

constexpr KeyHashId kOld{.created_ms = 1000, .tag = 9};
constexpr KeyHashId kYoung{.created_ms = 2000, .tag = 1};

TEST(KeyHashAgreement, TheFirstMakesOneWhenAllCan) {
  EXPECT_EQ(Next(Node(1), {}, {}).kind, Kind::kMake) << "alone";
  EXPECT_EQ(Next(Node(1), {}, {Says(2), Says(3)}).kind, Kind::kMake);
  EXPECT_EQ(Next(Node(2), {}, {Says(1), Says(3)}).kind, Kind::kNone);
  EXPECT_EQ(Next(Node(2), {}, {Says(1, {}, kLevelKeyHash, /*serves=*/false)}).kind, Kind::kMake)
      << "the first of those that serve";
  EXPECT_EQ(Next(Node(1), kYoung, {Says(2)}).kind, Kind::kNone) << "it has one";
}

TEST(KeyHashAgreement, NobodyMakesOneWhileANodeOfTheReleaseBeforeHasAPlace) {
  EXPECT_EQ(Next(Node(1), {}, {Says(2), Says(3, {}, kLevelStreams)}).kind, Kind::kNone);
  EXPECT_EQ(Next(Node(1), {}, {Says(3, {}, kLevelRecords, /*serves=*/false)}).kind, Kind::kNone)
      << "it may come back as it was";
  EXPECT_EQ(NextKeyHashStep(Node(1), {}, kLevelStreams, {Says(2)}).kind, Kind::kNone)
      << "nor does that node itself";
}

TEST(KeyHashAgreement, WhoHasNoneOrAYoungerOneTakesTheOldest) {
  for (const KeyHashId& own : {KeyHashId{}, kYoung}) {
    const KeyHashStep step = Next(Node(1), own, {Says(2, kYoung), Says(3, kOld), Says(4)});
    EXPECT_EQ(step.kind, Kind::kTake);
    EXPECT_EQ(step.from, Node(3));
  }
  EXPECT_EQ(Next(Node(1), kOld, {Says(2, kYoung)}).kind, Kind::kNone);
  EXPECT_EQ(Next(Node(1), kYoung, {Says(2, kOld, kLevelKeyHash, false)}).kind, Kind::kNone)
      << "who does not serve cannot be asked";
  EXPECT_EQ(Next(Node(2), {}, {Says(1), Says(3, kOld, kLevelKeyHash)}).kind, Kind::kTake)
      << "also of a ring with a node that does not know it yet";
}

TEST(KeyHashAgreement, ATimeThatCannotBeIsNoClaim) {
  EXPECT_EQ(Next(Node(1), kYoung, {Says(2, {.created_ms = -5, .tag = 3})}).kind, Kind::kNone);
}

// Whatever each has, and in whatever order they hear of each other.
TEST(KeyHashAgreement, AllEndWithOne) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    Prng prng(seed);
    const auto nodes = static_cast<std::uint8_t>(1 + prng.Below(6));
    std::vector<KeyHashId> has(nodes);
    for (KeyHashId& each : has) {
      if (prng.Chance(0.5))
        each = {static_cast<std::int64_t>(1 + prng.Below(4)), 1 + prng.Below(3)};
    }
    for (int step = 0; step < 200; ++step) {
      const auto self = static_cast<std::uint8_t>(prng.Below(nodes));
      std::vector<Membership::Ability> others;
      for (std::uint8_t other = 0; other < nodes; ++other) {
        if (other != self) others.push_back(Says(other, has[other]));
      }
      const KeyHashStep next = Next(Node(self), has[self], others);
      if (next.kind == Kind::kMake) has[self] = {9, 100 + seed};
      if (next.kind == Kind::kTake) has[self] = has[next.from.bytes[0]];
    }
    for (const KeyHashId& each : has) {
      EXPECT_EQ(each, has.front()) << seed;
      EXPECT_FALSE(each.is_plain()) << seed;
    }
  }
}

}  // namespace
}  // namespace gyre
