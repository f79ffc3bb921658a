// Brings records into the CPU's cache before their commands run one after the other. With more data
// than the cache holds, a lookup waits for memory twice, for its bucket and for its record, and
// that is most of what a small command costs. Asked for together, the records of a pipeline arrive
// together. So does what a write looks up of its partition's copies.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "command/lookahead.h"
#include "replication/replication_table.h"
#include "storage/engine.h"

namespace gyre {

class Prefetcher {
 public:
  Prefetcher(Engine& engine, const ReplicationTable& replication)
      : engine_(engine), replication_(replication), first_of_shard_(engine.shard_count(), 0) {}

  // Takes each shard's mutex once. Only a hint: whatever happens to the records meanwhile is fine.
  void Run(const Lookahead& lookahead);
  // For one command's keys; of very many only the first ones, as many as the cache keeps.
  void Run(std::span<const Key> keys);

 private:
  // Fewer keys are looked up sooner than they are sorted by shard.
  static constexpr std::size_t kKeysMin = 4;
  static constexpr std::size_t kKeysMax = 256;

  std::uint32_t IndexOf(const Key& key) const {
    return key.partition & (engine_.shard_count() - 1);
  }
  void Fetch();
  void TouchShard(std::uint32_t first);

  Engine& engine_;
  const ReplicationTable& replication_;
  // Lists of keys of one shard, chained by their positions + 1; 0 ends a list.
  std::vector<std::uint32_t> first_of_shard_;  // all 0 between two runs
  std::vector<std::uint32_t> next_;
  std::vector<const Key*> keys_;
};

}  // namespace gyre
