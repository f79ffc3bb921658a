// --consistency majority: an owner without a lease lets commands wait, and says why it could not.
#include <gtest/gtest.h>

#include "command/test_cluster.h"

namespace gyre::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class MajorityTest : public ClusterTest {
 protected:
  MajorityTest() : ClusterTest(/*majority=*/true) {
    for (PartitionId partition = 0; partition < TestCluster::kPartitions; ++partition) {
      Lease(partition, seconds(100));
    }
  }
  LeaseTable& leases() { return *cluster_.node(1).replication.fence.leases(); }
  void Lease(PartitionId partition, Duration span) {
    for (std::size_t i = 0; i < cluster_.size(); ++i) {
      LeaseTable& table = *cluster_.node(i).replication.fence.leases();
      table.LimitStamps(Timeline::kStart + 1'000'000);
      table.Extend(partition, cluster_.time.steady_now(), cluster_.time.steady_now() + span);
    }
  }

  const PartitionId partition_ = 1;  // node 1's
  const std::string key_ = cluster_.KeyIn(partition_);
};

TEST_F(MajorityTest, UnderALeaseNothingIsDifferent) {
  EXPECT_EQ(Run(1, "SET " + key_ + " v"), "OK");
  EXPECT_EQ(Run(0, "GET " + key_), "\"v\"");
  EXPECT_EQ(Run(1, "INCR {" + key_ + "}n"), "1");
  EXPECT_EQ(leases().refusals(), 0U);
}

TEST_F(MajorityTest, CommandsWaitForTheLeaseInOrder) {
  leases().Revoke(partition_);
  const auto write = Start(1, "SET " + key_ + " v");
  const auto read = Start(1, "GET " + key_);
  cluster_.time.Advance(milliseconds(300));
  EXPECT_FALSE(write->finished());
  EXPECT_FALSE(read->finished());
  Lease(partition_, seconds(10));
  cluster_.time.Advance(milliseconds(100));
  ASSERT_TRUE(write->finished());
  ASSERT_TRUE(read->finished());
  EXPECT_EQ(TextOf(write->reply()), "OK");
  EXPECT_EQ(TextOf(read->reply()), "\"v\"");
  EXPECT_GT(leases().refusals(), 0U);
}

TEST_F(MajorityTest, AtTheDeadlineTheErrorNamesTheMajority) {
  leases().Revoke(partition_);
  for (const std::string command : {"GET ", "INCR ", "DEL ", "MGET "}) {
    const auto slot = Start(1, command + key_, 200);
    cluster_.time.Advance(milliseconds(500));
    ASSERT_TRUE(slot->finished()) << command;
    ASSERT_EQ(slot->reply().kind, Reply::Kind::kError) << command;
    EXPECT_EQ(slot->reply().error, ErrorCode::kUnavailable) << command;
    EXPECT_NE(slot->reply().bytes.find("does not see a majority of the ring"), std::string::npos)
        << slot->reply().bytes;
  }
}

TEST_F(MajorityTest, ARequestThatMayNotBeForwardedWaitsToo) {
  leases().Revoke(partition_);
  Request request = RequestOf("GET " + key_);
  request.no_forward = true;
  const auto slot = Start(1, request);
  EXPECT_FALSE(slot->finished());
  Lease(partition_, seconds(10));
  cluster_.time.Advance(milliseconds(100));
  EXPECT_TRUE(slot->finished());
}

TEST_F(MajorityTest, AnExpiredLeaseIsNone) {
  leases().Revoke(partition_);
  Lease(partition_, milliseconds(50));
  EXPECT_EQ(Run(1, "SET " + key_ + " v"), "OK");
  cluster_.time.Advance(milliseconds(60));
  const auto slot = Start(1, "GET " + key_, 100);
  EXPECT_FALSE(slot->finished());
  cluster_.time.Advance(milliseconds(300));
}

// The process is stopped between the check and the command, or between the command and its reply.
TEST_F(MajorityTest, WhatALeaseRanOutOverIsThrownAway) {
  EXPECT_EQ(Run(1, "SET " + key_ + " 5"), "OK");
  const auto stop_once = [this] {
    cluster_.node(1).fence_reads = 0;
    cluster_.node(1).stop_after_reads = 1;  // the second look at the clock is a minute later
  };
  Lease(partition_, milliseconds(500));
  leases().Revoke(partition_);
  Lease(partition_, milliseconds(500));
  stop_once();
  const auto read = Start(1, "GET " + key_);
  ASSERT_TRUE(read->finished());
  EXPECT_EQ(read->reply().error, ErrorCode::kUnavailable) << TextOf(read->reply());
  stop_once();
  const auto write = Start(1, "INCR " + key_);
  ASSERT_TRUE(write->finished());
  EXPECT_EQ(write->reply().error, ErrorCode::kUnknownOutcome) << TextOf(write->reply());
  stop_once();
  const auto list = Start(1, "MGET " + key_);
  ASSERT_TRUE(list->finished());
  EXPECT_EQ(list->reply().error, ErrorCode::kUnavailable) << TextOf(list->reply());
  EXPECT_EQ(leases().overruns(), 3U);
}

TEST_F(MajorityTest, AClockBeyondTheBoundWaitsForANewLease) {
  leases().LimitStamps(cluster_.time.unix_now() - 1);
  const auto slot = Start(1, "SET " + key_ + " v");
  cluster_.time.Advance(milliseconds(50));
  EXPECT_FALSE(slot->finished());
  leases().LimitStamps(cluster_.time.unix_now() + 10'000);
  cluster_.time.Advance(milliseconds(100));
  EXPECT_TRUE(slot->finished());
}

}  // namespace
}  // namespace gyre::testing
