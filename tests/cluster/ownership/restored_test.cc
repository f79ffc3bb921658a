// Copies from snapshots in the ownership machine: who begins with them, and who pulls.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/ownership_fixture.h"

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint32_t kPartitions = OwnershipCluster::kPartitions;

RestoredCopies All(UnixMillis as_of) { return {PartitionSet(kPartitions, true), as_of}; }

RestoredCopies Half(UnixMillis as_of) {
  RestoredCopies copies = {PartitionSet(kPartitions, false), as_of};
  for (PartitionId partition = 0; partition < kPartitions; partition += 2) {
    copies.partitions.Set(partition);
  }
  return copies;
}

TEST(Restored, WhereAnotherNodeOwnsItIsAStaleCopyThatPulls) {
  OwnershipCluster cluster;
  const NodeId a = cluster.Start(1, /*founder=*/true);
  cluster.SetPullsEnd(false);
  const NodeId b = cluster.Start(2, false, All(100));
  EXPECT_EQ(cluster.at(b).pulls.size(), kPartitions);
  EXPECT_EQ(cluster.CountRole(b, Role::kWarming), kPartitions);
  cluster.Pass(seconds(3));
  EXPECT_EQ(cluster.CountRole(a, Role::kOwner), kPartitions);
  cluster.SetPullsEnd(true);
  cluster.Pass(seconds(3));
  EXPECT_EQ(cluster.WrongOwners(), "");
  EXPECT_EQ(cluster.at(b).ownership->stats().restored, 0U);
  EXPECT_EQ(cluster.state().holdings.at(b).restored.as_of, 0);
}

TEST(Restored, NobodyHasItTheNewestSnapshotBegins) {
  OwnershipCluster cluster;
  const NodeId a = cluster.Start(1, /*founder=*/true, All(100));
  EXPECT_EQ(cluster.CountRole(a, Role::kOwner), 0U) << "a founder with a snapshot waits for others";
  const NodeId b = cluster.Start(2, false, All(300));
  const NodeId c = cluster.Start(3, false, All(200));
  cluster.Pass(milliseconds(1400));
  EXPECT_EQ(cluster.CountRole(b, Role::kOwner), 0U);
  cluster.SetPullsEnd(false);
  cluster.Pass(milliseconds(200));
  EXPECT_EQ(cluster.CountRole(b, Role::kOwner), kPartitions);
  EXPECT_THAT(cluster.at(b).begun_empty, testing::IsEmpty());
  cluster.SetPullsEnd(true);
  cluster.Pass(seconds(25));
  EXPECT_EQ(cluster.WrongOwners(), "");
  EXPECT_LE(cluster.worst_owner_count(), 1U);
  for (const NodeId& id : {a, b, c}) {
    EXPECT_EQ(cluster.at(id).ownership->stats().losses, 0U);
    EXPECT_GT(cluster.CountRole(id, Role::kOwner), 0U);
  }
}

TEST(Restored, TheNextNewestBeginsWhereTheNewestDied) {
  OwnershipCluster cluster;
  const NodeId a = cluster.Start(1, false, All(100));
  const NodeId b = cluster.Start(2, false, All(300));
  cluster.Pass(milliseconds(500));
  cluster.Kill(b);
  cluster.Pass(seconds(2));
  EXPECT_EQ(cluster.CountRole(a, Role::kOwner), kPartitions);
}

TEST(Restored, WhatNobodyHasRestoredBeginsEmpty) {
  OwnershipCluster cluster;
  const NodeId a = cluster.Start(1, /*founder=*/true, Half(100));
  cluster.Pass(seconds(2));
  EXPECT_EQ(cluster.CountRole(a, Role::kOwner), kPartitions);
  EXPECT_EQ(cluster.at(a).begun_empty.size(), kPartitions / 2);
  EXPECT_FALSE(cluster.at(a).begun_empty.contains(0));
  EXPECT_EQ(cluster.at(a).ownership->stats().restored, kPartitions / 2);
}

TEST(Restored, AColdFounderDoesNotWait) {
  OwnershipCluster cluster;
  const NodeId a = cluster.Start(1, /*founder=*/true);
  EXPECT_EQ(cluster.CountRole(a, Role::kOwner), kPartitions);
  EXPECT_EQ(cluster.at(a).begun_empty.size(), kPartitions);
}

}  // namespace
}  // namespace gyre
