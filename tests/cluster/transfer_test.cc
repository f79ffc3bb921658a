#include "cluster/transfer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/data_fixture.h"
#include "proto_gen/cluster.pb.h"

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class TransferTest : public DataTest {
 protected:
  TransferTest() { MakeOwner({}); }

  void Warm(TransferOptions options = {}) {
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      n(1).SetRole(partition, Role::kWarming);
    }
    transfer = std::make_unique<Transfer>(
        options, n(1).id, *n(1).engine, n(1).transport,
        [this](PartitionId partition, std::uint64_t pull, bool filled) {
          ended.emplace_back(partition, pull, filled);
        },
        [this] { return world.now(); }, [this] { return world.unix_now(); });
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      transfer->Start(partition, n(0).id, 100 + partition);
    }
  }
  std::size_t Filled() const {
    return static_cast<std::size_t>(std::count_if(
        ended.begin(), ended.end(), [](const auto& end) { return std::get<2>(end); }));
  }

  std::unique_ptr<Transfer> transfer;
  std::vector<std::tuple<PartitionId, std::uint64_t, bool>> ended;
};

TEST_F(TransferTest, EverythingArrivesValuesFlagsExpiriesAndTombstones) {
  for (int i = 0; i < 2000; ++i) n(0).Write("k" + std::to_string(i), "v" + std::to_string(i));
  n(0).Write("large", std::string(700'000, 'L'));
  n(0).Write("gone", "x");
  n(0).Delete("gone");
  {
    const Key key = n(0).engine->KeyOf("dated");
    Shard& shard = n(0).engine->ShardOf(key.partition);
    MutexLock lock(shard.mutex());
    ASSERT_TRUE(
        shard.Store(key, "d", world.unix_now() + 60'000, 77, shard.NextVersion(world.unix_now())));
  }
  Warm();
  world.Run(seconds(2));
  ASSERT_EQ(Filled(), kPartitions);
  for (int i = 0; i < 2000; ++i) {
    ASSERT_EQ(n(1).Read("k" + std::to_string(i)), "v" + std::to_string(i));
  }
  EXPECT_EQ(n(1).Read("large").size(), 700'000U);
  const Key key = n(1).engine->KeyOf("dated");
  Shard& shard = n(1).engine->ShardOf(key.partition);
  MutexLock lock(shard.mutex());
  const Record dated = shard.Peek(key);
  ASSERT_TRUE(dated);
  EXPECT_EQ(dated.flags(), 77U);
  EXPECT_GT(dated.expiry_ms(), world.unix_now());
  const TransferStats stats = transfer->stats();
  EXPECT_EQ(stats.partitions_left, 0U);
  EXPECT_EQ(stats.partitions_done, kPartitions);
  EXPECT_GE(stats.records, 2002U);
}

TEST_F(TransferTest, EmptyPartitionsTakeARoundTripEach) {
  Warm();
  world.Run(milliseconds(20));
  EXPECT_EQ(Filled(), kPartitions);
}

TEST_F(TransferTest, FromTheFirstPageOnWritesGoToThePuller) {
  for (int i = 0; i < 5000; ++i) n(0).Write("k" + std::to_string(i), "old");
  TransferOptions slow;
  slow.page_bytes = 1000;
  Warm(slow);
  world.Run(milliseconds(3));
  ASSERT_LT(Filled(), kPartitions);
  for (int i = 0; i < 5000; ++i) {
    n(0).Write("k" + std::to_string(i), "new");
    if (i % 50 == 0) {
      n(0).replicator->Flush();
      world.Run(std::chrono::microseconds(500));
    }
  }
  n(0).replicator->Flush();
  world.Run(seconds(5));
  ASSERT_EQ(Filled(), kPartitions);
  for (int i = 0; i < 5000; ++i) ASSERT_EQ(n(1).Read("k" + std::to_string(i)), "new") << i;
  const ReplicaSet set = n(0).Targets(0);
  ASSERT_EQ(set.count, 1U);
  EXPECT_EQ(set.targets[0].standing, ReplicaSet::Standing::kPulling);
  EXPECT_FALSE(set.targets[0].complete);
}

TEST_F(TransferTest, AFlushAtTheSourceVoidsOlderRecordsHere) {
  n(1).Write("k", "old");
  const PartitionId partition = n(0).engine->KeyOf("k").partition;
  world.Run(milliseconds(10));
  {
    Shard& shard = n(0).engine->ShardOf(partition);
    MutexLock lock(shard.mutex());
    shard.Flush(partition, shard.NextVersion(world.unix_now()));
  }
  Warm();
  world.Run(seconds(1));
  EXPECT_EQ(n(1).Read("k"), "-");
}

TEST_F(TransferTest, ANodeThatDoesNotOrderTheWritesRefuses) {
  for (PartitionId partition = 0; partition < kPartitions; ++partition) {
    n(0).SetRole(partition, Role::kReplica);
  }
  Warm();
  world.Run(seconds(1));
  EXPECT_EQ(ended.size(), kPartitions);
  EXPECT_EQ(Filled(), 0U);
  EXPECT_EQ(transfer->stats().pulls_failed, kPartitions);
}

TEST_F(TransferTest, APullerThatMissedAWriteMustBeginAgain) {
  for (int i = 0; i < 3000; ++i) n(0).Write("k" + std::to_string(i), "v");
  TransferOptions slow;
  slow.page_bytes = 1000;
  Warm(slow);
  world.Run(milliseconds(3));
  ReplicaSet set = n(0).Targets(3);
  ASSERT_EQ(set.targets[0].standing, ReplicaSet::Standing::kPulling);
  set.targets[0].standing = ReplicaSet::Standing::kLagging;  // a full queue dropped a write
  n(0).SetTargets(3, {set.targets[0]});
  world.Run(seconds(2));
  EXPECT_THAT(ended, testing::Contains(std::tuple(PartitionId{3}, std::uint64_t{103}, false)));
  EXPECT_EQ(Filled(), kPartitions - 1);
}

TEST_F(TransferTest, AStoppedPullEndsSilently) {
  for (int i = 0; i < 3000; ++i) n(0).Write("k" + std::to_string(i), "v");
  TransferOptions slow;
  slow.page_bytes = 1000;
  Warm(slow);
  world.Run(milliseconds(2));
  for (PartitionId partition = 0; partition < kPartitions; ++partition) transfer->Stop(partition);
  world.Run(seconds(1));
  EXPECT_TRUE(ended.empty());
  EXPECT_EQ(transfer->stats().partitions_left, 0U);
}

TEST_F(TransferTest, ASourceThatDiesEndsThePull) {
  for (int i = 0; i < 3000; ++i) n(0).Write("k" + std::to_string(i), "v");
  TransferOptions slow;
  slow.page_bytes = 1000;
  Warm(slow);
  world.Run(milliseconds(2));
  world.Crash(0);
  world.Run(seconds(10));
  EXPECT_EQ(ended.size(), kPartitions);
  EXPECT_EQ(Filled(), 0U);
}

TEST_F(TransferTest, TheRateLimitHolds) {
  for (int i = 0; i < 1000; ++i) n(0).Write("k" + std::to_string(i), std::string(1000, 'v'));
  TransferOptions limited;
  limited.bytes_per_second = 500'000;
  limited.page_bytes = 20'000;
  Warm(limited);
  world.Run(seconds(1));
  EXPECT_LT(Filled(), kPartitions);
  EXPECT_LE(transfer->stats().bytes, 900'000U);
  world.Run(seconds(3));
  EXPECT_EQ(Filled(), kPartitions);
}

}  // namespace
}  // namespace gyre
