// Whole clusters that form, grow and meet faults, under load, over seeds: one scenario a test. Planned stops
// are in restart_test.cc; scenarios that a seed composes in nemesis_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <set>
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
    // Who has no place on the ring yet owns nothing, and may still have to yield.
    const auto all_have_places = [&] {
      return std::all_of(std::begin(kNodes), std::end(kNodes), [&](NodeIndex node) {
        const ClusterViewPtr view = cluster.node(node).view();
        return view != nullptr && std::count(view->on_ring.begin(), view->on_ring.end(), true) == 3;
      });
    };
    for (int wait = 0; wait < 200 && !all_have_places(); ++wait) {
      cluster.world().Run(milliseconds(50));
    }
    ASSERT_TRUE(all_have_places());
    EXPECT_CONVERGES(cluster);
    std::set<Version> versions;
    for (int write = 0; write < 1000; ++write) {
      for (const NodeIndex node : kNodes) {
        EXPECT_TRUE(versions.insert(cluster.node(node).NextVersion(0)).second);
      }
    }
  });
}

// Each time it is signed, and verified by all others; gossip carries it no faster.
TEST(Simulation, ANodeThatIsFilledTellsWhatItHoldsAtABoundedPace) {
  ForSeeds(4, [](std::uint64_t seed) {
    SimCluster cluster(seed, 3);
    Form(cluster, 2);
    cluster.BeginLoad(4, 20);
    cluster.world().Run(seconds(2));
    cluster.Start(2);
    const auto revision = [&cluster] {
      const auto& holdings = cluster.node(2).membership().state().holdings;
      const auto own = holdings.find(IdOf(2));
      return own == holdings.end() ? 0 : own->second.revision;
    };
    std::vector<int> told;  // at which millisecond
    for (int at = 0; at < 3000; ++at) {
      const std::uint64_t before = revision();
      cluster.world().Run(milliseconds(1));
      told.insert(told.end(), revision() - before, at);
    }
    ASSERT_GT(told.size(), 3U);
    for (std::size_t i = 1; i < told.size(); ++i) EXPECT_GE(told[i] - told[i - 1], 19) << told[i];
    EXPECT_CONVERGES(cluster);
    Judge(cluster);
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

// Removals that nodes still remember.
std::uint64_t Removals(SimCluster& cluster, NodeIndex nodes) {
  std::uint64_t removals = 0;
  for (NodeIndex node = 0; node < nodes; ++node) {
    if (!cluster.alive(node)) continue;
    Engine& engine = cluster.node(node).engine();
    for (std::uint32_t i = 0; i < engine.shard_count(); ++i) {
      MutexLock lock(engine.shard(i).mutex());
      removals += engine.shard(i).stats().tombstones;
    }
  }
  return removals;
}

// While a holder is away they stay, so that it can be told.
TEST(Simulation, RemovalsAreForgottenOnceAllHoldersHaveThem) {
  ForSeeds(8, [](std::uint64_t seed) {
    ClusterOptions options;
    options.replicas = 2 + static_cast<std::uint32_t>(seed % 2);
    SimCluster cluster(seed, 3, options);
    Form(cluster, 3);
    cluster.BeginLoad(5, 15);
    cluster.world().Run(seconds(2));
    cluster.EndLoad();
    cluster.world().Run(seconds(6));
    EXPECT_EQ(Removals(cluster, 3), 0U) << seed;
    cluster.BeginLoad(5, 15);
    cluster.Kill(1);
    cluster.world().Run(seconds(8));
    EXPECT_GT(Removals(cluster, 3), 0U) << seed;
    cluster.Start(1);
    EXPECT_CONVERGES(cluster);
    cluster.world().Run(seconds(4));
    Judge(cluster);
    cluster.world().Run(seconds(6));
    EXPECT_EQ(Removals(cluster, 3), 0U) << seed;
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

std::uint64_t RecordsAt(SimNode& node) {
  std::uint64_t records = 0;
  for (PartitionId partition = 0; partition < node.engine().options().partition_count;
       ++partition) {
    Shard& shard = node.engine().ShardOf(partition);
    MutexLock lock(shard.mutex());
    records += shard.info(partition).records;
  }
  return records;
}

// Two of the three that it is filled from die, one after the other. In the end it has all.
TEST(Simulation, AJoinGoesOnWhereItWasWhenItsSourcesDie) {
  std::uint64_t resumed = 0;
  std::uint64_t wasted = 0;
  std::uint64_t all = 0;
  ForSeeds(8, [&](std::uint64_t seed) {
    ClusterOptions options;
    options.partitions = 8;
    options.replicas = 3;
    options.transfer.page_bytes = options.transfer.calm_page_bytes = 400;
    SimCluster cluster(seed, 4, options);
    Form(cluster, 3);
    cluster.BeginLoad(6, 400, milliseconds(1));
    cluster.world().Run(seconds(4));
    cluster.EndLoad();
    cluster.world().Run(seconds(1));
    const std::uint64_t total = RecordsAt(cluster.node(0));
    cluster.Start(3);
    const auto pulled = [&] { return cluster.node(3).transfer().stats().records; };
    const std::uint64_t steps = 2 + cluster.world().random().Below(6);
    ASSERT_TRUE(cluster.world().RunUntil([&] { return pulled() > total / steps; }, seconds(20)));
    cluster.Kill(static_cast<NodeIndex>(seed % 3));
    ASSERT_TRUE(cluster.world().RunUntil([&] { return pulled() > total * 2 / 3; }, seconds(20)));
    cluster.Kill(static_cast<NodeIndex>((seed + 1) % 3));
    EXPECT_CONVERGES(cluster);
    Judge(cluster);
    EXPECT_EQ(RecordsAt(cluster.node(3)), total) << seed;
    EXPECT_LE(pulled(), total + total / 8) << seed;
    resumed += cluster.node(3).transfer().stats().pulls_resumed;
    wasted += pulled() - std::min(pulled(), total);
    all += total;
  });
  if (all == 0) return;  // seeds of other processes
  EXPECT_GT(resumed, 0U);
  std::printf("a join whose sources die: %llu fills resumed, %llu of %llu records pulled twice\n",
              static_cast<unsigned long long>(resumed), static_cast<unsigned long long>(wasted),
              static_cast<unsigned long long>(all));
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
