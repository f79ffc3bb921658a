// What the picture of a cluster is judged to be, and how it is shown.
#include "proto/cluster_status.h"

#include <gmock/gmock.h>

#include <sstream>

#include "client/shell/cluster_view.h"
#include "client/shell/printer.h"

namespace gyre::client {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

Json Member(const std::string& name, const std::string& state = "alive") {
  return {{"name", name},          {"id", "id-" + name},
          {"state", state},        {"on_ring", true},
          {"drained", false},      {"zone", "rack" + name.substr(1)},
          {"host", "127.0.0.1"},   {"port", 25000 + name.back()},
          {"owned_partitions", 5}, {"complete_partitions", 10},
          {"clock_ahead_ms", 0.2}};
}

Json Asked(Json members) {
  return {
      {"name", "n1"},
      {"cluster", "gyre"},
      {"write_acks", 2},
      {"ring", {{"partitions", 1024}, {"replicas", 2}, {"unowned", 0}, {"under_replicated", 0}}},
      {"members", std::move(members)}};
}

Json Own(const std::string& version = "0.2.0") {
  return {{"version", version},
          {"uptime_seconds", 187200},
          {"memory", {{"used_bytes", 41}, {"limit_bytes", 100}}},
          {"requests_per_second", 12400.0},
          {"hit_ratio", 0.981},
          {"latency_p99_seconds", 0.0006},
          {"records", 75000},
          {"ring", {{"losses", 0}}}};
}

class ClusterStatusTest : public testing::Test {
 protected:
  void Read(const Json& rebalance = nullptr) {
    status_ = ReadClusterStatus(asked_, rebalance);
    for (NodeStatus& node : status_.nodes) {
      if (node.serves()) AddNodeStatus(node, Own());
    }
  }
  std::vector<std::string> Codes() const {
    std::vector<std::string> codes;
    for (const Finding& finding : Judge(status_).findings) codes.push_back(finding.code);
    return codes;
  }
  std::string Screen(bool unicode = true) const {
    std::ostringstream out;
    PrintClusterStatus(status_, Judge(status_), {.unicode = unicode}, out);
    return out.str();
  }
  std::string RingScreen() const {
    std::ostringstream out;
    PrintRing(status_, {.unicode = true}, out);
    return out.str();
  }

