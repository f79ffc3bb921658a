// Membership of up to 1,000 nodes: how soon all know of a join and of a death, and what gossip
// costs each node. The real state machine on the virtual network of tests/cluster.
//
// Theory, with f = gossip fanout, T = gossip interval, P = probe interval, N nodes:
//   spread     rounds until the last of N has heard, of push gossip with fanout f:
//              log_{f+1} N + ln N / f       (Pittel, "On Spreading a Rumor", SIAM 1987; the
//              convergence simulator of memberlist's authors computes the same)
//   join       spread * T
//   death      first probe that meets the dead node P / (1 - 1/e) (SWIM, section 5), the probe
//              itself P, the suspicion multiplier * log10 N * P, and spread * T
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster/membership_fixture.h"

namespace gyre {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;
using std::chrono::seconds;

// memberlist's defaults for a LAN (config.go, DefaultLANConfig), which Serf and Consul run with.
MembershipOptions MemberlistOptions() {
  MembershipOptions options;
  options.probe_interval = seconds(1);
  options.probe_timeout = milliseconds(500);
  options.gossip_interval = milliseconds(200);
  return options;
}

double SecondsOf(Duration time) { return std::chrono::duration<double>(time).count(); }

double SpreadSeconds(const MembershipOptions& options, double nodes) {
  const double fanout = options.gossip_fanout;
  const double rounds = std::log(nodes) / std::log(fanout + 1) + std::log(nodes) / fanout;
  return rounds * SecondsOf(options.gossip_interval);
}

double DeathSeconds(const MembershipOptions& options, double nodes) {
  const double probe = SecondsOf(options.probe_interval);
  const double suspicion = options.suspicion_multiplier * std::max(1.0, std::log10(nodes)) * probe;
  return probe / (1 - std::exp(-1)) + probe + suspicion + SpreadSeconds(options, nodes);
}

// A cluster of `size` on the ring, all of one opinion.
class ScaledCluster : public VirtualCluster {
 public:
  ScaledCluster(std::uint64_t size, const MembershipOptions& options,
                std::uint32_t partitions = kPartitions)
      : VirtualCluster(size), options_(options), partitions_(partitions) {
    keep_logs = false;
    signs = false;  // it is introduced as no node would be
    Start(0, TestMember(0), options_, {}, partitions_);
    for (std::uint64_t number = 1; number < size; ++number) Introduce(number);
    // By now node 0 knows all; who asks it learns all at once, and has nothing to tell.
    for (std::uint64_t number = 1; number < size; ++number) {
      Apply(number, [&](Membership& each) { return each.SetSeeds(now(), {SeedAddress()}); });
    }
    Run(milliseconds(50));
  }

  void JoinRing(std::uint64_t number) {
    Apply(number, [&](Membership& each) { return each.JoinRing(now()); });
  }
  // A newcomer, by way of node 0.
  void Join(std::uint64_t number) { Start(number, TestMember(number), options_, {0}, partitions_); }

  // Until all nodes but `number` see it so.
  std::optional<Duration> UntilAllSee(std::uint64_t number, MemberState state, Duration most) {
    std::vector<std::uint64_t> blind = numbers();
    std::erase(blind, number);
    const TimePoint start = now();
    while (!blind.empty() && now() - start < most) {
      Run(milliseconds(10));
      std::erase_if(blind, [&](std::uint64_t viewer) {
        return Knows(viewer, number) && StateAt(viewer, number) == state;
      });
    }
    if (!blind.empty()) return std::nullopt;
    return now() - start;
  }
  std::optional<Duration> UntilOneDigest(Duration most) {
    return RunUntilChecked(
        [&] {
          const std::uint64_t digest = at(0).state().digest;
          const auto all = numbers();
          return std::all_of(all.begin(), all.end(), [&](std::uint64_t number) {
            return at(number).state().digest == digest;
          });
        },
        most);
  }
  // Datagrams and push/pulls sent by all nodes.
  std::uint64_t Bytes() {
    std::uint64_t bytes = 0;
    for (const std::uint64_t number : numbers()) {
      const MembershipStats stats = at(number).stats();
      bytes += stats.datagram_bytes_sent + stats.push_pull_bytes_sent;
    }
    return bytes;
  }
  double BytesPerNodeAndSecond(Duration time) {
    const std::uint64_t before = Bytes();
    Run(time);
    return static_cast<double>(Bytes() - before) / static_cast<double>(numbers().size()) /
           SecondsOf(time);
  }

 private:
  Address SeedAddress() const { return {TestMember(0).host, TestMember(0).port}; }

  // Node 0 hears of it, it does not hear the answer.
  void Introduce(std::uint64_t number) {
    Start(number, TestMember(number), options_, {}, partitions_);
    std::string request;
    for (MembershipAction& action : at(number).SetSeeds(now(), {SeedAddress()})) {
      if (auto* sync = std::get_if<StartPushPull>(&action)) request = std::move(sync->payload);
    }
    Result<std::string> reply;
    Apply(0, [&](Membership& founder) { return founder.OnPushPull(now(), request, reply); });
    Apply(number, [&](Membership& each) {
      return each.OnPushPullFailed(now(), SeedAddress(), {ErrorCode::kTimeout, "no answer"});
    });
  }
  std::optional<Duration> RunUntilChecked(const std::function<bool()>& done, Duration most) {
    const TimePoint start = now();
    while (!done()) {
      if (now() - start >= most) return std::nullopt;
      Run(milliseconds(100));
    }
    return now() - start;
  }

