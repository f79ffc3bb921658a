#include "membership/probe_list.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "cluster/membership_fixture.h"

namespace gyre {
namespace {

class ProbeListTest : public ::testing::Test {
 protected:
  ProbeListTest() {
    for (std::uint64_t i = 0; i < kMembers; ++i) list.Add(TestId(i), prng);
  }
  std::optional<NodeId> Next() {
    return list.Next(prng, [this](const NodeId& id) { return unwanted.count(id) == 0; });
  }

  static constexpr std::uint64_t kMembers = 10;
  Prng prng{1};
  ProbeList list;
  std::set<NodeId> unwanted;
};

TEST_F(ProbeListTest, VisitsEachMemberOnceARound) {
  for (int round = 0; round < 20; ++round) {
    std::set<NodeId> seen;
    for (std::uint64_t i = 0; i < kMembers; ++i) seen.insert(*Next());
    EXPECT_EQ(seen.size(), kMembers);
  }
}

TEST_F(ProbeListTest, LetsNobodyWaitLongerThanARoundAndAHalf) {
  std::map<NodeId, std::uint64_t> last;
  for (std::uint64_t at = 0; at < 1000 * kMembers; ++at) {
    const NodeId id = *Next();
    if (last.contains(id)) {
      ASSERT_LT(at - last.at(id), kMembers * 3 / 2);
    }
    last[id] = at;
  }
}

TEST_F(ProbeListTest, ShufflesEachRound) {
  std::set<std::vector<NodeId>> orders;
  for (int round = 0; round < 10; ++round) {
    std::vector<NodeId> order;
    for (std::uint64_t i = 0; i < kMembers; ++i) order.push_back(*Next());
    orders.insert(order);
  }
  EXPECT_GE(orders.size(), 9U);
}

TEST_F(ProbeListTest, SkipsTheUnwantedAndEndsWithoutWanted) {
  for (std::uint64_t i = 1; i < kMembers; ++i) unwanted.insert(TestId(i));
  EXPECT_EQ(Next(), TestId(0));
  EXPECT_EQ(Next(), TestId(0));
  unwanted.insert(TestId(0));
  EXPECT_EQ(Next(), std::nullopt);
}

TEST_F(ProbeListTest, HastensOutOfTurnOnceEach) {
  list.Hasten(TestId(4));
  list.Hasten(TestId(4));
  list.Hasten(TestId(5));
  EXPECT_EQ(Next(), TestId(4));
  EXPECT_EQ(Next(), TestId(5));
  std::map<NodeId, int> seen;
  for (std::uint64_t i = 0; i < kMembers; ++i) ++seen[*Next()];
  EXPECT_EQ(seen.size(), kMembers);
}

TEST_F(ProbeListTest, ForgetsTheRemoved) {
  Next();
  list.Hasten(TestId(3));
  list.Remove(TestId(3));
  list.Remove(TestId(3));
  for (int i = 0; i < 40; ++i) EXPECT_NE(Next(), TestId(3));
  EXPECT_EQ(list.size(), kMembers - 1);
}

}  // namespace
}  // namespace gyre
