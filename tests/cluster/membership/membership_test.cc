#include "membership/membership.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "cluster/membership_fixture.h"
#include "proto/limits.h"

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// ---- Joining ----------------------------------------------------------------------------------

TEST_F(MembershipTest, FormsClustersOfManySizes) {
  for (const std::uint64_t size : {2, 3, 5, 10, 50}) {
    VirtualCluster each(size);
    each.StartMany(size);
    const auto took = each.RunUntil([&] { return each.Converged(); }, seconds(10));
    ASSERT_TRUE(took) << size;
    RecordProperty("join_ms_" + std::to_string(size),
                   static_cast<int>(std::chrono::duration_cast<milliseconds>(*took).count()));
    EXPECT_LT(*took, seconds(2)) << size;
  }
}

TEST_F(MembershipTest, IsJoinedAloneWithoutSeedsAndWithItselfAsSeed) {
  cluster.Start(0, TestMember(0), {}, {});
  EXPECT_TRUE(cluster.at(0).joined());
  cluster.Start(1, TestMember(1), {}, {1});
  EXPECT_TRUE(cluster.at(1).joined());
}

TEST_F(MembershipTest, WaitsForItsSeedsAndJoinsWhenOneAppears) {
  cluster.Start(1);
  cluster.Run(seconds(30));
  EXPECT_FALSE(cluster.at(1).joined());
  EXPECT_TRUE(HasLog(1, R"(seed=10.0.0.0:7700 error="connection refused")"));
  EXPECT_EQ(cluster.logs(1).size(), 1U) << "the same reason is logged once";
  cluster.Start(0);
  EXPECT_TRUE(
      cluster.RunUntil([&] { return cluster.Converged() && cluster.at(1).joined(); }, seconds(2)));
}

TEST_F(MembershipTest, RecognisesItselfBehindAnotherAddress) {
  MembershipOptions options;
  Membership machine(options, TestMember(1), 64, 2);
  const TimePoint now{seconds(1)};
  const Address alias{"n1.example", 7700};
  const MembershipActions actions = machine.SetSeeds(now, {alias});
  ASSERT_FALSE(machine.joined());
  std::string payload;
  for (const MembershipAction& action : actions) {
    if (const auto* sync = std::get_if<StartPushPull>(&action)) payload = sync->payload;
  }
  Result<std::string> reply;
  machine.OnPushPull(now, payload, reply);
  ASSERT_TRUE(reply);
  machine.OnPushPullReply(now, alias, *reply);
  EXPECT_TRUE(machine.joined());
}

// A headless service has all nodes behind one name: to meet oneself there is no reason to begin alone.
TEST_F(MembershipTest, ANameThatLeadsToOthersTooIsNotItself) {
  Membership machine(MembershipOptions{}, TestMember(1), 64, 2);
  const TimePoint now{seconds(1)};
  const Address name{"ring.example", 7700};
  const auto asked = [&name](const MembershipActions& actions) {
    std::string payload;
    for (const MembershipAction& action : actions) {
      const auto* sync = std::get_if<StartPushPull>(&action);
      if (sync != nullptr && sync->to == name) payload = sync->payload;
    }
    return payload;
  };
  Result<std::string> reply;
  machine.OnPushPull(now, asked(machine.SetSeeds(now, {name})), reply);
  ASSERT_TRUE(reply);
  machine.OnPushPullReply(now, name, *reply, /*leads_elsewhere=*/true);
  EXPECT_FALSE(machine.joined());
  const TimePoint later = now + MembershipOptions{}.probe_interval;
  EXPECT_NE(asked(machine.Tick(later)), "") << "it asks there again";
}

TEST_F(MembershipTest, NeverMergesClustersOfDifferentNames) {
  MembershipOptions other;
  other.cluster_name = "other";
  cluster.Start(0);
  cluster.Start(1);
  cluster.Start(2, TestMember(2), other, {0, 1});
  cluster.Start(3, TestMember(3), other, {2});
  cluster.Run(minutes(2));
  EXPECT_EQ(cluster.at(0).state().members.size(), 2U);
  EXPECT_EQ(cluster.at(2).state().members.size(), 2U);
  EXPECT_TRUE(HasLog(2, "--cluster-name"));
}