  Json asked_ = Asked({Member("n2"), Member("n1"), Member("n3")});
  ClusterStatus status_;
};

TEST_F(ClusterStatusTest, AHealthyOneIsOk) {
  Read();
  EXPECT_EQ(Judge(status_).health, Health::kOk);
  EXPECT_THAT(Codes(), IsEmpty());
  EXPECT_EQ(Screen(),
            "OK  cluster gyre · 3/3 up · copies 2 · acks 2 · 0.2.0\n"
            "NODE  ZONE   STATE    UP  VERSION  MEM          OPS/s    HIT    p99   KEYS\n"
            "n1    rack1  alive  2d4h    0.2.0   41% ██░░░░  12.4k  98.1%  0.6ms  75.0k\n"
            "n2    rack2  alive  2d4h    0.2.0   41% ██░░░░  12.4k  98.1%  0.6ms  75.0k\n"
            "n3    rack3  alive  2d4h    0.2.0   41% ██░░░░  12.4k  98.1%  0.6ms  75.0k\n");
  EXPECT_THAT(Screen(false), HasSubstr("41% ##.... "));
}

TEST_F(ClusterStatusTest, ADeadNodeDegradesIt) {
  Json dead = Member("n3", "dead");
  dead["since_seconds"] = 192;
  dead["evict_in_seconds"] = 108;
  asked_ = Asked({Member("n1"), Member("n2"), dead});
  asked_["ring"]["under_replicated"] = 380;
  Read({{"paused", false}, {"partitions_left", 380}, {"eta_seconds", 5.2}});
  EXPECT_EQ(Judge(status_).health, Health::kDegraded);
  EXPECT_THAT(Screen(), StartsWith("DEGRADED  cluster gyre · 2/3 up"));
  EXPECT_THAT(Screen(), HasSubstr(" ! 380 of 1024 partitions lack a copy; whole again in ~6s\n"));
  EXPECT_THAT(Screen(), HasSubstr(" ! n3 dead 3m12s (rack3, 127.0.0.1:25051): start it, else it "
                                  "leaves the ring in 1m48s\n"));
}

TEST_F(ClusterStatusTest, WhoHasSomethingAloneMustNotBeRestarted) {
  Json last = Member("n2");
  last["last_holder_partitions"] = 22;
  asked_ = Asked({Member("n1"), last});
  Read();
  EXPECT_THAT(Screen(), HasSubstr(" ! do NOT restart n2: last holder of 22 partitions\n"));
  asked_["ring"]["replicas"] = 1;  // each node is, of all that it has
  Read();
  EXPECT_THAT(Codes(), IsEmpty());
  last["name"] = "n1";
  asked_ = Asked({last});  // so is a ring of one, which has no other
  Read();
  EXPECT_THAT(Codes(), IsEmpty());
}

TEST_F(ClusterStatusTest, WhatNobodyOwnsIsDown) {
  asked_["ring"]["unowned"] = 3;
  Read();
  EXPECT_EQ(Judge(status_).health, Health::kDown);
  EXPECT_THAT(Screen(), StartsWith("DOWN  "));
}

TEST_F(ClusterStatusTest, SoIsOneWithoutItsMajority) {
  asked_["lease"] = {{"majority_in_view", false}};
  Read();
  EXPECT_THAT(Codes(), testing::ElementsAre("majority_lost"));
  EXPECT_EQ(Judge(status_).health, Health::kDown);
}

TEST_F(ClusterStatusTest, ADrainedNodeIsNoTrouble) {
  Json drained = Member("n3");
  drained["drained"] = true;
  drained["on_ring"] = false;
  drained["complete_partitions"] = 0;
  asked_ = Asked({Member("n1"), Member("n2"), drained});
  Read();
  EXPECT_EQ(Judge(status_).health, Health::kOk);
  EXPECT_THAT(Screen(), StartsWith("OK  cluster gyre · 2/2 up"));
  EXPECT_THAT(RingScreen(), HasSubstr("drained, off the ring: stop it, or gyre undrain n3"));
}

TEST_F(ClusterStatusTest, ANodeThatPeersHearAndWeDoNotIsSaid) {
  Read();
  status_.nodes[1].answered = false;
  status_.nodes[1].error = "connection refused";
  EXPECT_THAT(Codes(), testing::ElementsAre("node_unreachable"));
  EXPECT_THAT(Screen(), HasSubstr("n2 is alive for its peers, but not from here"));
}

TEST_F(ClusterStatusTest, ClocksReleasesAndSnapshotsAreLookedAt) {
  Json wrong = Member("n2");
  wrong["clock_ahead_ms"] = -1500.0;
  asked_ = Asked({Member("n1"), wrong, Member("n3")});
  Read();
  status_.nodes[0].version = "0.1.0";
  status_.nodes[2].snapshot_trouble = "it is damaged";
  EXPECT_THAT(Codes(),
              testing::ElementsAre("clock_apart", "snapshot_not_restored", "versions_differ"));
  EXPECT_EQ(Judge(status_).health, Health::kDegraded);
  EXPECT_THAT(Screen(), HasSubstr("n2's clock is 1.5s behind n1's"));
  EXPECT_THAT(Screen(), HasSubstr("0.2.0 (n1: 0.1.0)"));
}

TEST_F(ClusterStatusTest, NotesAloneLeaveItOk) {
  Read({{"paused", true}, {"partitions_left", 0}});
  EXPECT_THAT(Codes(), testing::ElementsAre("moves_paused"));
  EXPECT_EQ(Judge(status_).health, Health::kOk);
}

TEST_F(ClusterStatusTest, TheRingShowsWhatIsOnItsWay) {
  Json filling = Member("n3");
  filling["complete_partitions"] = 5;
  asked_ = Asked({Member("n1"), Member("n2"), filling});
  Read({{"partitions_left", 7},
        {"nodes",
         {{{"name", "n3"},
           {"partitions_left", 7},
           {"progress_percent", 62.0},
           {"bytes_per_second", 36700160},
           {"eta_seconds", 5}}}}});
  EXPECT_EQ(RingScreen(),
            "1024 partitions · 2 copies of each key\n"
            "NODE  ZONE   HOLDS                     OWN  HOLD  STATE\n"
            "n1    rack1  ████████████████████████    5    10  alive\n"
            "n2    rack2  ████████████████████████    5    10  alive\n"
            "n3    rack3  ████████████░░░░░░░░░░░░    5     5  filling 62% 35.0 MiB/s 5s\n");
}

// Each may be another release's, or nobody's.
TEST_F(ClusterStatusTest, NothingThatNodesSayMakesItFail) {
  for (const Json& asked :
       {Json(), Json::array(), Json{{"members", 7}}, Json{{"members", {1, "x", nullptr}}},
        Json{{"ring", "none"}, {"lease", 1}, {"name", 9}, {"members", {{{"port", -5}}}}},
        Json{{"ring", {{"partitions", 1e300}, {"unowned", -4}}}}}) {
    for (const Json& rebalance : {Json(), Json{{"nodes", 3}}, Json{{"nodes", {1, Json::object()}}},
                                  Json{{"partitions_left", "many"}}}) {
      status_ = ReadClusterStatus(asked, rebalance);
      NodeStatus node;
      AddNodeStatus(node, rebalance);
      AddNodeStatus(node, asked);
      status_.nodes.push_back(node);
      EXPECT_FALSE(Screen().empty());
      EXPECT_FALSE(RingScreen().empty());
      EXPECT_TRUE(ToJson(Judge(status_)).contains("verdict"));
      EXPECT_TRUE(ToJson(node).contains("name"));
    }
  }
}

TEST(Screen, ABarIsNeitherEmptyNorFullBeforeItIs) {
  const struct Screen ascii;
  EXPECT_EQ(Bar(ascii, 0, 4), "....");
  EXPECT_EQ(Bar(ascii, 0.01, 4), "#...");
  EXPECT_EQ(Bar(ascii, 0.5, 4), "##..");
  EXPECT_EQ(Bar(ascii, 0.99, 4), "###.");
  EXPECT_EQ(Bar(ascii, 1, 4), "####");
}

TEST(Screen, ColoursTakeNoRoom) {
  const struct Screen coloured { .colours = true };
  const std::string text = Coloured(coloured, Colour::kBad, "dead");
  EXPECT_THAT(text, StartsWith("\x1b["));
  EXPECT_EQ(DisplayWidth(text), 4U);
  EXPECT_EQ(DisplayWidth("grüße"), 5U);
  EXPECT_EQ(Coloured({}, Colour::kBad, "dead"), "dead");
}

}  // namespace
}  // namespace gyre::client
