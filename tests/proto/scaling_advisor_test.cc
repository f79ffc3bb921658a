#include "proto/scaling_advisor.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace gyre {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// A ring of equal nodes, in rest until a test says otherwise, and an operator who looks every five
// seconds.
class ScalingAdvisorTest : public ::testing::Test {
 protected:
  ScalingAdvisorTest() { Ring(4); }

  void Ring(std::size_t nodes) {
    status_ = {};
    status_.cluster = "gyre";
    status_.replicas = 2;
    for (std::size_t i = 0; i < nodes; ++i) {
      NodeStatus node;
      node.name = "n" + std::to_string(i + 1);
      node.id = "id" + std::to_string(i + 1);
      node.state = "alive";
      node.answered = true;
      node.memory_limit = 1000;
      node.memory_used = 550;
      node.reads_per_second = 100;
      node.hit_ratio = 0.8;
      node.load.busy_ratio = 0.45;
      node.load.evictions_per_second = 0;
      status_.nodes.push_back(node);
    }
  }
  template <typename Change>
  void Each(Change&& change) {
    for (NodeStatus& node : status_.nodes) change(node);
  }
  void Busy(double ratio) {
    Each([ratio](NodeStatus& node) { node.load.busy_ratio = ratio; });
  }
  // Memory is full, and this is what other memories would do.
  void Evicting(double gained_at_double, double lost_at_half) {
    Each([=](NodeStatus& node) {
      node.memory_used = 1000;
      node.load.evictions_per_second = 10;
      node.load.hits.sampled = 1000;
      for (std::size_t point = 0; point < HitCurve::kPoints; ++point) {
        const double octaves = std::log2(HitCurve::FactorOf(point));
        node.load.hits.gained[point] = octaves * (octaves > 0 ? gained_at_double : lost_at_half);
      }
    });
  }
  // Looks until so much time has passed; returns the last.
  Advice After(std::chrono::nanoseconds time) {
    Advice advice;
    for (const auto end = now_ + time; now_ < end;) {
      now_ += seconds(5);
      advice = advisor_.Observe(now_, status_);
    }
    return advice;
  }
  static bool Says(const Advice& advice, Obstacle obstacle) {
    return std::any_of(advice.against.begin(), advice.against.end(),
                       [obstacle](const Against& each) { return each.obstacle == obstacle; });
  }
  void ExpectStays(const Advice& advice) {
    EXPECT_EQ(advice.advised, advice.nodes);
    EXPECT_EQ(advice.direction, Direction::kStay);
  }

  ClusterStatus status_;
  ScalingAdvisor advisor_{ScalingOptions{}};
  ScalingAdvisor::TimePoint now_{};
};

TEST_F(ScalingAdvisorTest, ARingThatHasEnoughStays) {
  const Advice advice = After(minutes(30));
  ExpectStays(advice);
  EXPECT_EQ(advice.nodes, 4U);
  EXPECT_EQ(advice.wanted, 4U);
  EXPECT_TRUE(advice.against.empty());
  EXPECT_FALSE(advice.of(Signal::kNetwork).known) << "no link tells its speed";
}

TEST_F(ScalingAdvisorTest, BusyLoopsAskForAsManyAsMakeThemIdleEnough) {
  After(minutes(10));
  Busy(0.95);
  Advice advice = After(seconds(30));
  ExpectStays(advice);
  EXPECT_EQ(advice.wanted, 6U) << "4 x 95% are 6 x 63%";
  EXPECT_TRUE(Says(advice, Obstacle::kStabilizing));
  advice = After(seconds(40));
  EXPECT_EQ(advice.advised, 6U);
  EXPECT_EQ(advice.direction, Direction::kOut);
  EXPECT_TRUE(advice.against.empty());
  EXPECT_NEAR(*advice.forecasts.back().busy_ratio, 0.63, 0.01);
}

TEST_F(ScalingAdvisorTest, APeakIsNoReason) {
  After(minutes(10));
  for (int i = 0; i < 20; ++i) {
    Busy(0.95);
    ExpectStays(After(seconds(50)));
    Busy(0.6);
    ExpectStays(After(seconds(5)));
  }
}

// The least that was asked for all the time.
TEST_F(ScalingAdvisorTest, OutIsTheLeastOfTheWindowAndInTheMost) {
  After(minutes(10));
  Busy(2);
  After(seconds(30));
  Busy(0.75);
  EXPECT_EQ(After(seconds(40)).advised, 5U);
  Busy(0.1);
  ExpectStays(After(minutes(4)));
  EXPECT_EQ(After(minutes(2)).advised, 3U) << "one at a time, however idle";
}

