#include "storage/snapshot.h"

#include <algorithm>
#include <utility>

namespace gyre {
namespace {

constexpr std::size_t kWalkRecords = 4096;

bool IsWritten(const PartitionInfo& info) {
  return info.role >= Role::kReplica || (info.role != Role::kAbsent && info.as_of != 0);
}

Status WritePartition(Shard& shard, PartitionId partition, UnixMillis taken_ms,
                      UnixMillis tombstone_ttl_ms, SnapshotWriter& writer)
    GYRE_REQUIRES(shard.mutex()) {
  const PartitionInfo& info = shard.info(partition);
  const UnixMillis as_of = info.as_of != 0 ? info.as_of : taken_ms;
  // Of the outage, what lay before `as_of`: what follows is counted when it is restored.
  const bool counts = as_of - tombstone_ttl_ms < info.outage.end;
  const UnixMillis since = std::max<UnixMillis>(info.outage.end - as_of, 0);
  const UnixMillis outage = counts ? std::max<UnixMillis>(info.outage.length - since, 0) : 0;
  // What was forgotten is as good as evicted when it comes back: no older record of others is taken.
  const Version newest_evicted = std::max(info.newest_evicted, info.newest_forgotten);
  Status status =
      writer.Add(SnapshotPartition{partition, info.flushed, newest_evicted, as_of, outage});
  std::uint64_t cursor = 0;
  do {
    // At the time 0 nothing has expired yet: what has is written with its expiry.
    cursor = shard.Walk(partition, cursor, kWalkRecords, 0, [&](const RecordView& record) {
      if (status) status = writer.Add(record);
      return status.has_value();
    });
  } while (cursor != 0 && status);
  return status;
}

class Restorer {
 public:
  Restorer(Engine& engine, UnixMillis now) : engine_(engine), now_(now) {}

  void Begin(const SnapshotPartition& partition) {
    Shard& shard = engine_.ShardOf(partition.partition);
    MutexLock lock(shard.mutex());
    shard.Flush(partition.partition, partition.flushed);
    shard.BeginRestore(partition.partition, partition.as_of, partition.newest_evicted, now_);
    Outage outage = shard.info(partition.partition).outage;
    outage.length += std::min(partition.outage, now_);
    shard.SetOutage(partition.partition, outage);
  }

  Status Add(const Mutation& record) {
    Shard& shard = engine_.ShardOf(record.partition);
    MutexLock lock(shard.mutex());
    const Result<bool> applied = shard.Apply(record, now_);
    if (applied || applied.error().code == ErrorCode::kOutOfMemory) return {};
    if (applied.error().code != ErrorCode::kTooLarge) return tl::unexpected(applied.error());
    // --max-value is lower than it was.
    shard.NoteEvicted(record.partition, record.version);
    return {};
  }

 private:
  Engine& engine_;
  const UnixMillis now_;
};

Status CheckOwner(const Engine& engine, const SnapshotOwner& owner, const SnapshotHeader& header) {
  const auto refuse = [](std::string why) {
    return Fail(ErrorCode::kInvalidArgument, std::move(why));
  };
  if (header.node != owner.node) {
    return refuse("it is of another node, " + header.node.ToString());
  }
  if (header.cluster != owner.cluster) {
    return refuse("it is of another cluster, --cluster-name was '" + header.cluster + "'");
  }
  if (header.partition_count != engine.options().partition_count) {
    return refuse("--partitions was " + std::to_string(header.partition_count) + " then");
  }
  return {};
}

Result<RestoredSnapshot> Restore(Engine& engine, const SnapshotOwner& owner, UnixMillis now,
                                 SnapshotReader& reader, const SnapshotProgress& progress) {
  RestoredSnapshot restored;
  const Result<SnapshotHeader> header = reader.Begin();
  if (!header) return tl::unexpected(header.error());
  if (Status own = CheckOwner(engine, owner, *header); !own) return tl::unexpected(own.error());
  restored.header = *header;
  restored.as_of = header->taken_ms;
  Restorer restorer(engine, now);
  std::uint64_t records = 0;
  while (true) {
    const Result<SnapshotReader::Kind> kind = reader.Next();
    if (!kind) return tl::unexpected(kind.error());
    if (*kind == SnapshotReader::Kind::kEnd) return restored;
    if (*kind == SnapshotReader::Kind::kPartition) {
      if (progress) progress(records, header->records + header->tombstones);
      restorer.Begin(reader.partition());
      restored.partitions.push_back(reader.partition().partition);
      restored.as_of = std::min(restored.as_of, reader.partition().as_of);
      continue;
    }
    ++records;
    if (Status added = restorer.Add(reader.record()); !added) {
      return tl::unexpected(added.error());
    }
  }
}

}  // namespace

SnapshotHeader DescribeSnapshot(Engine& engine, const SnapshotOwner& owner, UnixMillis now) {
  SnapshotHeader header;
  header.node = owner.node;
  header.cluster = owner.cluster;
  header.partition_count = engine.options().partition_count;
  header.taken_ms = now;
  for (PartitionId partition = 0; partition < header.partition_count; ++partition) {
    Shard& shard = engine.ShardOf(partition);
    MutexLock lock(shard.mutex());
    const PartitionInfo& info = shard.info(partition);
    if (!IsWritten(info)) continue;
    ++header.partitions;
    header.records += info.records;
    header.tombstones += info.tombstones;
  }
  return header;
}

Status WriteSnapshot(Engine& engine, const SnapshotHeader& header, SnapshotWriter::Sink sink,
                     const SnapshotProgress& progress) {
  SnapshotWriter writer(std::move(sink));
  if (Status begun = writer.Begin(header); !begun) return begun;
  for (PartitionId partition = 0; partition < header.partition_count; ++partition) {
    Shard& shard = engine.ShardOf(partition);
    MutexLock lock(shard.mutex());
    if (!IsWritten(shard.info(partition))) continue;
    if (Status written = WritePartition(shard, partition, header.taken_ms,
                                        engine.options().tombstone_ttl_ms, writer);
        !written) {
      return written;
    }
    if (progress) {
      progress(writer.records() + writer.tombstones(), header.records + header.tombstones);
    }
  }
  return writer.End();
}

Result<RestoredSnapshot> RestoreSnapshot(Engine& engine, const SnapshotOwner& owner, UnixMillis now,
                                         SnapshotReader& reader, const SnapshotProgress& progress) {
  Result<RestoredSnapshot> restored = Restore(engine, owner, now, reader, progress);
  if (!restored) DropAll(engine);
  return restored;
}

void DropAll(Engine& engine) {
  for (PartitionId partition = 0; partition < engine.options().partition_count; ++partition) {
    Shard& shard = engine.ShardOf(partition);
    MutexLock lock(shard.mutex());
    shard.Drop(partition);
  }
}

}  // namespace gyre
