#include "replication/eviction_teller.h"

#include <utility>

namespace gyre {

EvictionTeller::EvictionTeller(Engine& engine, ReplicationTable& table, Replicator& replicator)
    : engine_(engine),
      table_(table),
      replicator_(replicator),
      next_(engine.shard_count()),
      last_stood_(engine.options().partition_count) {}

void EvictionTeller::Tell(std::uint32_t shard_index, Shard& shard, TimePoint now) {
  const bool many = shard.eviction_log().IsHalfFull();
  if (shard.eviction_log().size() == 0 || (!many && now < next_[shard_index])) return;
  next_[shard_index] = now + kPatience;
  const std::uint32_t step = engine_.shard_count();
  for (PartitionId partition = shard_index; partition < last_stood_.size(); partition += step) {
    if (!shard.info(partition).has_evicted) continue;
    const StreamPosition last = table_.LastOf(partition);
    const bool is_quiet = std::exchange(last_stood_[partition], last) == last;
    if (is_quiet || many) TellOf(partition, shard);
  }
}

// Where nobody can be told, or will be by an order, copies go by their own time and memory.
void EvictionTeller::TellOf(PartitionId partition, Shard& shard) {
  if (!table_.ordered.load(std::memory_order_relaxed) || table_.sets[partition].count == 0) {
    return shard.ForgetEvicted(partition);
  }
  if (table_.fence.MayOrder() && table_.fence.HasLease(partition)) {
    (void)replicator_.Submit(partition, {});
  }
}

}  // namespace gyre
