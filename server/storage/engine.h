// The engine: partitions spread over shards. Thread-safe through the shards' locks.
#pragma once

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
  std::uint8_t version_node = 0;  // the low byte of this node's versions
  UnixMillis tombstone_ttl_ms = 10 * 60 * 1000;
};

class Engine {
 public:
  // Fails if the memory cannot be reserved or is too little for the options.
  static Result<std::unique_ptr<Engine>> Create(const EngineOptions& options);

  const EngineOptions& options() const { return options_; }
  std::uint32_t shard_count() const;
  Shard& shard(std::uint32_t index);
  // partition mod shard count
  Shard& ShardOf(PartitionId partition);

  Key KeyOf(std::string_view bytes) const { return MakeKey(bytes, options_.partition_count); }

  // Sums over shards, locking one at a time.
  ShardStats stats();

 private:
  EngineOptions options_;
};

}  // namespace gyre
