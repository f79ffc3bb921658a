#include "repair/progress.h"

#include <gtest/gtest.h>

#include "repair/load_gauge.h"
#include "repair/progress_survey.h"
#include "repair/pull_kind.h"
#include "repair/transfer.h"
#include "sim/world.h"

namespace gyre {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(Progress, PercentAndTimeToGoAgreeWithTheBytes) {
  struct Case {
    TransferProgress progress;
    double percent;
    std::optional<std::uint64_t> seconds;
  };
  const Case cases[] = {
      {{}, 100, 0},
      {{.partitions_left = 3, .partitions_done = 1}, 25, std::nullopt},
      {{.partitions_left = 3, .bytes_left = 300, .bytes_done = 100, .bytes_per_second = 200},
       25,
       2},
      {{.partitions_left = 1, .bytes_left = 1, .bytes_done = 999, .bytes_per_second = 1000},
       99.9,
       1},
      // A pause stops the clock only where nothing but moves is left.
      {{.partitions_left = 2,
        .moves_left = 2,
        .bytes_left = 10,
        .bytes_done = 10,
        .bytes_per_second = 10,
        .paused = true},
       50,
       std::nullopt},
      {{.partitions_left = 2,
        .moves_left = 1,
        .bytes_left = 10,
        .bytes_done = 10,
        .bytes_per_second = 10,
        .paused = true},
       50,
       1},
  };
  for (const Case& each : cases) {
    EXPECT_NEAR(ProgressPercent(each.progress), each.percent, 0.01);
    EXPECT_EQ(SecondsLeft(each.progress), each.seconds);
  }
}

TEST(Progress, TravelsWhole) {
  const TransferProgress progress{1, 2, 3, 4, 5, 6, true, 8};
  wire::ProgressReply message;
  ToWire(progress, message);
  EXPECT_EQ(FromWire(message), progress);
}

TEST(RateMeterTest, ForgetsWhatIsOld) {
  RateMeter rate;
  TimePoint now{};
  EXPECT_EQ(rate.per_second(), 0U);
  rate.Sample(now, 0);
  rate.Sample(now + milliseconds(10), 1000);
  EXPECT_EQ(rate.per_second(), 0U) << "too short a time to tell";
  std::uint64_t bytes = 0;
  for (int i = 0; i < 100; ++i) rate.Sample(now += milliseconds(100), bytes += 100'000);
  EXPECT_NEAR(static_cast<double>(rate.per_second()), 1e6, 1e4);
  for (int i = 0; i < 100; ++i) rate.Sample(now += milliseconds(100), bytes);
  EXPECT_EQ(rate.per_second(), 0U);
}

TEST(LoadGaugeTest, PullsAreNoLoadAndALoadIsRememberedForAWhile) {
  LoadGauge load;
  constexpr std::uint64_t kMany = 10'000;
  load.Report(2, milliseconds(50), kMany, milliseconds(100));
  EXPECT_EQ(load.permille(), 250U);
  load.Report(2, milliseconds(0), kMany, milliseconds(100));
  EXPECT_EQ(load.permille(), 200U);
  for (int i = 0; i < 40; ++i) load.Report(2, milliseconds(0), kMany, milliseconds(100));
  EXPECT_EQ(load.permille(), 0U);
  load.AddPullTime(milliseconds(20));
  load.Report(1, milliseconds(40), kMany, milliseconds(100));
  EXPECT_EQ(load.permille(), 0U) << "the loop was busy with pulls alone";
  load.Report(0, milliseconds(40), kMany, milliseconds(100));
  load.Report(1, milliseconds(40), kMany, Duration{});
  EXPECT_EQ(load.permille(), 0U);
}

// The machine is short of CPUs: the loops wait for one while they serve pulls.
TEST(LoadGaugeTest, WithoutRequestsOfClientsALoopIsNotBusyForThem) {
  LoadGauge load;
  for (int i = 0; i < 10; ++i) load.AddPullTime(milliseconds(1));
  load.Report(1, milliseconds(90), 10, milliseconds(100));
  EXPECT_EQ(load.permille(), 0U);
  for (int i = 0; i < 10; ++i) load.AddPullTime(milliseconds(1));
  load.Report(1, milliseconds(90), 60, milliseconds(100));
  EXPECT_EQ(load.permille(), 100U);
  for (int i = 0; i < 10; ++i) load.AddPullTime(milliseconds(1));
  load.Report(1, milliseconds(90), 5000, milliseconds(100));
  EXPECT_EQ(load.permille(), 700U);
}

TEST(Yield, NothingWhileIdleMostOfTheTimeUnderLoadAndNeverForLong) {
  EXPECT_EQ(YieldAfter(microseconds(100), 0), Duration{});
  EXPECT_EQ(YieldAfter(microseconds(100), 100), Duration{});
  EXPECT_GT(YieldAfter(microseconds(100), 200), microseconds(50));
  EXPECT_GE(YieldAfter(microseconds(100), 300), milliseconds(1));
  EXPECT_EQ(YieldAfter(microseconds(100), 1000), YieldAfter(microseconds(100), 300));
  EXPECT_LE(YieldAfter(seconds(10), 1000), milliseconds(100));
}

// A view of four nodes with one partition; node 3 looks.
ClusterView ViewOf(std::uint32_t replicas, const MemberList& complete) {
  ClusterView view;
  view.replicas = replicas;
  view.members.resize(4);
  for (std::uint32_t i = 0; i < 4; ++i) view.members[i].id = sim::IdOf(i);
  view.on_ring.assign(4, true);
  view.self = 3;
  view.complete = {complete};
  return view;
}

TEST(PullKind, ARepairBringsBackACopyThatIsLacking) {
  const auto lacks = [](const ClusterView& view) {
    return LacksCopies(view, 0, CopiesWanted(view));
  };
  EXPECT_FALSE(lacks(ViewOf(2, {0, 1}))) << "a join: both copies are where they were";
  EXPECT_TRUE(lacks(ViewOf(2, {0}))) << "a death: one is gone";
  EXPECT_TRUE(lacks(ViewOf(3, {0, 1}))) << "or of three";
  EXPECT_TRUE(lacks(ViewOf(2, {0, 3}))) << "its own does not count: it would not pull";
  ClusterView drained = ViewOf(2, {0, 1});
  drained.on_ring[1] = false;
  EXPECT_FALSE(lacks(drained)) << "a node being drained still has its copy";
  ClusterView small = ViewOf(2, {0});
  small.on_ring = {true, false, false, false};
  EXPECT_FALSE(lacks(small)) << "a ring of one wants one copy";
  small.on_ring[3] = true;
  EXPECT_TRUE(lacks(small)) << "the second node makes the first replicas";
}

TEST(ProgressSurvey, NamesWhoDoesNotAnswer) {
  sim::World world(1, 3);
  for (sim::NodeIndex node : {0, 1}) {
    world.Boot(node,
               [](sim::NodeIndex, FrameType, const std::string& payload,
                  const std::function<void(std::string)>& reply) {
                 wire::PeerRequest request;
                 ASSERT_TRUE(request.ParseFromString(payload));
                 ASSERT_TRUE(request.has_progress());
                 wire::PeerReply answer;
                 answer.mutable_progress()->set_bytes_left(77);
                 reply(answer.SerializeAsString());
               },
               nullptr, {});
  }
  std::map<NodeId, MemberInfo> members;
  for (sim::NodeIndex node = 0; node < 4; ++node) {
    MemberInfo info;
    info.id = sim::IdOf(node);
    info.name = "n" + std::to_string(node);
    if (node == 3) info.state = MemberState::kDead;
    members[info.id] = info;
  }
  sim::SimTransport transport(world, 0, 0);
  std::vector<NodeProgress> answers;
  AskProgress(transport, members, sim::IdOf(0), {.bytes_left = 5},
              [&](std::vector<NodeProgress> all) { answers = std::move(all); });
  world.Run(seconds(2));
  ASSERT_EQ(answers.size(), 3U) << "the dead one is not asked";
  std::map<std::string, std::pair<bool, std::uint64_t>> by_name;
  for (const NodeProgress& each : answers) {
    by_name[each.name] = {each.answered, each.progress.bytes_left};
  }
  EXPECT_EQ(by_name["n0"], std::pair(true, std::uint64_t{5}));
  EXPECT_EQ(by_name["n1"], std::pair(true, std::uint64_t{77}));
  EXPECT_EQ(by_name["n2"], std::pair(false, std::uint64_t{0})) << "it does not run";
}

}  // namespace
}  // namespace gyre
