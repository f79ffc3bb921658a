#include "ownership/ownership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "cluster/ownership_fixture.h"

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
constexpr std::size_t kAll = OwnershipCluster::kPartitions;

TEST(OwnershipTest, AFounderOwnsEverythingAtOnce) {
  OwnershipCluster cluster;
  const NodeId n1 = cluster.Start(1, true);
  EXPECT_EQ(cluster.CountRole(n1, Role::kOwner), kAll);
  EXPECT_EQ(cluster.at(n1).ownership->stats().losses, 0U);
  ASSERT_NE(cluster.at(n1).view, nullptr);
  EXPECT_EQ(cluster.at(n1).view->owner[0], cluster.at(n1).view->self);
}

TEST(OwnershipTest, WithoutAFounderTheFirstHolderDeclaresAfterAQuietTime) {
  OwnershipCluster cluster;
  const NodeId n1 = cluster.Start(1);
  const NodeId n2 = cluster.Start(2);
  EXPECT_EQ(cluster.CountRole(n1, Role::kOwner) + cluster.CountRole(n2, Role::kOwner), 0U);
  cluster.Pass(seconds(3));
  EXPECT_EQ(cluster.WrongOwners(), "");
  EXPECT_EQ(cluster.at(n1).ownership->stats().losses, 0U) << "a first start loses nothing";
}

TEST(OwnershipTest, AJoiningNodeIsFilledThenOwnsItsShareAndNobodyElseDoes) {
  OwnershipCluster cluster;
  const NodeId n1 = cluster.Start(1, true);
  const NodeId n2 = cluster.Start(2);
  cluster.Pass(seconds(1));
  EXPECT_EQ(cluster.WrongOwners(), "");
  EXPECT_GT(cluster.CountRole(n2, Role::kOwner), kAll / 4);
  EXPECT_EQ(cluster.CountRole(n2, Role::kOwner) + cluster.CountRole(n2, Role::kReplica), kAll);
  const NodeId n3 = cluster.Start(3);
  cluster.Pass(seconds(1));
  EXPECT_EQ(cluster.WrongOwners(), "");
  EXPECT_GT(cluster.CountRole(n3, Role::kOwner), kAll / 6);
  // With two copies of everything on three nodes each one has two thirds; the rest was dropped.
  std::size_t copies = 0;
  for (const NodeId& id : {n1, n2, n3}) {
    copies += cluster.CountRole(id, Role::kOwner) + cluster.CountRole(id, Role::kReplica);
  }
  EXPECT_EQ(copies, 2 * kAll);
  EXPECT_LE(cluster.worst_owner_count(), 1U);
}

TEST(OwnershipTest, AWarmingHolderOwnsNothingUntilItIsFilled) {
  OwnershipCluster cluster;
  const NodeId n1 = cluster.Start(1, true);
  cluster.SetPullsEnd(false);
  const NodeId n2 = cluster.Start(2);
  cluster.Pass(seconds(1));
  EXPECT_EQ(cluster.CountRole(n1, Role::kOwner), kAll);
  EXPECT_EQ(cluster.CountRole(n2, Role::kWarming), kAll);
  EXPECT_EQ(cluster.at(n2).pulls.size(), kAll);
  for (const auto& [partition, targets] : cluster.at(n1).targets) {
    ASSERT_EQ(targets.size(), 1U) << "writes go to the warming holder";
    EXPECT_FALSE(targets[0].complete);
  }
  cluster.SetPullsEnd(true);
  cluster.Pass(seconds(1));
  EXPECT_EQ(cluster.WrongOwners(), "");
}

class ThreeNodes : public ::testing::Test {
 protected:
  ThreeNodes() {
    n1 = cluster.Start(1, true);
    n2 = cluster.Start(2);
    n3 = cluster.Start(3);
    cluster.Pass(seconds(2));
  }
  OwnershipCluster cluster;
  NodeId n1, n2, n3;
};

