// The checker is tested, too: each of these bugs, injected on purpose, must be seen in some run,
// and none where there is none.
#include <gtest/gtest.h>

#include "sim/seeds.h"
#include "sim/sim_cluster.h"

namespace gyre::sim {
namespace {

template <typename Scenario>
bool IsCaught(const ClusterOptions& options, Scenario&& scenario) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    SimCluster cluster(seed, 4, options);
    cluster.StartAll(3);
    (void)cluster.Converge();
    scenario(cluster);
    cluster.EndLoad();
    (void)cluster.Converge(seconds(10));
    cluster.ReadAll("at the end");
    if (!cluster.history().violations().empty()) return true;
  }
  return false;
}

void CrashUnderLoad(SimCluster& cluster) {
  cluster.world().network().link_break = 0.4;  // what is not yet replicated stays so for a while
  cluster.BeginLoad(8, 200);
  cluster.world().Run(seconds(1));
  cluster.Kill(1);
  cluster.world().Run(seconds(4));
}

// The owners that evict are those with even numbers.
void CrashOfAnEvictor(SimCluster& cluster) {
  cluster.BeginLoad(8, 60);
  cluster.world().Run(seconds(3));
  cluster.Kill(2);
  cluster.world().Run(seconds(2));
}

void JoinUnderLoad(SimCluster& cluster) {
  cluster.BeginLoad(8, 15, milliseconds(1));
  cluster.world().Run(milliseconds(300));
  cluster.Start(3);
  cluster.world().Run(seconds(2));
}

TEST(InjectedBug, NoneIsSeenWhereThereIsNone) {
  EXPECT_FALSE(IsCaught({}, CrashUnderLoad));
  EXPECT_FALSE(IsCaught({}, JoinUnderLoad));
  EXPECT_FALSE(IsCaught({.evicts = true}, CrashOfAnEvictor));
}

TEST(InjectedBug, ADeletionThatOnlyReachesWhatTheOwnerHasIsSeen) {
  EXPECT_TRUE(IsCaught({.evicts = true, .delete_only_what_is_here = true}, CrashOfAnEvictor));
}

TEST(InjectedBug, ADroppedReplicaWriteIsSeen) {
  ClusterOptions options;
  options.replicator_faults.drop_every = 20;
  EXPECT_TRUE(IsCaught(options, CrashUnderLoad));
}

TEST(InjectedBug, AnAckBeforeReplicationIsSeen) {
  ClusterOptions options;
  options.replicator_faults.ack_before_replication = true;
  EXPECT_TRUE(IsCaught(options, CrashUnderLoad));
}

TEST(InjectedBug, ASkippedTombstoneIsSeen) {
  ClusterOptions options;
  options.replicator_faults.skip_tombstones = true;
  EXPECT_TRUE(IsCaught(options, CrashUnderLoad));
}

TEST(InjectedBug, ALostFenceIsSeen) {
  ClusterOptions options;
  options.coordinator_faults.skip_fence = true;
  EXPECT_TRUE(IsCaught(options, JoinUnderLoad));
}

}  // namespace
}  // namespace gyre::sim
