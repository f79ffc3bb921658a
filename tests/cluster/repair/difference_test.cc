// Pulls by difference, over the simulated network: what moves, what does not, and what must go.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "cluster/data_fixture.h"
#include "repair/difference_pull.h"
#include "repair/hash_ranges.h"
#include "repair/transfer.h"
#include "support/colliding_keys.h"
#include "support/key_hashes.h"

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// ---- The rule ---------------------------------------------------------------------------------

TEST(MayOffer, OnlyWhatTheOwnerCannotHaveRemoved) {
  struct Case {
    const char* what;
    LoneRecord record;
    bool offered;
  };
  const Case cases[] = {
      {"written since the owner remembers deletions", {VersionAt(2000), false, 0, 0, 1000}, true},
      {"older, and nobody knows when this copy was whole",
       {VersionAt(500), false, 0, 0, 1000},
       false},
      {"older, but this copy was whole since", {VersionAt(500), false, 1500, 0, 1000}, true},
      {"this copy was whole before the owner's memory begins",
       {VersionAt(500), false, 900, 0, 1000},
       false},
      {"the owner may have evicted it",
       {VersionAt(2000), false, 1500, VersionAt(2000), 1000},
       false},
      {"the owner evicted only older ones",
       {VersionAt(2000), false, 1500, VersionAt(1999), 1000},
       true},
      {"a tombstone that the owner still would remember",
       {VersionAt(2000), true, 0, VersionAt(3000), 1000},
       true},
      {"a tombstone that the owner has forgotten", {VersionAt(500), true, 1500, 0, 1000}, false},
      {"removed, and forgotten since all holders had that",
       {VersionAt(2000), false, 3000, 0, 1000, VersionAt(2000)},
       false},
      {"a removal that was forgotten for the same reason",
       {VersionAt(2000), true, 3000, 0, 1000, VersionAt(2001)},
       false},
      {"written after what was forgotten",
       {VersionAt(2000), false, 3000, 0, 1000, VersionAt(1999)},
       true},
  };
  for (const Case& each : cases) EXPECT_EQ(MayOffer(each.record), each.offered) << each.what;
}

// ---- Ranges -----------------------------------------------------------------------------------

TEST(HashRanges, TheyCoverAllHashesWithoutOverlap) {
  for (int bits : {0, 1, 5, kRangeBitsMax}) {
    std::uint64_t next = 0;
    for (std::uint32_t i = 0; i < RangeCount(bits); ++i) {
      const HashRange range = RangeAt(i, bits);
      ASSERT_EQ(range.first, next);
      ASSERT_EQ(RangeOf(range.first, bits), i);
      ASSERT_EQ(RangeOf(range.last, bits), i);
      next = range.last + 1;
    }
    EXPECT_EQ(next, 0U) << "the last range ends with the largest hash";
  }
}

TEST(HashRanges, NeighboursAreJoinedUpToABound) {
  const std::vector<RangeSum> here = {{1, 10}, {2, 10}, {3, 10}, {4, 10}, {5, 10}, {6, 10}};
  const std::vector<std::uint64_t> there = {0, 0, 0, 4, 0, 6};
  const auto ranges = DifferingRanges(here, there, 3, 1, 20);
  EXPECT_THAT(ranges, testing::ElementsAre(HashRange{RangeAt(1, 3).first, RangeAt(2, 3).last},
                                           RangeAt(3, 3), RangeAt(5, 3)));
}

// ---- Pulls ------------------------------------------------------------------------------------

// Node 0 owns all, node 2 is its complete replica, node 1 has a copy and pulls.
class DifferenceTest : public DataTest {
 protected:
  DifferenceTest() {
    MakeOwner({2});
    for (DataNode* each : {&n(0), &n(1), &n(2)}) each->service->set_replicator(*each->replicator);
  }

