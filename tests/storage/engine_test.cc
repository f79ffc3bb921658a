#include "storage/engine.h"

#include <gmock/gmock.h>

#include <thread>

#include "storage/storage_fixture.h"

namespace gyre {
namespace {

TEST(EngineTest, ChoosesShardsFromThreadsAndMemory) {
  struct {
    std::size_t memory;
    std::size_t value_max;
    std::uint32_t threads;
    std::uint32_t partitions;
    std::uint32_t shards;
  } cases[] = {
      {16 * kMiB, 16 * kMiB, 4, 1024, 1},   {64 * kMiB, 16 * kMiB, 4, 1024, 2},
      {256 * kMiB, 16 * kMiB, 1, 1024, 4},  {256 * kMiB, 16 * kMiB, 2, 1024, 8},
      {256 * kMiB, 1 * kMiB, 16, 1024, 32}, {1024 * kMiB, 16 * kMiB, 3, 1024, 16},
      {1024 * kMiB, 16 * kMiB, 3, 4, 4},    {1024 * kMiB, 16 * kMiB, 0, 1, 1},
  };
  for (const auto& c : cases) {
    EngineOptions options;
    options.memory_bytes = c.memory;
    options.value_bytes_max = c.value_max;
    options.threads = c.threads;
    options.partition_count = c.partitions;
    const auto engine = Engine::Create(options);
    ASSERT_TRUE(engine) << engine.error().message;
    EXPECT_EQ((*engine)->shard_count(), c.shards) << c.memory << " " << c.threads;
    EXPECT_EQ((*engine)->stats().bytes_limit, c.memory);
  }
}

TEST(EngineTest, RefusesOptionsThatMakeNoSense) {
  struct {
    EngineOptions options;
    const char* says;
  } cases[] = {
      {{.memory_bytes = 1000}, "raise --memory"},
      {{.memory_bytes = 2 * kMiB, .partition_count = 16384}, "raise --memory"},
      {{.partition_count = 0}, "power of two"},
      {{.partition_count = 1000}, "power of two"},
      {{.partition_count = 32768}, "power of two"},
      {{.shard_count = 3}, "power of two"},
      {{.partition_count = 4, .shard_count = 8}, "number of partitions"},
      {{.value_bytes_max = kValueBytesHardMax + 1}, "--max-value"},
      {{.tombstone_ttl_ms = -1}, "--tombstone-ttl"},
  };
  for (const auto& c : cases) {
    const auto engine = Engine::Create(c.options);
    ASSERT_FALSE(engine) << c.says;
    EXPECT_EQ(engine.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(engine.error().message, testing::HasSubstr(c.says));
  }
}

TEST(EngineTest, PartitionsAreSpreadOverShards) {
  EngineOptions options;
  options.threads = 2;
  const auto engine = *Engine::Create(options);
  ASSERT_EQ(engine->shard_count(), 8u);
  for (PartitionId p = 0; p < options.partition_count; ++p) {
    EXPECT_EQ(&engine->ShardOf(p), &engine->shard(p % 8));
  }
}

class SharedMemoryTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kMemory = 128 * kMiB;
  static constexpr std::size_t kValueBytes = 1000;

  SharedMemoryTest() {
    EngineOptions options;
    options.memory_bytes = kMemory;
    options.value_bytes_max = 4 * kMiB;
    options.threads = 2;
    engine_ = *Engine::Create(options);
  }

  bool Set(const std::string& bytes, std::size_t value_bytes = kValueBytes) {
    const Key key = engine_->KeyOf(bytes);
    Shard& shard = engine_->ShardOf(key.partition);
    MutexLock lock(shard.mutex());
    return shard
        .Store(key, std::string(value_bytes, 'v'), kNeverExpires, 0, shard.NextVersion(kTestStart))
        .has_value();
  }
  bool Get(const std::string& bytes) {
    const Key key = engine_->KeyOf(bytes);
    Shard& shard = engine_->ShardOf(key.partition);
    MutexLock lock(shard.mutex());
    return static_cast<bool>(shard.Find(key, kTestStart));
  }
  void TickAll() {
    for (std::uint32_t i = 0; i < engine_->shard_count(); ++i) {
      MutexLock lock(engine_->shard(i).mutex());
      engine_->shard(i).Tick(kTestStart, 10000);
    }
  }
  // Of the values that are there, as a share of the memory.
  double Held() { return static_cast<double>(engine_->stats().records * kValueBytes) / kMemory; }
  void ExpectBooksBalance() {
    EXPECT_LE(engine_->stats().bytes_used, kMemory);
    for (std::uint32_t i = 0; i < engine_->shard_count(); ++i) {
      MutexLock lock(engine_->shard(i).mutex());
      EXPECT_TRUE(engine_->shard(i).CheckInvariants());
    }
  }

  std::unique_ptr<Engine> engine_;
};

TEST_F(SharedMemoryTest, OneHashTagMayUseMostOfIt) {
  ASSERT_EQ(engine_->shard_count(), 8u);
  for (std::size_t i = 0; i < 2 * kMemory / kValueBytes; ++i) {
    ASSERT_TRUE(Set("{tag}" + std::to_string(i)));
    if (i % 1000 == 0) {
      TickAll();
      ASSERT_LE(engine_->stats().bytes_used, kMemory);
    }
  }
  EXPECT_GT(Held(), 0.8) << "no other shard keeps more than a sixteenth, nor all a largest value";
  ExpectBooksBalance();
}

TEST_F(SharedMemoryTest, EvenLoadFillsAllOfIt) {
  for (std::size_t i = 0; i < 2 * kMemory / kValueBytes; ++i) {
    ASSERT_TRUE(Set(std::to_string(i)));
    if (i % 1000 == 0) TickAll();
  }
  EXPECT_GT(Held(), 0.9);
  ExpectBooksBalance();
}

// Whoever is asked for takes the place of what nobody asks for, in whichever shard that is.
TEST_F(SharedMemoryTest, ColdPagesGoWhereTheyAreUsed) {
  for (std::size_t i = 0; i < 2 * kMemory / kValueBytes; ++i) {
    ASSERT_TRUE(Set("{cold}" + std::to_string(i)));
    if (i % 1000 == 0) TickAll();
  }
  constexpr std::size_t kHot = kMemory / 2 / kValueBytes;
  for (int round = 0; round < 12; ++round) {
    for (std::size_t i = 0; i < kHot; ++i) {
      const std::string key = "{hot}" + std::to_string(i);
      if (!Get(key)) {
        ASSERT_TRUE(Set(key));
      }
      if (i % 200 == 0) TickAll();
    }
  }
  ASSERT_NE(&engine_->ShardOf(engine_->KeyOf("{hot}").partition),
            &engine_->ShardOf(engine_->KeyOf("{cold}").partition));
  std::size_t hits = 0;
  for (std::size_t i = 0; i < kHot; ++i) hits += Get("{hot}" + std::to_string(i)) ? 1 : 0;
  EXPECT_GT(hits, kHot * 9 / 10);
  ExpectBooksBalance();
}

TEST_F(SharedMemoryTest, TheLargestValueFitsAShardThatHasLittle) {
  for (std::size_t i = 0; i < 2 * kMemory / kValueBytes; ++i) {
    ASSERT_TRUE(Set("{tag}" + std::to_string(i)));
  }
  EXPECT_TRUE(Set("{other}large", 4 * kMiB));
  EXPECT_TRUE(Get("{other}large"));
  ExpectBooksBalance();
}

TEST_F(SharedMemoryTest, WhatIsGivenBackMayBeBorrowed) {
  for (const char* tag : {"{a}", "{b}", "{c}", "{d}"}) {
    for (std::size_t i = 0; i < kMemory / kValueBytes; ++i)
      ASSERT_TRUE(Set(tag + std::to_string(i)));
    EXPECT_GT(Held(), 0.8) << tag;
    const PartitionId partition = engine_->KeyOf(tag).partition;
    {
      Shard& shard = engine_->ShardOf(partition);
      MutexLock lock(shard.mutex());
      shard.Drop(partition);
    }
    for (int round = 0; round < 200; ++round) TickAll();
    EXPECT_EQ(engine_->stats().records, 0u);
  }
  ExpectBooksBalance();
}

TEST(PagePoolTest, LendsWhatItHas) {
  PagePool pool(10, 3, 2);
  EXPECT_FALSE(pool.Take(8, /*beyond_share=*/true));
  EXPECT_TRUE(pool.Take(7, /*beyond_share=*/true));
  EXPECT_FALSE(pool.Take(1, /*beyond_share=*/true));
  EXPECT_FALSE(pool.Take(4, /*beyond_share=*/false));
  EXPECT_TRUE(pool.Take(3, /*beyond_share=*/false));
  pool.Give(5);
  EXPECT_EQ(pool.free(), 5u);
  EXPECT_FALSE(pool.HasPlenty());
  pool.Give(PagePool::kAskedMax);
  EXPECT_TRUE(pool.HasPlenty());
}

TEST(PagePoolTest, AsksWhoOffersTheLeastWorth) {
  PagePool pool(0, 0, 3);
  EXPECT_FALSE(pool.Ask(0, 0, 4)) << "nobody offered";
  pool.Offer(0, 100);
  pool.Offer(1, 5);
  pool.Offer(2, 7);
  EXPECT_FALSE(pool.Ask(0, 7, 4)) << "one's own offer does not count";
  EXPECT_TRUE(pool.Ask(0, 4, 4));
  EXPECT_EQ(pool.Asked(1), 0u);
  EXPECT_EQ(pool.Asked(2), 4u);
  EXPECT_EQ(pool.Asked(2), 0u) << "told once";
}

// Two threads, one engine: for ThreadSanitizer, and because the sums must be exact.
TEST(EngineTest, ThreadsShareIt) {
  EngineOptions options;
  options.memory_bytes = 32 * kMiB;
  options.value_bytes_max = kMiB;
  const auto engine = *Engine::Create(options);
  const auto work = [&engine](int thread) {
    for (int i = 0; i < 5000; ++i) {
      const std::string bytes = std::to_string(thread) + ":" + std::to_string(i);
      const Key key = engine->KeyOf(bytes);
      Shard& shard = engine->ShardOf(key.partition);
      MutexLock lock(shard.mutex());
      const Version version = shard.NextVersion(kTestStart);
      ASSERT_TRUE(shard.Store(key, bytes, kNeverExpires, 0, version));
      ASSERT_EQ(shard.Find(key, kTestStart).value(), bytes);
      if (i % 5 == 0) shard.Remove(key, shard.NextVersion(kTestStart), kTestStart);
      shard.Tick(kTestStart, 10);
    }
  };
  std::thread first(work, 1);
  std::thread second(work, 2);
  for (int i = 0; i < 100; ++i) EXPECT_LE(engine->stats().bytes_used, 32 * kMiB);
  first.join();
  second.join();
  EXPECT_EQ(engine->stats().records, 8000u);
  EXPECT_EQ(engine->stats().hits, 10000u);
}

}  // namespace
}  // namespace gyre