TEST_F(ThreeNodes, WhenTheOwnerDiesTheNextCompleteTakesOverAtOnceAndTheThirdWarms) {
  ASSERT_EQ(cluster.WrongOwners(), "");
  const std::size_t orphans = cluster.CountRole(n2, Role::kOwner);
  cluster.SetPullsEnd(false);
  cluster.Kill(n2);
  EXPECT_EQ(cluster.WrongOwners(), "");
  EXPECT_EQ(
      cluster.at(n1).ownership->stats().takeovers + cluster.at(n3).ownership->stats().takeovers,
      orphans);
  EXPECT_EQ(cluster.at(n1).ownership->stats().losses, 0U);
  cluster.SetPullsEnd(true);
  cluster.Pass(seconds(1));
  EXPECT_EQ(cluster.CountRole(n1, Role::kOwner) + cluster.CountRole(n1, Role::kReplica), kAll);
  EXPECT_EQ(cluster.CountRole(n3, Role::kOwner) + cluster.CountRole(n3, Role::kReplica), kAll);
}

// Two owners gave up in favour of each other (leases, lost at the wrong moment): each last saw the
// other own the partition, and waits for it.
TEST_F(ThreeNodes, WhereAllCopiesCountAsStaleOneIsTheOwnerAgainAndNothingIsLost) {
  cluster.SetPullsEnd(false);  // nobody has it whole to pull from
  const std::size_t owned = cluster.CountRole(n1, Role::kOwner);
  ASSERT_GT(owned, 0U);
  cluster.DeclareDead(n1);
  cluster.Hear(n1);
  cluster.Refute(n1);
  cluster.Pass(std::chrono::milliseconds(200));  // it saw who took over, and pulls
  ASSERT_EQ(cluster.CountRole(n1, Role::kOwner), 0U);
  std::vector<PartitionId> all(kAll);
  std::iota(all.begin(), all.end(), PartitionId{0});
  for (const NodeId& id : {n2, n3}) {
    Ownership& other = *cluster.at(id).ownership;
    cluster.Carry(id, other.OnLeases(cluster.now(), PartitionSet(kAll), all));
  }
  for (const NodeId& id : {n1, n2, n3}) ASSERT_EQ(cluster.CountRole(id, Role::kOwner), 0U);
  cluster.Pass(seconds(10));
  EXPECT_EQ(cluster.WrongOwners(), "");
  for (const NodeId& id : {n1, n2, n3}) {
    EXPECT_EQ(cluster.at(id).ownership->stats().losses, 0U);
  }
}

TEST_F(ThreeNodes, ARestartedNodeStartsEmptyAndGetsItsPlaceBack) {
  cluster.Kill(n2);
  cluster.Pass(seconds(1));
  n2 = cluster.Start(2);
  cluster.Pass(seconds(1));
  EXPECT_EQ(cluster.WrongOwners(), "");
  EXPECT_GT(cluster.CountRole(n2, Role::kOwner), kAll / 6);
  EXPECT_LE(cluster.worst_owner_count(), 1U);
}

TEST_F(ThreeNodes, SigtermHandsEveryOwnedPartitionToACompleteReplica) {
  const std::size_t owned = cluster.CountRole(n1, Role::kOwner);
  ASSERT_GT(owned, 0U);
  cluster.Stop(n1);
  EXPECT_EQ(cluster.WrongOwners(), "");
  const auto in = cluster.at(n2).ownership->stats().handovers_in +
                  cluster.at(n3).ownership->stats().handovers_in;
  EXPECT_GE(in, owned);
  EXPECT_EQ(cluster.at(n2).ownership->stats().takeovers, 0U);
  EXPECT_LE(cluster.worst_owner_count(), 1U);
}

TEST_F(ThreeNodes, ADrainedNodeEndsWithNothing) {
  cluster.LeaveRing(n1);
  cluster.Pass(seconds(2));
  EXPECT_EQ(cluster.WrongOwners(), "");
  EXPECT_TRUE(cluster.at(n1).ownership->holds_nothing());
  EXPECT_LE(cluster.worst_owner_count(), 1U);
}