TEST_F(MembershipTest, RefusesOtherConstantsWithAdvice) {
  cluster.Start(0);
  cluster.Start(1, TestMember(1), {}, {0}, 128, 2);
  cluster.Start(2, TestMember(2), {}, {0}, 64, 3);
  cluster.Run(seconds(30));
  EXPECT_EQ(cluster.at(0).state().members.size(), 1U);
  EXPECT_FALSE(cluster.at(1).joined());
  EXPECT_TRUE(HasLog(1, "start it with --partitions 64"));
  EXPECT_TRUE(HasLog(2, "start it with --replicas 2"));
}

// ---- Coming back ------------------------------------------------------------------------------

TEST_F(MembershipTest, APartitionHealsByItselfAndBothSidesLearnOfTheirDeaths) {
  Form(5);
  cluster.Split({0, 1, 2}, {3, 4});
  cluster.Run(seconds(30));
  for (const std::uint64_t a : {0, 1, 2}) {
    for (const std::uint64_t b : {3, 4}) {
      ASSERT_EQ(cluster.StateAt(a, b), MemberState::kDead);
      ASSERT_EQ(cluster.StateAt(b, a), MemberState::kDead);
    }
  }
  cluster.Heal();
  const auto took = cluster.RunUntil([&] { return cluster.Converged(); }, seconds(30));
  ASSERT_TRUE(took);
  EXPECT_LT(*took, seconds(5));
  cluster.Run(seconds(5));
  for (const std::uint64_t each : cluster.numbers()) {
    EXPECT_EQ(cluster.declared_dead(each), 1) << each;
  }
}

TEST_F(MembershipTest, APausedNodeLearnsOfItsDeathEvenIfItRefutedASuspicionMeanwhile) {
  Form(3);
  cluster.Pause(2);
  ASSERT_TRUE(cluster.RunUntil(
      [&] {
        return cluster.StateAt(0, 2) == MemberState::kDead &&
               cluster.StateAt(1, 2) == MemberState::kDead;
      },
      seconds(20)));
  cluster.Resume(2);
  // It refutes an older suspicion first: the news of its life overtake those of its death.
  const std::uint64_t incarnation = cluster.at(2).state().members.at(TestId(2)).incarnation;
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Converged(); }, seconds(10)));
  EXPECT_GT(cluster.at(0).state().members.at(TestId(2)).incarnation, incarnation);
  EXPECT_EQ(cluster.declared_dead(2), 1);
  EXPECT_EQ(cluster.declared_dead(0), 0);
}

TEST_F(MembershipTest, ARestartIsANewLifeAndNoDeath) {
  Form(3);
  Hold(1, Some({1, 2}));
  ASSERT_TRUE(cluster.RunUntil([&] { return SeesHoldings(0, 1, Some({1, 2})); }, seconds(2)));
  cluster.Kill(1);
  cluster.Run(milliseconds(200));
  cluster.Start(1, TestMember(1, 1000));
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Converged(); }, seconds(5)));
  EXPECT_EQ(cluster.Deaths(), 0U);
  EXPECT_EQ(cluster.at(0).state().members.at(TestId(1)).incarnation, 1000U);
  EXPECT_EQ(cluster.at(0).state().holdings.count(TestId(1)), 0U) << "of its last life";
  EXPECT_EQ(RingSizeAt(0), 3U);
}

TEST_F(MembershipTest, ANodeWhoseClockWasSetBackStillComesBack) {
  Form(3);
  cluster.Kill(1);
  cluster.Run(seconds(20));
  MemberInfo info = TestMember(1, 0);
  cluster.Start(1, info);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Converged(); }, seconds(10)));
}

TEST_F(MembershipTest, AStopIsToldAtOnceAndSuspectsNobody) {
  Form(5);
  cluster.Apply(1, [&](Membership& each) { return each.Stop(cluster.now()); });
  const auto took =
      cluster.RunUntil([&] { return cluster.AllSee(1, MemberState::kStopped); }, seconds(5));
  ASSERT_TRUE(took);
  EXPECT_LT(*took, milliseconds(50));
  cluster.Run(milliseconds(100));
  cluster.Kill(1);
  cluster.Run(minutes(10));
  EXPECT_EQ(cluster.Deaths(), 0U);
  EXPECT_TRUE(AllHaveRingSize(5));
  cluster.Start(1, TestMember(1, 1000));
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Converged(); }, seconds(5)));
}

// ---- Identities and the ring ------------------------------------------------------------------

