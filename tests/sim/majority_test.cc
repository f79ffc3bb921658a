// --consistency majority: under every fault no two nodes act for one partition, reads are never
// stale, counters and swaps are exact; and the majority goes on.
#include <gtest/gtest.h>

#include "sim/nemesis.h"
#include "sim/seeds.h"
#include "sim/sim_cluster.h"

namespace gyre::sim {
namespace {

// The least time in which a silent node is declared dead, in small clusters.
constexpr Duration kSuspicion = seconds(2);

constexpr LoadOptions kContests = {
    .writers = 3, .keys = 12, .contestants = 5, .counters = 4, .swapped = 4};

ClusterOptions MajorityOptions(std::uint32_t replicas = 2) {
  ClusterOptions options;
  options.membership.majority = true;
  options.replicas = options.write_acks = replicas;
  options.promise.level = history::Level::kStream;
  return options;
}

// `minority` on one side, all others on the other.
void Split(SimCluster& cluster, NodeIndex nodes, const std::vector<NodeIndex>& minority) {
  const auto is_in = [&](NodeIndex node) {
    return std::find(minority.begin(), minority.end(), node) != minority.end();
  };
  for (NodeIndex a = 0; a < nodes; ++a) {
    for (NodeIndex b = 0; b < a; ++b) {
      if (is_in(a) != is_in(b)) cluster.world().CutBoth(a, b);
    }
  }
}

std::size_t ActsFor(SimCluster& cluster, NodeIndex node) {
  std::size_t count = 0;
  for (PartitionId partition = 0; partition < cluster.options().partitions; ++partition) {
    count += cluster.node(node).Acts(partition) ? 1 : 0;
  }
  return count;
}

void Finish(SimCluster& cluster) {
  cluster.world().Heal();
  cluster.world().Run(seconds(1));
  cluster.EndLoad();
  EXPECT_CONVERGES(cluster);
  cluster.world().Run(seconds(5));
  cluster.ReadAll("at the end");
  EXPECT_NO_VIOLATION(cluster);
}

TEST(Majority, ACalmClusterActsForEverythingAndJoinsAreNotSeen) {
  ForSeeds(6, [](std::uint64_t seed) {
    SimCluster cluster(seed, 5, MajorityOptions());
    Form(cluster, 3);
    cluster.world().Run(seconds(5));
    cluster.BeginLoad(kContests);
    cluster.world().Run(seconds(2));
    const auto before = cluster.history().acknowledged();
    EXPECT_GT(before, 500U);
    cluster.Start(3);
    EXPECT_CONVERGES(cluster);
    cluster.Start(4);
    EXPECT_CONVERGES(cluster);
    Finish(cluster);
    EXPECT_EQ(cluster.history().unknown(), 0U);
    for (NodeIndex node = 0; node < 5; ++node) {
      EXPECT_EQ(cluster.node(node).coordinator().lease_stats().lapses, 0U) << node;
    }
  });
}

TEST(Majority, TheMinorityStopsAndTheMajorityGoesOn) {
  const std::vector<std::pair<NodeIndex, std::vector<NodeIndex>>> splits = {
      {3, {0}}, {3, {2}}, {5, {1}}, {5, {0, 3}}};
  for (const auto& [nodes, minority] : splits) {
    ForSeeds(4, [&, &nodes = nodes, &minority = minority](std::uint64_t seed) {
      SimCluster cluster(seed, nodes, MajorityOptions(nodes == 5 ? 3 : 2));
      Form(cluster, nodes);
      cluster.world().Run(seconds(5));
      cluster.BeginLoad(kContests);
      cluster.world().Run(seconds(1));
      Split(cluster, nodes, minority);
      cluster.world().Run(kLease + milliseconds(100));
      for (NodeIndex node : minority) EXPECT_EQ(ActsFor(cluster, node), 0U) << node;
      cluster.world().Run(seconds(8));
      std::size_t acts = 0;
      for (NodeIndex node = 0; node < nodes; ++node) acts += ActsFor(cluster, node);
      EXPECT_EQ(acts, cluster.options().partitions);
      for (NodeIndex node : minority) EXPECT_EQ(ActsFor(cluster, node), 0U) << node;
      Finish(cluster);
    });
  }
}

TEST(Majority, APausedOwnerIsFenced) {
  for (const Duration pause : {kSuspicion / 2, kSuspicion, kSuspicion * 3}) {
    ForSeeds(4, [&](std::uint64_t seed) {
      SimCluster cluster(seed, 3, MajorityOptions());
      Form(cluster, 3);
      cluster.world().Run(seconds(4));
      cluster.BeginLoad(kContests);
      for (int round = 0; round < 3; ++round) {
        cluster.world().Run(milliseconds(300 + cluster.world().random().Below(900)));
        cluster.world().Pause(static_cast<NodeIndex>(round), pause);
        cluster.world().Run(pause + seconds(4));
      }
      Finish(cluster);
    });
  }
}

// A clock that jumped forward stamps versions that a later owner, with a clock of its own, would
// not reach: without a bound its writes would lose against what the old owner left behind.
TEST(Majority, ClocksJumpAndTheOwnerIsCutOff) {
  ForSeeds(10, [&](std::uint64_t seed) {
    SimCluster cluster(seed, 3, MajorityOptions());
    Form(cluster, 3);
    cluster.world().Run(seconds(4));
    cluster.BeginLoad(kContests);
    cluster.world().Run(seconds(1));
    const auto node = static_cast<NodeIndex>(seed % 3);
    const std::int64_t jump = seed % 2 == 0 ? 3'600'000 : -3'600'000;
    cluster.world().JumpClock(node, jump);
    cluster.world().Run(milliseconds(cluster.world().random().Below(500)));
    cluster.world().Isolate(node);
    cluster.world().Run(seconds(8));
    Finish(cluster);
  });
}

TEST(Majority, AnOperatorsRemoveLetsTheRestGoOn) {
  SimCluster cluster(1, 3, MajorityOptions());
  Form(cluster, 3);
  cluster.world().Run(seconds(4));
  cluster.Kill(0);
  cluster.world().Run(seconds(4));
  cluster.Kill(1);
  cluster.world().Run(seconds(5));
  EXPECT_EQ(ActsFor(cluster, 2), 0U);
  EXPECT_TRUE(cluster.Remove(0, 2));
  EXPECT_TRUE(cluster.Remove(1, 2));
  cluster.world().Run(seconds(5));
  EXPECT_EQ(ActsFor(cluster, 2), cluster.options().partitions);
}

class MajorityNemesisTest : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  static constexpr std::uint64_t kSeeds = 5;  // of a block
  static constexpr int kRounds = 3;
  static constexpr NodeIndex kNodesMax = 6;

