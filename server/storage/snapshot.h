// An engine's records to a snapshot (snapshot_format.h) and back.
//
// Written are the partitions of which this node has a whole copy: those that it owns or holds as a
// complete replica, and those that came from an earlier snapshot and were never settled with
// anybody since, with the time as of which those are whole. Nothing may change the engine
// meanwhile, so a node writes when its workers have stopped; then no copy of the memory (fork) is
// needed.
//
// Restored records are what they were, expiries absolute. What expired meanwhile becomes a
// tombstone. Tombstones live on as if the clock had stood still while the node was down (Outage in
// shard.h). What finds no room counts as evicted.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "proto/node_id.h"
#include "storage/engine.h"
#include "storage/snapshot_format.h"

namespace gyre {

// Whose data a snapshot is; another's is refused.
struct SnapshotOwner {
  NodeId node;
  std::string cluster;
};

// Called after each partition.
using SnapshotProgress = std::function<void(std::uint64_t records, std::uint64_t records_all)>;

// The header of what WriteSnapshot would write now.
SnapshotHeader DescribeSnapshot(Engine& engine, const SnapshotOwner& owner, UnixMillis now);

Status WriteSnapshot(Engine& engine, const SnapshotHeader& header, SnapshotWriter::Sink sink,
                     const SnapshotProgress& progress);

struct RestoredSnapshot {
  SnapshotHeader header;
  std::vector<PartitionId> partitions;
  // All of them were whole then or later.
  UnixMillis as_of = 0;
};

// Into an empty engine. kInvalidArgument: it is not `owner`'s, of another partition count, or
// damaged; then the engine is empty again.
Result<RestoredSnapshot> RestoreSnapshot(Engine& engine, const SnapshotOwner& owner, UnixMillis now,
                                         SnapshotReader& reader, const SnapshotProgress& progress);

// Empties the engine of all partitions.
void DropAll(Engine& engine);

}  // namespace gyre
