// What leaves at an owner is listed for the other copies, and leaves there.
#include "storage/eviction_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "storage/storage_fixture.h"

namespace gyre {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::uint64_t> TakeAll(EvictionLog& log, std::size_t partition) {
  std::vector<EvictedRecord> taken;
  log.Take(partition, SIZE_MAX, taken);
  std::vector<std::uint64_t> hashes;
  for (const EvictedRecord& each : taken) hashes.push_back(each.hash);
  return hashes;
}

TEST(EvictionLog, ListsByPartitionNewestFirst) {
  EvictionLog log(4, 8);
  EXPECT_TRUE(log.Add(1, {10, 1}) && log.Add(3, {30, 2}) && log.Add(1, {11, 3}));
  EXPECT_FALSE(log.Has(0));
  EXPECT_TRUE(log.Has(1));
  std::vector<EvictedRecord> taken;
  log.Take(1, 1, taken);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].hash, 11u);
  EXPECT_THAT(TakeAll(log, 1), ElementsAre(10u));
  EXPECT_THAT(TakeAll(log, 1), IsEmpty());
  EXPECT_THAT(TakeAll(log, 3), ElementsAre(30u));
  EXPECT_EQ(log.size(), 0u);
}

TEST(EvictionLog, ABoundedNumberOfEntriesIsUsedAgain) {
  EvictionLog log(2, 4);
  for (std::uint64_t round = 0; round < 100; ++round) {
    for (std::uint64_t i = 0; i < 4; ++i) ASSERT_TRUE(log.Add(i % 2, {i, round}));
    EXPECT_FALSE(log.Add(0, {9, round})) << "it is full";
    EXPECT_TRUE(log.IsHalfFull());
    EXPECT_THAT(TakeAll(log, 0), ElementsAre(2u, 0u));
    log.Clear(1);
    EXPECT_EQ(log.size(), 0u);
  }
}

class EvictionsTest : public StorageTest {
 protected:
  void SetRole(Role role) {
    MutexLock lock(shard().mutex());
    for (PartitionId p = 0; p < engine_->options().partition_count; ++p) shard().SetRole(p, role);
  }
  std::vector<EvictedRecord> Taken(PartitionId partition, std::size_t count_max = SIZE_MAX) {
    std::vector<EvictedRecord> taken;
    MutexLock lock(shard().mutex());
    shard().TakeEvicted(partition, count_max, taken);
    return taken;
  }
  bool Drop(std::string_view key, Version version, bool expired = false) {
    MutexLock lock(shard().mutex());
    const Key k = KeyOf(key);
    return shard().DropEvicted(k.partition, {k.hash, version, expired}, now_);
  }
  void OwnAndFill() {
    Open(8 * kMiB, 1);
    KeepTombstones();
    SetRole(Role::kOwner);
    for (int i = 0; i < 40'000; ++i) ASSERT_TRUE(Set("k" + std::to_string(i), Pattern(200, 1)));
  }
};

TEST_F(EvictionsTest, AnOwnerListsWhatItEvictsUpToABound) {
  OwnAndFill();
  const ShardStats stats = Stats();
  ASSERT_GT(stats.evictions_untold, 0u) << "nobody took any";
  EXPECT_TRUE(Info(0).has_evicted);
  const std::vector<EvictedRecord> some = Taken(0, 10);
  EXPECT_EQ(some.size(), 10u);
  EXPECT_TRUE(Info(0).has_evicted);
  const std::vector<EvictedRecord> rest = Taken(0);
  EXPECT_EQ(some.size() + rest.size() + stats.evictions_untold, stats.evicted);
  EXPECT_FALSE(Info(0).has_evicted);
  for (const EvictedRecord& each : rest) EXPECT_FALSE(each.expired);
}

TEST_F(EvictionsTest, WhoOwnsNothingOrIsAloneListsNothing) {
  for (const bool alone : {false, true}) {
    Open(8 * kMiB, 1);
    SetRole(alone ? Role::kOwner : Role::kReplica);
    if (!alone) KeepTombstones();
    for (int i = 0; i < 40'000; ++i) ASSERT_TRUE(Set("k" + std::to_string(i), Pattern(200, 1)));
    EXPECT_GT(Stats().evicted, 0u);
    EXPECT_EQ(Stats().evictions_untold, 0u);
    EXPECT_FALSE(Info(0).has_evicted);
  }
}

TEST_F(EvictionsTest, WhoOwnsNoMoreTellsNothing) {
  OwnAndFill();
  SetRole(Role::kHandingOver);
  EXPECT_FALSE(Info(0).has_evicted);
  EXPECT_THAT(Taken(0), IsEmpty());
}

TEST_F(EvictionsTest, WhatExpiresAtAnOwnerIsListed) {
  KeepTombstones();
  SetRole(Role::kOwner);
  ASSERT_TRUE(Set("k", "v", 1000));
  const Version version = Peek("k").version();
  Pass(2000);
  Settle();
  const std::vector<EvictedRecord> taken = Taken(PartitionOfKey("k"));
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].hash, KeyOf("k").hash);
  EXPECT_EQ(taken[0].version, version);
  EXPECT_TRUE(taken[0].expired);
}

