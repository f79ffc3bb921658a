// A full cache, and what its heirs have of it.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>

#include "sim/seeds.h"
#include "sim/sim_cluster.h"

namespace gyre::sim {
namespace {

constexpr NodeIndex kHolders = 3;
// The nodes hold some 1.7 MB, twice.
constexpr std::size_t kMemory = std::size_t{1280} << 10;
constexpr std::size_t kBytesOfValue = 500;
constexpr int kHot = 300;
constexpr int kScanned = 8000;
constexpr int kHotAWrite = 3;

std::string HotKey(int number) { return "hot" + std::to_string(number); }

class FullCache {
 public:
  explicit FullCache(std::uint64_t seed) : cluster_(seed, kHolders, Options()) {
    Form(cluster_, kHolders);
  }

  SimCluster& cluster() { return cluster_; }

  // What is asked for again and again, among what is written once; who misses writes it.
  void Use() {
    for (int i = 0; i < kScanned; ++i) {
      Ask({.kind = Operation::Kind::kSet, .key = "scan" + std::to_string(i), .value = Value()});
      for (int read = 0; read < kHotAWrite; ++read) {
        const std::string key = HotKey((i * kHotAWrite + read) % kHot);
        Ask({.key = key}, [this, key](const Answer& answer) {
          if (answer.kind != Answer::Kind::kMiss) return;
          Ask({.kind = Operation::Kind::kSet, .key = key, .value = Value()});
        });
      }
      if (i % 4 == 0) cluster_.world().Run(milliseconds(2));
    }
    cluster_.world().Run(seconds(1));
  }
  int HotKeysThere() {
    int there = 0;
    for (int i = 0; i < kHot; ++i) {
      Ask({.key = HotKey(i)},
          [&there](const Answer& answer) { there += answer.kind == Answer::Kind::kValue; });
    }
    cluster_.world().Run(seconds(6));
    return there;
  }
  // Keys that a copy has and its owner has not, and the records of all.
  std::pair<int, std::uint64_t> CopiesWithoutOwner() {
    std::pair<int, std::uint64_t> found;
    for (int i = 0; i < kScanned; ++i) found.first += IsOnlyAtACopy("scan" + std::to_string(i));
    for (NodeIndex node = 0; node < kHolders; ++node) {
      found.second += cluster_.node(node).engine().stats().records;
    }
    return found;
  }

 private:
  static ClusterOptions Options() {
    ClusterOptions options;
    options.memory_bytes = kMemory;
    return options;
  }
  static std::string Value() { return std::string(kBytesOfValue, 'v'); }

  void Ask(const Operation& operation, std::function<void(const Answer&)> done = nullptr) {
    NodeIndex node = 0;
    do {
      node = static_cast<NodeIndex>(cluster_.world().random().Below(kHolders));
    } while (!cluster_.alive(node));
    cluster_.node(node).Execute(operation, cluster_.world().now() + seconds(5),
                                [done = std::move(done)](const Answer& answer) {
                                  if (done) done(answer);
                                });
  }
  bool IsOnlyAtACopy(const std::string& bytes) {
    bool is_at_owner = false;
    bool is_at_copy = false;
    for (NodeIndex node = 0; node < kHolders; ++node) {
      Engine& engine = cluster_.node(node).engine();
      const Key key = engine.KeyOf(bytes);
      Shard& shard = engine.ShardOf(key.partition);
      MutexLock lock(shard.mutex());
      if (!shard.Peek(key)) continue;
      const Role role = shard.info(key.partition).role;
      (role == Role::kOwner ? is_at_owner : is_at_copy) = true;
    }
    return is_at_copy && !is_at_owner;
  }

  SimCluster cluster_;
};

TEST(Heirs, HaveWhatWasHotAtTheOwner) {
  ForSeeds(4, [](std::uint64_t seed) {
    FullCache cache(seed);
    cache.Use();
    const int before = cache.HotKeysThere();
    EXPECT_GT(before, kHot * 9 / 10);
    cache.cluster().Kill(static_cast<NodeIndex>(seed % kHolders));
    EXPECT_GE(cache.HotKeysThere(), before * 95 / 100);
    EXPECT_CONVERGES(cache.cluster());
  });
}

TEST(Heirs, KeepNothingThatItsOwnerEvicted) {
  ForSeeds(2, [](std::uint64_t seed) {
    FullCache cache(seed);
    cache.Use();
    const auto [only_at_a_copy, records] = cache.CopiesWithoutOwner();
    EXPECT_GT(records, 3000U);
    EXPECT_LT(only_at_a_copy, static_cast<int>(records / 100));
  });
}

}  // namespace
}  // namespace gyre::sim
