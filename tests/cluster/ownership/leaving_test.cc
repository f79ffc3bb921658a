// Nodes that are about to stop, and nodes that go back to their ring, in the ownership machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/ownership_fixture.h"

namespace gyre {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint32_t kLeavingPartitions = OwnershipCluster::kPartitions;

class FourNodes : public ::testing::Test {
 protected:
  FourNodes() {
    for (int node = 1; node <= 4; ++node) ids.push_back(cluster.Start(node, node == 1));
    cluster.Pass(seconds(3));
  }

  OwnershipCluster cluster;
  std::vector<NodeId> ids;
};

TEST_F(FourNodes, WhoLeavesWaitsForNobodyWhereAllHasAnotherCopy) {
  cluster.Leave(ids[0]);
  EXPECT_EQ(cluster.OnlyAt(ids[0]), 0U);
}

// What the two share is on no other node.
TEST_F(FourNodes, OfTwoThatLeaveAtOnceEachWaitsUntilAThirdHasIt) {
  cluster.SetPullsEnd(false);
  cluster.Leave(ids[0]);
  cluster.Leave(ids[1]);
  EXPECT_GT(cluster.OnlyAt(ids[0]), 0U);
  EXPECT_EQ(cluster.OnlyAt(ids[0]), cluster.OnlyAt(ids[1]));
  cluster.SetPullsEnd(true);
  cluster.Pass(seconds(3));
  EXPECT_EQ(cluster.OnlyAt(ids[0]), 0U);
  EXPECT_EQ(cluster.OnlyAt(ids[1]), 0U);
  cluster.Stop(ids[0]);
  cluster.Stop(ids[1]);
  EXPECT_EQ(cluster.WrongOwners(), "");
  for (const NodeId& id : {ids[2], ids[3]}) {
    EXPECT_EQ(cluster.at(id).ownership->stats().losses, 0U);
    EXPECT_EQ(cluster.at(id).ownership->stats().takeovers, 0U);
  }
  EXPECT_LE(cluster.worst_owner_count(), 1U);
}

TEST_F(FourNodes, WhereAllLeaveNobodyStays) {
  for (const NodeId& id : ids) cluster.Leave(id);
  for (const NodeId& id : ids) EXPECT_FALSE(cluster.at(id).ownership->others_stay());
}

TEST_F(FourNodes, WhoLeavesKeepsItsCopiesAndTakesOverNothing) {
  const std::size_t held =
      cluster.CountRole(ids[0], Role::kReplica) + cluster.CountRole(ids[0], Role::kOwner);
  cluster.Leave(ids[0]);
  cluster.Pass(seconds(3));
  EXPECT_EQ(cluster.CountRole(ids[0], Role::kReplica) + cluster.CountRole(ids[0], Role::kOwner),
            held);
  std::vector<PartitionId> taken;
  std::vector<OwnershipGrant> grants;
  for (PartitionId partition = 0; partition < kLeavingPartitions; ++partition) {
    if (cluster.at(ids[0]).roles[partition] == Role::kReplica) grants.push_back({partition, {}});
  }
  ASSERT_FALSE(grants.empty());
  cluster.Carry(ids[0],
                cluster.at(ids[0]).ownership->OnTakeOver(cluster.now(), ids[1], grants, taken));
  EXPECT_THAT(taken, IsEmpty());
}

// One copy of each: nobody else holds anything, so the others must take it all.
TEST(Leaving, TheOnlyCopyGoesToWhoStays) {
  OwnershipCluster cluster(1);
  const NodeId a = cluster.Start(1, true);
  const NodeId b = cluster.Start(2);
  cluster.Pass(seconds(3));
  cluster.SetPullsEnd(false);
  cluster.Leave(a);
  EXPECT_GT(cluster.OnlyAt(a), 0U);
  cluster.SetPullsEnd(true);
  cluster.Pass(seconds(3));
  EXPECT_EQ(cluster.OnlyAt(a), 0U);
  cluster.Stop(a);
  EXPECT_EQ(cluster.WrongOwners(), "");
  EXPECT_EQ(cluster.at(b).ownership->stats().losses, 0U);
}

// ---- Going back ---------------------------------------------------------------------------------

OwnershipOptions Returning(bool majority = false) {
  OwnershipOptions options;
  options.returns = true;
  options.return_patience = majority ? Duration::max() : Duration(seconds(60));
  return options;
}

class AStoppedRing : public ::testing::Test {
 protected:
  AStoppedRing() {
    for (int node = 1; node <= 4; ++node) cluster.Remember(node);
  }

