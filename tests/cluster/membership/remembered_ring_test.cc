// Nodes that remember their ring over a restart, in the membership machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/membership_fixture.h"
#include "membership/state_codec.h"

namespace gyre {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

class RememberedRingTest : public ::testing::Test {
 protected:
  // A ring of the nodes 0 to count - 1.
  void Form(std::uint64_t count) {
    cluster.StartMany(count);
    cluster.Run(seconds(5));
    for (std::uint64_t number = 0; number < count; ++number) JoinRing(number);
    cluster.Run(seconds(5));
  }
  void JoinRing(std::uint64_t number) {
    cluster.Apply(number, [this](Membership& each) { return each.JoinRing(cluster.now()); });
  }
  void Stop(std::uint64_t number) {
    memory[number] = RingToRemember(cluster.at(number).state());
    cluster.Apply(number, [this](Membership& each) { return each.Stop(cluster.now()); });
    cluster.Run(seconds(1));
    cluster.Kill(number);
  }
  // With its memory, and where its members were as seeds: as the node does.
  void Restart(std::uint64_t number, MemberInfo info) {
    MembershipOptions options;
    options.remembered = memory[number];
    std::vector<std::uint64_t> seeds;
    for (const RememberedMember& member : memory[number].members) {
      for (std::uint64_t other = 0; other < 8; ++other) {
        if (other != number && member.entry.id == TestId(other) && !member.entry.removed) {
          seeds.push_back(other);
        }
      }
    }
    cluster.Start(number, std::move(info), options, seeds);
  }
  void Restart(std::uint64_t number) { Restart(number, TestMember(number, kNextLife)); }
  bool OnRing(std::uint64_t viewer, std::uint64_t number) {
    const auto& ring = cluster.at(viewer).state().ring;
    const auto entry = ring.find(TestId(number));
    return entry != ring.end() && !entry->second.removed;
  }