TEST_F(ScalingAdvisorTest, ARingIsAtMostDoubled) {
  After(minutes(10));
  Busy(1000);
  EXPECT_EQ(After(minutes(2)).advised, 8U);
}

TEST_F(ScalingAdvisorTest, AfterAChangeOfTheRingItWaits) {
  After(minutes(10));
  NodeStatus fifth = status_.nodes.back();
  fifth.name = fifth.id = "n5";
  status_.nodes.push_back(fifth);
  Busy(0.95);
  Advice advice = After(minutes(4));
  ExpectStays(advice);
  ASSERT_TRUE(Says(advice, Obstacle::kCooldown));
  EXPECT_FALSE(Says(advice, Obstacle::kStabilizing)) << "it stood for long enough";
  EXPECT_GT(*advice.against.front().seconds_left, 30);
  EXPECT_EQ(After(seconds(70)).advised, 7U);
}

TEST_F(ScalingAdvisorTest, ItBeginsAsAfterAChange) {
  Busy(0.95);
  const Advice advice = After(minutes(4));
  ExpectStays(advice);
  EXPECT_TRUE(Says(advice, Obstacle::kCooldown));
}

TEST_F(ScalingAdvisorTest, BetweenTheThresholdsNothingHappens) {
  // Each number of nodes that one direction leads to is one that the other leaves alone.
  for (double busy = 0.02; busy < 1; busy += 0.02) {
    Ring(4);
    advisor_ = ScalingAdvisor(ScalingOptions{});
    Busy(busy);
    const Advice advice = After(minutes(20));
    if (advice.advised == 4) continue;
    Ring(advice.advised);
    Busy(busy * 4 / static_cast<double>(advice.advised));
    const Advice then = After(minutes(20));
    EXPECT_FALSE(then.direction != Direction::kStay && then.direction != advice.direction) << busy;
  }
}

// ---- Memory ------------------------------------------------------------------------------------

TEST_F(ScalingAdvisorTest, ANodeThatGainsHitsIsAskedFor) {
  Evicting(0.10, 0.10);
  const Advice advice = After(minutes(10));
  // log2(5/4) octaves are 3.2 points; a fourth of five are enough. log2(6/5) are 2.6, log2(7/6) 2.2,
  // log2(8/7) 1.9 for a seventh of five.
  EXPECT_EQ(advice.advised, 8U);
  EXPECT_NEAR(*advice.gain, 0.032, 0.002);
  EXPECT_NEAR(*advice.loss, -0.041, 0.002);
  EXPECT_NEAR(*advice.forecasts[1].hit_ratio, 0.8, 1e-9);
  EXPECT_NEAR(*advice.forecasts[2].hit_ratio, 0.832, 0.002);
}

TEST_F(ScalingAdvisorTest, WithoutEvictionsMemoryIsNoReason) {
  Evicting(0.10, 0.10);
  Each([](NodeStatus& node) { node.load.evictions_per_second = 0; });
  ExpectStays(After(minutes(10)));
}

TEST_F(ScalingAdvisorTest, OfALargeRingOneNodeNeedGainLess) {
  Ring(20);
  Evicting(0.05, 0.05);  // one more of 20: 0.35 points; 5/20 are asked for
  EXPECT_GT(After(minutes(10)).advised, 20U);
  Ring(4);
  Evicting(0.03, 0.03);  // 0.97 points of 1.25
  ExpectStays(After(minutes(10)));
}

TEST_F(ScalingAdvisorTest, AFullCacheWhoseOldRecordsNobodyReadsShrinks) {
  Busy(0.1);
  Evicting(0.001, 0.004);
  EXPECT_EQ(After(minutes(10)).direction, Direction::kIn);
}

TEST_F(ScalingAdvisorTest, WhatTheLastNodeHoldsIsNotGivenUp) {
  Busy(0.1);
  Evicting(0.001, 0.05);  // 2 points of hit ratio, half a point is allowed
  const Advice advice = After(minutes(30));
  ExpectStays(advice);
  EXPECT_TRUE(advice.of(Signal::kBusy).allows_in);
  EXPECT_FALSE(advice.of(Signal::kMemory).allows_in);
}

