// The checker is tested, too: each of these bugs, injected on purpose, must be seen in some run,
// and none where there is none.
#include <gtest/gtest.h>

#include "sim/seeds.h"
#include "sim/sim_cluster.h"

namespace gyre::sim {
namespace {

// Of a bug that shows in few runs only, more are looked at.
constexpr std::uint64_t kRunsOfABug = 12;
constexpr std::uint64_t kRunsOfARareBug = 60;

template <typename Scenario>
bool IsCaught(const ClusterOptions& options, Scenario&& scenario,
              std::uint64_t seeds = kRunsOfABug) {
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
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
  // What is not yet replicated stays so for a while; most of what is forwarded gets through.
  cluster.world().network().link_break = 0.25;
  cluster.BeginLoad(8, 100, milliseconds(1));
  cluster.world().Run(seconds(1));
  cluster.Kill(1);
  cluster.world().Run(seconds(4));
}

void CrashUnderGroups(SimCluster& cluster) {
  cluster.BeginLoad({.writers = 0, .keys = 0, .groupers = 6, .think = milliseconds(1)});
  cluster.world().Run(seconds(1));
  cluster.BeginCut();
  cluster.Kill(1);
  cluster.world().Run(seconds(4));
  cluster.EndCut();
}

// What one loop sends has to be sent again and again, what another sends gets through.
void CrashOfASlowLink(SimCluster& cluster) {
  cluster.world().network().link_break = 0.8;
  cluster.BeginLoad(16, 8, milliseconds(1));
  cluster.world().Run(seconds(1));
  cluster.BeginCut();
  cluster.Kill(1);
  cluster.world().network() = {};
  cluster.world().Run(seconds(4));
  cluster.EndCut();
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

// Where copies keep what their owner evicted: by itself that is no fault, for they are told of deletions.
TEST(InjectedBug, ADeletionThatOnlyReachesWhatTheOwnerHasIsSeen) {
  ClusterOptions options{.evicts = true};
  options.replicator_faults.skip_evictions = true;
  EXPECT_FALSE(IsCaught(options, CrashOfAnEvictor));
  options.delete_only_what_is_here = true;
  EXPECT_TRUE(IsCaught(options, CrashOfAnEvictor));
}

TEST(InjectedBug, ADroppedReplicaWriteIsSeen) {
  ClusterOptions options;
  options.replicator_faults.skip_every = 20;
  EXPECT_TRUE(IsCaught(options, CrashUnderLoad));
}

TEST(InjectedBug, ATornGroupIsSeen) {
  ClusterOptions options;
  options.replicator_faults.tear_every = 5;
  EXPECT_TRUE(IsCaught(options, CrashUnderGroups));
}

TEST(InjectedBug, AnAckBeforeItsPredecessorIsSeen) {
  ClusterOptions options;
  options.partitions = 4;
  options.write_acks = 1;  // so that what was read is not yet everywhere
  options.promise = {.level = history::Level::kStream, .durable = false};
  EXPECT_FALSE(IsCaught(options, CrashOfASlowLink));
  options.receiver_faults.ignore_order = true;
  EXPECT_TRUE(IsCaught(options, CrashOfASlowLink, kRunsOfARareBug));
}

TEST(InjectedBug, AnAckBeforeReplicationIsSeen) {
  ClusterOptions options;
  options.replicator_faults.ack_before_replication = true;
  EXPECT_TRUE(IsCaught(options, CrashUnderLoad, kRunsOfARareBug));
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
