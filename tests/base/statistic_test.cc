#include "base/statistic.h"

#include <gtest/gtest.h>

#include <thread>

#include "base/tally.h"

namespace gyre {
namespace {

struct DoorStats {
  std::uint64_t opened = 0;
  std::uint64_t inside = 0;

  static constexpr Statistic<DoorStats> kStatistics[] = {
      {&DoorStats::opened, {.name = "gyre_opened_total", .help = "Openings."}},
      {&DoorStats::inside,
       {.kind = StatKind::kGauge, .name = "gyre_people_inside", .help = "People."}},
  };
};
static_assert(AllDescribed<DoorStats>());

struct ForgottenStats {
  std::uint64_t opened = 0;
  std::uint64_t closed = 0;

  static constexpr Statistic<ForgottenStats> kStatistics[] = {
      {&ForgottenStats::opened, {.name = "gyre_opened_total", .help = "Openings."}},
  };
};
static_assert(!AllDescribed<ForgottenStats>(), "a number has no row");

struct TwiceStats {
  std::uint64_t opened = 0;
  std::uint64_t closed = 0;

  static constexpr Statistic<TwiceStats> kStatistics[] = {
      {&TwiceStats::opened, {.name = "gyre_opened_total", .help = "Openings."}},
      {&TwiceStats::opened, {.name = "gyre_closed_total", .help = "Closings."}},
  };
};
static_assert(!AllDescribed<TwiceStats>(), "a number has two rows");

TEST(StatisticTest, WhatThePageCanShow) {
  using enum StatKind;
  using enum StatUnit;
  const StatText before{.name = "gyre_z_total", .help = "X.", .label = "a", .label_value = "b"};
  const struct {
    StatText text;
    bool good;
  } table[] = {
      {{.name = "gyre_x_total", .help = "X."}, true},
      {{.kind = kGauge, .name = "gyre_x", .help = "X."}, true},
      {{.kind = kGauge, .unit = kBytes, .name = "gyre_x_bytes", .help = "X."}, true},
      {{.unit = kNanoseconds, .name = "gyre_x_seconds_total", .help = "X."}, true},
      {{.kind = kGauge, .unit = kPermille, .name = "gyre_x_ratio", .help = "X."}, true},
      {{.name = "gyre_z_total", .label = "a", .label_value = "c"}, true},  // goes on
      {{.kind = kGauge, .name = "process_open_fds", .help = "As all say."}, true},
      {{}, true},
      {{.name = "gyre_x", .help = "A counter without _total."}, false},
      {{.kind = kGauge, .name = "gyre_x_total", .help = "A gauge with it."}, false},
      {{.name = "x_total", .help = "Not ours."}, false},
      {{.name = "gyre_y_total", .help = "No sentence"}, false},
      {{.name = "gyre_y_total"}, false},
      {{.name = "gyre_z_total"}, false},  // goes on, and does not say with what
      {{.unit = kBytes, .name = "gyre_y_total", .help = "No bytes."}, false},
      {{.kind = kGauge, .unit = kMilliseconds, .name = "gyre_y_ms", .help = "Not seconds."}, false},
      {{.help = "Nowhere shown."}, false},
      {{.name = "gyre_y_total", .help = "Half a label.", .label = "a"}, false},
  };
  for (const auto& one : table) {
    EXPECT_EQ(IsWellFormed(one.text, before), one.good) << one.text.name << ' ' << one.text.help;
  }
}

TEST(StatisticTest, Sums) {
  DoorStats sum{.opened = 1, .inside = 2};
  sum += DoorStats{.opened = 10, .inside = 20};
  EXPECT_EQ(sum.opened, 11U);
  EXPECT_EQ(sum.inside, 22U);
}

TEST(StatisticTest, SinceAMomentOnlyCountersAreLess) {
  const DoorStats since = Since({.opened = 3, .inside = 2}, DoorStats{.opened = 10, .inside = 5});
  EXPECT_EQ(since.opened, 7U);
  EXPECT_EQ(since.inside, 5U);
}

TEST(TallyTest, CountsWhatItIsTold) {
  Tally<DoorStats> tally;
  tally[&DoorStats::opened].Add(3);
  tally[&DoorStats::inside].Add(3);
  tally[&DoorStats::inside].Subtract(1);
  EXPECT_EQ(tally.Read().opened, 3U);
  EXPECT_EQ(tally.Read().inside, 2U);
}

TEST(TallyTest, OfSharedCountersLosesNothing) {
  constexpr std::uint64_t kEach = 100'000;
  Tally<DoorStats, SharedCounter> tally;
  const auto count = [&tally] {
    for (std::uint64_t i = 0; i < kEach; ++i) tally[&DoorStats::opened].Add(1);
  };
  std::thread other(count);
  count();
  other.join();
  EXPECT_EQ(tally.Read().opened, 2 * kEach);
}

}  // namespace
}  // namespace gyre