  void Put(std::size_t node, const std::string& key, const std::string& value, UnixMillis at,
           bool tombstone = false) {
    const Key k = n(node).engine->KeyOf(key);
    Shard& shard = n(node).engine->ShardOf(k.partition);
    MutexLock lock(shard.mutex());
    ASSERT_TRUE(
        shard.Apply({k.partition, key, value, VersionAt(at), kNeverExpires, 0, tombstone}, Now()));
  }
  void PutAtAll(const std::string& key, const std::string& value, UnixMillis at) {
    for (std::size_t node : {0U, 1U, 2U}) Put(node, key, value, at);
  }
  // What node 1 has was whole then.
  void WasWhole(UnixMillis as_of) {
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      Shard& shard = n(1).engine->ShardOf(partition);
      MutexLock lock(shard.mutex());
      shard.BeginRestore(partition, as_of, 0, Now());
    }
  }
  // Puts all that the node has in the order of another secret.
  void Rehash(std::size_t node, std::uint64_t number) {
    ASSERT_TRUE(n(node).engine->UseKeyHash(TestKeyHash(number)));
    SettleEngine(node);
  }
  void SettleEngine(std::size_t node) {
    for (std::uint32_t i = 0; i < n(node).engine->shard_count(); ++i) {
      Shard& shard = n(node).engine->shard(i);
      MutexLock lock(shard.mutex());
      while (shard.Tick(Now(), 100'000)) {
      }
    }
  }
  void Pull() {
    BeginPull();
    world.Run(seconds(3));
    EXPECT_EQ(filled_, kPartitions);
  }
  void BeginPull() {
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      n(1).SetRole(partition, Role::kWarming);
    }
    transfer = std::make_unique<Transfer>(
        TransferOptions{}, n(1).id, *n(1).engine, n(1).transport,
        [this](PartitionId, std::uint64_t, bool filled) { filled_ += filled ? 1 : 0; },
        [this] { return world.now(); }, [this] { return Now(); });
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      transfer->Start(partition, n(0).id, 100 + partition);
    }
  }
  void ExpectSame(std::size_t a, std::size_t b) {
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      EXPECT_EQ(Digest(a, partition), Digest(b, partition)) << partition;
    }
  }
  std::uint64_t Digest(std::size_t node, PartitionId partition) {
    Shard& shard = n(node).engine->ShardOf(partition);
    MutexLock lock(shard.mutex());
    return shard.info(partition).digest;
  }
  UnixMillis Now() { return world.unix_now(); }
  UnixMillis Ttl() { return n(0).engine->options().tombstone_ttl_ms; }

  std::unique_ptr<Transfer> transfer;
  std::uint32_t filled_ = 0;
};

// A list of hashes says nothing of keys that share one: everything is pulled.
TEST_F(DifferenceTest, KeysOfOneHashAreAllPulled) {
  const UnixMillis before = Now() - 5000;
  for (std::uint32_t i = 0; i < 10; ++i) PutAtAll(CollidingKey(i), "same", before + i);
  for (std::size_t owner : {0U, 2U}) {
    Put(owner, CollidingKey(3), "newer", before + 100);
    Put(owner, CollidingKey(11), "only there", before + 100);
  }
  WasWhole(before + 50);
  Pull();
  for (std::uint32_t i = 0; i < 12; ++i) {
    EXPECT_EQ(n(1).Read(CollidingKey(i)), n(0).Read(CollidingKey(i))) << i;
  }
}

// Ranges of two hashes have nothing in common: what is missing in one may be anywhere.
TEST_F(DifferenceTest, CopiesInTheOrderOfOtherSecretsAreNotCompared) {
  for (int i = 0; i < 3000; ++i) PutAtAll("k" + std::to_string(i), "same", Now() - 5000);
  WasWhole(Now() - 1000);
  for (int i = 0; i < 50; ++i) Put(1, "only here" + std::to_string(i), "kept", Now() - 2000);
  Put(0, "k7", "newer", Now() - 500);
  Rehash(1, 1);
  BeginPull();
  world.Run(seconds(3));
  EXPECT_EQ(filled_, 0U);
  EXPECT_EQ(transfer->stats().records_forgotten, 0U);
  EXPECT_EQ(n(1).Read("only here3"), "kept");
  for (const std::size_t node : {0U, 2U}) Rehash(node, 1);
  Pull();
  EXPECT_EQ(n(1).Read("k7"), "newer");
  EXPECT_EQ(n(0).Read("only here3"), "kept");
  EXPECT_EQ(transfer->stats().records, 1U) << "only what differs moves";
  ExpectSame(0, 1);
}

