#include "ops/metrics.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace gyre {
namespace {

TEST(MetricsWriterTest, WritesHelpAndTypeOncePerName) {
  MetricsWriter out;
  out.Counter("gyre_x_total", "Things.", 18446744073709551615ULL, {{"loop", "0"}});
  out.Counter("gyre_x_total", "Things.", 2, {{"loop", "1"}, {"kind", "a"}});
  out.Gauge("gyre_y", "Level.", 0.5);
  EXPECT_EQ(out.Take(),
            "# HELP gyre_x_total Things.\n"
            "# TYPE gyre_x_total counter\n"
            "gyre_x_total{loop=\"0\"} 18446744073709551615\n"
            "gyre_x_total{loop=\"1\",kind=\"a\"} 2\n"
            "# HELP gyre_y Level.\n"
            "# TYPE gyre_y gauge\n"
            "gyre_y 0.5\n");
}

TEST(MetricsWriterTest, Escapes) {
  MetricsWriter out;
  out.Gauge("gyre_z", "A \\ and\na \"line\".", 1, {{"name", "a\\b\"c\nd"}});
  EXPECT_EQ(out.Take(),
            "# HELP gyre_z A \\\\ and\\na \"line\".\n"
            "# TYPE gyre_z gauge\n"
            "gyre_z{name=\"a\\\\b\\\"c\\nd\"} 1\n");
}

TEST(MetricsWriterTest, BucketsOfAHistogramAddUp) {
  DurationHistogram histogram;
  histogram.Record(std::chrono::microseconds(5));
  histogram.Record(std::chrono::microseconds(20));
  histogram.Record(std::chrono::seconds(5));
  MetricsWriter out;
  out.Histogram("gyre_h_seconds", "Times.", histogram.Read(), {{"loop", "0"}});
  const std::string text = out.Take();
  for (const char* line :
       {"# TYPE gyre_h_seconds histogram\n", "gyre_h_seconds_bucket{loop=\"0\",le=\"1e-05\"} 1\n",
        "gyre_h_seconds_bucket{loop=\"0\",le=\"2.5e-05\"} 2\n",
        "gyre_h_seconds_bucket{loop=\"0\",le=\"0.0001\"} 2\n",
        "gyre_h_seconds_bucket{loop=\"0\",le=\"0.005\"} 2\n",
        "gyre_h_seconds_bucket{loop=\"0\",le=\"1\"} 2\n",
        "gyre_h_seconds_bucket{loop=\"0\",le=\"+Inf\"} 3\n",
        "gyre_h_seconds_sum{loop=\"0\"} 5.000025\n", "gyre_h_seconds_count{loop=\"0\"} 3\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

struct DoorStats {
  std::uint64_t opened = 0;
  std::uint64_t held_ms = 0;
  std::uint64_t inside = 0;
  std::uint64_t left_open = 0;
  std::uint64_t left_ajar = 0;
  std::uint64_t unnamed = 0;

  static constexpr Statistic<DoorStats> kStatistics[] = {
      {&DoorStats::opened, {.name = "gyre_opened_total", .help = "Openings."}},
      {&DoorStats::held_ms,
       {.unit = StatUnit::kMilliseconds, .name = "gyre_held_seconds_total", .help = "Held."}},
      {&DoorStats::inside,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kPermille,
        .name = "gyre_inside_ratio",
        .help = "Inside."}},
      {&DoorStats::left_open,
       {.name = "gyre_left_total", .help = "Left.", .label = "how", .label_value = "open"}},
      {&DoorStats::left_ajar, {.name = "gyre_left_total", .label = "how", .label_value = "ajar"}},
      {&DoorStats::unnamed, {}},
  };
};
static_assert(AllDescribed<DoorStats>());

TEST(WriteStatisticsTest, SaysWhatTheRowsSay) {
  MetricsWriter out;
  WriteStatistics(DoorStats{18446744073709551615ULL, 1500, 250, 1, 2, 3}, out);
  EXPECT_EQ(out.Take(),
            "# HELP gyre_opened_total Openings.\n"
            "# TYPE gyre_opened_total counter\n"
            "gyre_opened_total 18446744073709551615\n"
            "# HELP gyre_held_seconds_total Held.\n"
            "# TYPE gyre_held_seconds_total counter\n"
            "gyre_held_seconds_total 1.5\n"
            "# HELP gyre_inside_ratio Inside.\n"
            "# TYPE gyre_inside_ratio gauge\n"
            "gyre_inside_ratio 0.25\n"
            "# HELP gyre_left_total Left.\n"
            "# TYPE gyre_left_total counter\n"
            "gyre_left_total{how=\"open\"} 1\n"
            "gyre_left_total{how=\"ajar\"} 2\n");
}

TEST(WriteStatisticsTest, OfLoopsStandTogether) {
  MetricsWriter out;
  WriteStatistics(std::vector<DoorStats>{{.opened = 1, .left_open = 3}, {.opened = 2}}, out);
  const std::string text = out.Take();
  for (const char* lines : {"gyre_opened_total{loop=\"0\"} 1\ngyre_opened_total{loop=\"1\"} 2\n",
                            "gyre_left_total{loop=\"0\",how=\"open\"} 3\n"}) {
    EXPECT_NE(text.find(lines), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace gyre