TEST_F(MembershipTest, ANewIdentityAtAnAddressEndsTheOldOne) {
  Form(3);
  cluster.Kill(1);
  cluster.Run(milliseconds(100));
  MemberInfo info = TestMember(1, 1000);
  info.id = TestId(9);
  cluster.Start(1, info);
  const auto took = cluster.RunUntil(
      [&] {
        return cluster.Knows(0, 9) && cluster.Knows(2, 9) &&
               cluster.StateAt(0, 1) == MemberState::kDead &&
               cluster.StateAt(2, 1) == MemberState::kDead;
      },
      seconds(5));
  ASSERT_TRUE(took);
  EXPECT_LT(*took, seconds(1));
  cluster.Apply(1, [&](Membership& each) { return each.JoinRing(cluster.now()); });
  cluster.Run(kTakeoverGrace + seconds(3));
  EXPECT_TRUE(AllHaveRingSize(3)) << "the old identity was evicted, the new one joined";
  EXPECT_EQ(cluster.StateAt(0, 9), MemberState::kAlive);
}

TEST_F(MembershipTest, AMajorityEvictsTheDeadAndTakesThemBack) {
  MembershipOptions options;
  options.evict_after = seconds(30);
  Form(5, options);
  cluster.Split({0, 1, 2}, {3, 4});
  cluster.Run(seconds(25));
  EXPECT_TRUE(AllHaveRingSize(5));
  ASSERT_EQ(cluster.at(0).stats().dead.size(), 2U);
  for (const DeadMember& dead : cluster.at(0).stats().dead) {
    EXPECT_GT(dead.since, seconds(10));
    ASSERT_TRUE(dead.evict_in);
    EXPECT_EQ(dead.since + *dead.evict_in, seconds(30));
  }
  ASSERT_EQ(cluster.at(3).stats().dead.size(), 3U);
  EXPECT_FALSE(cluster.at(3).stats().dead[0].evict_in) << "a minority evicts nobody";
  cluster.Run(seconds(30));
  for (const std::uint64_t each : {0, 1, 2}) EXPECT_EQ(RingSizeAt(each), 3U);
  for (const std::uint64_t each : {3, 4}) EXPECT_EQ(RingSizeAt(each), 5U) << "a minority waits";
  cluster.Heal();
  EXPECT_TRUE(
      cluster.RunUntil([&] { return cluster.Converged() && AllHaveRingSize(5); }, seconds(20)))
      << "the evicted take their places again";
}

TEST_F(MembershipTest, HalfARingEvictsNobody) {
  MembershipOptions options;
  options.evict_after = seconds(30);
  Form(4, options);
  cluster.Kill(2);
  cluster.Kill(3);
  cluster.Run(minutes(5));
  EXPECT_EQ(RingSizeAt(0), 4U);
  cluster.Apply(0, [&](Membership& each) { return each.LeaveRing(cluster.now(), TestId(2)); });
  cluster.Run(seconds(3));
  EXPECT_EQ(RingSizeAt(1), 2U) << "with the operator's word two of three are a majority";
}

TEST_F(MembershipTest, ADrainedNodeStaysOffTheRing) {
  Form(3);
  const auto drain = [&](Membership& each) { return each.Drain(cluster.now(), TestId(1)); };
  cluster.Apply(0, drain);
  const auto took = cluster.RunUntil([&] { return AllHaveRingSize(2); }, seconds(5));
  ASSERT_TRUE(took);
  EXPECT_LT(*took, seconds(1));
  cluster.Apply(2, drain);  // twice changes nothing
  cluster.Apply(1, [&](Membership& each) { return each.JoinRing(cluster.now()); });
  cluster.Run(minutes(1));
  EXPECT_TRUE(AllHaveRingSize(2));
  EXPECT_TRUE(HasLog(1, "this node was drained"));
}

TEST_F(MembershipTest, AnUndrainedNodeTakesItsPlaceWhoeverIsTold) {
  Form(3);
  for (const std::uint64_t told : {0, 1}) {
    cluster.Apply(0, [&](Membership& each) { return each.Drain(cluster.now(), TestId(1)); });
    ASSERT_TRUE(cluster.RunUntil([&] { return AllHaveRingSize(2); }, seconds(5)));
    cluster.Apply(told, [&](Membership& each) { return each.Undrain(cluster.now(), TestId(1)); });
    const auto took = cluster.RunUntil([&] { return AllHaveRingSize(3); }, seconds(5));
    ASSERT_TRUE(took) << told;
    EXPECT_LT(*took, seconds(2)) << told;
  }
}

