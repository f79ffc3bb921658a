#include "net/traffic.h"

#include <gtest/gtest.h>

#include "net/server_fixture.h"

namespace gyre::test {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

TEST(TrafficTest, WhatWasAnsweredTookUntilTheNextTimeThatIsRead) {
  Traffic traffic;
  TrafficOf& resp = traffic.of(Asker::kResp);
  const TimePoint began{milliseconds(100)};
  traffic.Answered(resp, began, 3);
  traffic.Answered(resp, began, 1);
  traffic.Answered(resp, began - milliseconds(50), 1);  // one that had waited
  traffic.Answered(traffic.of(Asker::kPeer), began, 1);
  EXPECT_EQ(traffic.Read()[static_cast<std::size_t>(Asker::kResp)].durations.count, 0U);
  traffic.Settle(began + microseconds(70));
  traffic.Settle(began + milliseconds(7));  // nothing is left
  const RequestHistogram::Snapshot durations =
      traffic.Read()[static_cast<std::size_t>(Asker::kResp)].durations;
  EXPECT_EQ(durations.count, 5U);
  EXPECT_EQ(durations.counts[1], 4U);
  EXPECT_EQ(durations.sum, 5 * microseconds(70) + milliseconds(50));
  EXPECT_EQ(traffic.Read()[static_cast<std::size_t>(Asker::kPeer)].durations.count, 1U);
}

TEST(TrafficTest, NothingIsLostWhereManyStoriesMeet) {
  Traffic traffic;
  for (int i = 0; i < 1000; ++i) {
    traffic.Answered(traffic.of(Asker::kResp), SteadyNow() - milliseconds(i), 1);
  }
  traffic.Settle(SteadyNow());
  EXPECT_EQ(traffic.Read()[static_cast<std::size_t>(Asker::kResp)].durations.count, 1000U);
}

TrafficCounts Resp(ServerThread& server) {
  return server.server->traffic()[static_cast<std::size_t>(Asker::kResp)];
}

TEST(TrafficTest, OfRequestsThatAreAnsweredAtOnceAndLater) {
  ServerThread server;
  EXPECT_TRUE(Resp(server).open);
  EXPECT_FALSE(server.server->traffic()[static_cast<std::size_t>(Asker::kNative)].open);
  Client client = server.Connect();
  client.Send("echo a\necho b\nlater x\necho c\n@echo quiet\nwork 30\n");
  server.Eventually([&] { return server.handler.handled == 6; });
  std::this_thread::sleep_for(milliseconds(120));
  server.Finish("x", "late");
  for (const char* line : {"a", "b", "late", "c"}) EXPECT_EQ(client.ReadLine(), line);
  server.Eventually([&] { return Resp(server).durations.count == 6; });
  const TrafficCounts counts = Resp(server);
  // The batch of five took what its last one did; the late one its own time.
  std::uint64_t short_ones = 0;
  for (std::size_t i = 0; i < 11; ++i) short_ones += counts.durations.counts[i];
  EXPECT_LE(short_ones, 5U) << "up to 100 ms";
  EXPECT_GE(counts.durations.max, milliseconds(120));
  EXPECT_GE(counts.durations.sum, 5 * milliseconds(30) + milliseconds(120));
  EXPECT_EQ(counts.request_bytes.counts[0], 6U);
  EXPECT_EQ(counts.request_bytes.sum, 7U + 7 + 8 + 7 + 12 + 8);
  EXPECT_EQ(counts.reply_bytes.counts[0], 5U) << "a quiet one has none";
}

TEST(TrafficTest, ALargeReplyIsOfItsSize) {
  ServerThread server;
  Client client = server.Connect();
  client.Send("blob 5000\n");
  EXPECT_EQ(client.ReadLine().size(), 5000U);
  server.Eventually([&] { return Resp(server).durations.count == 1; });
  EXPECT_EQ(Resp(server).reply_bytes.counts[SizeCounts::BucketOf(5001)], 1U);
  EXPECT_EQ(Resp(server).reply_bytes.sum, 5001U);
}

}  // namespace
}  // namespace gyre::test
