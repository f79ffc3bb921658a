#include "ops/ring_status_report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ops/figure_history.h"
#include "proto/cluster_status.h"

namespace gyre {
namespace {

using Json = nlohmann::ordered_json;

Json Member(const std::string& name, const std::string& state = "alive") {
  return {{"name", name},      {"id", "id-" + name},   {"state", state}, {"on_ring", true},
          {"drained", false},  {"zone", "rack1"},      {"host", "::1"},  {"port", 7700},
          {"http_port", 7780}, {"owned_partitions", 5}};
}

Json Own() {
  return {{"version", "0.1.0"},
          {"uptime_seconds", 60},
          {"requests_per_second", 10.0},
          {"reads_per_second", 8.0},
          {"hit_ratio", 0.5},
          {"memory", {{"used_bytes", 1}, {"limit_bytes", 4}}}};
}

class RingStatusReportTest : public ::testing::Test {
 protected:
  RingStatusReportTest() {
    for (const char* name : {"n1", "n2", "n3"}) {
      asked_["members"].push_back(Member(name));
      source_.answers[std::string("id-") + name].page = Own().dump();
    }
  }

  Json Report() {
    source_.asked = asked_.dump();
    return Json::parse(RingStatusJson(source_));
  }
  static std::vector<std::string> CodesOf(const Json& report) {
    std::vector<std::string> codes;
    for (const Json& finding : report["findings"]) codes.push_back(finding["code"]);
    return codes;
  }