  MembershipOptions options_;
  std::uint32_t partitions_;
};

void Tell(const std::string& what, std::uint64_t nodes, double value, double theory = 0) {
  const std::string compared = theory == 0 ? "" : "  theory " + std::to_string(theory);
  std::printf("%-34s %5llu nodes %10.2f%s\n", what.c_str(), static_cast<unsigned long long>(nodes),
              value, compared.c_str());
}

constexpr std::uint64_t kMany = 1000;

// In time by our parameters, which are meant to be faster than memberlist's.
TEST(MembershipScale, AThousandNodesLearnOfAJoinAndOfADeathInTime) {
  const MembershipOptions options;
  ScaledCluster cluster(kMany, options);
  ASSERT_TRUE(cluster.UntilOneDigest(seconds(20)));

  cluster.Join(kMany);
  const auto joined = cluster.UntilAllSee(kMany, MemberState::kAlive, seconds(60));
  ASSERT_TRUE(joined);
  const double join_theory = SpreadSeconds(options, kMany);
  Tell("join known to all, s", kMany, SecondsOf(*joined), join_theory);
  EXPECT_LE(SecondsOf(*joined), 3 * join_theory);
  EXPECT_LE(join_theory, SpreadSeconds(MemberlistOptions(), kMany));

  cluster.Kill(500);
  const auto died = cluster.UntilAllSee(500, MemberState::kDead, seconds(120));
  ASSERT_TRUE(died);
  const double death_theory = DeathSeconds(options, kMany);
  Tell("death known to all, s", kMany, SecondsOf(*died), death_theory);
  EXPECT_LE(SecondsOf(*died), 3 * death_theory);
  EXPECT_LE(death_theory, DeathSeconds(MemberlistOptions(), kMany));
  EXPECT_EQ(cluster.Deaths(), kMany) << "of the one node, by each of the others";
}

// Probes and their answers, whatever the size; push/pulls of equal states are digests.
TEST(MembershipScale, WhatGossipCostsANodeDoesNotGrowBeyondLogN) {
  constexpr seconds kWatched{20};
  std::map<std::uint64_t, double> cost;
  for (const std::uint64_t size : {std::uint64_t{10}, std::uint64_t{100}, kMany}) {
    ScaledCluster cluster(size, {});
    ASSERT_TRUE(cluster.UntilOneDigest(seconds(20))) << size;
    cluster.Run(seconds(10));
    cost[size] = cluster.BytesPerNodeAndSecond(kWatched);
    Tell("calm: bytes a node and second", size, cost[size]);
  }
  EXPECT_LE(cost[100], 2 * cost[10]);
  EXPECT_LE(cost[kMany], 3 * cost[10]);
}

// The ring entry of one that joins, and the holdings of all whose copies move: of 200 nodes with
// 1,024 partitions of two copies each, a newcomer gets about ten copies, and as many nodes give one
// up.
TEST(MembershipScale, AJoinIntoTwoHundredNodesIsCheap) {
  constexpr std::uint64_t kNodes = 200;
  constexpr std::uint32_t kPartitions = 1024;
  constexpr std::uint32_t kMoved = kPartitions * 2 / kNodes;
  ScaledCluster cluster(kNodes, {}, kPartitions);
  const auto hold = [&](std::uint64_t number, auto holds) {
    PartitionSet complete(kPartitions);
    PartitionSet owned(kPartitions);
    for (PartitionId p = 0; p < kPartitions; ++p) {
      complete.Assign(p, holds(p));
      owned.Assign(p, holds(p) && p % kNodes == number);
    }
    cluster.Apply(
        number, [&](Membership& each) { return each.SetHoldings(cluster.now(), complete, owned); });
  };
  const auto of = [](std::uint64_t number) {
    return [number](PartitionId p) { return p % kNodes == number || p / 7 % kNodes == number; };
  };
  for (std::uint64_t number = 0; number < kNodes; ++number) cluster.JoinRing(number);
  for (std::uint64_t number = 0; number < kMoved; ++number) hold(number, of(number));
  ASSERT_TRUE(cluster.UntilOneDigest(seconds(120)));
  cluster.Run(seconds(10));
  const double calm = cluster.BytesPerNodeAndSecond(seconds(10));

  const TimePoint begin = cluster.now();
  const std::uint64_t before = cluster.Bytes();
  cluster.Join(kNodes);
  cluster.Run(seconds(2));
  cluster.JoinRing(kNodes);
  for (std::uint32_t i = 0; i < kMoved; ++i) {
    cluster.Run(milliseconds(200));
    hold(kNodes, [i](PartitionId p) { return p <= i; });
    hold(i, [&](PartitionId p) { return p != i && of(i)(p); });
  }
  ASSERT_TRUE(cluster.UntilOneDigest(seconds(60)));
  const double time = SecondsOf(cluster.now() - begin);
  const double spent = static_cast<double>(cluster.Bytes() - before) / kNodes;
  Tell("join: bytes a node beyond calm", kNodes, spent - calm * time);
  // A news item goes out transmits_max times from each node: it must not cost more than that.
  const int transmits = 4 * static_cast<int>(std::ceil(std::log10(kNodes + 1)));
  constexpr double kNewsBytes = 60;
  const double news = 2 + 2 * kMoved;
  EXPECT_LE(spent - calm * time, news * transmits * kNewsBytes);
}

}  // namespace
}  // namespace gyre