TEST_F(EvictionsTest, ACopyDropsTheVersionThatItsOwnerEvicted) {
  SetRole(Role::kReplica);
  const Version old = NextVersion();
  const Version version = NextVersion();
  ASSERT_TRUE(Apply({.key = "k", .value = "v", .version = version}));
  ASSERT_TRUE(Apply({.key = "removed", .version = version, .tombstone = true}));
  EXPECT_FALSE(Drop("k", old)) << "it was written since";
  EXPECT_FALSE(Drop("other", version));
  EXPECT_FALSE(Drop("removed", version)) << "a removal is remembered as long as it must be";
  EXPECT_EQ(Get("k"), "v");
  EXPECT_TRUE(Drop("k", version));
  EXPECT_FALSE(Peek("k"));
  EXPECT_EQ(Info(PartitionOfKey("k")).newest_evicted, version);
  EXPECT_EQ(Stats().evicted_by_owner, 1u);
  EXPECT_EQ(Stats().evicted, 0u);
  ExpectBooksBalance();
}

// As the owner does: an older state of it must not come back.
TEST_F(EvictionsTest, WhatExpiredAtTheOwnerLeavesTheSameAsThere) {
  KeepTombstones();
  SetRole(Role::kReplica);
  const Version version = NextVersion();
  ASSERT_TRUE(Apply({.key = "k", .value = "v", .version = version, .expiry_ms = now_ + 1000}));
  EXPECT_TRUE(Drop("k", version, /*expired=*/true)) << "whatever the clock here says";
  EXPECT_TRUE(Peek("k").is_tombstone());
  EXPECT_EQ(Peek("k").version(), version);
  EXPECT_FALSE(Drop("k", version, /*expired=*/true));
  EXPECT_EQ(Stats().expired, 1u);
  ExpectBooksBalance();
}

// ---- Expiry at a copy --------------------------------------------------------------------------

TEST_F(EvictionsTest, WhatExpiredAtACopyIsHiddenAndWaitsForTheOwnersWord) {
  SetRole(Role::kReplica);
  const Version version = NextVersion();
  ASSERT_TRUE(Apply({.key = "k", .value = "v", .version = version, .expiry_ms = now_ + 1000}));
  Settle();
  Pass(2000);
  Settle();
  EXPECT_FALSE(Has("k"));
  EXPECT_TRUE(Peek("k"));
  ExpectBooksBalance();
  EXPECT_TRUE(Drop("k", version, /*expired=*/true));
  EXPECT_FALSE(Peek("k") && !Peek("k").is_tombstone());
  ExpectBooksBalance();
}

