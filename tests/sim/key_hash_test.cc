// How whole rings come to hash keys by one secret (control/key_hash_agreement.h), and that nothing is
// lost or comes twice for it. That all have the same in the end, and all copies in its order, is part of
// SimCluster::NotConverged.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "sim/seeds.h"
#include "sim/sim_cluster.h"

namespace gyre::sim {
namespace {

Answer Ask(SimCluster& cluster, NodeIndex node, const Operation& operation) {
  const auto answer = std::make_shared<std::optional<Answer>>();
  World& world = cluster.world();
  cluster.node(node).Execute(operation, world.now() + seconds(2),
                             [answer](Answer given) { *answer = std::move(given); });
  world.RunUntil([answer] { return answer->has_value(); }, seconds(3));
  return answer->value_or(Answer{});
}

void Fill(SimCluster& cluster, NodeIndex node, const std::string& prefix, int count) {
  for (int i = 0; i < count; ++i) {
    const std::string key = prefix + std::to_string(i);
    const Answer answer =
        Ask(cluster, node, {.kind = Operation::Kind::kSet, .key = key, .value = key});
    ASSERT_EQ(answer.kind, Answer::Kind::kOk) << key;
  }
}

void ExpectAll(SimCluster& cluster, NodeIndex node, const std::string& prefix, int count) {
  for (int i = 0; i < count; ++i) {
    const std::string key = prefix + std::to_string(i);
    EXPECT_EQ(Ask(cluster, node, {.kind = Operation::Kind::kGet, .key = key}).value, key)
        << cluster.Copies(key);
  }
}

KeyHashId IdOfNode(SimCluster& cluster, NodeIndex node) {
  return cluster.node(node).engine().key_hash().id();
}

std::uint64_t Rehashed(SimCluster& cluster, NodeIndex node) {
  return cluster.node(node).engine().stats().rehashed;
}

// Each has data when they meet, and made its own secret: the older one stays.
TEST(KeyHash, FoundersThatMeetKeepWhatEachHas) {
  ForSeeds(8, [](std::uint64_t seed) {
    constexpr int kKeys = 150;
    ClusterOptions options;
    options.write_acks = 1;
    SimCluster cluster(seed, 3, options);
    const NodeIndex order[] = {static_cast<NodeIndex>(seed % 3),
                               static_cast<NodeIndex>((seed + 1) % 3),
                               static_cast<NodeIndex>((seed + 2) % 3)};
    for (const NodeIndex node : order) {
      cluster.Found(node);
      cluster.world().Run(milliseconds(cluster.world().random().Below(300)));
    }
    cluster.JudgeOwners(false);  // each owns all that there is
    cluster.world().Run(seconds(3));
    for (const NodeIndex node : order)
      Fill(cluster, node, "of" + std::to_string(node) + ":", kKeys);
    EXPECT_NE(IdOfNode(cluster, 0), IdOfNode(cluster, 1));
    const KeyHashId oldest =
        std::min({IdOfNode(cluster, 0), IdOfNode(cluster, 1), IdOfNode(cluster, 2)});
    cluster.Introduce(0, 1);
    cluster.world().Run(milliseconds(cluster.world().random().Below(2000)));
    cluster.Introduce(2, static_cast<NodeIndex>(seed % 2));
    EXPECT_CONVERGES(cluster);
    EXPECT_EQ(IdOfNode(cluster, 1), oldest);
    cluster.world().Run(seconds(5));  // what only one had goes to the others
    for (const NodeIndex node : order) {
      for (const NodeIndex from : order) {
        ExpectAll(cluster, node, "of" + std::to_string(from) + ":", kKeys);
      }
    }
    EXPECT_NO_VIOLATION(cluster);
  });
}

// At the same moment, each through the others: whoever makes a secret, it is one in the end, and what is
// written from the first moment on is there.
TEST(KeyHash, NodesThatStartAtOnce) {
  ForSeeds(8, [](std::uint64_t seed) {
    SimCluster cluster(seed, 4);
    cluster.StartTogether(4);
    cluster.BeginLoad(5, 20);
    cluster.world().Run(seconds(4));
    EXPECT_CONVERGES(cluster);
    EXPECT_FALSE(IdOfNode(cluster, 0).is_plain());
    Judge(cluster);
  });
}

TEST(KeyHash, ARingThatWasStoppedHasTheSameAgainAndNothingToDo) {
  ForSeeds(6, [](std::uint64_t seed) {
    ClusterOptions options;
    options.snapshots = true;
    SimCluster cluster(seed, 3, options);
    Form(cluster, 3);
    Fill(cluster, 0, "k", 200);
    const KeyHashId id = IdOfNode(cluster, 0);
    ASSERT_TRUE(cluster.Stop({0, 1, 2}));
    for (NodeIndex node = 0; node < 3; ++node) cluster.Start(node);
    EXPECT_CONVERGES(cluster);
    for (NodeIndex node = 0; node < 3; ++node) {
      EXPECT_EQ(IdOfNode(cluster, node), id);
      EXPECT_EQ(Rehashed(cluster, node), 0U);
    }
    ExpectAll(cluster, 1, "k", 200);
    EXPECT_NO_VIOLATION(cluster);
  });
}

// Each has its snapshot, and nobody the secret: a new one is made, under load.
TEST(KeyHash, ARingThatLostItsSecretMakesAnother) {
  ForSeeds(6, [](std::uint64_t seed) {
    ClusterOptions options;
    options.snapshots = true;
    SimCluster cluster(seed, 3, options);
    Form(cluster, 3);
    cluster.BeginLoad(4, 20);
    cluster.world().Run(seconds(2));
    const KeyHashId id = IdOfNode(cluster, 0);
    cluster.RestLoad(seconds(8));
    ASSERT_TRUE(cluster.Stop({0, 1, 2}));
    for (NodeIndex node = 0; node < 3; ++node) cluster.ForgetKeyHash(node);
    for (NodeIndex node = 0; node < 3; ++node) cluster.Start(node);
    EXPECT_CONVERGES(cluster);
    EXPECT_NE(IdOfNode(cluster, 0), id);
    Judge(cluster);
  });
}

// Nodes come back without it, one after the other, and one dies while another is on its way.
TEST(KeyHash, WhoComesBackWithoutItTakesTheRings) {
  ForSeeds(8, [](std::uint64_t seed) {
    ClusterOptions options;
    options.snapshots = true;
    SimCluster cluster(seed, 3, options);
    Form(cluster, 3);
    cluster.BeginLoad(5, 20);
    cluster.world().Run(seconds(1));
    const KeyHashId id = IdOfNode(cluster, 0);
    for (NodeIndex node = 0; node < 3; ++node) {
      EXPECT_TRUE(cluster.Stop(node));
      cluster.ForgetKeyHash(node);
      cluster.world().Run(milliseconds(cluster.world().random().Below(3000)));
      cluster.Start(node);
      EXPECT_CONVERGES(cluster);
      EXPECT_EQ(IdOfNode(cluster, node), id);
    }
    Judge(cluster);
  });
}

}  // namespace
}  // namespace gyre::sim
