#include "ops/metrics_page.h"

#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace gyre {
namespace {

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
      EXPECT_TRUE(current.starts_with("gyre_") || current.starts_with("process_")) << current;
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

MetricsSource SomeNode() {
  MetricsSource node;
  node.version = "0.1.0";
  node.process = ReadProcessStats();
  node.process.pauses = 3;
  node.storage.hits = 3;
  node.servers.resize(2);
  node.servers[0].requests = 7;
  node.routers.resize(2);
  node.routers[1].moved = 6;
  node.client_memory.requests = 5;
  DurationHistogram histogram;
  histogram.Record(std::chrono::milliseconds(3));
  node.busy = {histogram.Read(), histogram.Read()};
  node.traffic[static_cast<std::size_t>(Asker::kResp)].open = true;
  RequestHistogram requests;
  requests.Record(std::chrono::microseconds(80), 4);
  node.traffic[static_cast<std::size_t>(Asker::kResp)].durations = requests.Read();
  SizeHistogram sizes;
  sizes.Record(200);
  sizes.Settle();
  node.traffic[static_cast<std::size_t>(Asker::kResp)].reply_bytes = sizes.Read();
  node.command_names = {"get", "set"};
  node.commands = {{.calls = 2, .errors = 1}, {}};
  CommandHistogram calls;
  calls.Record(std::chrono::microseconds(2), 2);
  node.command_durations = {calls.Read(), {}};
  node.crypto = CryptoStats{.datagrams_replayed = 1};
  node.cluster.membership.deaths = 2;
  node.cluster.membership.clock_offsets.push_back({NodeId{}, std::chrono::milliseconds(-250), {}});
  node.cluster.majority = true;
  node.cluster.leases.remaining_ms = 1500;
  node.cluster.transfer.yielded_ns = 250'000'000;
  node.ring_file = RingFileStats{.writes = 4};
  node.settings_file = SettingsFileStats{.failures = 5};
  node.cluster.settings.live = 8;
  node.cluster.settings.refused_ahead = 9;
  node.cluster.settings.differing_ms = 1500;
  node.ring_parameters = {.refused = 2, .overridden = 1};
  node.ready = true;
  node.view = std::make_shared<ClusterView>();
  node.recent.loops_busy = 0.5;
  node.recent.network_out_bytes_per_second = 3000;
  node.network_limit = 125'000;
  node.advice.nodes = 3;
  node.advice.advised = 4;
  node.advice.gain = 0.04;
  node.advice.signals[0] = {
      .known = true, .value = 0.04, .nodes = 4, .allows_in = false, .text = ""};
  node.advice.against.push_back({Obstacle::kCooldown, "", 5});
  return node;
}

TEST(MetricsPageTest, IsOneThatPrometheusReads) {
  const std::string text = MetricsPage(SomeNode());
  CheckExposition(text);
  for (const char* line :
       {"gyre_build_info{version=\"0.1.0\"} 1\n",
        "gyre_process_pauses_total 3\n",
        "gyre_hits_total 3\n",
        "gyre_requests_total{loop=\"0\"} 7\n",
        "gyre_requests_total{loop=\"1\"} 0\n",
        "gyre_requests_moved_total{loop=\"1\"} 6\n",
        "gyre_client_memory_bytes{kind=\"requests\"} 5\n",
        "gyre_gossip_deaths_total 2\n",
        "gyre_gossip_refused_total{reason=\"replay\"} 1\n",
        "gyre_clock_offset_seconds{peer=\"00000000-0000-0000-0000-000000000000\"} -0.25\n",
        "gyre_request_duration_seconds_bucket{protocol=\"resp\",le=\"5e-05\"} 0\n",
        "gyre_request_duration_seconds_bucket{protocol=\"resp\",le=\"0.0001\"} 4\n",
        "gyre_request_duration_seconds_count{protocol=\"resp\"} 4\n",
        "gyre_reply_bytes_bucket{protocol=\"resp\",le=\"64\"} 0\n",
        "gyre_reply_bytes_bucket{protocol=\"resp\",le=\"256\"} 1\n",
        "gyre_reply_bytes_sum{protocol=\"resp\"} 200\n",
        "gyre_command_duration_seconds_count{command=\"get\"} 2\n",
        "gyre_command_errors_total{command=\"get\"} 1\n",
        "gyre_loop_busy_seconds_total{loop=\"0\"} 0.003\n",
        "gyre_loop_busy_max_seconds{loop=\"1\"} 0.003\n",
        "gyre_lease_remaining_seconds 1.5\n",
        "gyre_transfer_yield_seconds 0.25\n",
        "gyre_ring_file_writes_total 4\n",
        "gyre_settings_file_failures_total 5\n",
        "gyre_ring_settings 8\n",
        "gyre_ring_settings_refused_total{cause=\"ahead\"} 9\n",
        "gyre_ring_settings_differing_seconds 1.5\n",
        "gyre_ring_parameters_refused 2\n",
        "gyre_ring_parameters_overridden 1\n",
        "gyre_ready 1\n",
        "gyre_members{state=\"alive\"} 0\n",
        "gyre_busy_ratio 0.25\n",
        "gyre_network_bytes_per_second{direction=\"out\"} 3000\n",
        "gyre_network_limit_bytes_per_second 125000\n",
        "gyre_marginal_hit_ratio{nodes=\"+1\"} 0.04\n",
        "gyre_advised_nodes 4\n",
        "gyre_advice_wanted_nodes{signal=\"memory\"} 4\n",
        "gyre_advice_allows_scale_in{signal=\"memory\"} 0\n",
        "gyre_advice_against{reason=\"cooldown\"} 1\n",
        "gyre_advice_against{reason=\"moving\"} 0\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
  EXPECT_EQ(text.find("gyre_resident_bytes 0\n"), std::string::npos);
  EXPECT_EQ(text.find("command=\"set\""), std::string::npos) << "nobody called it";
  EXPECT_EQ(text.find("protocol=\"memcached\""), std::string::npos) << "there is no port";
  for (const char* name : {"process_cpu_seconds_total", "process_resident_memory_bytes",
                           "process_virtual_memory_bytes", "process_open_fds", "process_max_fds",
                           "process_start_time_seconds"}) {
    const std::size_t at = text.find('\n' + std::string(name) + ' ');
    ASSERT_NE(at, std::string::npos) << name;
    EXPECT_NE(text.substr(at + std::string(name).size() + 2, 2), "0\n") << name;
  }
}

TEST(MetricsPageTest, WhatANodeDoesNotHaveIsNotThere) {
  MetricsSource node = SomeNode();
  node.crypto.reset();
  node.ring_file.reset();
  node.settings_file.reset();
  node.cluster.majority = false;
  node.view = nullptr;
  node.advice = {};
  node.network_limit = 0;
  const std::string text = MetricsPage(node);
  CheckExposition(text);
  for (const char* name :
       {"gyre_gossip_refused_total", "gyre_ring_file", "gyre_settings_file", "gyre_lease",
        "gyre_members", "gyre_advised_nodes", "gyre_marginal", "gyre_network_limit"}) {
    EXPECT_EQ(text.find(name), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace gyre
