#include "storage/engine.h"

#include <algorithm>
#include <bit>
#include <string>

namespace gyre {
namespace {

// More shards than threads, so that two threads seldom want the same one.
constexpr std::uint32_t kShardsAThread = 4;
constexpr std::size_t kShardBytesMin = std::size_t{8} << 20;
constexpr std::uint32_t kShardsMax = 1024;

Status Check(const EngineOptions& options) {
  if (!std::has_single_bit(options.partition_count) || options.partition_count > kSlotCount) {
    return Fail(ErrorCode::kInvalidArgument,
                "partitions: " + std::to_string(options.partition_count) +
                    " is not a power of two from 1 to " + std::to_string(kSlotCount));
  }
  if (options.shard_count != 0 && (!std::has_single_bit(options.shard_count) ||
                                   options.shard_count > options.partition_count)) {
    return Fail(ErrorCode::kInvalidArgument,
                "shards: " + std::to_string(options.shard_count) +
                    " is not a power of two up to the number of partitions");
  }
  if (options.value_bytes_max > kValueBytesHardMax) {
    return Fail(ErrorCode::kInvalidArgument,
                "--max-value: at most " + std::to_string(kValueBytesHardMax) + " bytes");
  }
  if (options.tombstone_ttl_ms < 0) {
    return Fail(ErrorCode::kInvalidArgument, "--tombstone-ttl must not be negative");
  }
  return {};
}

// A shard must hold the largest value with room for others, so small memories have few shards.
std::uint32_t ShardCountFor(const EngineOptions& options) {
  const std::size_t bytes_min =
      std::max(kShardBytesMin, options.value_bytes_max + options.value_bytes_max / 4);
  const std::size_t by_memory = std::max<std::size_t>(options.memory_bytes / bytes_min, 1);
  const std::size_t by_threads =
      std::bit_ceil(std::max(options.threads, 1U)) * std::size_t{kShardsAThread};
  const std::size_t most = std::min<std::size_t>(kShardsMax, options.partition_count);
  return static_cast<std::uint32_t>(std::bit_floor(std::min({by_memory, by_threads, most})));
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Create(const EngineOptions& options) {
  if (Status status = Check(options); !status) return tl::unexpected(status.error());
  std::unique_ptr<Engine> engine(new Engine(options));
  std::uint32_t& count = engine->options_.shard_count;
  if (count == 0) count = ShardCountFor(options);
  for (std::uint32_t index = 0; index < count; ++index) {
    auto shard = Shard::Create({.memory_bytes = options.memory_bytes / count,
                                .value_bytes_max = options.value_bytes_max,
                                .partition_count = options.partition_count,
                                .shard_count = count,
                                .shard_index = index,
                                .version_node = options.version_node,
                                .tombstone_ttl_ms = options.tombstone_ttl_ms});
    if (!shard) return tl::unexpected(shard.error());
    engine->shards_.push_back(std::move(*shard));
  }
  return engine;
}

ShardStats Engine::stats() {
  ShardStats sum;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    MutexLock lock(shard->mutex());
    const ShardStats stats = shard->stats();
    sum.hits += stats.hits;
    sum.misses += stats.misses;
    sum.evicted += stats.evicted;
    sum.expired += stats.expired;
    sum.tombstones_evicted += stats.tombstones_evicted;
    sum.refused_memory += stats.refused_memory;
    sum.pages_moved += stats.pages_moved;
    sum.tables_rebuilt += stats.tables_rebuilt;
    sum.records += stats.records;
    sum.tombstones += stats.tombstones;
    sum.expiring += stats.expiring;
    sum.expiry_seconds += stats.expiry_seconds;
    sum.bytes_used += stats.bytes_used;
    sum.bytes_limit += stats.bytes_limit;
  }
  return sum;
}

std::vector<SlabClassUse> Engine::slab_classes() {
  std::vector<SlabClassUse> sum;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    MutexLock lock(shard->mutex());
    const std::vector<SlabClassUse> classes = shard->slab_classes();
    if (sum.empty()) {
      sum = classes;
      continue;
    }
    for (std::size_t id = 0; id < classes.size(); ++id) {
      sum[id].pages += classes[id].pages;
      sum[id].slots_used += classes[id].slots_used;
    }
  }
  return sum;
}

}  // namespace gyre
