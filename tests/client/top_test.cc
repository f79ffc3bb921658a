// What `gyre top` makes of two samples.
#include "client/shell/top.h"

#include <gmock/gmock.h>

namespace gyre::client {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TopSample Sample(double seconds, std::vector<NodeCounts> counts) {
  TopSample sample;
  sample.at = std::chrono::steady_clock::time_point(
      std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000)));
  sample.status.cluster = "gyre";
  sample.status.replicas = 2;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    NodeStatus node;
    node.name = node.id = "n" + std::to_string(i + 1);
    node.state = "alive";
    node.answered = true;
    node.memory_used = 10.0 * static_cast<double>(i + 1);
    node.memory_limit = 100;
    node.latency_p99_seconds = 0.0007;
    sample.status.nodes.push_back(node);
  }
  sample.counts = std::move(counts);
  return sample;
}

NodeCounts Counts(double uptime, double gets, double sets, double hits, double failed = 0) {
  NodeCounts counts;
  counts.answered = true;
  counts.uptime_seconds = uptime;
  counts.hits = hits;
  counts.misses = gets - hits;
  counts.commands["get"] = {gets, failed, gets * 1e-6};
  counts.commands["set"] = {sets, 0, sets * 4e-6};
  return counts;
}

TEST(Top, ShowsWhatTwoSamplesDifferIn) {
  const TopSample before = Sample(10, {Counts(100, 1000, 100, 900), Counts(50, 0, 0, 0)});
  const TopSample now = Sample(12, {Counts(102, 3000, 300, 2700), Counts(52, 200, 0, 100, 20)});
  const std::string frame = DrawTop(before, now, {}, {.unicode = true}, 2);
  EXPECT_THAT(frame, StartsWith("gyre top · gyre OK · all nodes · 2s · q quit · s sort (ops)"));
  EXPECT_THAT(frame, HasSubstr("ops 1.2k/s  get 92%  set 8% · hit 86.4% · p99 0.7ms · evict 0/s "
                               "· errors 10/s\n"));
  EXPECT_THAT(frame, HasSubstr("n1    alive   1.1k  90.0%  0.7ms  10%        0      0     0\n"));
  EXPECT_THAT(frame, HasSubstr("n2    alive    100  50.0%  0.7ms  20%        0     10     0\n"));
  EXPECT_THAT(frame, HasSubstr("get         1.1k  91.7%       1us     10\n"));

  const Json document = TopJson(before, now);
  EXPECT_EQ(document["ops_per_second"], 1200);
  EXPECT_EQ(document["commands"]["get"]["calls_per_second"], 1100);
  EXPECT_EQ(document["nodes"][1]["errors_per_second"], 10);
}

TEST(Top, OneNodeAloneAndInAnyOrder) {
  const TopSample before = Sample(0, {Counts(1, 0, 0, 0), Counts(1, 0, 0, 0)});
  const TopSample now = Sample(1, {Counts(2, 10, 0, 10), Counts(2, 500, 0, 0)});
  const std::string all = DrawTop(before, now, {}, {}, 1);
  EXPECT_LT(all.find("n2 "), all.find("n1 ")) << "the busiest first";
  const std::string named = DrawTop(before, now, {.sort = TopView::Sort::kName}, {}, 1);
  EXPECT_LT(named.find("n1 "), named.find("n2 "));
  const std::string memory = DrawTop(before, now, {.sort = TopView::Sort::kMemory}, {}, 1);
  EXPECT_LT(memory.find("n2 "), memory.find("n1 "));
  EXPECT_THAT(DrawTop(before, now, {.node = "n1"}, {}, 1), HasSubstr("ops 10/s"));
}

// Its counts began again.
TEST(Top, ANodeThatWasStartedAgainCountsFromNothing) {
  const TopSample before = Sample(0, {Counts(1000, 5000, 0, 5000)});
  const TopSample now = Sample(1, {Counts(1, 30, 0, 30)});
  EXPECT_THAT(DrawTop(before, now, {}, {}, 1), HasSubstr("ops 30/s"));
}

TEST(Top, WhoIsGoneOrNewCountsForNothing) {
  TopSample before = Sample(0, {Counts(1, 0, 0, 0)});
  TopSample now = Sample(1, {Counts(2, 10, 0, 10), Counts(2, 500, 0, 0)});
  EXPECT_THAT(DrawTop(before, now, {}, {}, 1), HasSubstr("ops 10/s")) << "n2 is new";
  now.status.nodes[0].answered = now.counts[0].answered = false;
  now.status.nodes[0].state = "dead";
  const std::string frame = DrawTop(before, now, {}, {}, 1);
  EXPECT_THAT(frame, HasSubstr("ops 0/s"));
  EXPECT_THAT(frame, HasSubstr("n1    dead"));
}

TEST(Top, MovesAreDrawn) {
  TopSample now = Sample(1, {Counts(2, 0, 0, 0)});
  now.moves = "73.0% done, 6 partitions, 23.9 MiB left, 34.0 MiB/s, 1 s to go";
  now.moved_share = 0.73;
  EXPECT_THAT(DrawTop(now, now, {}, {}, 1), HasSubstr("moving [###########....] 73.0% done"));
}

TEST(Top, ReadsWhatNodesSay) {
  const NodeCounts counts = ReadNodeCounts(
      Json{{"uptime_seconds", 9}, {"hits", 5}, {"misses", "none"}},
      "# Commandstats\r\ncmdstat_get:calls=7,usec=21,usec_per_call=3.00,rejected_calls=1,"
      "failed_calls=2\r\ncmdstat_config|get:calls=1,usec=5\r\nnonsense\r\ncmdstat_bad\r\n");
  EXPECT_EQ(counts.hits, 5);
  EXPECT_EQ(counts.misses, 0);
  EXPECT_EQ(counts.commands.at("get").calls, 7);
  EXPECT_EQ(counts.commands.at("get").failed, 3);
  EXPECT_DOUBLE_EQ(counts.commands.at("get").seconds, 21e-6);
  EXPECT_EQ(counts.commands.at("config|get").calls, 1);
  EXPECT_FALSE(ReadNodeCounts(Json(), "").answered);
}

}  // namespace
}  // namespace gyre::client