TEST_F(MembershipTest, ANodeThatIsAboutToJoinCanBeDrained) {
  Form(3);
  cluster.Start(5);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Converged(); }, seconds(5)));
  cluster.Apply(0, [&](Membership& each) { return each.Drain(cluster.now(), TestId(5)); });
  cluster.Run(seconds(5));
  cluster.Apply(5, [&](Membership& each) { return each.JoinRing(cluster.now()); });
  cluster.Run(seconds(5));
  EXPECT_TRUE(AllHaveRingSize(3));
}

// ---- The bytes of nodes in versions ------------------------------------------------------------

// Numbers of nodes whose ids begin alike: all want the same byte.
std::uint64_t Alike(std::uint64_t number) { return 7 + 256 * number; }

std::set<int> VersionNodes(const ClusterState& state) {
  std::set<int> nodes;
  for (const auto& [id, entry] : state.ring) {
    if (!entry.removed) nodes.insert(entry.version_node);
  }
  return nodes;
}

TEST_F(MembershipTest, NodesThatJoinAtOnceAgreeOnAByteForEach) {
  constexpr std::uint64_t kNodes = 20;
  for (std::uint64_t number = 0; number < kNodes; ++number) {
    cluster.Start(Alike(number), TestMember(Alike(number)), {}, {Alike(0)});
  }
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Converged(); }, seconds(20)));
  for (const std::uint64_t number : cluster.numbers()) {
    cluster.Apply(number, [&](Membership& each) { return each.JoinRing(cluster.now()); });
  }
  EXPECT_EQ(VersionNodes(cluster.at(Alike(1)).state()).size(), 1U) << "nobody has heard of another";
  const auto took =
      cluster.RunUntil([&] { return cluster.Converged() && AllHaveRingSize(kNodes); }, seconds(20));
  ASSERT_TRUE(took);
  EXPECT_LT(*took, seconds(5));
  for (const std::uint64_t number : cluster.numbers()) {
    EXPECT_EQ(VersionNodes(cluster.at(number).state()).size(), kNodes) << number;
  }
}

TEST_F(MembershipTest, SidesOfAPartitionAgreeOnBytesWhenItHeals) {
  Form(2);
  cluster.Start(Alike(1), TestMember(Alike(1)), {}, {0});
  cluster.Start(Alike(2), TestMember(Alike(2)), {}, {1});
  cluster.Split({0, Alike(1)}, {1, Alike(2)});
  cluster.Run(seconds(20));
  for (const std::uint64_t number : {Alike(1), Alike(2)}) {
    cluster.Apply(number, [&](Membership& each) { return each.JoinRing(cluster.now()); });
  }
  cluster.Run(seconds(5));
  const auto byte = [&](std::uint64_t viewer, std::uint64_t number) {
    return cluster.at(viewer).state().ring.at(TestId(number)).version_node;
  };
  ASSERT_EQ(byte(0, Alike(1)), byte(1, Alike(2)));
  cluster.Heal();
  ASSERT_TRUE(
      cluster.RunUntil([&] { return cluster.Converged() && AllHaveRingSize(4); }, seconds(20)));
  EXPECT_EQ(VersionNodes(cluster.at(0).state()).size(), 4U);
  const std::uint64_t stays = TestId(Alike(1)) < TestId(Alike(2)) ? Alike(1) : Alike(2);
  EXPECT_EQ(byte(0, stays), TestId(stays).bytes[0]) << "the lower id keeps it";
}

TEST_F(MembershipTest, TheByteOfANodeThatLeftIsGivenToNobodyElse) {
  Form(3);
  cluster.Apply(0, [&](Membership& each) { return each.LeaveRing(cluster.now(), TestId(1)); });
  ASSERT_TRUE(cluster.RunUntil([&] { return AllHaveRingSize(2); }, seconds(5)));
  cluster.Start(257);
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.at(257).joined(); }, seconds(5)));
  for (const std::uint64_t number : {257, 1}) {
    cluster.Apply(number, [&](Membership& each) { return each.JoinRing(cluster.now()); });
  }
  ASSERT_TRUE(cluster.RunUntil([&] { return AllHaveRingSize(4); }, seconds(5)));
  const auto& ring = cluster.at(0).state().ring;
  EXPECT_NE(ring.at(TestId(257)).version_node, TestId(1).bytes[0]);
  EXPECT_EQ(ring.at(TestId(1)).version_node, TestId(1).bytes[0]) << "it has it when it comes back";
}

