#include "ops/status_report.h"

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "ops/rebalance_report.h"
#include "proto/cluster_status.h"

namespace gyre {
namespace {

using Json = nlohmann::ordered_json;

class StatusReportTest : public ::testing::Test {
 protected:
  StatusReportTest() {
    config_.name = "n\xff";  // no UTF-8: a status is JSON all the same
    config_.memory_bytes = 1000;
    node_.version = "0.1.0";
    node_.figures.storage.hits = 3;
    node_.figures.server.requests = 7;
    ClusterView view;
    MemberInfo member;
    member.name = "n1";
    member.id.bytes[0] = 1;
    view.members.push_back(member);
    view.on_ring.push_back(true);
    view.self = 0;
    view.owner = {0, kNoMember};
    view.complete = {{0}, {}};
    view.partition_count = 2;
    view.holders = {{0}, {0}};
    view_ = std::make_shared<ClusterView>(view);
  }

  Json Status() { return Json::parse(StatusJson(node_)); }

  Config config_;
  Identity identity_;
  SnapshotStats snapshot_;
  StatusSource node_{.config = config_, .identity = identity_, .snapshot = snapshot_};
  ClusterViewPtr view_;
};

TEST_F(StatusReportTest, BeforeTheFirstViewThereIsNoRing) {
  const Json status = Status();
  EXPECT_EQ(status["version"], "0.1.0");
  EXPECT_EQ(status["memory"]["limit_bytes"], 1000);
  EXPECT_EQ(status["hits"], 3);
  EXPECT_EQ(status["requests"], 7);
  EXPECT_EQ(status["gossip"], (Json{{"encrypted", false}, {"keys", 0}}));
  EXPECT_EQ(status["write_acks"], 1);
  EXPECT_EQ(status["consistency"], "available");
  EXPECT_EQ(status["requests_per_second"], 0);
  EXPECT_TRUE(status["latency_p99_seconds"].is_null());
  EXPECT_TRUE(status["hit_ratio"].is_null());
  for (const char* name : {"ring", "members", "rebalance", "lease"}) {
    EXPECT_FALSE(status.contains(name)) << name;
  }
}

TEST_F(StatusReportTest, TheRingAndItsMembers) {
  node_.view = view_;
  node_.gossip_keys = 2;
  node_.cluster.ownership.takeovers = 5;
  node_.cluster.majority = true;
  node_.cluster.leases.majority = 1;
  node_.cluster.membership.clock_offsets.push_back(
      {view_->members[0].id, std::chrono::microseconds(1270), {}});
  const Json status = Status();
  EXPECT_EQ(status["ring"]["partitions"], 2);
  EXPECT_EQ(status["ring"]["unowned"], 1);
  EXPECT_EQ(status["ring"]["takeovers"], 5);
  EXPECT_EQ(status["gossip"], (Json{{"encrypted", true}, {"keys", 2}}));
  ASSERT_EQ(status["members"].size(), 1U);
  EXPECT_EQ(status["members"][0]["name"], "n1");
  EXPECT_EQ(status["members"][0]["owned_partitions"], 1);
  EXPECT_EQ(status["members"][0]["clock_ahead_ms"], 1.3);
  EXPECT_EQ(status["lease"]["majority_in_view"], true);
}

TEST_F(StatusReportTest, WhatClientsFelt) {
  config_.consistency = Consistency::kMajority;
  node_.recent = {.requests_per_second = 12.5, .latency_p99_seconds = 0.001, .hit_ratio = 0.75};
  const Json status = Status();
  EXPECT_EQ(status["consistency"], "majority");
  EXPECT_EQ(status["requests_per_second"], 12.5);
  EXPECT_EQ(status["latency_p99_seconds"], 0.001);
  EXPECT_EQ(status["hit_ratio"], 0.75);
}

// What a node tells of its load is what the picture of the ring reads.
TEST_F(StatusReportTest, HowHardItWorks) {
  node_.figures.loops = 2;
  node_.recent = {.evictions_per_second = 12,
                  .loops_busy = 0.5,
                  .network_in_bytes_per_second = 1000,
                  .network_out_bytes_per_second = 3000};
  node_.hits.sampled = 300;
  node_.hits.gained.back() = 0.125;
  NodeStatus read;
  AddNodeStatus(read, Status());
  EXPECT_EQ(read.load.busy_ratio, 0.25) << "of two loops";
  EXPECT_EQ(read.load.network_bytes_per_second, 3000);
  EXPECT_FALSE(read.load.network_limit);
  EXPECT_EQ(read.load.evictions_per_second, 12);
  EXPECT_EQ(read.load.hits.sampled, 300);
  EXPECT_EQ(read.load.hits.GainedAt(2), 0.125);
  node_.network_limit = 125'000'000;
  AddNodeStatus(read, Status());
  EXPECT_EQ(read.load.network_limit, 125'000'000);
  Json odd = Status();
  odd["load"]["busy_ratio"] = -1;
  odd["load"]["hits_gained"] = {1, "x"};
  AddNodeStatus(read, odd);
  EXPECT_FALSE(read.load.busy_ratio);
  EXPECT_EQ(read.load.hits.sampled, 0);
}

TEST_F(StatusReportTest, WhoHasTheLastCopyAndWhoIsDead) {
  ClusterView view = *view_;
  MemberInfo dead = view.members[0];
  dead.name = "n2";
  dead.id.bytes[0] = 2;
  dead.state = MemberState::kDead;
  view.members.push_back(dead);
  view.on_ring.push_back(true);
  view.complete = {{0}, {0, 1}};
  node_.view = std::make_shared<ClusterView>(view);
  node_.cluster.membership.dead = {{.id = dead.id,
                                    .since = std::chrono::milliseconds(12340),
                                    .evict_in = std::chrono::seconds(287)}};
  Json members = Status()["members"];
  EXPECT_EQ(members[0]["last_holder_partitions"], 1);
  EXPECT_FALSE(members[0].contains("since_seconds"));
  EXPECT_EQ(members[1]["last_holder_partitions"], 0);
  EXPECT_EQ(members[1]["since_seconds"], 12.3);
  EXPECT_EQ(members[1]["evict_in_seconds"], 287);
  node_.cluster.membership.dead[0].evict_in.reset();
  members = Status()["members"];
  EXPECT_TRUE(members[1]["evict_in_seconds"].is_null()) << "nobody evicts it";
}

TEST_F(StatusReportTest, RestartOfAnUnknownNodeIsNotSafe) {
  NodeId stranger;
  stranger.bytes[0] = 9;
  for (const ClusterView* view : {view_.get(), static_cast<const ClusterView*>(nullptr)}) {
    const Json check = Json::parse(RestartCheckJson(config_, view, stranger));
    EXPECT_EQ(check["node"], stranger.ToString());
    EXPECT_EQ(check["safe"], false);
    EXPECT_EQ(check["reasons"], Json::array({"the node is not known here"}));
  }
  const Json known = Json::parse(RestartCheckJson(config_, view_.get(), view_->members[0].id));
  EXPECT_EQ(known["node"], "n1");
  EXPECT_EQ(known["safe"], false) << "nobody else has its partition";
}

TEST_F(StatusReportTest, RebalanceIsTheSumOfNodes) {
  NodeProgress one{.id = view_->members[0].id, .name = "n1", .answered = true, .progress = {}};
  one.progress = {.partitions_left = 3,
                  .moves_left = 2,
                  .bytes_left = 100,
                  .bytes_done = 100,
                  .bytes_per_second = 10,
                  .paused = true};
  NodeProgress two = one;
  two.id.bytes[0] = 2;
  two.name = "n2";
  two.progress.bytes_per_second = 5;
  two.progress.paused = false;
  const NodeProgress silent{.id = {}, .name = "n3", .answered = false, .progress = {}};
  const Json all = Json::parse(RebalanceStatusJson({one, two, silent}, one.id, view_.get()));
  EXPECT_EQ(all["paused"], true) << "as the node that answers has it";
  EXPECT_EQ(all["partitions_left"], 6);
  EXPECT_EQ(all["repairs_left"], 2);
  EXPECT_EQ(all["progress_percent"], 50);
  EXPECT_EQ(all["eta_seconds"], 20) << "the last to end is the end";
  EXPECT_EQ(all["nodes"].size(), 3U);
  EXPECT_FALSE(all["nodes"][2].contains("paused"));
}

TEST_F(StatusReportTest, WhatItSaysToOthersIsOfItselfAlone) {
  node_.view = view_;
  node_.recent.requests_per_second = 12.34;
  Json own = Json::parse(OwnStatusJson(node_, nullptr));
  EXPECT_EQ(own["version"], "0.1.0");
  EXPECT_EQ(own["ring"]["losses"], 0);
  for (const char* name : {"members", "rebalance", "lease", "history"}) {
    EXPECT_FALSE(own.contains(name)) << name;
  }
  const std::vector<FigurePoint> points = {
      {.recent = {.requests_per_second = 1.26, .hit_ratio = 0.5}, .used_bytes = 7},
      {.recent = {.latency_p99_seconds = 0.001}, .used_bytes = 8}};
  own = Json::parse(OwnStatusJson(node_, &points));
  EXPECT_EQ(own["history"], (Json{{"step_seconds", 2.0},
                                  {"requests_per_second", {1.3, 0.0}},
                                  {"reads_per_second", {0.0, 0.0}},
                                  {"latency_p99_seconds", {nullptr, 0.001}},
                                  {"hit_ratio", {0.5, nullptr}},
                                  {"memory_used_bytes", {7, 8}}}));
}

}  // namespace
}  // namespace gyre