TEST_F(EvictionsTest, WithoutAWordItGoesByItself) {
  SetRole(Role::kReplica);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(Apply({.key = "k" + std::to_string(i),
                       .value = "v",
                       .version = NextVersion(),
                       .expiry_ms = now_ + 1000 + 50 * i}));
  }
  const auto tick = [this](int seconds) {
    for (int i = 0; i < seconds; ++i) {
      Pass(1000);
      Settle();
      ExpectBooksBalance();
    }
  };
  tick(6);
  EXPECT_EQ(Stats().records, 100u);
  tick(12);
  EXPECT_EQ(Stats().records, 0u);
  EXPECT_EQ(Stats().expired, 100u);
}

TEST_F(EvictionsTest, AnHeirExpiresWhatWaited) {
  KeepTombstones();
  SetRole(Role::kReplica);
  ASSERT_TRUE(
      Apply({.key = "k", .value = "v", .version = NextVersion(), .expiry_ms = now_ + 1000}));
  Pass(2000);
  Settle();
  SetRole(Role::kOwner);
  for (int i = 0; i < 12; ++i) {
    Pass(1000);
    Settle();
  }
  EXPECT_TRUE(Peek("k").is_tombstone());
  EXPECT_TRUE(Info(PartitionOfKey("k")).has_evicted) << "the other copies wait for it";
}

// ---- Which records the hand takes --------------------------------------------------------------

TEST(MemoryShares, WhatIsOwnedGivesWayUnlessCopiesHaveMuchMore) {
  const struct {
    MemoryShares shares;
    GivesWay gives;
  } rules[] = {
      {{}, GivesWay::kAny},
      {{.owned_bytes = 100, .owned_partitions = 4}, GivesWay::kAny},
      {{.copied_bytes = 100, .copied_partitions = 4}, GivesWay::kAny},
      {{100, 4, 100, 4}, GivesWay::kOwned},
      {{100, 4, 149, 4}, GivesWay::kOwned},
      {{100, 4, 151, 4}, GivesWay::kCopies},
      {{100, 4, 200, 8}, GivesWay::kOwned},
      {{20, 8, 100, 4}, GivesWay::kCopies},
  };
  for (const auto& rule : rules) {
    EXPECT_EQ(WhoGivesWay(rule.shares), rule.gives)
        << rule.shares.owned_bytes << " " << rule.shares.copied_bytes;
  }
}

TEST(MemoryShares, SayWhatIsThereForWhatIsRead) {
  EXPECT_EQ(MemoryShares{}.OwnedPart(), 1);
  EXPECT_EQ((MemoryShares{.owned_bytes = 5, .owned_partitions = 1}).OwnedPart(), 1);
  EXPECT_EQ((MemoryShares{.owned_bytes = 10, .copied_bytes = 30}).OwnedPart(), 0.25);
  EXPECT_EQ((MemoryShares{.owned_bytes = 0, .copied_bytes = 30}).OwnedPart(), 0.125);
}

TEST(MemoryShares, AreThoseOfTheNode) {
  PagePool pool(0, 0, 2);
  EXPECT_EQ(pool.TellShares({}, {10, 1, 30, 3, 0, 0}).copied_bytes, 30u);
  EXPECT_EQ(pool.TellShares({}, {10, 1, 50, 2, 7, 0}).copied_bytes, 80u);
  const MemoryShares sum = pool.TellShares({10, 1, 30, 3, 0, 0}, {4, 2, 5, 1, 2, 0});
  EXPECT_EQ(sum.owned_bytes, 14u);
  EXPECT_EQ(sum.owned_partitions, 3u);
  EXPECT_EQ(sum.copied_bytes, 55u);
  EXPECT_EQ(sum.copied_partitions, 3u);
  EXPECT_EQ(sum.used_bytes, 9u);
}

