// Whole clusters under load and faults, over seeds: one scenario a test. Scenarios that a seed
// composes are in nemesis_test.cc.
#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

#include "sim/seeds.h"
#include "sim/sim_cluster.h"

namespace gyre::sim {
namespace {

TEST(Simulation, ThreeNodesFormARingAndKeepWhatIsWritten) {
  ForSeeds(8, [](std::uint64_t seed) {
    SimCluster cluster(seed, 3);
    Form(cluster, 3);
    cluster.BeginLoad(4, 20);
    cluster.world().Run(seconds(3));
    Judge(cluster);
    EXPECT_GT(cluster.history().acknowledged(), 500U);
    EXPECT_EQ(cluster.history().unknown(), 0U);
  });
}

// Their ids begin alike, their clocks go alike, and they join at the same time.
TEST(Simulation, TwoNodesNeverMakeTheSameVersion) {
  ForSeeds(8, [](std::uint64_t seed) {
    constexpr NodeIndex kNodes[] = {0, 256, 512};
    SimCluster cluster(seed, 513);
    for (const NodeIndex node : kNodes) {
      ASSERT_EQ(IdOf(node).bytes[0], IdOf(0).bytes[0]);
      cluster.Start(node);
    }
    EXPECT_CONVERGES(cluster);
    std::set<Version> versions;
    for (int write = 0; write < 1000; ++write) {
      for (const NodeIndex node : kNodes) {
        EXPECT_TRUE(versions.insert(cluster.node(node).NextVersion(0)).second);
      }
    }
  });
}

TEST(Simulation, NoAcknowledgedWriteIsLostWhenAnyNodeCrashes) {
  ForSeeds(12, [](std::uint64_t seed) {
    SimCluster cluster(seed, 3);
    Form(cluster, 3);
    cluster.BeginLoad(5, 15);
    for (int round = 0; round < 3; ++round) {
      cluster.world().Run(milliseconds(300 + cluster.world().random().Below(500)));
      const auto victim = static_cast<NodeIndex>((seed + static_cast<std::uint64_t>(round)) % 3);
      cluster.Kill(victim);
      cluster.world().Run(seconds(4));
      cluster.Start(victim);
      EXPECT_CONVERGES(cluster);
    }
    Judge(cluster);
    EXPECT_GT(cluster.history().acknowledged(), 500U);
  });
}

// Also of partitions in which the dead node was neither owner nor holder any more, but still had a
// copy.
TEST(Simulation, WritesAreAcknowledgedAgainSoonAfterADeath) {
  ForSeeds(12, [](std::uint64_t seed) {
    SimCluster cluster(seed, 3);
    Form(cluster, 3);
    cluster.BeginLoad(6, 60);
    cluster.world().Run(milliseconds(cluster.world().random().Below(600)));
    cluster.Kill(static_cast<NodeIndex>(seed % 3));
    cluster.world().Run(seconds(7));  // clients of the dead node gave up
    const auto unknown = cluster.history().unknown();
    const auto acknowledged = cluster.history().acknowledged();
    cluster.world().Run(seconds(4));
    EXPECT_EQ(cluster.history().unknown(), unknown);
    EXPECT_GT(cluster.history().acknowledged(), acknowledged + 100);
    Judge(cluster);
  });
}

TEST(Simulation, ANodeJoinsUnderLoadWithoutAMissAndWithoutTwoOwners) {
  ForSeeds(10, [](std::uint64_t seed) {
    SimCluster cluster(seed, 5);
    Form(cluster, 3);
    cluster.BeginLoad(6, 40);
    cluster.world().Run(seconds(1));
    cluster.Start(3);
    EXPECT_CONVERGES(cluster);
    cluster.Start(4);
    EXPECT_CONVERGES(cluster);
    Judge(cluster);
    EXPECT_EQ(cluster.history().unknown(), 0U);
    EXPECT_GT(cluster.node(3).coordinator().stats().handovers_in, 0U);
    for (NodeIndex node = 0; node < 5; ++node) {
      EXPECT_EQ(cluster.node(node).coordinator().stats().takeovers, 0U) << node;
      EXPECT_EQ(cluster.node(node).coordinator().stats().losses, 0U) << node;
      EXPECT_EQ(cluster.node(node).coordinator().stats().yields, 0U) << node;
    }
  });
}

TEST(Simulation, TwoNodesJoinAtOnce) {
  ForSeeds(8, [](std::uint64_t seed) {
    SimCluster cluster(seed, 5);
    Form(cluster, 3);
    cluster.BeginLoad(6, 40);
    cluster.world().Run(milliseconds(500));
    cluster.Start(3);
    cluster.world().Run(milliseconds(cluster.world().random().Below(100)));
    cluster.Start(4);
    EXPECT_CONVERGES(cluster);
    Judge(cluster);
    EXPECT_EQ(cluster.history().unknown(), 0U);
  });
}

// The ring changes again while owners move for the change before: who just gave a partition away
// may now be better placed than its heir.
TEST(Simulation, ThreeNodesJoinInARow) {
  ForSeeds(16, [](std::uint64_t seed) {
    ClusterOptions options;
    options.partitions = 128;
    SimCluster cluster(seed, 6, options);
    Form(cluster, 3);
    cluster.BeginLoad(6, 40);
    for (NodeIndex node = 3; node < 6; ++node) {
      cluster.Start(node);
      cluster.world().Run(milliseconds(cluster.world().random().Below(150)));
    }
    EXPECT_CONVERGES(cluster);
    Judge(cluster);
    EXPECT_EQ(cluster.history().unknown(), 0U);
    for (NodeIndex node = 0; node < 6; ++node) {
      EXPECT_EQ(cluster.node(node).coordinator().stats().yields, 0U) << node;
    }
  });
}

// Deletions that a node orders while it still believes that the ring is its own alone.
TEST(Simulation, NoDeletedKeyComesBackWhenARingOfOneGrows) {
  ForSeeds(12, [](std::uint64_t seed) {
    SimCluster cluster(seed, 2);
    cluster.StartAll(1);
    cluster.world().network().datagram_loss = 0.4;  // so that news of the ring are late
    cluster.BeginLoad(8, 20, milliseconds(1));
    cluster.world().Run(milliseconds(300));
    cluster.Start(1);
    cluster.world().Run(seconds(4));
    cluster.EndLoad();
    cluster.world().network().datagram_loss = 0;
    EXPECT_CONVERGES(cluster);
    cluster.ReadAll("at the end");
    cluster.Kill(0);
    EXPECT_CONVERGES(cluster);
    cluster.ReadAll("after the first is gone");
    EXPECT_NO_VIOLATION(cluster);
  });
}

TEST(Simulation, ThreeCopiesSurviveTwoCrashesInARow) {
  ForSeeds(6, [](std::uint64_t seed) {
    ClusterOptions options;
    options.replicas = options.write_acks = 3;
    SimCluster cluster(seed, 5, options);
    Form(cluster, 5);
    cluster.BeginLoad(5, 20);
    cluster.world().Run(milliseconds(700));
    cluster.Kill(static_cast<NodeIndex>(seed % 5));
    cluster.world().Run(milliseconds(cluster.world().random().Below(300)));
    cluster.Kill(static_cast<NodeIndex>((seed + 2) % 5));
    cluster.world().Run(seconds(5));
    EXPECT_CONVERGES(cluster);
    Judge(cluster);
  });
}

// Two of three copies acknowledge: the one that takes over may be the third.
TEST(Simulation, AQuorumOfCopiesSurvivesTheOwnersDeath) {
  ForSeeds(12, [](std::uint64_t seed) {
    ClusterOptions options;
    options.replicas = 3;
    options.write_acks = 2;
    SimCluster cluster(seed, 4, options);
    Form(cluster, 4);
    cluster.world().network().link_break = 0.2;  // copies lag behind each other
    cluster.BeginLoad(8, 60);
    for (int round = 0; round < 3; ++round) {
      cluster.world().Run(milliseconds(300 + cluster.world().random().Below(500)));
      const auto victim = static_cast<NodeIndex>((seed + static_cast<std::uint64_t>(round)) % 4);
      cluster.Kill(victim);
      cluster.world().Run(seconds(4));
      cluster.world().network().link_break = 0;
      cluster.Start(victim);
      EXPECT_CONVERGES(cluster);
      cluster.world().network().link_break = 0.2;
    }
    cluster.world().network().link_break = 0;
    Judge(cluster);
    EXPECT_GT(cluster.history().acknowledged(), 500U);
  });
}

TEST(Simulation, AReplicaThatMissedWritesIsFilledAgainBeforeItCounts) {
  ForSeeds(8, [](std::uint64_t seed) {
    ClusterOptions options;
    options.write_acks = 1;  // so that writes go on while the link is down
    options.queue_bytes_max = 200;
    SimCluster cluster(seed, 3, options);
    Form(cluster, 3);
    const auto victim = static_cast<NodeIndex>(seed % 3);
    const auto other = static_cast<NodeIndex>((victim + 1) % 3);
    cluster.BeginLoad(60, 5);  // many: most soon wait for the link
    cluster.world().Run(milliseconds(200));
    cluster.world().CutBoth(victim, other);
    cluster.world().Run(milliseconds(700));
    cluster.world().Heal();
    cluster.world().Run(seconds(1));
    cluster.EndLoad();
    EXPECT_GT(cluster.node(victim).replicator_stats().resyncs +
                  cluster.node(other).replicator_stats().resyncs,
              0U);
    EXPECT_CONVERGES(cluster);
    cluster.world().Run(milliseconds(200));  // all is settled: any copy may now become the only one
    cluster.Kill(victim);
    EXPECT_CONVERGES(cluster);
    cluster.ReadAll("after the crash");
    EXPECT_NO_VIOLATION(cluster);
  });
}

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

TEST(Simulation, LossAndBrokenLinksDelayButDoNotLose) {
  ForSeeds(8, [](std::uint64_t seed) {
    SimCluster cluster(seed, 4);
    Form(cluster, 3);
    cluster.world().network().datagram_loss = 0.05;
    cluster.world().network().link_break = 0.01;
    cluster.JudgeOwners(false);  // a lost word may leave two of them for a moment after the death
    cluster.BeginLoad(5, 20);
    cluster.world().Run(seconds(3));
    cluster.Start(3);
    cluster.world().Run(seconds(3));
    cluster.Kill(static_cast<NodeIndex>(seed % 3));
    cluster.world().Run(seconds(5));
    cluster.EndLoad();
    cluster.world().network().datagram_loss = 0;
    cluster.world().network().link_break = 0;
    EXPECT_CONVERGES(cluster);
    cluster.ReadAll("at the end");
    EXPECT_NO_VIOLATION(cluster);
  });
}

TEST(Simulation, APausedNodeComesBackAsStaleAndNothingIsLost) {
  ForSeeds(9, [](std::uint64_t seed) {
    SimCluster cluster(seed, 3);
    Form(cluster, 3);
    cluster.JudgeOwners(false);  // the sleeper still believes to own
    cluster.JudgeReads(false);   // and may answer reads with what it has for a moment
    cluster.BeginLoad(5, 20);
    cluster.world().Run(milliseconds(500));
    const Duration pauses[] = {seconds(1), seconds(3), seconds(8)};
    cluster.world().Pause(static_cast<NodeIndex>(seed % 3), pauses[seed % 3]);
    cluster.world().Run(seconds(12));
    cluster.EndLoad();
    EXPECT_CONVERGES(cluster);
    cluster.world().Run(seconds(5));
    cluster.ReadAll("after the pause");
    EXPECT_NO_VIOLATION(cluster);
  });
}

TEST(Simulation, APartitionHealsByItselfAndNothingAcknowledgedIsLost) {
  ForSeeds(10, [](std::uint64_t seed) {
    SimCluster cluster(seed, 5);
    Form(cluster, 5);
    cluster.JudgeOwners(false);
    cluster.JudgeReads(false);
    cluster.BeginLoad(5, 20);
    cluster.world().Run(milliseconds(500));
    const auto lonely = static_cast<NodeIndex>(seed % 5);
    if (seed % 2 == 0) {
      cluster.world().Isolate(lonely);
    } else {
      cluster.world().Cut(lonely, static_cast<NodeIndex>((lonely + 1) % 5));  // one way, one link
    }
    cluster.world().Run(seconds(8));
    cluster.EndLoad();
    cluster.world().Heal();
    EXPECT_CONVERGES(cluster);
    cluster.world().Run(seconds(5));
    cluster.ReadAll("after the partition");
    EXPECT_NO_VIOLATION(cluster);
  });
}

// The link of two nodes carries nothing in one direction: both live, and calls go round it. (A
// command that was forwarded before that was noticed keeps its deadline of two seconds.)
TEST(Simulation, WritesResumeRoundALinkThatIsCutOneWay) {
  ForSeeds(12, [](std::uint64_t seed) {
    SimCluster cluster(seed, 3);
    Form(cluster, 3);
    cluster.BeginLoad(6, 60);
    cluster.world().Run(milliseconds(300));
    const auto from = static_cast<NodeIndex>(seed % 3);
    cluster.world().Cut(from, static_cast<NodeIndex>((seed / 3 + from + 1) % 3));
    // A client waits 2 s for the first write that meets the cut, and again if its next one met another
    // link's before that was seen to be silent.
    cluster.world().Run(milliseconds(4600));
    const auto unknown = cluster.history().unknown();
    const auto acknowledged = cluster.history().acknowledged();
    cluster.world().Run(seconds(5));
    EXPECT_EQ(cluster.history().unknown(), unknown);
    EXPECT_GT(cluster.history().acknowledged(), acknowledged + 500);
    for (NodeIndex node = 0; node < 3; ++node) {
      EXPECT_EQ(cluster.node(node).coordinator().stats().takeovers, 0U) << "nobody died";
    }
    cluster.EndLoad();
    cluster.world().Heal();
    cluster.world().Run(seconds(5));
    cluster.ReadAll("after the cut");
    EXPECT_NO_VIOLATION(cluster);
  });
}

TEST(Simulation, AJoinIsCutShortByADeath) {
  ForSeeds(8, [](std::uint64_t seed) {
    SimCluster cluster(seed, 5);
    Form(cluster, 3);
    // A death is not planned: until the newly complete node's word has spread, two may step in.
    cluster.JudgeOwners(false);
    cluster.BeginLoad(5, 30);
    cluster.world().Run(milliseconds(500));
    cluster.Start(3);
    cluster.world().Run(milliseconds(cluster.world().random().Below(400)));
    const NodeIndex victims[] = {0, 1, 3};  // old owners, or the joining node itself
    cluster.Kill(victims[seed % 3]);
    cluster.world().Run(seconds(5));
    cluster.Start(4);
    EXPECT_CONVERGES(cluster);
    Judge(cluster);
  });
}

}  // namespace
}  // namespace gyre::sim
