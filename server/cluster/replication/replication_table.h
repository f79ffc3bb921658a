// What the loops of a node share of the partitions that it holds: who gets the writes of those that it
// owns, and their streams.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/prefetch.h"
#include "cluster/replica_set.h"
#include "replication/taken_effects.h"
#include "replication/write_fence.h"
#include "storage/engine.h"
#include "stream/forget_mark.h"
#include "stream/group_inbox.h"
#include "stream/kept_stream.h"
#include "stream/stream_readers.h"

namespace gyre {

// The streams of the partitions of one shard, under its mutex.
struct ShardStreams {
  KeptStream kept;     // what is ordered here, or was applied in order
  GroupInbox inbox;    // what came out of its turn
  TakenEffects taken;  // what is to be ordered here still
};

// What the newest groups may take on a node of `memory_bytes` (--memory), beside that: it is had as
// writes come, where there is a second copy or a reader.
std::size_t KeptBytes(std::size_t memory_bytes);

struct ReplicationTableOptions {
  std::uint32_t partition_count = kPartitionCountDefault;
  std::uint32_t shard_count = 1;                    // of the engine
  std::size_t kept_bytes = std::size_t{256} << 10;  // of all shards together
  bool majority = false;                            // as WriteFence has it
};

// Those for an engine.
ReplicationTableOptions TableOptionsFor(const Engine& engine, bool majority = false);

struct ReplicationTable {
  explicit ReplicationTable(const ReplicationTableOptions& options,
                            const std::function<TimePoint()>& clock = SteadyNow);

  ShardStreams& StreamsOf(PartitionId partition) {
    return *streams[partition & (streams.size() - 1)];
  }
  StreamPosition LastOf(PartitionId partition) { return StreamsOf(partition).kept.last(partition); }

  // This node orders the partition's writes: a term of it is open from here on. `shard` is the
  // partition's.
  void OpenTerm(PartitionId partition, Shard& shard) GYRE_REQUIRES(shard.mutex());
  // The partition's next group will stand at `position`. Forgets removals here that all holders have
  // (ForgetMark), and returns up to which version: the group says so to the copies. 0: none.
  Version ForgetSettled(PartitionId partition, Shard& shard, StreamPosition position)
      GYRE_REQUIRES(shard.mutex());
  // A copy here is filled from an owner that stands at `position` (unknown: there is no order), and gets
  // what comes later.
  void BeginCopy(PartitionId partition, StreamPosition position);
  // There is no copy here any more.
  void DropCopy(PartitionId partition);

  // This node, which orders the partition's writes or is about to, has just taken the record from another
  // copy. Until that is ordered it counts as in flight, so that nobody else becomes the owner before.
  void NoteTaken(PartitionId partition, const RecordView& record);
  TakenEffects::Group TakeTaken(PartitionId partition);
  // This node orders no writes any more.
  void EndTerm(PartitionId partition);
  // Begins to bring what a write of the partition looks at into the CPU's cache. Any thread, no mutex.
  void PrefetchSet(PartitionId partition) const { PrefetchToWrite(&sets[partition].count); }

  std::vector<ReplicaSet> sets;                        // [partition], under its shard's mutex
  std::vector<ForgetMark> forget_marks;                // likewise
  std::vector<std::unique_ptr<ShardStreams>> streams;  // [shard], likewise
  StreamReaders readers;                               // of the streams
  std::vector<std::atomic<std::uint32_t>> in_flight;   // [partition] groups sent, not yet settled
  std::atomic<std::uint64_t> revision{1};              // grows with each change of `sets`
  // All members understand groups (cluster/level.h): writes are ordered, and sent as such.
  std::atomic<bool> ordered{false};
  // Likewise that removals are forgotten.
  std::atomic<bool> forgets{false};
  WriteFence fence;  // of this node as an owner
};

// Of all shards, locked one after the other.
KeptStreamStats KeptStats(Engine& engine, ReplicationTable& table);

}  // namespace gyre