TEST_F(ThreeNodes, AfterTwoDeathsWhatNobodyHasIsDeclaredEmptyAndCounted) {
  cluster.Kill(n1);
  cluster.SetPullsEnd(false);
  cluster.Kill(n2);  // before n3 has pulled what n1 shared with n2
  cluster.SetPullsEnd(true);
  cluster.Pass(seconds(3));
  EXPECT_EQ(cluster.CountRole(n3, Role::kOwner), kAll);
}

TEST_F(ThreeNodes, AnOwnerWronglyDeclaredDeadTreatsItsCopyAsStale) {
  cluster.SetPullsEnd(false);
  cluster.DeclareDead(n1);
  // The others went on: now two order the writes of n1's partitions, as under any network
  // partition.
  EXPECT_GT(cluster.CountRole(n1, Role::kOwner), 0U);
  cluster.Hear(n1);
  cluster.Refute(n1);
  EXPECT_EQ(cluster.CountRole(n1, Role::kOwner), 0U);
  EXPECT_EQ(cluster.CountRole(n1, Role::kReplica), 0U);
  EXPECT_EQ(cluster.WrongOwners(), "");
  cluster.SetPullsEnd(true);
  cluster.Pass(seconds(2));
  EXPECT_EQ(cluster.WrongOwners(), "");
  EXPECT_GT(cluster.CountRole(n1, Role::kOwner), 0U) << "once whole again it has its place";
}

TEST_F(ThreeNodes, TargetsAreTheHoldersAndAreCompleteOnceSettled) {
  for (const NodeId& id : {n1, n2, n3}) {
    for (const auto& [partition, role] : cluster.at(id).roles) {
      if (role != Role::kOwner) continue;
      const auto& targets = cluster.at(id).targets[partition];
      ASSERT_EQ(targets.size(), 1U);
      EXPECT_TRUE(targets[0].complete);
      EXPECT_NE(targets[0].node, id);
    }
  }
}

TEST_F(ThreeNodes, AResyncFromTheOwnerMakesAReplicaPullAgain) {
  PartitionId partition = 0;
  while (cluster.at(n1).roles[partition] != Role::kReplica) ++partition;
  const ClusterView& view = *cluster.at(n1).view;
  const NodeId owner = view.members[view.owner[partition]].id;
  cluster.SetPullsEnd(false);
  cluster.Carry(n1, cluster.at(n1).ownership->OnResync(cluster.now(), owner, {partition}));
  EXPECT_EQ(cluster.at(n1).roles[partition], Role::kWarming);
  cluster.SetPullsEnd(true);
  cluster.Pass(seconds(1));
  EXPECT_EQ(cluster.at(n1).roles[partition], Role::kReplica);
}

TEST_F(ThreeNodes, AResyncFromSomebodyElseIsIgnored) {
  PartitionId partition = 0;
  while (cluster.at(n1).roles[partition] != Role::kReplica) ++partition;
  const ClusterView& view = *cluster.at(n1).view;
  const NodeId owner = view.members[view.owner[partition]].id;
  const NodeId other = owner == n2 ? n3 : n2;
  cluster.Carry(n1, cluster.at(n1).ownership->OnResync(cluster.now(), other, {partition}));
  EXPECT_EQ(cluster.at(n1).roles[partition], Role::kReplica);
}

TEST(OwnershipTest, ThreeReplicasOnThreeNodesSurviveTwoDeathsWithoutALoss) {
  OwnershipCluster cluster(3);
  const NodeId n1 = cluster.Start(1, true);
  const NodeId n2 = cluster.Start(2);
  const NodeId n3 = cluster.Start(3);
  cluster.Pass(seconds(2));
  EXPECT_EQ(cluster.CountRole(n1, Role::kOwner) + cluster.CountRole(n1, Role::kReplica), kAll);
  cluster.Kill(n1);
  cluster.Kill(n2);
  EXPECT_EQ(cluster.CountRole(n3, Role::kOwner), kAll);
  EXPECT_EQ(cluster.at(n3).ownership->stats().losses, 0U);
}

