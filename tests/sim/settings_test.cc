// The ring's settings, changed at random nodes while nodes die, come back, are stopped and cut off from
// each other, and datagrams are lost: in the end all nodes have the same, and of each name the state
// that was stamped last.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>

#include "sim/seeds.h"
#include "sim/sim_cluster.h"

namespace gyre::sim {
namespace {

constexpr NodeIndex kNodes = 5;

class SettingsRun {
 public:
  explicit SettingsRun(std::uint64_t seed) : cluster_(seed, kNodes + 1, Options()) {
    Form(cluster_, kNodes);
    cluster_.world().network().datagram_loss = 0.2;
    // Some seconds apart, as where nobody keeps time.
    for (NodeIndex node = 0; node < kNodes; ++node) {
      cluster_.world().JumpClock(node, static_cast<std::int64_t>(random().Below(10'000)));
    }
  }

  SimCluster& cluster() { return cluster_; }
  Prng& random() { return cluster_.world().random(); }

  // At a random node that lives; the state that follows is noted.
  void Change() {
    const auto node = static_cast<NodeIndex>(random().Below(kNodes));
    if (!cluster_.alive(node)) return;
    const std::string name = "n" + std::to_string(random().Below(6));
    const bool unset = random().Chance(0.3);
    const std::string value = random().Chance(0.2)
                                  ? std::string(3000, 'v') + std::to_string(changes_)
                                  : std::to_string(changes_);
    const Status outcome = cluster_.node(node).ChangeSetting(
        name, unset ? std::nullopt : std::optional<std::string>(value));
    if (!outcome) return;
    ++changes_;
    const Setting& made = *cluster_.node(node).membership().settings().Find(name);
    const auto [newest, first] = newest_.try_emplace(name, made);
    if (!first && IsNewer(made, newest->second)) newest->second = made;
  }
  void ChangeFor(Duration span) {
    const TimePoint end = cluster_.world().now() + span;
    while (cluster_.world().now() < end) {
      Change();
      cluster_.world().Run(milliseconds(20 + random().Below(200)));
    }
  }
  // One fault, with changes meanwhile, and its end.
  void Disturb() {
    World& world = cluster_.world();
    const auto victim = static_cast<NodeIndex>(random().Below(kNodes));
    switch (random().Below(4)) {
      case 0:
        cluster_.Kill(victim);
        ChangeFor(seconds(random().Below(6)));
        return cluster_.Start(victim);
      case 1:
        world.Pause(victim, seconds(1 + random().Below(5)));
        return ChangeFor(seconds(3));
      case 2:
        world.Isolate(victim);
        break;
      case 3:
        for (NodeIndex one = 0; one < kNodes; ++one) {
          for (NodeIndex other = 0; other < one; ++other) {
            if (one % 2 != other % 2) world.CutBoth(one, other);
          }
        }
        break;
    }
    ChangeFor(seconds(2 + random().Below(8)));
    world.Heal();
  }

  // Empty: all live nodes have what was stamped last.
  std::string Wrong() {
    for (NodeIndex node = 0; node <= kNodes; ++node) {
      if (!cluster_.alive(node)) continue;
      const SettingsMap& settings = cluster_.node(node).membership().settings();
      if (settings.registers() == Wanted()) continue;
      std::string wrong = "n" + std::to_string(node) + " has";
      for (const auto& [name, setting] : settings.registers()) {
        if (newest_.count(name) == 0 || newest_.at(name) != setting) wrong += " " + name;
      }
      return wrong + " otherwise, of " + std::to_string(settings.count());
    }
    return "";
  }
  SettingsMap::Registers Wanted() const { return {newest_.begin(), newest_.end()}; }
  void ExpectAgreement(Duration within) {
    EXPECT_TRUE(cluster_.world().RunUntil([this] { return Wrong().empty(); }, within)) << Wrong();
  }
  std::uint64_t changes() const { return changes_; }

 private:
  static ClusterOptions Options() {
    ClusterOptions options;
    options.dates = true;
    return options;
  }

  SimCluster cluster_;
  std::map<std::string, Setting> newest_;
  std::uint64_t changes_ = 0;
};

TEST(SettingsSimulation, AllNodesAgreeOnWhatWasStampedLast) {
  ForSeeds(20, [](std::uint64_t seed) {
    SettingsRun run(seed);
    for (int round = 0; round < 4; ++round) {
      run.Disturb();
      run.ChangeFor(seconds(1));
    }
    run.ExpectAgreement(seconds(30));
    EXPECT_GT(run.changes(), 20U);
  });
}

TEST(SettingsSimulation, TheWholeRingIsStartedAgainAndANewNodeComes) {
  ForSeeds(10, [](std::uint64_t seed) {
    SettingsRun run(seed);
    run.ChangeFor(seconds(4));
    // Before all have heard of all.
    for (NodeIndex node = 0; node < kNodes; ++node) run.cluster().Kill(node);
    run.cluster().world().Run(seconds(2));
    for (NodeIndex node = 0; node < kNodes; ++node) {
      run.cluster().Start(node);
      run.cluster().world().Run(milliseconds(run.random().Below(2000)));
    }
    run.ExpectAgreement(seconds(30));
    run.ChangeFor(seconds(2));
    run.ExpectAgreement(seconds(30));
    run.cluster().Start(kNodes);
    EXPECT_TRUE(
        run.cluster().world().RunUntil([&] { return run.cluster().Ready(kNodes); }, seconds(60)));
    EXPECT_EQ(run.Wrong(), "") << "it has them when it is ready";
  });
}

}  // namespace
}  // namespace gyre::sim