TEST_F(MembershipTest, ARingOfAllBytesTakesNoFurtherNodeUntilOneLeaves) {
  MembershipOptions options;
  for (std::uint64_t number = 0; number < kRingNodesMax; ++number) {
    RingEntry entry{.id = TestId(number), .revision = 1};
    entry.version_node = static_cast<std::uint8_t>(number);
    options.remembered.members.push_back({entry, "n", TestMember(number).host, 7700});
  }
  cluster.Start(300, TestMember(300), options, {});
  const auto join = [&] {
    cluster.Apply(300, [&](Membership& each) { return each.JoinRing(cluster.now()); });
    return cluster.at(300).state().ring.contains(TestId(300));
  };
  EXPECT_FALSE(join());
  EXPECT_TRUE(cluster.at(300).ring_full());
  EXPECT_TRUE(HasLog(300, "as many nodes as it can have"));
  cluster.Apply(300, [&](Membership& each) { return each.LeaveRing(cluster.now(), TestId(77)); });
  EXPECT_TRUE(join());
  EXPECT_FALSE(cluster.at(300).ring_full());
  EXPECT_EQ(cluster.at(300).state().ring.at(TestId(300)).version_node, 77);
}

// ---- The operator's word on rebalancing --------------------------------------------------------

TEST_F(MembershipTest, APauseReachesAllAndWhoJoinsOrComesBackLater) {
  Form(5);
  const auto setting = [&](std::uint64_t node) { return cluster.at(node).state().rebalance; };
  cluster.Apply(2, [&](Membership& each) {
    return each.SetRebalance(cluster.now(), {.paused = true, .bytes_per_second = {}});
  });
  const auto all_paused = [&] {
    const auto numbers = cluster.numbers();
    return std::all_of(numbers.begin(), numbers.end(),
                       [&](std::uint64_t each) { return setting(each).paused; });
  };
  const auto took = cluster.RunUntil(all_paused, seconds(5));
  ASSERT_TRUE(took);
  EXPECT_LT(*took, seconds(1));
  cluster.Start(5);
  cluster.Kill(3);
  cluster.Run(seconds(10));
  cluster.Start(3, TestMember(3, 100));
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Converged() && all_paused(); }, seconds(10)));

  // A limit leaves the pause as it is, and the newer word wins wherever it is said.
  cluster.Apply(5, [&](Membership& each) {
    return each.SetRebalance(cluster.now(), {.paused = {}, .bytes_per_second = 1000});
  });
  cluster.Run(seconds(5));
  cluster.Apply(3, [&](Membership& each) {
    return each.SetRebalance(cluster.now(), {.paused = false, .bytes_per_second = {}});
  });
  cluster.Run(seconds(5));
  EXPECT_TRUE(cluster.Converged());
  for (const std::uint64_t each : cluster.numbers()) {
    EXPECT_FALSE(setting(each).paused);
    EXPECT_EQ(setting(each).bytes_per_second, 1000U);
  }

  // Taken back, it is no limit of 0: each node has its own again.
  cluster.Apply(1, [&](Membership& each) {
    return each.SetRebalance(cluster.now(),
                             {.paused = {}, .bytes_per_second = {}, .own_limits = true});
  });
  cluster.Run(seconds(5));
  EXPECT_TRUE(cluster.Converged());
  for (const std::uint64_t each : cluster.numbers()) {
    EXPECT_EQ(setting(each).bytes_per_second, std::nullopt);
  }
}

TEST_F(MembershipTest, TwoWordsOnTwoSidesOfAPartitionBecomeOne) {
  Form(4);
  cluster.Split({0, 1}, {2, 3});
  for (const std::uint64_t each : {0, 2}) {
    cluster.Apply(each, [&](Membership& one) {
      return one.SetRebalance(cluster.now(), {.paused = {}, .bytes_per_second = 10 + each});
    });
  }
  cluster.Run(seconds(10));
  cluster.Heal();
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Converged(); }, seconds(30)));
  const auto limit = cluster.at(0).state().rebalance.bytes_per_second;
  EXPECT_TRUE(limit == 10U || limit == 12U);
  for (const std::uint64_t each : {1, 2, 3}) {
    EXPECT_EQ(cluster.at(each).state().rebalance.bytes_per_second, limit);
  }
}

// ---- Holdings and dissemination ---------------------------------------------------------------

