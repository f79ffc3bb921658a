#include "repair/transfer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "cluster/data_fixture.h"
#include "proto_gen/cluster.pb.h"
#include "support/colliding_keys.h"

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class TransferTest : public DataTest {
 protected:
  TransferTest() { MakeOwner({}); }

  void WarmFor(bool writes_only) { Warm({}, writes_only); }
  void Warm(TransferOptions options = {}, bool writes_only = false) {
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      n(1).SetRole(partition, Role::kWarming);
    }
    transfer = std::make_unique<Transfer>(
        options, n(1).id, *n(1).engine, n(1).transport,
        [this](PartitionId partition, std::uint64_t pull, bool filled) {
          ended.emplace_back(partition, pull, filled);
        },
        [this] { return world.now() + (spent += step); }, [this] { return world.unix_now(); },
        &n(1).views, &load);
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      transfer->Start(partition, n(0).id, 100 + partition, writes_only);
    }
  }
  std::size_t Filled() const {
    return static_cast<std::size_t>(std::count_if(
        ended.begin(), ended.end(), [](const auto& end) { return std::get<2>(end); }));
  }

  // Whole copies on nodes 0 and 2, or on 0 alone, as node 1 sees it; all of them on the ring.
  void PublishCopies(bool two) {
    const ClusterViewPtr all = n(1).views.Load();
    auto view = std::make_shared<ClusterView>(*all);
    for (auto& complete : view->complete) {
      complete = {view->Find(sim::IdOf(0))};
      if (two) complete.push_back(view->Find(sim::IdOf(2)));
    }
    n(1).views.Publish(std::move(view));
  }
  void Fill(int records, std::size_t value_bytes) {
    for (int i = 0; i < records; ++i) {
      n(0).Write("k" + std::to_string(i), std::string(value_bytes, 'v'));
    }
  }

  LoadGauge load;
  Duration step{};  // that passes between two looks at the clock
  Duration spent{};
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
  const RecordView dated = shard.Peek(key);
  ASSERT_TRUE(dated);
  EXPECT_EQ(dated.flags(), 77U);
  EXPECT_GT(dated.expiry_ms(), world.unix_now());
  const TransferStats stats = transfer->stats();
  EXPECT_EQ(stats.partitions_left, 0U);
  EXPECT_EQ(stats.partitions_done, kPartitions);
  EXPECT_GE(stats.records, 2002U);
}

// As one does that stands by for a node that is expected back.
TEST_F(TransferTest, WhoWantsTheWritesAloneGetsNoRecords) {
  for (int i = 0; i < 500; ++i) n(0).Write("k" + std::to_string(i), "old");
  WarmFor(/*writes_only=*/true);
  world.Run(seconds(1));
  ASSERT_EQ(Filled(), kPartitions);
  EXPECT_EQ(transfer->stats().records, 0U);
  EXPECT_EQ(transfer->stats().partitions_done, 0U);
  EXPECT_EQ(transfer->stats().partitions_left, 0U);
  const auto outcome = WriteAndAwait("k7", "new", 2);
  world.Run(milliseconds(50));
  EXPECT_TRUE(outcome->ok());
  EXPECT_EQ(n(1).Read("k7"), "new");
  EXPECT_EQ(n(1).Read("k8"), "-");
  EXPECT_TRUE(n(0).Targets(0).targets[0].writes_only);

  WarmFor(/*writes_only=*/false);
  world.Run(seconds(1));
  EXPECT_EQ(n(1).Read("k7"), "new");
  EXPECT_EQ(n(1).Read("k8"), "old");
  EXPECT_EQ(transfer->stats().partitions_done, kPartitions);
  EXPECT_FALSE(n(0).Targets(0).targets[0].writes_only);
}

TEST_F(TransferTest, APageThatLeadsNowhereEndsThePull) {
  wire::PeerReply page;
  page.mutable_pull()->set_next_cursor(7);
  world.Boot(0,
             [&](sim::NodeIndex, FrameType, const std::string&,
                 std::function<void(std::string)> reply) { reply(page.SerializeAsString()); },
             nullptr, {});
  Warm();
  world.Run(seconds(2));
  EXPECT_EQ(ended.size(), kPartitions);
  EXPECT_EQ(Filled(), 0U);
}

