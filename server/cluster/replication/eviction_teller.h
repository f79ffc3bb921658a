// Evictions and expiries of partitions that are not written to meanwhile. Those of others go with the next
// write (Replicator::Submit); where none comes for a while, or where many wait, a group without effects tells
// them. One for each node, beside the shards' own background work.
#pragma once

#include <vector>

#include "replication/replication_table.h"
#include "replication/replicator.h"
#include "storage/engine.h"

namespace gyre {

class EvictionTeller {
 public:
  // A write has between one and two of these to take them along.
  static constexpr Duration kPatience = std::chrono::milliseconds(100);

  // All outlive it. All calls on the loop of `replicator`.
  EvictionTeller(Engine& engine, ReplicationTable& table, Replicator& replicator);

  // Often, of each shard of the engine; Replicator::Flush is the caller's.
  void Tell(std::uint32_t shard_index, Shard& shard, TimePoint now) GYRE_REQUIRES(shard.mutex());

 private:
  void TellOf(PartitionId partition, Shard& shard) GYRE_REQUIRES(shard.mutex());

  Engine& engine_;
  ReplicationTable& table_;
  Replicator& replicator_;
  std::vector<TimePoint> next_;             // [shard] when to look again
  std::vector<StreamPosition> last_stood_;  // [partition] as of the last look
};

}  // namespace gyre
