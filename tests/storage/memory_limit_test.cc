// The memory limit under shifting loads, and eviction as a user sees it.
#include <gmock/gmock.h>

#include "base/prng.h"
#include "storage/storage_fixture.h"

namespace gyre {
namespace {

class MemoryLimitTest : public StorageTest {
 protected:
  // Stores records of about `value_bytes` until so many bytes are written; none may be refused and
  // the limit must hold after each.
  void Fill(std::size_t bytes, std::size_t value_bytes) {
    for (std::size_t written = 0; written < bytes;) {
      const std::size_t size = value_bytes / 2 + prng_.Below(value_bytes);
      const std::string key = "k" + std::to_string(value_bytes) + ":" + std::to_string(next_++);
      const auto stored = Set(key, Pattern(size, 1));
      ASSERT_TRUE(stored) << size << " " << stored.error().message;
      ASSERT_LE(Stats().bytes_used, Stats().bytes_limit);
      written += size + key.size();
    }
  }
  // The share of the memory that keys and values take.
  double Fullness() {
    std::uint64_t bytes = 0;
    for (PartitionId p = 0; p < kPartitions; ++p) bytes += Info(p).value_bytes;
    return static_cast<double>(bytes) / static_cast<double>(Stats().bytes_limit);
  }

  Prng prng_{7};
  std::uint64_t next_ = 0;
};

TEST_F(MemoryLimitTest, HoldsWhileSizesShift) {
  Open(16 * kMiB);
  for (const std::size_t size : {50, 500, 5000, 50000, 500000, 20000, 1000, 50}) {
    Fill(32 * kMiB, size);
    ExpectBooksBalance();
    EXPECT_GT(Fullness(), size < 100 ? 0.4 : 0.7)
        << "no memory is lost to sizes of the past, " << size;
  }
  EXPECT_EQ(Stats().refused_memory, 0u);
  EXPECT_GT(Stats().pages_moved, 0u);
}

TEST_F(MemoryLimitTest, LargeValuesTakeTheMemoryOfSmallOnes) {
  Open(32 * kMiB);
  Fill(64 * kMiB, 50);
  constexpr std::size_t kLarge = 500'000;
  const std::string value = Pattern(kLarge, 1);
  const std::size_t count = 64 * kMiB / kLarge;
  for (std::size_t i = 0; i < count; ++i) ASSERT_TRUE(Set("large" + std::to_string(i), value));
  std::size_t resident = 0;
  for (std::size_t i = 0; i < count; ++i) resident += Has("large" + std::to_string(i)) ? 1 : 0;
  EXPECT_GT(resident * kLarge, 32 * kMiB * 8 / 10) << "after twice the memory";
  ExpectBooksBalance();
}

TEST_F(MemoryLimitTest, HoldsUnderMixedSizes) {
  Open(16 * kMiB);
  for (int i = 0; i < 20000; ++i) {
    const std::size_t magnitude = std::size_t{8} << prng_.Below(16);
    const auto stored =
        Set("k" + std::to_string(prng_.Below(5000)), Pattern(prng_.Below(magnitude), 1));
    ASSERT_TRUE(stored) << stored.error().message;
    ASSERT_LE(Stats().bytes_used, Stats().bytes_limit);
  }
  ExpectBooksBalance();
}

TEST_F(MemoryLimitTest, LargeKeysAreEvicted) {
  Open(16 * kMiB);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(Set(Pattern(30000 + i * 35, 5) + std::to_string(i), "value"));
  }
  EXPECT_LE(Stats().bytes_used, Stats().bytes_limit);
  Fill(32 * kMiB, 100);
  ExpectBooksBalance();
}

TEST_F(MemoryLimitTest, TheLargestValueFitsASmallMemory) {
  EngineOptions options;
  options.memory_bytes = 64 * kMiB;
  options.threads = 8;
  engine_ = *Engine::Create(options);
  const std::string value = Pattern(16 * kMiB, 3);
  for (int i = 0; i < 10; ++i) {
    const std::string bytes = "k" + std::to_string(i);
    const Key key = KeyOf(bytes);
    Shard& shard = engine_->ShardOf(key.partition);
    MutexLock lock(shard.mutex());
    const auto stored = shard.Store(key, value, kNeverExpires, 0, shard.NextVersion(now_));
    ASSERT_TRUE(stored) << stored.error().message;
    EXPECT_TRUE(ValueOf(*stored) == value);
    EXPECT_TRUE(shard.CheckInvariants());
  }
  EXPECT_LE(engine_->stats().bytes_used, 64 * kMiB);
}

TEST_F(MemoryLimitTest, AValueThatCannotFitIsRefusedAndHarmsNothing) {
  Open(8 * kMiB);
  ASSERT_TRUE(Set("small", "v"));
  ASSERT_TRUE(Set("k", "old"));
  const auto stored = Set("k", std::string(8 * kMiB, 'x'));
  ASSERT_FALSE(stored);
  EXPECT_EQ(stored.error().code, ErrorCode::kOutOfMemory);
  EXPECT_THAT(stored.error().message, testing::HasSubstr("--memory"));
  EXPECT_EQ(Get("k"), "old");
  EXPECT_EQ(Get("small"), "v");
  EXPECT_EQ(Stats().refused_memory, 1u);
  EXPECT_EQ(Stats().evicted, 0u);
}

TEST_F(MemoryLimitTest, ARefusedMutationLeavesNoStaleRecord) {
  Open(8 * kMiB);
  ASSERT_TRUE(Set("k", "old"));
  const Version version = NextVersion();
  EXPECT_FALSE(Apply({.key = "k", .value = std::string(8 * kMiB, 'x'), .version = version}));
  EXPECT_EQ(Get("k"), "-");
  EXPECT_EQ(Info(PartitionOfKey("k")).newest_evicted, version);
}

TEST_F(MemoryLimitTest, WhatIsUsedSurvivesAScan) {
  Open(8 * kMiB);
  std::vector<std::string> hot;
  for (int i = 0; i < 5000; ++i) hot.push_back("hot" + std::to_string(i));
  for (const std::string& key : hot) ASSERT_TRUE(Set(key, Pattern(200, 1)));
  for (int round = 0; round < 40; ++round) {
    for (const std::string& key : hot) {
      if (!Has(key)) {
        ASSERT_TRUE(Set(key, Pattern(200, 1)));
      }
    }
    for (int i = 0; i < 5000; ++i) {
      ASSERT_TRUE(Set("scan" + std::to_string(round * 5000 + i), Pattern(200, 1)));
    }
  }
  int kept = 0;
  for (const std::string& key : hot) kept += Has(key);
  EXPECT_GT(kept, 4900);
  EXPECT_GT(Stats().evicted, 100000u);
}

TEST_F(MemoryLimitTest, WhatWasEvictedHasACause) {
  const auto sum = [this] {
    const ShardStats stats = Stats();
    return stats.evicted_for_record + stats.evicted_for_page + stats.evicted_for_table;
  };
  Open(8 * kMiB, 1);
  int stored = 0;
  const auto fill = [&](std::size_t value_bytes, int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_TRUE(Set("k" + std::to_string(stored++), std::string(value_bytes, 'x')));
    }
  };
  fill(1000, 20'000);
  EXPECT_GT(Stats().evicted_for_record, 0u);
  EXPECT_EQ(sum(), Stats().evicted);
  const std::uint64_t for_page = Stats().evicted_for_page;
  fill(5000, 1000);
  EXPECT_GT(Stats().evicted_for_page, for_page) << "another size needs pages";
  // Many more records than before: their table grows while there is no free page.
  fill(10, 100'000);
  EXPECT_GT(Stats().evicted_for_table, 0u);
  EXPECT_EQ(sum(), Stats().evicted);
}

TEST_F(MemoryLimitTest, NewestEvictedBoundsAllThatLeft) {
  Open(8 * kMiB, 1);
  std::vector<Version> versions;
  for (int i = 0; i < 60000; ++i) {
    Pass(1);
    const auto stored = Set("k" + std::to_string(i), Pattern(200, 1));
    ASSERT_TRUE(stored);
    versions.push_back(stored->version());
  }
  ASSERT_GT(Stats().evicted, 0u);
  for (int i = 0; i < 60000; ++i) {
    if (!Peek("k" + std::to_string(i))) {
      ASSERT_LE(versions[static_cast<std::size_t>(i)], Info(0).newest_evicted);
    }
  }
}

TEST_F(MemoryLimitTest, TombstonesStayWhileRecordsCanLeave) {
  Open(8 * kMiB);
  KeepTombstones();
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(Set("dead" + std::to_string(i), "v"));
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(Delete("dead" + std::to_string(i)));
  Fill(32 * kMiB, 30);
  Fill(32 * kMiB, 3000);
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(Peek("dead" + std::to_string(i)).is_tombstone()) << i;
  ExpectBooksBalance();
}

TEST_F(MemoryLimitTest, TombstonesYieldRatherThanFillTheMemory) {
  Open(8 * kMiB);
  KeepTombstones();
  for (int i = 0; i < 300000; ++i) {
    const std::string key = "dead" + std::to_string(i);
    ASSERT_TRUE(Set(key, "v"));
    ASSERT_TRUE(Delete(key));
    ASSERT_LE(Stats().bytes_used, Stats().bytes_limit);
  }
  Fill(16 * kMiB, 100000);
  ExpectBooksBalance();
  EXPECT_GT(Stats().tombstones, 1000u);
}

TEST_F(MemoryLimitTest, DeletingWhatIsNotHereCostsRecordsNoMoreThanTheShare) {
  Open(8 * kMiB);
  KeepTombstones();
  constexpr int kRecords = 40000;
  for (int i = 0; i < kRecords; ++i) ASSERT_TRUE(Set("k" + std::to_string(i), Pattern(60, 1)));
  ASSERT_EQ(Stats().evicted, 0u);
  for (int i = 0; i < 400000; ++i) {
    ASSERT_FALSE(Delete("gone" + std::to_string(i)));
    ASSERT_LE(Stats().bytes_used, Stats().bytes_limit);
  }
  EXPECT_GT(Stats().records, kRecords * 9u / 10);
  EXPECT_GT(Stats().tombstones, 10000u);
  EXPECT_GT(Stats().tombstones_evicted, 100000u);
  const RecordView last = Peek("gone399999");
  EXPECT_TRUE(last.is_tombstone()) << "the oldest went for it";
  ExpectBooksBalance();
}

TEST_F(MemoryLimitTest, BuriedRecordsLeaveBeforeLiveOnes) {
  Open(8 * kMiB, 2);
  const std::uint64_t evicted = Stats().evicted;
  int stored = 0;
  while (Stats().bytes_used < 7 * kMiB) {
    ASSERT_TRUE(Set("k" + std::to_string(stored++), Pattern(100, 1)));
  }
  Drop(0);
  const std::uint64_t left = Info(1).records;
  for (int i = 0; i < stored / 4; ++i) ASSERT_TRUE(Set("l" + std::to_string(i), Pattern(100, 1)));
  EXPECT_EQ(Stats().evicted, evicted);
  EXPECT_GE(Info(1).records, left);
  ExpectBooksBalance();
}

TEST_F(MemoryLimitTest, ExpiryAndIdlePagesGiveMemoryBack) {
  Open(16 * kMiB);
  const std::uint64_t empty = Stats().bytes_used;
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(Set("k" + std::to_string(i), Pattern(40000, 1), 1000));
  EXPECT_GT(Stats().bytes_used, empty + 11 * kMiB);
  Pass(2000);
  Settle();
  Settle();
  EXPECT_EQ(Stats().bytes_used, empty);
}

}  // namespace
}  // namespace gyre