TEST_F(TransferTest, RecordsOfAnotherCenturyAreLeftOut) {
  wire::PeerReply page;
  page.mutable_pull()->set_done(true);
  page.mutable_pull()->set_flushed_version(~Version{0});
  for (const std::string key : {"now", "future"}) {
    wire::Mutation& mutation = *page.mutable_pull()->add_mutations();
    mutation.set_key(key);
    mutation.set_partition(n(1).engine->KeyOf(key).partition);
    mutation.set_value("v");
    mutation.set_version(key == "now" ? Version{1} << 30 : ~Version{0});
  }
  world.Boot(0,
             [&](sim::NodeIndex, FrameType, const std::string&,
                 std::function<void(std::string)> reply) { reply(page.SerializeAsString()); },
             nullptr, {});
  Warm();
  world.Run(seconds(2));
  EXPECT_EQ(Filled(), kPartitions);
  EXPECT_EQ(n(1).Read("now"), "v");
  EXPECT_EQ(n(1).Read("future"), "-");
  EXPECT_GE(transfer->stats().versions_refused, 2U) << "the record, and the flush";
}

TEST_F(TransferTest, EmptyPartitionsTakeARoundTripEach) {
  Warm();
  world.Run(milliseconds(20));
  EXPECT_EQ(Filled(), kPartitions);
}

TEST_F(TransferTest, FromTheFirstPageOnWritesGoToThePuller) {
  for (int i = 0; i < 5000; ++i) n(0).Write("k" + std::to_string(i), "old");
  TransferOptions slow;
  slow.page_bytes = slow.calm_page_bytes = 1000;
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
  slow.page_bytes = slow.calm_page_bytes = 1000;
  Warm(slow);
  world.Run(milliseconds(3));
  ReplicaSet set = n(0).Targets(0);
  ASSERT_EQ(set.targets[0].standing, ReplicaSet::Standing::kPulling);
  set.targets[0].standing = ReplicaSet::Standing::kLagging;  // a full queue dropped a write
  n(0).SetTargets(0, {set.targets[0]});
  world.Run(seconds(2));
  EXPECT_THAT(ended, testing::Contains(std::tuple(PartitionId{0}, std::uint64_t{100}, false)));
  EXPECT_EQ(Filled(), kPartitions - 1);
}

TEST_F(TransferTest, AStoppedPullEndsSilently) {
  for (int i = 0; i < 3000; ++i) n(0).Write("k" + std::to_string(i), "v");
  TransferOptions slow;
  slow.page_bytes = slow.calm_page_bytes = 1000;
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
  slow.page_bytes = slow.calm_page_bytes = 1000;
  Warm(slow);
  world.Run(milliseconds(2));
  world.Crash(0);
  world.Run(seconds(10));
  EXPECT_EQ(ended.size(), kPartitions);
  EXPECT_EQ(Filled(), 0U);
}

// ---- Pulls that broke off ----------------------------------------------------------------------

class BrokenPullTest : public TransferTest {
 protected:
  // Nodes 0 and 2 are whole; 0 orders the writes.
  BrokenPullTest() { MakeOwner({2}); }

  void Own(std::size_t node) {
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      n(node).SetRole(partition, Role::kOwner);
      n(node).SetTargets(partition, {});
    }
  }
  void BeginSlowly(std::size_t page_bytes) {
    TransferOptions slow;
    slow.page_bytes = slow.calm_page_bytes = page_bytes;
    Warm(slow);
  }
  // Likewise, what is known of earlier pulls being kept.
  void GoOn(std::size_t source) {
    ended.clear();
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      transfer->Start(partition, n(source).id, 200 + partition);
    }
  }
  std::uint64_t Digest(std::size_t node, PartitionId partition) {
    Shard& shard = n(node).engine->ShardOf(partition);
    MutexLock lock(shard.mutex());
    return shard.info(partition).digest;
  }
  void Replicated() {
    n(0).replicator->Flush();
    world.Run(seconds(1));
  }
};