TEST_F(ScalingAdvisorTest, WithoutReadsMemoryMustHoldWhatIsUsed) {
  Busy(0.1);
  Each([](NodeStatus& node) {
    node.reads_per_second = 0;
    node.hit_ratio.reset();
    node.memory_used = 700;  // 933 of what three have
  });
  ExpectStays(After(minutes(30)));
  Each([](NodeStatus& node) { node.memory_used = 600; });
  EXPECT_EQ(After(minutes(10)).advised, 3U);
}

TEST_F(ScalingAdvisorTest, ASecondNodeForTwoCopiesGivesNoRoom) {
  Ring(1);
  Evicting(0.30, 0.30);
  const Advice advice = After(minutes(10));
  ExpectStays(advice);
  EXPECT_NEAR(*advice.gain, 0, 1e-9) << "it holds the second copy of all";
  EXPECT_NEAR(*advice.forecasts[2].hit_ratio, 0.8 + 0.3 * std::log2(1.5), 0.005);
}

TEST_F(ScalingAdvisorTest, TheLossOfACopyMakesNoRoom) {
  Ring(2);
  Evicting(0.1, 0.1);
  EXPECT_NEAR(*After(seconds(5)).loss, -0.1, 1e-9) << "the one that is left serves twice as much";
}

// ---- Network -----------------------------------------------------------------------------------

TEST_F(ScalingAdvisorTest, AFullLinkIsAReasonWhereItIsKnown) {
  Each([](NodeStatus& node) {
    node.load.network_bytes_per_second = 900;
    node.load.network_limit = 1000;
  });
  EXPECT_EQ(After(minutes(10)).advised, 6U);
  status_.nodes[2].load.network_limit.reset();
  const Advice advice = After(minutes(10));
  EXPECT_FALSE(advice.of(Signal::kNetwork).known);
  ExpectStays(advice);
}

// ---- What stands against it --------------------------------------------------------------------

TEST_F(ScalingAdvisorTest, NoFewerNodesThanCopies) {
  Ring(2);
  Busy(0.01);
  Each([](NodeStatus& node) { node.memory_used = 300; });
  const Advice advice = After(minutes(30));
  ExpectStays(advice);
  EXPECT_TRUE(Says(advice, Obstacle::kCopies));
}

TEST_F(ScalingAdvisorTest, WhatIsNotKnownNeverMakesARingSmaller) {
  Busy(0.01);
  status_.nodes[1].load.busy_ratio.reset();
  const Advice advice = After(minutes(30));
  ExpectStays(advice);
  EXPECT_FALSE(advice.of(Signal::kBusy).known);
}

TEST_F(ScalingAdvisorTest, NothingIsAdvisedWhileTheRingIsUnsettled) {
  struct Trouble {
    const char* name;
    Obstacle obstacle;
    void (*make)(ClusterStatus&);
  };
  const Trouble troubles[] = {
      {"silent", Obstacle::kSilent, [](ClusterStatus& s) { s.nodes[0].answered = false; }},
      {"dead", Obstacle::kDead, [](ClusterStatus& s) { s.nodes[0].state = "dead"; }},
      {"stopped", Obstacle::kDead, [](ClusterStatus& s) { s.nodes[0].state = "stopped"; }},
      {"suspect", Obstacle::kSuspect, [](ClusterStatus& s) { s.nodes[0].state = "suspect"; }},
      {"unowned", Obstacle::kUnowned, [](ClusterStatus& s) { s.unowned = 1; }},
      {"copy lacks", Obstacle::kMoving, [](ClusterStatus& s) { s.under_replicated = 1; }},
      {"filling", Obstacle::kMoving, [](ClusterStatus& s) { s.nodes[0].filled_percent = 99; }},
  };
  for (const double busy : {0.01, 0.95}) {
    for (const Trouble& trouble : troubles) {
      SCOPED_TRACE(std::string(trouble.name) + " " + std::to_string(busy));
      advisor_ = ScalingAdvisor(ScalingOptions{});
      Ring(4);
      Busy(busy);
      ASSERT_NE(After(minutes(20)).direction, Direction::kStay);
      trouble.make(status_);
      Advice advice = After(minutes(20));
      ExpectStays(advice);
      EXPECT_TRUE(Says(advice, trouble.obstacle));
      Ring(4);
      Busy(busy);
      ExpectStays(After(seconds(50)));
      EXPECT_NE(After(minutes(6)).direction, Direction::kStay) << "the trouble is over";
    }
  }
}

