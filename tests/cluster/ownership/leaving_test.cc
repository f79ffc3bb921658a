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

// Those who hear the goodbye may order the writes from then on, while its loops still end.
TEST_F(FourNodes, WhoResignsOrdersNothingUnlessItIsAlone) {
  const auto resign = [this](const NodeId& id) {
    OwnershipActions actions;
    const bool resigned = cluster.at(id).ownership->Resign(cluster.now(), actions);
    cluster.Carry(id, std::move(actions));
    return resigned;
  };
  ASSERT_GT(cluster.CountRole(ids[0], Role::kOwner), 0U);
  EXPECT_TRUE(resign(ids[0]));
  cluster.Pass(seconds(3));
  EXPECT_EQ(cluster.CountRole(ids[0], Role::kOwner), 0U);

  OwnershipCluster lone(1);
  const NodeId id = lone.Start(1, true);
  lone.Pass(seconds(3));
  OwnershipActions actions;
  EXPECT_FALSE(lone.at(id).ownership->Resign(lone.now(), actions));
  lone.Carry(id, std::move(actions));
  EXPECT_EQ(lone.CountRole(id, Role::kOwner), kLeavingPartitions);
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

// ---- With a snapshot ----------------------------------------------------------------------------

class ANodeThatIsExpectedBack : public FourNodes {
 protected:
  std::size_t PullsBegunBesides(const NodeId& id) {
    std::size_t begun = 0;
    for (const NodeId& other : ids) {
      if (other != id && cluster.state().members.at(other).serving()) {
        begun += cluster.at(other).pulls_begun;
      }
    }
    return begun;
  }
  void StopWithSnapshot(const NodeId& id) {
    cluster.Leave(id, kStopped);
    cluster.Pass(seconds(1));
    ASSERT_EQ(cluster.OnlyAt(id), 0U);
    cluster.Stop(id);
  }
  RestoredCopies Snapshot(const NodeId& id) { return cluster.state().holdings.at(id).restored; }
  std::size_t StandingBy() {
    std::size_t count = 0;
    for (const NodeId& id : ids) {
      if (cluster.state().members.at(id).serving()) {
        count += cluster.at(id).ownership->stats().standing_by;
      }
    }
    return count;
  }

  static constexpr UnixMillis kStopped = 1'700'000'000'000;
};

TEST_F(ANodeThatIsExpectedBack, IsNotReplacedAndItsWritesGoToTwoNodesAllTheSame) {
  const std::size_t before = PullsBegunBesides(ids[0]);
  StopWithSnapshot(ids[0]);
  const RestoredCopies snapshot = Snapshot(ids[0]);
  EXPECT_EQ(snapshot.as_of, kStopped);
  const std::size_t held = snapshot.partitions.Count();
  ASSERT_GT(held, 0U);
  cluster.Pass(seconds(60));
  EXPECT_EQ(PullsBegunBesides(ids[0]), before);
  EXPECT_EQ(StandingBy(), held);
  EXPECT_EQ(cluster.WrongOwners(), "");
  for (PartitionId partition = 0; partition < kLeavingPartitions; ++partition) {
    std::size_t others = 0;
    for (std::size_t node = 1; node < ids.size(); ++node) {
      if (cluster.at(ids[node]).roles[partition] != Role::kOwner) continue;
      others = cluster.at(ids[node]).targets[partition].size();
    }
    EXPECT_EQ(others, 1U) << "a write goes to a second node, partition " << partition;
  }
  for (std::size_t node = 1; node < ids.size(); ++node) {
    EXPECT_EQ(cluster.at(ids[node]).ownership->readiness().lacking, 0U);
  }
  cluster.Start(1, /*founder=*/false, snapshot);
  cluster.Pass(seconds(20));
  EXPECT_EQ(PullsBegunBesides(ids[0]), before);
  EXPECT_EQ(StandingBy(), 0U);
  EXPECT_EQ(cluster.WrongOwners(), "");
  std::size_t copies = 0;
  for (const NodeId& id : ids) {
    copies += cluster.CountRole(id, Role::kOwner) + cluster.CountRole(id, Role::kReplica);
  }
  EXPECT_EQ(copies, 2U * kLeavingPartitions) << "who stood by has nothing left";
}

TEST_F(ANodeThatIsExpectedBack, IsReplacedWhenTheGraceIsOver) {
  const std::size_t before = PullsBegunBesides(ids[0]);
  StopWithSnapshot(ids[0]);
  const std::size_t held = Snapshot(ids[0]).partitions.Count();
  cluster.Pass(std::chrono::minutes(5));
  EXPECT_EQ(PullsBegunBesides(ids[0]), before + held);
  EXPECT_EQ(StandingBy(), 0U);
}

TEST_F(ANodeThatIsExpectedBack, IsReplacedAtOnceWhereNobodyWhoStaysHasItWhole) {
  StopWithSnapshot(ids[0]);
  const std::size_t before = PullsBegunBesides(ids[0]);
  cluster.SetPullsEnd(false);
  cluster.Leave(ids[1], kStopped);
  cluster.Pass(seconds(1));
  const std::size_t shared = cluster.OnlyAt(ids[1]);
  ASSERT_GT(shared, 0U);
  EXPECT_EQ(PullsBegunBesides(ids[0]), before + 2 * shared) << "both who stay; the rest waits";
  cluster.SetPullsEnd(true);
  cluster.Pass(seconds(1));
  EXPECT_EQ(cluster.OnlyAt(ids[1]), 0U);
}

TEST_F(ANodeThatIsExpectedBack, IsReplacedAtOnceOnceItIsDeadOrOffTheRing) {
  for (const bool dead : {true, false}) {
    StopWithSnapshot(ids[dead ? 0 : 1]);
    const std::size_t before = PullsBegunBesides(ids[dead ? 0 : 1]);
    if (dead) {
      cluster.Kill(ids[0]);  // another has its address now
    } else {
      cluster.LeaveRing(ids[1]);
    }
    cluster.Pass(seconds(1));
    EXPECT_GT(PullsBegunBesides(ids[dead ? 0 : 1]), before);
    EXPECT_EQ(StandingBy(), 0U);
  }
}

TEST_F(ANodeThatIsExpectedBack, HoldsUpNobodyWhomTheRingGivesThePartition) {
  StopWithSnapshot(ids[0]);
  const NodeId joined = cluster.Start(5);
  cluster.Pass(seconds(3));
  const Readiness readiness = cluster.at(joined).ownership->readiness();
  EXPECT_GT(readiness.given, 0U);
  EXPECT_EQ(readiness.lacking, 0U);
  EXPECT_GT(cluster.CountRole(joined, Role::kOwner), 0U);
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
  EXPECT_THAT(cluster.at(a).log, testing::Contains(HasSubstr("back=1 ring=4")));
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