  Json asked_ = {
      {"name", "n1"},
      {"id", "id-n1"},
      {"cluster", "gyre"},
      {"write_acks", 1},
      {"ring", {{"partitions", 16}, {"replicas", 2}, {"unowned", 0}, {"under_replicated", 0}}},
      {"members", Json::array()}};
  RingStatusSource source_;
};

TEST_F(RingStatusReportTest, WhetherAllHaveTheSameSettings) {
  EXPECT_TRUE(Report()["settings_agree"].is_null()) << "nobody says";
  const auto says = [&](const char* id, const char* digest, int refused = 0) {
    Json own = Own();
    own["ring_settings"] = {{"digest", digest}, {"refused_here", refused}};
    source_.answers[id].page = own.dump();
  };
  says("id-n1", "00000000000000aa");
  says("id-n2", "00000000000000aa");
  Json report = Report();
  EXPECT_EQ(report["settings_agree"], true) << "n3 is of an older release";
  EXPECT_EQ(report["nodes"][0]["settings_digest"], "00000000000000aa");
  EXPECT_TRUE(report["nodes"][2]["settings_digest"].is_null());
  EXPECT_EQ(CodesOf(report), std::vector<std::string>{});
  says("id-n3", "00000000000000bb", 2);
  report = Report();
  EXPECT_EQ(report["settings_agree"], false);
  EXPECT_EQ(CodesOf(report), (std::vector<std::string>{"settings_refused", "settings_differ"}));
  EXPECT_EQ(report["verdict"], "DEGRADED");
}

TEST_F(RingStatusReportTest, AWholeRing) {
  source_.moves = R"({"paused":false,"partitions_left":0,"leaving":[],"nodes":[]})";
  const Json report = Report();
  EXPECT_EQ(report["verdict"], "OK");
  EXPECT_EQ(report["cluster"], "gyre");
  EXPECT_EQ(report["asked"], "n1");
  EXPECT_EQ(report["partitions"], 16);
  EXPECT_EQ(report["serving_nodes"], 3);
  EXPECT_EQ(report["wanted_nodes"], 3);
  EXPECT_EQ(report["moves"]["paused"], false);
  EXPECT_TRUE(report["moves"]["eta_seconds"].is_null()) << "it was not told";
  ASSERT_EQ(report["nodes"].size(), 3U);
  const Json& node = report["nodes"][1];
  EXPECT_EQ(node["name"], "n2");
  EXPECT_EQ(node["condition"], "alive");
  EXPECT_EQ(node["http_address"], "[::1]:7780");
  EXPECT_EQ(node["memory_limit_bytes"], 4);
  EXPECT_EQ(node["reads_per_second"], 8);
  EXPECT_EQ(node["answered"], true);
  EXPECT_EQ(node["stale"], false);
  EXPECT_TRUE(node["latency_p99_seconds"].is_null());
  EXPECT_FALSE(node.contains("history"));
  EXPECT_EQ(node["self"], false);
  EXPECT_EQ(report["nodes"][0]["self"], true);
}

TEST_F(RingStatusReportTest, TheVerdictIsThatOfTheTool) {
  asked_["members"][2] = Member("n3", "dead");
  asked_["members"][2]["since_seconds"] = 30;
  asked_["ring"]["under_replicated"] = 4;
  const Json report = Report();
  ClusterStatus status = ReadClusterStatus(asked_, nullptr);
  for (std::size_t i = 0; i < 2; ++i) AddNodeStatus(status.nodes[i], Own());
  const Json verdict = ToJson(Judge(status));
  EXPECT_EQ(report["verdict"], verdict["verdict"]);
  EXPECT_EQ(report["findings"], verdict["findings"]);
  EXPECT_EQ(report["verdict"], "DEGRADED");
  EXPECT_EQ(CodesOf(report), (std::vector<std::string>{"copies_missing", "node_dead"}));
  const Json& dead = report["nodes"][2];
  EXPECT_EQ(dead["condition"], "dead");
  EXPECT_EQ(dead["since_seconds"], 30);
  EXPECT_TRUE(dead["requests_per_second"].is_null()) << "what it said when it lived is no news";
}

TEST_F(RingStatusReportTest, ASilentNodeIsShownAsItWas) {
  source_.answers["id-n2"] = {Own().dump(), std::chrono::seconds(7), "timed out"};
  Json report = Report();
  EXPECT_EQ(CodesOf(report), (std::vector<std::string>{"node_unreachable"}));
  EXPECT_EQ(report["nodes"][1]["answered"], false);
  EXPECT_EQ(report["nodes"][1]["stale"], true);
  EXPECT_EQ(report["nodes"][1]["age_seconds"], 7);
  EXPECT_EQ(report["nodes"][1]["requests_per_second"], 10);
  source_.answers["id-n2"] = {{}, {}, "timed out"};
  report = Report();
  EXPECT_EQ(CodesOf(report), (std::vector<std::string>{"node_unreachable"}));
  EXPECT_EQ(report["nodes"][1]["stale"], false);
  EXPECT_TRUE(report["nodes"][1]["requests_per_second"].is_null());
}

TEST_F(RingStatusReportTest, ANodeOfAReleaseThatCannotSayIsNoTrouble) {
  source_.answers["id-n2"] = {};
  const Json report = Report();
  EXPECT_EQ(report["verdict"], "OK");
  EXPECT_EQ(report["nodes"][1]["answered"], false);
}

TEST_F(RingStatusReportTest, HistoryIsPassedOnAsNumbersAlone) {
  Json own = Own();
  own["history"] = {{"step_seconds", 2},
                    {"requests_per_second", {1, "<b>", nullptr, 2.5}},
                    {"hit_ratio", "none"},
                    {"other", {1}},
                    {"memory_used_bytes", Json::array()}};
  for (std::size_t i = 0; i < 2 * FigureHistory::kPoints; ++i) {
    own["history"]["memory_used_bytes"].push_back(i);
  }
  source_.answers["id-n2"].page = own.dump();
  const Json report = Report();
  const Json& history = report["nodes"][1]["history"];
  EXPECT_EQ(history["step_seconds"], 2);
  EXPECT_EQ(history["requests_per_second"], (Json{1, nullptr, nullptr, 2.5}));
  EXPECT_EQ(history["hit_ratio"], Json::array());
  EXPECT_EQ(history["memory_used_bytes"].size(), FigureHistory::kPoints);
  EXPECT_FALSE(history.contains("other"));
}

TEST_F(RingStatusReportTest, AnswersThatMakeNoSenseAreOutlived) {
  for (const char* page : {"", "{", "[]", "7", R"({"history":7,"memory":[],"version":{}})"}) {
    source_.answers["id-n2"].page = page;
    EXPECT_EQ(Report()["nodes"].size(), 3U) << page;
  }
  for (const char* asked : {"", "[]", "null", R"({"members":[7],"id":7})"}) {
    source_.asked = asked;
    source_.moves = asked;
    EXPECT_EQ(Json::parse(RingStatusJson(source_))["nodes"].size(), 0U) << asked;
  }
}

}  // namespace
}  // namespace gyre
