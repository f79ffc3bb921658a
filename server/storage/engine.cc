#include "storage/engine.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

namespace gyre {
namespace {

// More shards than threads, so that two threads seldom want the same one.
constexpr std::uint32_t kShardsAThread = 4;
constexpr std::size_t kShardBytesMin = std::size_t{8} << 20;
constexpr std::uint32_t kShardsMax = 1024;
// Of its equal part of the memory a shard keeps so much for itself; the rest goes to who needs it.
constexpr std::size_t kFloorShare = 16;
// Pages that a shard keeps at least: of the usual size classes one each.
constexpr std::size_t kFloorPagesMin = 64;
// Memory is shared where it holds so many of the largest values, with room for others: one of them
// must find a place wherever it goes.
constexpr std::size_t kLargestValuesMin = 8;

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

std::size_t LargestRecordBytes(const EngineOptions& options) {
  return options.value_bytes_max + options.value_bytes_max / 4;
}

// A shard must hold the largest value with room for others, so small memories have few shards.
std::uint32_t ShardCountFor(const EngineOptions& options) {
  const std::size_t bytes_min = std::max(kShardBytesMin, LargestRecordBytes(options));
  const std::size_t by_memory = std::max<std::size_t>(options.memory_bytes / bytes_min, 1);
  const std::size_t by_threads =
      std::bit_ceil(std::max(options.threads, 1U)) * std::size_t{kShardsAThread};
  const std::size_t most = std::min<std::size_t>(kShardsMax, options.partition_count);
  return static_cast<std::uint32_t>(std::bit_floor(std::min({by_memory, by_threads, most})));
}

}  // namespace

ShardOptions Engine::OptionsOf(std::uint32_t index) const {
  return {.memory_bytes = options_.memory_bytes / options_.shard_count,
          .value_bytes_max = options_.value_bytes_max,
          .partition_count = options_.partition_count,
          .shard_count = options_.shard_count,
          .shard_index = index,
          .version_node = options_.version_node,
          .tombstone_ttl_ms = options_.tombstone_ttl_ms,
          .key_hash = &key_hash()};
}

// How the shards share the memory; without a pool where they do not.
SlabArena::Lending Engine::LendingFor() {
  const ShardOptions first = OptionsOf(0);
  const std::uint32_t count = options_.shard_count;
  const std::size_t page_bytes = Shard::PageBytesFor(first.memory_bytes);
  const std::size_t fixed = Shard::FixedBytesFor(first);
  const std::size_t pages =
      first.memory_bytes > fixed ? (first.memory_bytes - fixed) / page_bytes : 0;
  SlabArena::Lending lending{.floor_pages = std::max(pages / kFloorShare, kFloorPagesMin),
                             .share_pages = pages,
                             .reach_pages = pages * count};
  if (count == 1 || pages <= lending.floor_pages) return {};
  if (options_.memory_bytes < kLargestValuesMin * LargestRecordBytes(options_)) return {};
  // Each shard may come to hold nearly all, so each reserves addresses for all: where these are
  // rationed (ulimit -v, strict overcommit), something must be left for others, too.
  const std::size_t address_bytes = SlabArena::PagesOf(lending) * count * page_bytes;
  if (Mapping::Reserve(address_bytes + options_.memory_bytes).data() == nullptr) return {};
  pool_ = std::make_unique<PagePool>((pages - lending.floor_pages) * count,
                                     LargestRecordBytes(options_) / page_bytes, count);
  lending.pool = pool_.get();
  return lending;
}

Result<std::unique_ptr<Engine>> Engine::Create(const EngineOptions& options) {
  if (Status status = Check(options); !status) return tl::unexpected(status.error());
  std::unique_ptr<Engine> engine(new Engine(options));
  if (options.key_hash != nullptr) engine->UseKeyHash(options.key_hash);
  std::uint32_t& count = engine->options_.shard_count;
  if (count == 0) count = ShardCountFor(options);
  const SlabArena::Lending lending = engine->LendingFor();
  for (std::uint32_t index = 0; index < count; ++index) {
    ShardOptions shard_options = engine->OptionsOf(index);
    shard_options.lending = lending;
    auto shard = Shard::Create(shard_options);
    if (!shard) return tl::unexpected(shard.error());
    engine->shards_.push_back(std::move(*shard));
  }
  return engine;
}

bool Engine::UseKeyHash(std::shared_ptr<const KeyHash> hash) {
  if (key_hashes_.size() >= kKeyHashesMax) return false;
  const KeyHash& used = *key_hashes_.emplace_back(std::move(hash));
  key_hash_.store(&used, std::memory_order_release);
  for (const std::unique_ptr<Shard>& shard : shards_) {
    MutexLock lock(shard->mutex());
    shard->UseKeyHash(used);
  }
  return true;
}

ShardStats Engine::stats() {
  ShardStats sum;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    MutexLock lock(shard->mutex());
    sum += shard->stats();
  }
  return sum;
}

ReuseHistogram Engine::reuse() {
  ReuseHistogram sum;
  for (const std::unique_ptr<Shard>& shard : shards_) {
    MutexLock lock(shard->mutex());
    sum += shard->reuse();
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