// A refuted suspicion raises the incarnation of a node that lives on with all it has.
TEST_F(ThreeNodes, AGrantOutlivesASuspicionOfItsNewOwner) {
  cluster.Kill(n2);
  cluster.Pass(seconds(1));
  n2 = cluster.Start(2);
  cluster.RefuteSuspicion(n2);
  cluster.Pass(seconds(2));
  EXPECT_EQ(cluster.WrongOwners(), "");
  EXPECT_LE(cluster.worst_owner_count(), 1U);
}

TEST_F(ThreeNodes, ATargetOutlivesASuspicion) {
  const std::map<PartitionId, std::vector<ReplicaSet::Target>> before = cluster.at(n1).targets;
  cluster.RefuteSuspicion(n2);
  cluster.RefuteSuspicion(n3);
  cluster.Pass(seconds(1));
  EXPECT_EQ(cluster.worst_owner_count(), 1U);
  for (const auto& [partition, targets] : cluster.at(n1).targets) {
    ASSERT_EQ(targets.size(), before.at(partition).size());
    for (std::size_t i = 0; i < targets.size(); ++i) {
      EXPECT_EQ(targets[i].complete, before.at(partition)[i].complete) << partition;
      EXPECT_EQ(targets[i].epoch, before.at(partition)[i].epoch) << partition;
    }
  }
}

class OwnershipOfThreeCopies : public ::testing::Test {
 protected:
  OwnershipOfThreeCopies() {
    n1 = cluster.Start(1, true);
    n2 = cluster.Start(2);
    n3 = cluster.Start(3);
    cluster.Pass(seconds(2));
    cluster.SetRecoveriesEnd(false);
  }
  std::size_t Count(Role role) { return cluster.CountRole(n1, role) + cluster.CountRole(n3, role); }

  OwnershipCluster cluster{3};
  NodeId n1, n2, n3;
};

TEST_F(OwnershipOfThreeCopies, ANewOwnerServesOnceItWasComparedWithTheOtherCopy) {
  const std::size_t orphans = cluster.CountRole(n2, Role::kOwner);
  ASSERT_GT(orphans, 0U);
  cluster.Kill(n2);
  EXPECT_EQ(Count(Role::kRecovering), orphans);
  EXPECT_EQ(Count(Role::kOwner), kAll - orphans);
  EXPECT_EQ(cluster.at(n1).view->owner, cluster.at(n3).view->owner) << "it is claimed already";
  cluster.SetRecoveriesEnd(true);
  EXPECT_EQ(cluster.WrongOwners(), "");
  EXPECT_EQ(cluster.at(n1).ownership->stats().recoveries_cut_short, 0U);
}

TEST_F(OwnershipOfThreeCopies, ACopyThatDiesIsNotWaitedFor) {
  cluster.Kill(n2);
  cluster.Kill(n3);
  EXPECT_EQ(cluster.WrongOwners(), "");
  EXPECT_EQ(cluster.at(n1).ownership->stats().losses, 0U);
}

TEST_F(OwnershipOfThreeCopies, ACopyThatLivesAndDoesNotAnswerIsWaitedForSomeTime) {
  cluster.Kill(n2);
  cluster.Pass(seconds(4));
  EXPECT_GT(Count(Role::kRecovering), 0U);
  cluster.Pass(seconds(3));
  EXPECT_EQ(cluster.WrongOwners(), "");
  EXPECT_GT(cluster.at(n1).ownership->stats().recoveries_cut_short +
                cluster.at(n3).ownership->stats().recoveries_cut_short,
            0U);
}

// What one copy brings may be what another lacks that was compared before.
TEST(OwnershipTest, WhereACopyBringsSomethingAllAreComparedAgain) {
  OwnershipCluster cluster{4};
  std::vector<NodeId> nodes;
  for (int node = 1; node <= 4; ++node) nodes.push_back(cluster.Start(node, node == 1));
  cluster.Pass(seconds(2));
  cluster.SetGainsFrom(nodes[2]);
  cluster.Kill(nodes[1]);
  cluster.Pass(seconds(1));
  EXPECT_EQ(cluster.WrongOwners(), "");
  const std::size_t taken = cluster.at(nodes[0]).ownership->stats().takeovers;
  ASSERT_GT(taken, 0U);
  auto& compared = cluster.at(nodes[0]).compared_with;
  EXPECT_EQ(compared[nodes[2]], 2 * taken);
  EXPECT_GE(compared[nodes[3]], taken);
  EXPECT_GT(compared[nodes[2]] + compared[nodes[3]], 3 * taken) << "some were agreed before";
}