TEST_F(MembershipTest, HoldingsReachAllAndSurviveARefutedSuspicion) {
  Form(5);
  Hold(1, Some({3, 60}));
  const auto seen = [&] {
    for (const std::uint64_t viewer : cluster.numbers()) {
      if (!SeesHoldings(viewer, 1, Some({3, 60}))) return false;
    }
    return true;
  };
  const auto took = cluster.RunUntil(seen, seconds(5));
  ASSERT_TRUE(took);
  EXPECT_LT(*took, seconds(1));
  // Cut off for a moment, suspected, back: at no time do the others believe that it holds nothing.
  for (int round = 0; round < 3; ++round) {
    cluster.Split({1}, {0, 2, 3, 4});
    cluster.Run(milliseconds(1500));
    cluster.Heal();
    const TimePoint end = cluster.now() + seconds(5);
    while (cluster.now() < end) {
      cluster.Run(milliseconds(10));
      ASSERT_TRUE(seen());
    }
  }
  EXPECT_EQ(cluster.Deaths(), 0U);
  EXPECT_GT(cluster.at(1).stats().refutations, 0U);
}

TEST_F(MembershipTest, WhatDoesNotFitInADatagramComesByPushPull) {
  MembershipOptions options;
  options.datagram_bytes_max = 512;
  constexpr std::uint32_t kMany = 16384;  // 2 KiB a bitmap
  for (std::uint64_t number = 0; number < 3; ++number) {
    cluster.Start(number, TestMember(number), options, {0}, kMany);
  }
  ASSERT_TRUE(cluster.RunUntil([&] { return cluster.Converged(); }, seconds(10)));
  PartitionSet set(kMany);
  for (PartitionId i = 0; i < kMany; i += 3) set.Set(i);
  Hold(1, set);
  const auto took = cluster.RunUntil(
      [&] { return SeesHoldings(0, 1, set) && SeesHoldings(2, 1, set); }, seconds(10));
  ASSERT_TRUE(took);
  EXPECT_LT(*took, seconds(3));
  EXPECT_LE(cluster.datagram_bytes_most(), 512U);
}

TEST_F(MembershipTest, StaysWithinItsDatagramsAndQuietWhenNothingHappens) {
  Form(20);
  const std::uint64_t datagrams = cluster.datagrams();
  const std::uint64_t push_pulls = cluster.push_pulls();
  cluster.Run(minutes(1));
  EXPECT_LE(cluster.datagram_bytes_most(), MembershipOptions{}.datagram_bytes_max);
  // A ping and an ack each probe interval; a push/pull each ten seconds.
  const auto probes = static_cast<std::uint64_t>(minutes(1) / MembershipOptions{}.probe_interval);
  EXPECT_LE(cluster.datagrams() - datagrams, 20U * probes * 2);
  EXPECT_LE(cluster.push_pulls() - push_pulls, 20U * 7);
}

TEST_F(MembershipTest, ABusyClusterDoesNotStormItself) {
  Form(20);
  const std::uint64_t push_pulls = cluster.push_pulls();
  for (PartitionId i = 0; i < 600; ++i) {
    Hold(i % 20, Some({i % 64}));
    cluster.Run(milliseconds(100));
  }
  EXPECT_LE(cluster.push_pulls() - push_pulls, 20U * 60 * 2);
  EXPECT_TRUE(cluster.RunUntil([&] { return cluster.Converged(); }, seconds(5)));
}

TEST_F(MembershipTest, TheSameSeedGivesTheSameHistory) {
  const auto history = [] {
    VirtualCluster each(5);
    each.set_loss(0.1);
    each.StartMany(10);
    std::uint64_t digest = 0;
    each.on_bytes = [&](std::string& bytes) {
      for (const char byte : bytes)
        digest = digest * 1099511628211ULL + static_cast<unsigned char>(byte);
    };
    each.Run(seconds(20));
    each.Kill(3);
    each.Run(seconds(20));
    return digest;
  };
  EXPECT_EQ(history(), history());
}

TEST_F(MembershipTest, SleepsExactlyUntilSomethingIsDue) {
  Form(3);
  Membership& machine = cluster.at(0);
  const TimePoint due = machine.next_tick();
  ASSERT_GT(due, cluster.now());
  EXPECT_TRUE(machine.Tick(due - std::chrono::nanoseconds(1)).empty());
  EXPECT_EQ(machine.next_tick(), due);
}

}  // namespace
}  // namespace gyre