TEST_F(BrokenPullTest, GoesOnFromAnotherNodeWhereItWas) {
  Fill(8000, 100);
  Replicated();
  BeginSlowly(2000);
  world.Run(milliseconds(60));
  const std::uint64_t before = transfer->stats().records;
  ASSERT_GT(before, 1000U);
  ASSERT_LT(before, 7000U);
  world.Crash(0);
  world.Run(seconds(20));
  ASSERT_EQ(ended.size() - Filled(), kPartitions - Filled());
  Own(2);
  GoOn(2);
  world.Run(seconds(20));
  ASSERT_EQ(Filled(), kPartitions);
  EXPECT_LE(transfer->stats().records, 8000U + 50 * kPartitions) << "one page of each, at most";
  EXPECT_GT(transfer->stats().records_matched, before * 9 / 10);
  EXPECT_GT(transfer->stats().pulls_resumed, 0U);
  for (PartitionId partition = 0; partition < kPartitions; ++partition) {
    EXPECT_EQ(Digest(1, partition), Digest(2, partition)) << partition;
  }
}

// Its source died before it had settled with it.
TEST_F(BrokenPullTest, WhatWasFilledIsComparedAndNotPulledAgain) {
  Fill(3000, 100);
  Replicated();
  Warm();
  world.Run(seconds(1));
  ASSERT_EQ(Filled(), kPartitions);
  world.Crash(0);
  Own(2);
  n(2).Write("k5", "newer");
  GoOn(2);
  world.Run(seconds(2));
  ASSERT_EQ(Filled(), kPartitions);
  EXPECT_EQ(transfer->stats().records, 3001U);
  EXPECT_EQ(n(1).Read("k5"), "newer");
}

TEST_F(BrokenPullTest, ACopyThatWasDroppedMeanwhileIsPulledAnew) {
  Fill(3000, 100);
  Replicated();
  BeginSlowly(2000);
  world.Run(milliseconds(30));
  for (PartitionId partition = 0; partition < kPartitions; ++partition) {
    transfer->Stop(partition);
    Shard& shard = n(1).engine->ShardOf(partition);
    MutexLock lock(shard.mutex());
    shard.Drop(partition);
    shard.SetRole(partition, Role::kWarming);
  }
  GoOn(0);
  world.Run(seconds(20));
  ASSERT_EQ(Filled(), kPartitions);
  EXPECT_EQ(transfer->stats().pulls_resumed, 0U);
  for (PartitionId partition = 0; partition < kPartitions; ++partition) {
    EXPECT_EQ(Digest(1, partition), Digest(0, partition)) << partition;
  }
}

// One pull that breaks off, wherever that is, is stopped once more, and goes on at another node, whatever
// became of the records there.
class AnyBrokenPull : public BrokenPullTest {
 public:
  void TestBody() override {
    const int records = *rc::gen::inRange(0, 3000);
    Fill(records, 60);
    Replicated();
    BeginSlowly(*rc::gen::inRange<std::size_t>(200, 6000));
    world.Run(milliseconds(*rc::gen::inRange(0, 60)));
    const std::uint64_t before = transfer->stats().records;
    world.Crash(0);
    world.Run(seconds(20));
    Own(2);
    const int changes = *rc::gen::inRange(0, 60);
    for (int i = 0; i < changes; ++i) {
      const std::string key = "k" + std::to_string(*rc::gen::inRange(0, 3200));
      if (i % 3 == 0) {
        n(2).Delete(key);
      } else {
        n(2).Write(key, "changed" + std::to_string(i));
      }
    }
    GoOn(2);
    world.Run(milliseconds(*rc::gen::inRange(0, 60)));
    for (PartitionId partition = 0; partition < kPartitions; ++partition) transfer->Stop(partition);
    GoOn(2);
    world.Run(seconds(20));
    RC_ASSERT(Filled() == kPartitions);
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      RC_ASSERT(Digest(1, partition) == Digest(2, partition));
    }
    // What was on its way when it broke off, twice: a page of each.
    const auto all = static_cast<std::uint64_t>(records + changes);
    RC_ASSERT(transfer->stats().records <= all + std::uint64_t{2} * 100 * kPartitions);
    RC_CLASSIFY(before > 0 && before < all);
  }
};

