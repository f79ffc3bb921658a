// The engine: partitions spread over shards. Thread-safe through the shards' locks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "proto/limits.h"
#include "storage/shard.h"

namespace gyre {

struct EngineOptions {
  // Bytes for records, index and all else that grows with data (--memory).
  std::size_t memory_bytes = std::size_t{256} << 20;
  std::size_t value_bytes_max = kValueBytesDefaultMax;  // --max-value
  std::uint32_t partition_count = kPartitionCountDefault;
  // A power of two; 0: chosen from `threads` and the memory.
  std::uint32_t shard_count = 0;
  std::uint32_t threads = 1;
  std::uint8_t version_node =
      0;  // the low byte of this node's versions, until the ring gives it one
  UnixMillis tombstone_ttl_ms = 10 * 60 * 1000;
  // Of the ring, as this node knew it last; null: none yet.
  std::shared_ptr<const KeyHash> key_hash;
};

class Engine {
 public:
  // A ring's founders that meet for the first time change it a few times, each to an older one.
  static constexpr std::size_t kKeyHashesMax = 64;

  // kInvalidArgument: an option makes no sense, or the memory is too little for them. kOutOfMemory:
  // the address space cannot be reserved.
  static Result<std::unique_ptr<Engine>> Create(const EngineOptions& options);

  // As given, with the `shard_count` that was chosen.
  const EngineOptions& options() const { return options_; }
  std::uint32_t shard_count() const { return options_.shard_count; }
  Shard& shard(std::uint32_t index) { return *shards_[index]; }
  // partition mod shard count
  Shard& ShardOf(PartitionId partition) { return *shards_[partition & (options_.shard_count - 1)]; }

  Key KeyOf(std::string_view bytes) const {
    return MakeKey(bytes, options_.partition_count, key_hash());
  }

  // Any thread. Lives as long as the engine.
  const KeyHash& key_hash() const { return *key_hash_.load(std::memory_order_acquire); }
  // From now on keys are hashed by this one, and the shards bring their records to it. False: it was
  // changed too often (kKeyHashesMax), and stays as it is. One thread at a time.
  bool UseKeyHash(std::shared_ptr<const KeyHash> hash);

  // Flushes that clients of this node order, some for later: a later order replaces those that are
  // still pending. Any thread.
  std::uint64_t OrderFlush() { return newest_flush_.fetch_add(1) + 1; }
  bool IsNewestFlush(std::uint64_t order) const { return newest_flush_.load() == order; }

  // Any thread.
  ClaimHolder NewClaimHolder() {
    return newest_holder_.fetch_add(1, std::memory_order_relaxed) + 1;
  }

  // Sums over shards, locking one at a time.
  ShardStats stats();
  std::vector<SlabClassUse> slab_classes();
  ReuseHistogram reuse();

 private:
  explicit Engine(const EngineOptions& options) : options_(options) {}
  ShardOptions OptionsOf(std::uint32_t index) const;
  SlabArena::Lending LendingFor();

  EngineOptions options_;
  std::unique_ptr<PagePool> pool_;  // null: each shard has its own memory only
  // All that were ever used: keys and shards refer to them.
  std::vector<std::shared_ptr<const KeyHash>> key_hashes_;
  std::atomic<const KeyHash*> key_hash_{&KeyHash::Plain()};
  std::vector<std::unique_ptr<Shard>> shards_;
  std::atomic<std::uint64_t> newest_flush_{0};
  std::atomic<ClaimHolder> newest_holder_{kNoHolder};
};

}  // namespace gyre