  void Run(const std::vector<Fault>& faults) {
    ForSeeds(
        kSeeds,
        [&](std::uint64_t seed) {
          SimCluster cluster(seed, kNodesMax, MajorityOptions(2 + seed % 2));
          Nemesis nemesis(cluster, {.faults = faults, .load = kContests});
          Form(cluster, static_cast<NodeIndex>(3 + seed % 3));
          cluster.world().Run(seconds(4));
          for (int round = 0; round < kRounds && nemesis.Round(); ++round) {
          }
          EXPECT_NO_VIOLATION(cluster);
          EXPECT_GT(cluster.history().acknowledged(), 20U);
        },
        1 + GetParam() * kSeeds);
  }
};

TEST_P(MajorityNemesisTest, Partitions) { Run(PartitionFaults()); }
TEST_P(MajorityNemesisTest, Pauses) { Run(PauseFaults()); }
TEST_P(MajorityNemesisTest, NodesComeAndGo) { Run(NodeFaults()); }
INSTANTIATE_TEST_SUITE_P(Blocks, MajorityNemesisTest, ::testing::Range<std::uint64_t>(0, 2));

// The judge is tested, too.
TEST(Majority, WithoutLeasesTwoOwnersAreSeen) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    ClusterOptions options = MajorityOptions();
    options.coordinator_faults.ignore_leases = true;
    SimCluster cluster(seed, 3, options);
    cluster.StartAll(3);
    (void)cluster.Converge();
    cluster.world().Run(seconds(4));
    cluster.BeginLoad(kContests);
    cluster.world().Run(seconds(1));
    cluster.world().Pause(static_cast<NodeIndex>(seed % 3), seconds(6));
    cluster.world().Run(seconds(9));
    if (!cluster.history().violations().empty()) return;
  }
  FAIL() << "no run showed that leases were ignored";
}

}  // namespace
}  // namespace gyre::sim