// Whichever side comes to another secret while they compare, and wherever they are: the pull ends, nothing
// is forgotten that the owner has, and the next one evens out.
TEST_F(DifferenceTest, ASecretThatComesMeanwhileEndsThePull) {
  std::uint64_t secrets = 0;
  for (int round = 0; round < 40; ++round) {
    const std::string prefix = std::to_string(round) + ":";
    for (int i = 0; i < 300; ++i) PutAtAll(prefix + std::to_string(i), "same", Now() - 5000);
    WasWhole(Now() - 1000);
    for (int i = 0; i < 30; ++i) {
      Put(1, prefix + "here" + std::to_string(i), "kept", Now() - 2000);
      Put(0, prefix + "there" + std::to_string(i), "new", Now() - 500);
    }
    filled_ = 0;
    BeginPull();
    world.Run(std::chrono::microseconds(500 * (round % 20)));
    const std::size_t first = round < 20 ? 1 : 0;
    ++secrets;
    Rehash(first, secrets);
    world.Run(seconds(1));
    for (const std::size_t node : {0U, 1U, 2U}) {
      if (node != first) Rehash(node, secrets);
    }
    filled_ = 0;
    Pull();
    for (int i = 0; i < 300; ++i) {
      ASSERT_EQ(n(1).Read(prefix + std::to_string(i)), "same") << round;
    }
    for (int i = 0; i < 30; ++i) {
      ASSERT_EQ(n(0).Read(prefix + "here" + std::to_string(i)), "kept") << round;
      ASSERT_EQ(n(1).Read(prefix + "there" + std::to_string(i)), "new") << round;
    }
    ExpectSame(0, 1);
  }
}

TEST_F(DifferenceTest, EqualCopiesMoveNothing) {
  for (int i = 0; i < 3000; ++i) PutAtAll("k" + std::to_string(i), "same", Now());
  WasWhole(Now());
  Pull();
  EXPECT_EQ(transfer->stats().records, 0U);
  EXPECT_EQ(transfer->stats().records_matched, 3000U);
}