  OwnershipCluster cluster;
};

TEST_F(AStoppedRing, BeginsNothingBeforeMostOfItIsBack) {
  const NodeId a = cluster.Start(1, Returning());
  cluster.Start(2, Returning());
  cluster.Pass(seconds(30));
  EXPECT_EQ(cluster.CountRole(a, Role::kOwner), 0U);
  EXPECT_FALSE(cluster.at(a).ownership->readiness().ring_is_back);
  EXPECT_EQ(cluster.at(a).ownership->readiness().back, 2U);
  EXPECT_EQ(cluster.at(a).ownership->readiness().ring, 4U);
  cluster.Start(3, Returning());
  cluster.Pass(seconds(3));
  EXPECT_EQ(cluster.WrongOwners(), "");
  EXPECT_TRUE(cluster.at(a).ownership->readiness().ring_is_back);
  EXPECT_EQ(cluster.at(a).ownership->readiness().lacking, 0U);
}

TEST_F(AStoppedRing, GoesOnWithoutTheOthersWhenThePatienceIsOver) {
  const NodeId a = cluster.Start(1, Returning());
  cluster.Pass(seconds(59));
  EXPECT_EQ(cluster.CountRole(a, Role::kOwner), 0U);
  cluster.Pass(seconds(3));
  EXPECT_EQ(cluster.CountRole(a, Role::kOwner), kLeavingPartitions);
  EXPECT_THAT(cluster.at(a).log, testing::Contains(HasSubstr("only 1 of 4 nodes")));
}

TEST_F(AStoppedRing, WithAMajorityNeverWithoutIt) {
  const NodeId a = cluster.Start(1, Returning(/*majority=*/true));
  cluster.Pass(seconds(600));
  EXPECT_EQ(cluster.CountRole(a, Role::kOwner), 0U);
}

TEST_F(AStoppedRing, WhereSomebodyHasSomethingItNeverStopped) {
  cluster.Start(2, /*founder=*/true);
  const NodeId a = cluster.Start(1, Returning());
  cluster.Pass(seconds(3));
  EXPECT_TRUE(cluster.at(a).ownership->readiness().ring_is_back);
  EXPECT_EQ(cluster.WrongOwners(), "");
  EXPECT_EQ(cluster.at(a).ownership->readiness().lacking, 0U);
}

// ---- Ready --------------------------------------------------------------------------------------

TEST(Readiness, ANodeIsReadyOnceItHasWholeWhatTheRingGivesIt) {
  OwnershipCluster cluster;
  cluster.Start(1, true);
  cluster.Start(2);
  cluster.Pass(seconds(3));
  cluster.SetPullsEnd(false);
  const NodeId c = cluster.Start(3);
  Readiness readiness = cluster.at(c).ownership->readiness();
  readiness.joined = true;
  EXPECT_GT(readiness.lacking, 0U);
  EXPECT_EQ(readiness.lacking, readiness.given);
  EXPECT_THAT(WaitsFor(readiness), HasSubstr("partitions are to be filled"));
  cluster.SetPullsEnd(true);
  cluster.Pass(seconds(3));
  readiness = cluster.at(c).ownership->readiness();
  EXPECT_THAT(WaitsFor(readiness), HasSubstr("not yet in the cluster"));
  readiness.joined = true;
  EXPECT_EQ(WaitsFor(readiness), "");
  readiness.ring_full = true;
  EXPECT_THAT(WaitsFor(readiness), HasSubstr("256 nodes"));
  readiness.drained = true;
  EXPECT_THAT(WaitsFor(readiness), HasSubstr("drained"));
}

}  // namespace
}  // namespace gyre