TEST(BrokenPulls, EndWithWhatTheOwnerHas) {
  rc::check("the same as the last owner, by little more than what was lacking",
            [] { AnyBrokenPull().TestBody(); });
}

// ------------------------------------------------------------------------------------------------

TEST_F(TransferTest, TheRateLimitHolds) {
  for (int i = 0; i < 1000; ++i) n(0).Write("k" + std::to_string(i), std::string(1000, 'v'));
  TransferOptions limited;
  limited.bytes_per_second = 500'000;
  limited.page_bytes = limited.calm_page_bytes = 20'000;
  Warm(limited);
  world.Run(seconds(1));
  EXPECT_LT(Filled(), kPartitions);
  EXPECT_LE(transfer->stats().bytes, 900'000U);
  world.Run(seconds(3));
  EXPECT_EQ(Filled(), kPartitions);
}

TEST_F(TransferTest, APauseHoldsUpMovesAndTheyGoOnWhereTheyWere) {
  Fill(3000, 100);
  PublishCopies(true);
  TransferOptions slow;
  slow.page_bytes = slow.calm_page_bytes = 1000;
  Warm(slow);
  world.Run(milliseconds(30));
  transfer->Restrain(true, 0);
  world.Run(milliseconds(200));
  const TransferStats before = transfer->stats();
  ASSERT_LT(Filled(), kPartitions);
  ASSERT_GT(before.records, 0U);
  world.Run(seconds(20));
  EXPECT_EQ(transfer->stats().records, before.records);
  EXPECT_TRUE(transfer->stats().progress.paused);
  EXPECT_EQ(transfer->stats().progress.moves_left, before.partitions_left);
  transfer->Restrain(false, 0);
  world.Run(seconds(20));
  EXPECT_EQ(Filled(), kPartitions);
  EXPECT_EQ(transfer->stats().records, 3000U) << "nothing was pulled twice";
  EXPECT_EQ(transfer->stats().pulls_failed, 0U);
}

TEST_F(TransferTest, NeitherPauseNorLimitHoldsUpARepair) {
  Fill(3000, 100);
  PublishCopies(false);
  TransferOptions limited;
  limited.bytes_per_second = 1000;
  Warm(limited);
  transfer->Restrain(true, 1000);
  world.Run(seconds(2));
  EXPECT_EQ(Filled(), kPartitions);
  EXPECT_EQ(transfer->stats().repairs_done, kPartitions);
}

TEST_F(TransferTest, AMoveWhoseOtherCopyDiesIsARepairFromThenOn) {
  Fill(3000, 100);
  PublishCopies(true);
  TransferOptions slow;
  slow.page_bytes = slow.calm_page_bytes = 1000;
  Warm(slow);
  transfer->Restrain(true, 0);
  world.Run(seconds(5));
  ASSERT_EQ(Filled(), 0U);
  PublishCopies(false);
  world.Run(seconds(10));
  EXPECT_EQ(Filled(), kPartitions);
}

TEST_F(TransferTest, ARepairThatIsNoLongerNeededIsHeldUpAsAMove) {
  Fill(5000, 100);
  PublishCopies(false);
  TransferOptions slow;
  slow.page_bytes = slow.calm_page_bytes = 1000;
  Warm(slow);
  transfer->Restrain(true, 0);
  world.Run(milliseconds(30));
  ASSERT_LT(Filled(), kPartitions);
  ASSERT_GT(transfer->stats().records, 0U);
  PublishCopies(true);
  world.Run(milliseconds(300));
  const std::uint64_t records = transfer->stats().records;
  world.Run(seconds(10));
  EXPECT_EQ(transfer->stats().records, records);
  EXPECT_LT(Filled(), kPartitions);
}

TEST_F(TransferTest, ALimitGivenWhileItRunsHolds) {
  Fill(2000, 1000);
  TransferOptions small;
  small.page_bytes = small.calm_page_bytes = 20'000;
  Warm(small);
  transfer->Restrain(false, 200'000);
  world.Run(seconds(2));
  EXPECT_LE(transfer->stats().bytes, 600'000U);
  EXPECT_GT(transfer->stats().bytes, 200'000U);
  transfer->Restrain(false, 0);
  world.Run(seconds(2));
  EXPECT_EQ(Filled(), kPartitions);
}

// Each by itself, it would take as long as a timer does at least: a millisecond.
TEST_F(TransferTest, RestsThatAreTooShortForATimerAreTakenTogether) {
  Fill(400, 100);
  load.Report(1, milliseconds(150), 10'000, seconds(1));
  step = std::chrono::microseconds(30);
  Warm();
  world.Run(seconds(1));
  ASSERT_EQ(Filled(), kPartitions);
  EXPECT_EQ(transfer->stats().yielded_ns, 0U) << "a page of each partition";
}

TEST_F(TransferTest, RestsAddUpToWhatClientsAreOwed) {
  Fill(4000, 100);
  load.Report(1, milliseconds(150), 10'000, seconds(1));
  step = std::chrono::microseconds(30);
  TransferOptions small;
  small.page_bytes = small.calm_page_bytes = 1000;
  Warm(small);
  world.Run(seconds(20));
  ASSERT_EQ(Filled(), kPartitions);
  EXPECT_GE(transfer->stats().yielded_ns, 3'000'000U);
  EXPECT_LE(transfer->stats().yielded_ns, 30'000'000U);
}

TEST_F(TransferTest, PagesAreLargerWhileThereAreNoClients) {
  const auto pulled = [this](Duration busy) {
    load.Report(1, busy, 10'000, seconds(1));
    TransferOptions options;
    options.page_bytes = 1000;
    options.calm_page_bytes = 8000;
    Warm(options);
    const std::uint64_t before = transfer->stats().records;
    world.Run(milliseconds(20));
    return transfer->stats().records - before;
  };
  Fill(20'000, 100);
  const std::uint64_t calm = pulled(Duration{});
  const std::uint64_t busy = pulled(milliseconds(500));
  ASSERT_LT(calm, 20'000U);
  EXPECT_GT(calm, 4 * busy);
}

TEST_F(TransferTest, TheProgressRisesToTheEnd) {
  Fill(4000, 500);
  TransferOptions slow;
  slow.page_bytes = slow.calm_page_bytes = 20'000;
  slow.bytes_per_second = 500'000;
  Warm(slow);
  double last = 0;
  int steps = 0;
  for (; steps < 200 && Filled() < kPartitions; ++steps) {
    world.Run(milliseconds(200));
    const TransferProgress progress = transfer->stats().progress;
    EXPECT_GE(ProgressPercent(progress), last);
    last = ProgressPercent(progress);
    const double all = static_cast<double>(progress.bytes_done + progress.bytes_left);
    if (steps > 5) {
      EXPECT_NEAR(all, 4000 * 532, 4000 * 532 * 0.25) << "of 500-byte values";
    }
    if (steps == 10) {
      const std::optional<std::uint64_t> left = SecondsLeft(progress);
      ASSERT_TRUE(left);
      EXPECT_GE(*left, 1U);
      EXPECT_LE(*left, 8U) << "some 4 s in all";
    }
  }
  EXPECT_GT(steps, 10);
  world.Run(milliseconds(200));
  EXPECT_EQ(transfer->stats().progress.partitions_left, 0U);
  EXPECT_EQ(transfer->stats().progress.bytes_left, 0U);
  EXPECT_EQ(transfer->stats().progress.partitions_done, kPartitions);
  EXPECT_EQ(ProgressPercent(transfer->stats().progress), 100);
}

TEST_F(TransferTest, WhatWasFilledEmptyAMomentAgoSaysNothingOfTheSizesNow) {
  Warm();
  world.Run(milliseconds(500));
  ASSERT_EQ(Filled(), kPartitions) << "of an empty ring";
  Fill(4000, 500);
  transfer->Restrain(false, 500'000);
  for (PartitionId partition = 0; partition < kPartitions; ++partition) {
    n(1).SetRole(partition, Role::kWarming);
    transfer->Start(partition, n(0).id, 200 + partition);
  }
  world.Run(milliseconds(500));
  const TransferProgress progress = transfer->stats().progress;
  ASSERT_EQ(progress.partitions_done, kPartitions) << "within the pause it is one fill";
  const double all = static_cast<double>(progress.bytes_done + progress.bytes_left);
  EXPECT_NEAR(all, 4000 * 532, 4000 * 532 * 0.25);
  EXPECT_LT(ProgressPercent(progress), 40);
}

TEST_F(TransferTest, ASourceThatIsGoneEndsAllPullsFromIt) {
  Fill(100, 10);
  world.Crash(0);
  Warm();
  world.Run(seconds(20));
  EXPECT_EQ(ended.size(), kPartitions);
  EXPECT_EQ(Filled(), 0U);
}

// What an earlier pull left half-done may have been removed at the owner since, who need not remember.
TEST_F(TransferTest, OfAPartThatWasHereBeforeOnlyWhatTheOwnerMayLackStays) {
  const auto put = [this](const std::string& key, Version version) {
    const Key k = n(1).engine->KeyOf(key);
    Shard& shard = n(1).engine->ShardOf(k.partition);
    MutexLock lock(shard.mutex());
    n(1).engine->ShardOf(k.partition).SetRole(k.partition, Role::kWarming);
    ASSERT_TRUE(shard.Apply({k.partition, key, "old", version}, world.unix_now()));
  };
  const auto at = [](UnixMillis millis) {
    return static_cast<Version>(millis) << (kVersionCountBits + kVersionNodeBits);
  };
  const UnixMillis now = world.unix_now();
  const Key evicted = n(0).engine->KeyOf("evicted");
  {
    Shard& shard = n(0).engine->ShardOf(evicted.partition);
    MutexLock lock(shard.mutex());
    shard.NoteEvicted(evicted.partition, at(now - 1000));
  }
  put("evicted", at(now - 2000));
  put("forgotten", at(now - 24 * 3'600'000));
  put("unknown", at(now - 500));
  n(0).Write("kept", "new");
  put("kept", at(now - 3000));
  Warm();
  world.Run(seconds(2));
  ASSERT_EQ(Filled(), kPartitions);
  EXPECT_EQ(n(1).Read("evicted"), "-") << "with it a deletion may have been forgotten";
  EXPECT_EQ(n(1).Read("forgotten"), "-");
  EXPECT_EQ(n(1).Read("unknown"), "old") << "the owner cannot have removed it";
  EXPECT_EQ(n(1).Read("kept"), "new");
  Shard& shard = n(1).engine->ShardOf(evicted.partition);
  MutexLock lock(shard.mutex());
  EXPECT_GE(shard.info(evicted.partition).newest_evicted, at(now - 1000))
      << "an heir is as wary as the owner was";
}

TEST_F(TransferTest, KeysOfOneHashArriveInPages) {
  constexpr std::uint32_t kKeys = 40;
  for (std::uint32_t i = 0; i < kKeys; ++i) n(0).Write(CollidingKey(i), std::string(50'000, 'v'));
  Warm();
  world.Run(seconds(5));
  ASSERT_EQ(Filled(), kPartitions);
  for (std::uint32_t i = 0; i < kKeys; ++i) {
    ASSERT_EQ(n(1).Read(CollidingKey(i)).size(), 50'000U) << i;
  }
}

}  // namespace
}  // namespace gyre
