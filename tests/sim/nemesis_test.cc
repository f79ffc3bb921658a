// Scenarios that seeds compose (nemesis.h), in blocks that ctest may run side by side.
#include "sim/nemesis.h"

#include <gtest/gtest.h>

#include "sim/seeds.h"

namespace gyre::sim {
namespace {

constexpr std::uint64_t kSeeds = 10;  // of a block
constexpr int kRounds = 3;
constexpr NodeIndex kNodesMax = 6;

struct Copies {
  std::uint32_t replicas;
  std::uint32_t write_acks;
};

// Copies, snapshots and the size of the cluster vary with the seed.
ClusterOptions OptionsOf(std::uint64_t seed) {
  static constexpr Copies kCopies[] = {{2, 2}, {3, 2}, {3, 3}};
  ClusterOptions options;
  options.replicas = kCopies[seed % 3].replicas;
  options.write_acks = kCopies[seed % 3].write_acks;
  options.snapshots = seed / 3 % 2 == 1;
  options.promise.level = history::Level::kStream;
  return options;
}

void RunNemesis(std::uint64_t seed, const ClusterOptions& cluster_options,
                const NemesisOptions& options) {
  SimCluster cluster(seed, kNodesMax, cluster_options);
  Nemesis nemesis(cluster, options);
  Form(cluster, static_cast<NodeIndex>(3 + seed % 2));
  for (int round = 0; round < kRounds && nemesis.Round(); ++round) {
  }
  EXPECT_NO_VIOLATION(cluster);
  EXPECT_GT(cluster.history().acknowledged(), 20U);
}

class NemesisTest : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  void Run(const NemesisOptions& options) {
    ForSeeds(
        kSeeds, [&options](std::uint64_t seed) { RunNemesis(seed, OptionsOf(seed), options); },
        1 + GetParam() * kSeeds);
  }
};

constexpr LoadOptions kWriters = {.writers = 4, .keys = 20, .groupers = 1};
constexpr LoadOptions kManyKeys = {
    .writers = 5, .keys = 60, .groupers = 1, .think = milliseconds(8)};
constexpr LoadOptions kEverything = {
    .writers = 3, .keys = 15, .contestants = 4, .counters = 4, .swapped = 4, .groupers = 1};

TEST_P(NemesisTest, NodesComeAndGo) { Run({.faults = NodeFaults(), .load = kEverything}); }

// Also counters and tokens: an owner that was stopped or cut off orders no writes until it knows
// what became of it (self_fence.h).
TEST_P(NemesisTest, NodesArePaused) { Run({.faults = PauseFaults(), .load = kEverything}); }

// Available mode: both sides of a partition take INCR and CAS, and one of two results survives. So
// these are not asked for here. And clocks agree: of two writes of a client, one to each side, the
// one that was stamped by the clock that is ahead survives.
TEST_P(NemesisTest, NetworksBreak) {
  Run({.faults = PartitionFaults(), .load = kWriters, .clocks = false});
}

// Where nodes evict, any key may vanish: INCR and CAS begin again then, so they are not asked for.
// But no older value and nothing that was deleted comes back.
TEST_P(NemesisTest, NodesEvict) {
  ForSeeds(
      kSeeds,
      [](std::uint64_t seed) {
        ClusterOptions options = OptionsOf(seed);
        options.evicts = true;
        options.promise.level = history::Level::kRecords;  // each copy evicts for itself
        std::vector<Fault> faults = NodeFaults();
        faults.insert(faults.end(), PauseFaults().begin(), PauseFaults().end());
        RunNemesis(seed, options, {.faults = faults, .load = kManyKeys});
      },
      1 + GetParam() * kSeeds);
}

INSTANTIATE_TEST_SUITE_P(Blocks, NemesisTest, ::testing::Range<std::uint64_t>(0, 7));

// Exactly: every datagram, request and reply at the same nanosecond.
TEST(Simulation, TheSameSeedIsTheSameRun) {
  const auto run = [](std::uint64_t seed) {
    SimCluster cluster(seed, kNodesMax, OptionsOf(seed));
    std::vector<Fault> faults = NodeFaults();
    faults.insert(faults.end(), PartitionFaults().begin(), PartitionFaults().end());
    faults.insert(faults.end(), PauseFaults().begin(), PauseFaults().end());
    Nemesis nemesis(cluster, {.faults = faults, .load = kEverything});
    cluster.StartAll(3);
    for (int round = 0; round < 2; ++round) nemesis.Round();
    return std::tuple(cluster.world().trace_hash(), cluster.world().events(), nemesis.story());
  };
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    EXPECT_EQ(run(seed), run(seed));
    EXPECT_NE(run(seed), run(seed + 100));
  }
}

}  // namespace
}  // namespace gyre::sim