// Half of the partitions are owned, half are copies.
class CopiesTest : public EvictionsTest {
 protected:
  CopiesTest() {
    Open(8 * kMiB);
    KeepTombstones();
    MutexLock lock(shard().mutex());
    for (PartitionId p = 0; p < kPartitions; ++p) {
      shard().SetRole(p, p % 2 == 0 ? Role::kOwner : Role::kReplica);
    }
  }
  // Of the owned half, or the other.
  void Store(bool owned, int first, int count) {
    for (int i = first; i < first + count; ++i) {
      const std::string key = KeyAt(i);
      if ((PartitionOfKey(key) % 2 == 0) != owned) continue;
      if (owned) {
        ASSERT_TRUE(Set(key, Pattern(200, 1)));
      } else {
        ASSERT_TRUE(Apply({.key = key, .value = std::string(200, 'v'), .version = NextVersion()}));
      }
      if (i % 100 == 0) Judge();
    }
  }
  int There(bool owned, int first, int count) {
    int there = 0;
    for (int i = first; i < first + count; ++i) {
      const std::string key = KeyAt(i);
      if ((PartitionOfKey(key) % 2 == 0) == owned && Peek(key)) ++there;
    }
    return there;
  }
  void Judge() {
    Pass(150);
    Tick(0);
  }
  static std::string KeyAt(int number) { return "key" + std::to_string(number); }
};

TEST_F(CopiesTest, StayWhileTheyHaveNoMoreThanTheirShare) {
  Store(false, 0, 20'000);  // 10,000 of them
  Store(true, 0, 20'000);
  ASSERT_EQ(Stats().evicted, 0u);
  Store(true, 20'000, 80'000);
  EXPECT_GT(Stats().evicted, 20'000u);
  EXPECT_GT(There(false, 0, 20'000), 9'000);
  ExpectBooksBalance();
}

TEST_F(CopiesTest, LeaveWhereTheyTakeMuchMoreThanWhatIsOwned) {
  Store(true, 0, 20'000);
  const int owned = There(true, 0, 20'000);
  Store(false, 0, 100'000);
  EXPECT_GT(Stats().evicted_copies, 20'000u);
  EXPECT_GT(There(true, 0, 20'000), owned * 95 / 100) << "copies went for copies";
  Store(true, 20'000, 100'000);
  const double share =
      static_cast<double>(There(false, 0, 100'000)) / static_cast<double>(There(true, 0, 120'000));
  EXPECT_GT(share, 1.3);
  EXPECT_LT(share, 1.6);
  ExpectBooksBalance();
}

// What owners say that they evicted leaves slots. Who owns the greater part does not take them.
TEST_F(CopiesTest, GetTheSlotsThatCopiesLeft) {
  Store(true, 0, 100'000);
  Store(false, 0, 10'000);
  const int owned = There(true, 0, 100'000);
  const int copied = There(false, 0, 10'000);
  for (int i = 0; i < 500; ++i) {
    if (PartitionOfKey(KeyAt(i)) % 2 != 0 && Peek(KeyAt(i)))
      Drop(KeyAt(i), Peek(KeyAt(i)).version());
  }
  Store(true, 100'000, 4'000);
  EXPECT_EQ(There(true, 0, 104'000), owned);
  const std::uint64_t evicted = Stats().evicted;
  Store(false, 10'000, 400);
  EXPECT_EQ(Stats().evicted, evicted) << "they were free";
  EXPECT_LT(copied, owned);
  ExpectBooksBalance();
}

TEST_F(CopiesTest, LeaveWhereThereIsNothingElse) {
  SetRole(Role::kReplica);
  for (int i = 0; i < 60'000; ++i) {
    ASSERT_TRUE(Apply({.key = KeyAt(i), .value = std::string(200, 'v'), .version = NextVersion()}));
  }
  EXPECT_GT(Stats().evicted, 20'000u);
  ExpectBooksBalance();
}

}  // namespace
}  // namespace gyre
