// Whole clusters whose nodes are drained, restarted, replaced and stopped on purpose, under load: one
// scenario a test.
#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

#include "sim/seeds.h"
#include "sim/sim_cluster.h"

namespace gyre::sim {
namespace {

TEST(Simulation, ADrainedNodeIsEmptyAndNothingIsMissed) {
  ForSeeds(8, [](std::uint64_t seed) {
    SimCluster cluster(seed, 4);
    Form(cluster, 4);
    cluster.BeginLoad(6, 30);
    cluster.world().Run(seconds(1));
    const auto leaver = static_cast<NodeIndex>(seed % 4);
    EXPECT_TRUE(cluster.Drain(leaver, static_cast<NodeIndex>((seed / 4) % 4)));
    EXPECT_TRUE(cluster.node(leaver).coordinator().ownership().holds_nothing());
    EXPECT_CONVERGES(cluster);
    Judge(cluster);
    EXPECT_EQ(cluster.history().unknown(), 0U);
  });
}

TEST(Simulation, ADrainedNodeStaysOffOverARestartUntilItIsUndrained) {
  ForSeeds(8, [](std::uint64_t seed) {
    SimCluster cluster(seed, 4);
    Form(cluster, 4);
    cluster.BeginLoad(6, 30);
    const auto leaver = static_cast<NodeIndex>(seed % 4);
    const auto via = static_cast<NodeIndex>((leaver + 1) % 4);
    const auto on_ring = [&](NodeIndex viewer) {
      const ClusterViewPtr view = cluster.node(viewer).view();
      return static_cast<bool>(view->on_ring[view->Find(IdOf(leaver))]);
    };
    EXPECT_TRUE(cluster.Drain(leaver, via));
    if (seed % 2 == 0) {
      EXPECT_TRUE(cluster.Stop(leaver));
    } else {
      cluster.Kill(leaver);
    }
    cluster.world().Run(seconds(seed % 3 == 0 ? 1 : 6));
    cluster.Start(leaver);
    cluster.world().Run(seconds(5));
    EXPECT_CONVERGES(cluster);
    for (NodeIndex viewer = 0; viewer < 4; ++viewer) EXPECT_FALSE(on_ring(viewer)) << viewer;
    EXPECT_FALSE(cluster.Ready(leaver));
    EXPECT_TRUE(cluster.Undrain(leaver, via));
    EXPECT_FALSE(cluster.Undrain(via, via)) << "it was not drained";
    EXPECT_TRUE(cluster.world().RunUntil([&] { return cluster.Ready(leaver); }, seconds(30)));
    EXPECT_CONVERGES(cluster);
    for (NodeIndex viewer = 0; viewer < 4; ++viewer) EXPECT_TRUE(on_ring(viewer)) << viewer;
    Judge(cluster);
  });
}

// Through a node that has not heard yet what the leaver holds.
TEST(Simulation, ADrainOfANodeThatJustCameBackEndsWhenItIsEmpty) {
  ForSeeds(40, [](std::uint64_t seed) {
    SimCluster cluster(seed, 4);
    Prng& random = cluster.world().random();
    Form(cluster, 4);
    cluster.BeginLoad(4, 10);
    cluster.world().Run(milliseconds(500));
    const auto leaver = static_cast<NodeIndex>(seed % 4);
    const NodeIndex via = (leaver + 1 + static_cast<NodeIndex>(random.Below(3))) % 4;
    cluster.Stop(leaver);
    cluster.Start(leaver);
    cluster.world().Run(milliseconds(random.Below(1500)));
    if (cluster.Drain(leaver, via)) {
      EXPECT_TRUE(cluster.node(leaver).coordinator().ownership().holds_nothing());
    }
    EXPECT_CONVERGES(cluster);
    Judge(cluster);
  });
}

TEST(Simulation, ARollingRestartLosesNothing) {
  ForSeeds(8, [](std::uint64_t seed) {
    SimCluster cluster(seed, 3);
    Form(cluster, 3);
    cluster.BeginLoad(5, 20);
    for (NodeIndex node = 0; node < 3; ++node) {
      cluster.world().Run(milliseconds(500));
      EXPECT_TRUE(cluster.Stop(node));
      cluster.world().Run(milliseconds(500));
      cluster.Start(node);
      EXPECT_CONVERGES(cluster);
    }
    Judge(cluster);
    for (NodeIndex node = 0; node < 3; ++node) {
      EXPECT_EQ(cluster.node(node).coordinator().stats().losses, 0U);
    }
  });
}

// One after the other, and started again in any order and with any pauses.
TEST(Simulation, AWholeClusterStoppedAndStartedHasItsData) {
  ForSeeds(12, [](std::uint64_t seed) {
    ClusterOptions options;
    options.snapshots = true;
    options.replicas = 2 + static_cast<std::uint32_t>(seed % 2);
    SimCluster cluster(seed, 3, options);
    Prng& random = cluster.world().random();
    Form(cluster, 3);
    cluster.BeginLoad(5, 15);
    cluster.world().Run(seconds(1));
    cluster.EndLoad();
    std::vector<NodeIndex> order = {0, 1, 2};
    const auto shuffle = [&] {
      for (std::size_t i = order.size(); i > 1; --i)
        std::swap(order[i - 1], order[random.Below(i)]);
    };
    shuffle();
    for (NodeIndex node : order) EXPECT_TRUE(cluster.Stop(node)) << node;
    cluster.world().Run(seconds(random.Below(100)));
    shuffle();
    for (NodeIndex node : order) {
      cluster.Start(node);
      cluster.world().Run(milliseconds(random.Below(4000)));
    }
    EXPECT_CONVERGES(cluster);
    cluster.ReadAll("after the restart");
    EXPECT_NO_VIOLATION(cluster);
    EXPECT_GT(cluster.history().acknowledged(), 200U);
  });
}

// As an operator does it who restarts everything: all are told in the same moment, and each ends when its
// clients have gone. Clients go on asking.
TEST(Simulation, AClusterStoppedAtOnceUnderLoadHasWhatItAcknowledged) {
  ForSeeds(6, [](std::uint64_t seed) {
    ClusterOptions options;
    options.snapshots = true;
    options.replicas = options.write_acks = 2;
    SimCluster cluster(seed, 3, options);
    Prng& random = cluster.world().random();
    Form(cluster, 3);
    for (int round = 0; round < 3; ++round) {
      cluster.BeginLoad({.writers = 4, .keys = 20, .counters = 6, .groupers = 3});
      cluster.world().Run(milliseconds(500 + random.Below(500)));
      EXPECT_TRUE(cluster.Stop({0, 1, 2}));
      for (NodeIndex node = 0; node < 3; ++node) {
        cluster.world().Run(milliseconds(random.Below(100)));
        cluster.Start(node);
      }
      EXPECT_CONVERGES(cluster);
      Judge(cluster);
    }
    EXPECT_GT(cluster.history().acknowledged(), 200U);
  });
}

// What was written while a node was down is in its place when it is back, and what was deleted is
// not.
TEST(Simulation, ARollingRestartWithSnapshotsLosesNothing) {
  ForSeeds(12, [](std::uint64_t seed) {
    ClusterOptions options;
    options.snapshots = true;
    SimCluster cluster(seed, 3, options);
    Form(cluster, 3);
    cluster.BeginLoad(5, 15);
    for (NodeIndex node = 0; node < 3; ++node) {
      EXPECT_TRUE(cluster.Stop(node)) << node;
      cluster.world().Run(milliseconds(cluster.world().random().Below(6000)));
      cluster.Start(node);
      EXPECT_CONVERGES(cluster);
    }
    Judge(cluster);
    EXPECT_GT(cluster.history().acknowledged(), 500U);
  });
}

// Records that nodes pulled, besides `but`.
std::uint64_t PulledBesides(SimCluster& cluster, NodeIndex but, NodeIndex nodes) {
  std::uint64_t pulled = 0;
  for (NodeIndex node = 0; node < nodes; ++node) {
    if (node != but && cluster.alive(node)) {
      pulled += cluster.node(node).transfer().stats().records;
    }
  }
  return pulled;
}

// Of each partition, who gets the owner's writes and has not all of them is told to forget that it does:
// as after a write that was dropped.
void MakeStandbysMissWrites(SimCluster& cluster) {
  for (NodeIndex node = 0; node < 3; ++node) {
    if (!cluster.alive(node)) continue;
    ReplicationTable& table = cluster.node(node).table();
    for (PartitionId partition = 0; partition < cluster.options().partitions; ++partition) {
      MutexLock lock(cluster.node(node).engine().ShardOf(partition).mutex());
      ReplicaSet& set = table.sets[partition];
      for (std::uint8_t i = 0; i < set.count; ++i) {
        if (set.targets[i].writes_only) set.targets[i].standing = ReplicaSet::Standing::kLagging;
      }
    }
    table.revision.fetch_add(1);
  }
}

// And writes are still acknowledged by two nodes.
TEST(Simulation, ARestartWithASnapshotMovesNothingToOthers) {
  ForSeeds(8, [](std::uint64_t seed) {
    ClusterOptions options;
    options.snapshots = true;
    SimCluster cluster(seed, 3, options);
    Form(cluster, 3);
    cluster.BeginLoad(5, 40);
    for (NodeIndex node = 0; node < 3; ++node) {
      cluster.world().Run(seconds(1));
      const std::uint64_t pulled = PulledBesides(cluster, node, 3);
      EXPECT_TRUE(cluster.Stop(node)) << node;
      for (int turn = 0; turn < 2; ++turn) {
        cluster.world().Run(milliseconds(500));
        const std::uint64_t acknowledged = cluster.history().acknowledged();
        cluster.world().Run(seconds(2));
        EXPECT_GT(cluster.history().acknowledged(), acknowledged + 200) << seed << " " << turn;
        MakeStandbysMissWrites(cluster);
      }
      cluster.Start(node);
      EXPECT_CONVERGES(cluster);
      EXPECT_EQ(PulledBesides(cluster, node, 3), pulled) << seed << " " << node;
    }
    Judge(cluster);
  });
}

// It has what was written before, and who stood by for it what was since. Until then, nobody has all.
TEST(Simulation, TheOtherCopyDiesWhileANodeWithASnapshotIsAwayAndNothingIsLost) {
  ForSeeds(12, [](std::uint64_t seed) {
    ClusterOptions options;
    options.snapshots = true;
    SimCluster cluster(seed, 4, options);
    Form(cluster, 4);
    cluster.BeginLoad(5, 40);
    cluster.world().Run(seconds(1));
    const auto away = static_cast<NodeIndex>(seed % 4);
    EXPECT_TRUE(cluster.Stop(away));
    cluster.world().Run(seconds(1));
    cluster.EndLoad();
    cluster.Kill((away + 1) % 4);
    cluster.world().Run(milliseconds(cluster.world().random().Below(5000)));
    cluster.Start(away);
    cluster.world().Run(seconds(2));
    cluster.Start((away + 1) % 4);
    EXPECT_CONVERGES(cluster);
    Judge(cluster);
  });
}

// From the release that knows of no order. As long as one of it is there, nobody sends groups; from then
// on everybody does, and whoever cannot is refused.
TEST(Simulation, AReleaseWithoutOrderIsReplacedNodeByNode) {
  ForSeeds(8, [](std::uint64_t seed) {
    std::set<NodeIndex> old = {0, 1, 2};
    ClusterOptions options;
    options.is_old = [&old](NodeIndex node) { return old.contains(node); };
    options.replicas = options.write_acks = 2 + static_cast<std::uint32_t>(seed % 2);
    SimCluster cluster(seed, 4, options);
    Form(cluster, 3);
    cluster.BeginLoad({.writers = 4, .keys = 15, .groupers = 3});
    for (NodeIndex node = 0; node < 3; ++node) {
      cluster.world().Run(milliseconds(500));
      for (NodeIndex each = 0; each < 3; ++each) {
        EXPECT_FALSE(cluster.node(each).Orders()) << each;
        EXPECT_TRUE(cluster.node(each).engine().key_hash().is_plain()) << each;
      }
      EXPECT_TRUE(cluster.Stop(node));
      cluster.world().Run(milliseconds(cluster.world().random().Below(1500)));
      old.erase(node);
      cluster.Start(node);
      EXPECT_CONVERGES(cluster);
    }
    cluster.world().Run(seconds(4));
    for (NodeIndex each = 0; each < 3; ++each) {
      EXPECT_TRUE(cluster.node(each).Orders()) << each;
      EXPECT_FALSE(cluster.node(each).engine().key_hash().is_plain()) << each;
    }
    old.insert(3);  // too late
    cluster.Start(3);
    cluster.world().Run(seconds(2));
    for (NodeIndex each = 0; each < 3; ++each) {
      EXPECT_EQ(cluster.node(each).membership().state().members.size(), 3U) << each;
      EXPECT_TRUE(cluster.node(each).Orders()) << each;
    }
    cluster.Kill(3);
    old.erase(3);
    cluster.Start(3);
    cluster.world().Run(milliseconds(500));
    cluster.Kill(static_cast<NodeIndex>(seed % 3));
    cluster.world().Run(seconds(4));
    cluster.Start(static_cast<NodeIndex>(seed % 3));
    EXPECT_CONVERGES(cluster);
    Judge(cluster);
    EXPECT_GT(cluster.history().acknowledged(), 500U);
  });
}

}  // namespace
}  // namespace gyre::sim
