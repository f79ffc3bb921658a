// What all members can, by what each says of itself (cluster/level.h).
#include <gtest/gtest.h>

#include "cluster/membership_fixture.h"

namespace gyre {
namespace {

using std::chrono::seconds;

TEST(MembershipLevel, ANodeAloneCanWhatItCan) {
  VirtualCluster cluster(1);
  cluster.Start(0);
  cluster.Run(seconds(1));
  EXPECT_EQ(cluster.at(0).RingLevel(), kLevel);
}

TEST(MembershipLevel, AllMustHaveSaidSo) {
  VirtualCluster cluster(1);
  cluster.StartMany(3);
  MembershipOptions old;
  old.level = kLevelRecords;
  cluster.Start(3, TestMember(3), old);
  cluster.Run(seconds(10));
  for (const std::uint64_t node : {0, 1, 2, 3}) {
    EXPECT_EQ(cluster.at(node).RingLevel(), kLevelRecords) << node;
  }
  // The old one comes back as a new one.
  cluster.Kill(3);
  cluster.Run(seconds(1));
  cluster.Start(3, TestMember(3, 2));
  cluster.Run(seconds(10));
  for (const std::uint64_t node : {0, 1, 2, 3}) {
    EXPECT_EQ(cluster.at(node).RingLevel(), kLevel) << node;
  }
}

// Whoever comes back knows at once what the ring does: it asks nobody but the one it joins by.
TEST(MembershipLevel, WhoJoinsIsToldIt) {
  VirtualCluster cluster(1);
  cluster.StartMany(3);
  cluster.Run(seconds(10));
  cluster.Kill(2);
  cluster.Run(seconds(5));
  cluster.Kill(1);
  cluster.Run(std::chrono::milliseconds(100));  // dead, and on the ring; it says nothing any more
  cluster.Start(2, TestMember(2, 2));
  cluster.Run(seconds(1));
  EXPECT_EQ(cluster.at(2).RingLevel(), kLevel);
}

TEST(MembershipLevel, ItNeverFallsAndWhoIsOlderIsRefused) {
  VirtualCluster cluster(1);
  cluster.StartMany(3);
  cluster.Run(seconds(10));
  MembershipOptions old;
  old.level = kLevelRecords;
  cluster.Start(3, TestMember(3), old);
  // One that was a member, put back to an older release.
  cluster.Kill(2);
  cluster.Run(seconds(10));
  cluster.Start(2, TestMember(2, 2), old);
  cluster.Run(seconds(10));
  for (const std::uint64_t node : {0, 1}) {
    EXPECT_EQ(cluster.at(node).RingLevel(), kLevel) << node;
    EXPECT_FALSE(cluster.at(node).state().members.contains(TestMember(3).id)) << node;
    EXPECT_FALSE(cluster.at(node).state().members.at(TestMember(2).id).serving()) << node;
    EXPECT_GT(cluster.at(node).stats().too_old_refused, 0U) << node;
  }
  // Upgraded, both are let in.
  for (const std::uint64_t node : {2, 3}) {
    cluster.Kill(node);
    cluster.Start(node, TestMember(node, 3));
  }
  cluster.Run(seconds(10));
  for (const std::uint64_t node : {0, 1, 2, 3}) {
    EXPECT_EQ(cluster.at(node).state().members.size(), 4U) << node;
  }
}

}  // namespace
}  // namespace gyre
