#include "storage/engine.h"

#include <gmock/gmock.h>

#include <thread>

#include "storage/storage_fixture.h"

namespace gyre {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

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