TEST_F(ThreeNodes, AnOwnerKnowsWhetherAllServeWhomTheRingGivesThePartition) {
  OwnershipCluster::Machine& owner = cluster.at(n1);
  std::map<PartitionId, NodeId> others;  // [partition of n1] who has the other copy
  for (const auto& [partition, role] : owner.roles) {
    if (role != Role::kOwner) continue;
    EXPECT_TRUE(owner.all_serve.contains(partition)) << partition;
    others[partition] = owner.targets[partition].front().node;
  }
  cluster.Kill(n2);
  cluster.Pass(seconds(1));
  std::size_t bereft = 0;
  for (const auto& [partition, other] : others) {
    EXPECT_EQ(owner.all_serve.contains(partition), other != n2) << partition;
    EXPECT_EQ(owner.targets[partition].front().node, n3) << "it has the copies of n2 now";
    bereft += other == n2 ? 1 : 0;
  }
  EXPECT_GT(bereft, 0U);
}

TEST_F(OwnershipOfThreeCopies, WhereACopyWasNotComparedNotAllServe) {
  cluster.Kill(n2);
  cluster.Pass(seconds(1));
  cluster.SetPullsEnd(false);  // it gets nothing back yet
  n2 = cluster.Start(2);
  cluster.Pass(seconds(7));
  std::size_t uncompared = 0;
  std::size_t cut_short = 0;
  for (const NodeId& id : {n1, n3}) {
    cut_short += cluster.at(id).ownership->stats().recoveries_cut_short;
    for (const auto& [partition, role] : cluster.at(id).roles) {
      const bool all_serve = cluster.at(id).all_serve.contains(partition);
      uncompared += role == Role::kOwner && !all_serve ? 1 : 0;
    }
  }
  EXPECT_GT(cut_short, 0U);
  EXPECT_EQ(uncompared, cut_short);
}

TEST(OwnershipTest, AGrantThatIsNeverTakenComesBack) {
  OwnershipCluster cluster;
  const NodeId n1 = cluster.Start(1, true);
  cluster.SetPullsEnd(false);
  const NodeId n2 = cluster.Start(2);
  cluster.Pass(milliseconds(100));
  PartitionId partition = 0;
  while (cluster.at(n1).view->holders[partition].front() == cluster.at(n1).view->self) ++partition;
  Ownership& old_owner = *cluster.at(n1).ownership;
  auto start = old_owner.BeginHandover(cluster.now(), n2, {partition});
  ASSERT_THAT(start.settling, testing::ElementsAre(partition));
  cluster.Carry(n1, std::move(start.actions));
  EXPECT_EQ(cluster.at(n1).roles[partition], Role::kHandingOver);
  auto end = old_owner.FinishHandover(cluster.now(), n2, {partition}, {});
  ASSERT_THAT(end.granted, testing::ElementsAre(partition));
  cluster.Carry(n1, std::move(end.actions));
  EXPECT_EQ(cluster.at(n1).roles[partition], Role::kReplica);
  EXPECT_EQ(cluster.at(n1).view->members[cluster.at(n1).view->owner[partition]].id, n2);
  // The answer was lost: the same question gets the same answer.
  auto again = old_owner.BeginHandover(cluster.now(), n2, {partition});
  EXPECT_THAT(again.already_granted, testing::ElementsAre(partition));
  // And if n2 never comes, the old owner goes on.
  cluster.Pass(seconds(7));
  EXPECT_EQ(cluster.at(n1).roles[partition], Role::kOwner);
}

}  // namespace
}  // namespace gyre