TEST_F(ScalingAdvisorTest, ADrainOrAJoinUnderWayIsWaitedFor) {
  Busy(0.01);
  After(minutes(10));
  status_.nodes[3].drained = true;
  status_.nodes[3].state = "drained";
  status_.nodes[3].on_ring = false;
  status_.nodes[3].complete = 40;
  Advice advice = After(minutes(20));
  EXPECT_EQ(advice.nodes, 3U);
  ExpectStays(advice);
  EXPECT_TRUE(Says(advice, Obstacle::kMoving));
  status_.nodes[3].complete = 0;
  EXPECT_EQ(After(minutes(20)).advised, 2U);

  status_.nodes[3].state = "alive";
  status_.nodes[3].drained = false;  // it comes back, not yet on the ring
  advice = After(minutes(20));
  ExpectStays(advice);
  EXPECT_TRUE(Says(advice, Obstacle::kMoving));
}

TEST_F(ScalingAdvisorTest, WithoutARingThereIsNoAdvice) {
  Ring(0);
  const Advice advice = After(minutes(20));
  EXPECT_EQ(advice.advised, 0U);
  EXPECT_TRUE(Says(advice, Obstacle::kNoRing));
}

TEST_F(ScalingAdvisorTest, AGapInWhatWasSeenBeginsTheWindowsAnew) {
  Busy(0.95);
  ASSERT_EQ(After(minutes(10)).direction, Direction::kOut);
  now_ += minutes(10);  // it was stopped
  ExpectStays(After(seconds(5)));
  EXPECT_EQ(After(minutes(2)).direction, Direction::kOut);
}

// ---- Whatever nodes say ------------------------------------------------------------------------

RC_GTEST_PROP(ScalingAdvisorProperty, AdviceStaysWithinItsBounds, ()) {
  ScalingOptions options;
  options.out_window = options.in_window = options.cooldown = seconds(10);
  ScalingAdvisor advisor(options);
  ScalingAdvisor::TimePoint now{};
  const auto any = [] {
    return *rc::gen::element<std::optional<double>>(std::nullopt, 0.0, -1.0, 0.3, 0.9, 1e300,
                                                    1e-300);
  };
  for (int step = 0; step < 20; ++step) {
    ClusterStatus status;
    status.replicas = *rc::gen::inRange<std::uint64_t>(0, 8);
    status.under_replicated = *rc::gen::inRange<std::uint64_t>(0, 2);
    const int nodes = *rc::gen::inRange(0, 6);
    std::size_t members = 0;
    for (int i = 0; i < nodes; ++i) {
      NodeStatus node;
      node.id = std::to_string(i);
      node.state = *rc::gen::element<std::string>("alive", "alive", "alive", "dead", "what");
      node.on_ring = *rc::gen::inRange(0, 4) > 0;
      node.answered = *rc::gen::inRange(0, 4) > 0;
      node.memory_used = any();
      node.memory_limit = any();
      node.reads_per_second = any();
      node.hit_ratio = any();
      node.load.busy_ratio = any();
      node.load.network_bytes_per_second = any();
      node.load.network_limit = any();
      node.load.evictions_per_second = any();
      node.load.hits.sampled = any().value_or(0);
      node.load.hits.gained.fill(std::clamp(any().value_or(0), -1.0, 1.0));
      members += node.on_ring ? 1 : 0;
      status.nodes.push_back(node);
    }
    const Advice advice = advisor.Observe(now += seconds(5), status);
    RC_ASSERT(advice.nodes == members);
    RC_ASSERT(advice.advised <= 2 * members);
    RC_ASSERT(advice.advised + 1 >= members);
    if (advice.advised < members) {
      RC_ASSERT(advice.against.empty());
      RC_ASSERT(advice.advised >= std::max<std::size_t>(status.replicas, 1));
    }
    RC_ASSERT(!ToJson(advice).dump().empty());
  }
}

TEST_F(ScalingAdvisorTest, AsJson) {
  Busy(0.95);
  const nlohmann::ordered_json json = ToJson(After(minutes(10)));
  EXPECT_EQ(json["direction"], "out");
  EXPECT_EQ(json["nodes"], 4);
  EXPECT_EQ(json["advised_nodes"], 6);
  EXPECT_EQ(json["signals"]["busy"]["nodes"], 6);
  EXPECT_EQ(json["signals"]["busy"]["value"], 0.95);
  EXPECT_EQ(json["signals"]["network"]["known"], false);
  EXPECT_TRUE(json["marginal_hit_ratio"]["+1"].is_null()) << "too few reads were sampled";
  EXPECT_EQ(json["forecasts"].size(), 4U);
  EXPECT_TRUE(json["against"].empty());
}

}  // namespace
}  // namespace gyre
