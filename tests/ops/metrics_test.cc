#include "ops/metrics.h"

#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>
#include <string>

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
        "gyre_h_seconds_bucket{loop=\"0\",le=\"0.005\"} 2\n",
        "gyre_h_seconds_bucket{loop=\"0\",le=\"1\"} 2\n",
        "gyre_h_seconds_bucket{loop=\"0\",le=\"+Inf\"} 3\n",
        "gyre_h_seconds_sum{loop=\"0\"} 5.000025\n", "gyre_h_seconds_count{loop=\"0\"} 3\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

// What every Prometheus parser demands of a whole page.
void CheckExposition(const std::string& text) {
  static const std::regex kSample(
      R"(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{([a-z_]+="([^"\\\n]|\\.)*",?)+\})? (-?[0-9.e+-]+|\+Inf|NaN))");
  std::set<std::string> finished;
  std::string current;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("# HELP ", 0) == 0) {
      finished.insert(current);
      current = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_EQ(finished.count(current), 0U) << current << " stands in two places";
      EXPECT_EQ(current.rfind("gyre_", 0), 0U) << current;
      continue;
    }
    if (line.rfind("# TYPE ", 0) == 0) {
      EXPECT_EQ(line.rfind("# TYPE " + current + ' ', 0), 0U) << line;
      const bool counter = line.ends_with(" counter");
      EXPECT_EQ(current.ends_with("_total"), counter) << current;
      continue;
    }
    std::smatch match;
    ASSERT_TRUE(std::regex_match(line, match, kSample)) << line;
    EXPECT_EQ(match[1].str().rfind(current, 0), 0U) << line << " under " << current;
  }
}

TEST(RoomMetricsTest, AreAValidPage) {
  MetricsWriter out;
  ServerStats server;
  server.requests = 7;
  DurationHistogram histogram;
  histogram.Record(std::chrono::milliseconds(3));
  WriteProcessMetrics("0.1.0", 3, out);
  WriteShardMetrics({.hits = 3}, out);
  WriteServerMetrics({server, ServerStats{}}, out);
  WriteLoopMetrics({histogram.Read(), histogram.Read()}, out);
  WriteReplicatorMetrics({ReplicatorStats{}, ReplicatorStats{}}, out);
  MembershipStats membership{.deaths = 2};
  membership.clock_offsets.push_back({NodeId{}, std::chrono::milliseconds(-250), {}});
  WriteMembershipMetrics(membership, out);
  WriteCryptoMetrics({.datagrams_replayed = 1}, out);
  const std::string text = out.Take();
  CheckExposition(text);
  for (const char* line :
       {"gyre_build_info{version=\"0.1.0\"} 1\n", "gyre_hits_total 3\n",
        "gyre_requests_total{loop=\"0\"} 7\n", "gyre_requests_total{loop=\"1\"} 0\n",
        "gyre_gossip_deaths_total 2\n",
        "gyre_clock_offset_seconds{peer=\"00000000-0000-0000-0000-000000000000\"} -0.25\n",
        "gyre_loop_busy_max_seconds{loop=\"1\"} 0.003\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
  EXPECT_EQ(text.find("gyre_resident_bytes 0\n"), std::string::npos);
}

}  // namespace
}  // namespace gyre