TEST_F(DifferenceTest, OnlyWhatDiffersMoves) {
  for (int i = 0; i < 20'000; ++i) PutAtAll("k" + std::to_string(i), "same", Now() - 5000);
  WasWhole(Now() - 2000);
  for (int i = 0; i < 100; ++i) {
    Put(0, "k" + std::to_string(i * 7), "newer", Now() - 1000);
    Put(0, "fresh" + std::to_string(i), "new", Now() - 1000);
    Put(0, "k" + std::to_string(15'000 + i), "", Now() - 1000, /*tombstone=*/true);
  }
  Pull();
  EXPECT_EQ(transfer->stats().records, 300U);
  EXPECT_EQ(transfer->stats().records_matched, 20'000U - 200);
  EXPECT_EQ(n(1).Read("k7"), "newer");
  EXPECT_EQ(n(1).Read("fresh99"), "new");
  EXPECT_EQ(n(1).Read("k15000"), "-");
  ExpectSame(0, 1);
}

TEST_F(DifferenceTest, LargeValuesOfWhichOneDiffersMoveAlone) {
  for (int i = 0; i < 60; ++i)
    PutAtAll("k" + std::to_string(i), std::string(40'000, 'v'), Now() - 9);
  WasWhole(Now());
  Put(0, "k1", std::string(50'000, 'w'), Now());
  Pull();
  EXPECT_EQ(transfer->stats().records, 1U);
  EXPECT_EQ(n(1).Read("k1").size(), 50'000U);
}

TEST_F(DifferenceTest, WhatOnlyThisCopyHasGoesToTheOwnerAndOnToItsReplicas) {
  for (int i = 0; i < 2000; ++i) PutAtAll("k" + std::to_string(i), "same", Now() - 5000);
  WasWhole(Now() - 1000);
  for (int i = 0; i < 500; ++i) Put(1, "lost" + std::to_string(i), "kept", Now() - 2000);
  Put(1, "k5", "newer here", Now() - 1000);
  Pull();
  for (std::size_t node : {0U, 1U, 2U}) {
    EXPECT_EQ(n(node).Read("lost77"), "kept") << node;
    EXPECT_EQ(n(node).Read("k5"), "newer here") << node;
  }
  EXPECT_EQ(transfer->stats().records_offered, 501U);
  ExpectSame(0, 1);
  ExpectSame(0, 2);
}

TEST_F(DifferenceTest, WhatTheOwnerEvictedGoes) {
  for (int i = 0; i < 500; ++i) PutAtAll("k" + std::to_string(i), "same", Now() - 5000);
  WasWhole(Now() - 1000);
  const Key key = n(0).engine->KeyOf("k5");
  {
    Shard& shard = n(0).engine->ShardOf(key.partition);
    MutexLock lock(shard.mutex());
    ASSERT_TRUE(shard.Forget(key, VersionAt(Now() - 5000)));
  }
  Pull();
  EXPECT_EQ(n(0).Read("k5"), "-");
  EXPECT_EQ(n(1).Read("k5"), "-");
  EXPECT_EQ(transfer->stats().records_forgotten, 1U);
  ExpectSame(0, 1);
}

// Away for longer than deletions are remembered: what the owner lacks may have been deleted.
TEST_F(DifferenceTest, AfterTheTombstonesTimeNothingComesBack) {
  for (int i = 0; i < 500; ++i) PutAtAll("k" + std::to_string(i), "same", Now() - Ttl() - 90'000);
  Put(1, "deleted meanwhile", "x", Now() - Ttl() - 90'000);
  WasWhole(Now() - Ttl() - 60'000);
  Pull();
  EXPECT_EQ(n(1).Read("deleted meanwhile"), "-");
  EXPECT_EQ(n(0).Read("deleted meanwhile"), "-");
  EXPECT_EQ(transfer->stats().records_matched, 500U);
  ExpectSame(0, 1);
}

// The whole cluster was down: nothing was deleted meanwhile, however long that was.
TEST_F(DifferenceTest, AnOutageOfAllDoesNotCount) {
  const UnixMillis stopped = Now() - 100 * Ttl();
  Put(1, "only here", "x", stopped - 90'000);
  WasWhole(stopped - 1000);
  for (PartitionId partition = 0; partition < kPartitions; ++partition) {
    Shard& shard = n(0).engine->ShardOf(partition);
    MutexLock lock(shard.mutex());
    shard.BeginRestore(partition, stopped, 0, Now());
    shard.SetRole(partition, Role::kOwner);
  }
  Pull();
  EXPECT_EQ(n(0).Read("only here"), "x");
  EXPECT_EQ(n(2).Read("only here"), "x");
}

TEST_F(DifferenceTest, WritesMeanwhileArriveToo) {
  for (int i = 0; i < 5000; ++i) PutAtAll("k" + std::to_string(i), "old", Now() - 5000);
  WasWhole(Now() - 1000);
  for (int i = 0; i < 2000; ++i) Put(0, "k" + std::to_string(i), "newer", Now() - 500);
  for (int i = 0; i < 40; ++i) {
    world.At(0, milliseconds(i), [this, i] {
      for (int k = i; k < 5000; k += 40) n(0).Write("k" + std::to_string(k), "newest");
      n(0).replicator->Flush();
    });
  }
  Pull();
  for (int i = 0; i < 5000; ++i) ASSERT_EQ(n(1).Read("k" + std::to_string(i)), "newest") << i;
  ExpectSame(0, 1);
}

TEST_F(DifferenceTest, AFlushVoidsOlderRecordsHere) {
  for (int i = 0; i < 500; ++i) PutAtAll("k" + std::to_string(i), "old", Now() - 5000);
  WasWhole(Now() - 1000);
  for (PartitionId partition = 0; partition < kPartitions; ++partition) {
    Shard& shard = n(0).engine->ShardOf(partition);
    MutexLock lock(shard.mutex());
    shard.Flush(partition, shard.NextVersion(Now()));
  }
  Pull();
  EXPECT_EQ(n(1).Read("k1"), "-");
  EXPECT_EQ(n(0).Read("k1"), "-");
}

TEST_F(DifferenceTest, AnyTwoCopiesAreEvenedOut) {
  rc::check("the same on both sides, and of each key the newest", [this] {
    filled_ = 0;
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      for (std::size_t node : {0U, 1U, 2U}) {
        Shard& shard = n(node).engine->ShardOf(partition);
        MutexLock lock(shard.mutex());
        const Role role = shard.info(partition).role;
        shard.Drop(partition);
        shard.SetRole(partition, role);
        shard.SetKeepsTombstones(partition, true);
      }
      n(0).SetRole(partition, Role::kOwner);
      n(0).SetTargets(partition, {{n(2).id, 1, ReplicaSet::Standing::kGossip, true}});
    }
    const UnixMillis base = Now() - 60'000;
    std::map<std::string, std::pair<UnixMillis, std::string>> newest;
    const int count = *rc::gen::inRange(0, 600);
    WasWhole(Now());
    for (int i = 0; i < count; ++i) {
      const std::string key = "k" + std::to_string(*rc::gen::inRange(0, 400));
      const std::size_t node = *rc::gen::inRange<std::size_t>(0, 3);
      const UnixMillis at = base + i;
      const bool tombstone = i % 5 == 0;
      const std::string value = tombstone ? "-" : "v" + std::to_string(i);
      if (node != 1) Put(0, key, tombstone ? "" : value, at, tombstone);
      if (node != 0) Put(1, key, tombstone ? "" : value, at, tombstone);
      newest[key] = {at, value};
    }
    Pull();
    for (const auto& [key, last] : newest) {
      RC_ASSERT(n(0).Read(key) == last.second);
      RC_ASSERT(n(1).Read(key) == last.second);
    }
    ExpectSame(0, 1);
    RC_ASSERT(!::testing::Test::HasFailure());
  });
}

}  // namespace
}  // namespace gyre