  static constexpr std::uint64_t kNextLife = 1000;
  VirtualCluster cluster{7};
  std::map<std::uint64_t, RememberedRing> memory;
};

TEST_F(RememberedRingTest, ANodeGoesBackToItsRingWithoutBeingToldToJoin) {
  Form(4);
  Stop(0);
  Restart(0);
  EXPECT_FALSE(cluster.at(0).joined());
  EXPECT_TRUE(cluster.RunUntil([this] { return cluster.Converged(); }, seconds(10)));
  EXPECT_TRUE(cluster.at(0).joined());
  EXPECT_EQ(cluster.Deaths(), 0U);
}

// What is remembered accuses nobody: the others' lives go on.
TEST_F(RememberedRingTest, WhoIsOnlyRememberedIsNotCalledDead) {
  Form(3);
  Stop(0);
  Stop(1);
  Restart(1);  // tells the node 2 of what it has not heard of
  cluster.Run(seconds(10));
  EXPECT_EQ(cluster.Deaths(), 0U);
  EXPECT_EQ(cluster.StateAt(2, 0), MemberState::kStopped);
  EXPECT_EQ(cluster.StateAt(1, 0), MemberState::kStopped);
}

TEST_F(RememberedRingTest, AfterAStopOfAllTheRingIsTheSame) {
  Form(4);
  for (std::uint64_t number = 0; number < 4; ++number) Stop(number);
  Restart(2);
  cluster.Run(seconds(5));
  EXPECT_FALSE(cluster.at(2).joined());
  for (std::uint64_t number = 0; number < 4; ++number) EXPECT_TRUE(OnRing(2, number));
  Restart(0);
  cluster.Run(seconds(5));
  EXPECT_TRUE(cluster.at(2).joined());
  Restart(1);
  Restart(3);
  EXPECT_TRUE(cluster.RunUntil([this] { return cluster.Converged(); }, seconds(10)));
  for (std::uint64_t number = 0; number < 4; ++number) {
    EXPECT_EQ(cluster.at(3).state().ring.at(TestId(number)).revision, 1U);
  }
}

TEST_F(RememberedRingTest, WhoDoesNotComeBackIsEvictedByAMajority) {
  Form(3);
  for (std::uint64_t number = 0; number < 3; ++number) Stop(number);
  Restart(0);
  cluster.Run(minutes(6));
  EXPECT_TRUE(OnRing(0, 1)) << "one of three evicts nobody";
  Restart(1);
  cluster.Run(minutes(6));
  EXPECT_TRUE(OnRing(0, 1));
  EXPECT_FALSE(OnRing(0, 2));
  EXPECT_FALSE(OnRing(1, 2));
}

TEST_F(RememberedRingTest, WhoWasRemovedMeanwhileStaysRemoved) {
  Form(4);
  Stop(0);
  cluster.Apply(1, [this](Membership& each) { return each.LeaveRing(cluster.now(), TestId(3)); });
  cluster.Run(seconds(5));
  Restart(0);
  cluster.Run(seconds(5));
  EXPECT_FALSE(OnRing(0, 3));
  EXPECT_FALSE(OnRing(1, 3));
}

TEST_F(RememberedRingTest, WhoWasEvictedMeanwhileTakesItsPlaceAgain) {
  Form(4);
  memory[0] = RingToRemember(cluster.at(0).state());
  cluster.Kill(0);
  ASSERT_TRUE(cluster.RunUntil([this] { return !OnRing(1, 0); }, minutes(7)));
  Restart(0);
  EXPECT_TRUE(cluster.RunUntil([this] { return OnRing(1, 0); }, seconds(10)));
}

TEST_F(RememberedRingTest, WhoWasDrainedStaysOffOverRestartsUntilItIsUndrained) {
  Form(4);
  cluster.Apply(1, [this](Membership& each) { return each.Drain(cluster.now(), TestId(0)); });
  cluster.Run(seconds(2));
  for (const bool remembers : {true, false}) {
    Stop(0);
    if (!remembers) memory[0] = {};  // the others tell it
    Restart(0);
    ASSERT_TRUE(cluster.RunUntil([this] { return cluster.at(0).joined(); }, seconds(10)));
    JoinRing(0);
    cluster.Run(seconds(5));
    for (const std::uint64_t viewer : {0, 1, 2, 3}) EXPECT_FALSE(OnRing(viewer, 0)) << viewer;
  }
  cluster.Apply(2, [this](Membership& each) { return each.Undrain(cluster.now(), TestId(0)); });
  EXPECT_TRUE(cluster.RunUntil([this] { return OnRing(0, 0) && OnRing(1, 0); }, seconds(5)));
}

// The others forgot it.
TEST_F(RememberedRingTest, ADrainThatOnlyItsNodeRemembersHolds) {
  Form(3);
  RingEntry entry{.id = TestId(6), .revision = 9, .removed = true, .drained = true};
  entry.proof = TestSigner::Proof(TestId(6), Said::kRingEntry, WordsOf(entry));
  memory[6] = RingToRemember(cluster.at(0).state());
  memory[6].members.push_back({entry, "n6", TestMember(6).host, 7700});
  Restart(6);
  ASSERT_TRUE(cluster.RunUntil([this] { return cluster.at(6).joined(); }, seconds(10)));
  JoinRing(6);
  cluster.Run(seconds(5));
  for (const std::uint64_t viewer : {0, 1, 2, 6}) EXPECT_FALSE(OnRing(viewer, 6)) << viewer;
  cluster.Apply(0, [this](Membership& each) { return each.Undrain(cluster.now(), TestId(6)); });
  EXPECT_TRUE(cluster.RunUntil([this] { return OnRing(0, 6) && OnRing(6, 6); }, seconds(5)));
}

TEST_F(RememberedRingTest, WhoWasUndrainedWhileItWasDownTakesItsPlace) {
  Form(4);
  cluster.Apply(1, [this](Membership& each) { return each.Drain(cluster.now(), TestId(0)); });
  cluster.Run(seconds(2));
  Stop(0);
  cluster.Apply(2, [this](Membership& each) { return each.Undrain(cluster.now(), TestId(0)); });
  cluster.Run(seconds(2));
  Restart(0);
  JoinRing(0);  // as it starts, before it has heard of it
  EXPECT_TRUE(cluster.RunUntil([this] { return OnRing(0, 0) && OnRing(1, 0); }, seconds(5)));
}

TEST_F(RememberedRingTest, WhoeverIsTheWholeRingWaitsForNobody) {
  Form(1);
  Stop(0);
  MembershipOptions options;
  options.remembered = memory[0];
  cluster.Start(0, TestMember(0, kNextLife), options, {5});  // told to join, too
  EXPECT_TRUE(cluster.at(0).joined());
}

// A node that forgot its identity, at its old address.
TEST_F(RememberedRingTest, AnIdentityAtThisNodesAddressIsOver) {
  Form(3);
  Stop(0);
  MemberInfo info = TestMember(0, kNextLife);
  info.id = TestId(7);
  Restart(0, info);
  cluster.Apply(0, [this](Membership& each) { return each.JoinRing(cluster.now()); });
  EXPECT_TRUE(cluster.RunUntil([this] { return !OnRing(1, 0) && OnRing(1, 7); }, seconds(30)));
}

}  // namespace
}  // namespace gyre
