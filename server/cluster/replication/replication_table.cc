#include "replication/replication_table.h"

#include <algorithm>
#include <utility>

namespace gyre {
namespace {

// A thirty-second of --memory: where a tenth of the memory is written anew each second, what a copy
// missed in a third of one.
constexpr std::size_t kKeptFraction = 32;
constexpr std::size_t kKeptBytesMin = std::size_t{1} << 20;
constexpr std::size_t kKeptBytesMax = std::size_t{256} << 20;
// Removals that are forgotten with one group, about: a fraction of a millisecond at each copy.
constexpr std::size_t kForgottenAtOnce = 1024;

}  // namespace

std::size_t KeptBytes(std::size_t memory_bytes) {
  return std::clamp(memory_bytes / kKeptFraction, kKeptBytesMin, kKeptBytesMax);
}

ReplicationTableOptions TableOptionsFor(const Engine& engine, bool majority) {
  return {.partition_count = engine.options().partition_count,
          .shard_count = engine.shard_count(),
          .kept_bytes = KeptBytes(engine.options().memory_bytes),
          .majority = majority};
}

ReplicationTable::ReplicationTable(const ReplicationTableOptions& options,
                                   const std::function<TimePoint()>& clock)
    : sets(options.partition_count),
      forget_marks(options.partition_count),
      readers(options.partition_count),
      in_flight(options.partition_count),
      fence(options.partition_count, options.majority, clock) {
  for (std::uint32_t i = 0; i < options.shard_count; ++i) {
    streams.push_back(std::make_unique<ShardStreams>(
        ShardStreams{KeptStream(options.partition_count, options.shard_count,
                                options.kept_bytes / options.shard_count),
                     GroupInbox(), TakenEffects()}));
  }
}

KeptStreamStats KeptStats(Engine& engine, ReplicationTable& table) {
  KeptStreamStats stats;
  for (std::uint32_t i = 0; i < engine.shard_count(); ++i) {
    MutexLock lock(engine.shard(i).mutex());
    stats += table.streams[i]->kept.stats();
  }
  return stats;
}

void ReplicationTable::OpenTerm(PartitionId partition, Shard& shard) {
  ReplicaSet& set = sets[partition];
  KeptStream& kept = StreamsOf(partition).kept;
  const StreamPosition last = kept.last(partition);
  if (set.term != 0 && set.term == last.term) return;
  set.term = shard.NextVersion();
  if (set.term <= last.term) {
    shard.PassMillis(MillisOf(last.term));
    set.term = shard.NextVersion();
  }
  // What was written without an order: nobody can be told what follows after what it knows.
  kept.Open(partition, set.term, set.unordered ? StreamPosition{} : last);
  set.unordered = false;
}

Version ReplicationTable::ForgetSettled(PartitionId partition, Shard& shard,
                                        StreamPosition position) {
  if (!forgets.load(std::memory_order_relaxed) || shard.info(partition).tombstones == 0) return 0;
  ForgetMark& mark = forget_marks[partition];
  if (!sets[partition].IsWhole()) {
    mark = {};
    return 0;
  }
  Version forgotten = 0;
  if (mark.position.term == position.term) {
    if (StreamsOf(partition).kept.settled(partition) < mark.position) return 0;
    const auto are_left = [&]() GYRE_REQUIRES(shard.mutex()) {
      const Version oldest = shard.OldestRemoval(partition);
      return oldest != 0 && oldest <= mark.version;
    };
    if (are_left()) forgotten = shard.ForgetRemovals(partition, mark.version, kForgottenAtOnce);
    if (are_left()) return forgotten;  // with the next group
  }
  mark = {position, shard.NewestVersion()};
  return forgotten;
}

void ReplicationTable::BeginCopy(PartitionId partition, StreamPosition position) {
  sets[partition].unordered = false;
  ShardStreams& streams = StreamsOf(partition);
  const StreamPosition last = streams.kept.last(partition);
  // A later page of the same owner tells nothing new: what came since was applied in order.
  if (position.term == last.term && position.number <= last.number) return;
  streams.kept.Restart(partition, streams.inbox.Reach(partition, position));
}

void ReplicationTable::DropCopy(PartitionId partition) {
  ShardStreams& streams = StreamsOf(partition);
  streams.kept.Restart(partition, {});
  streams.inbox.Forget(partition);
  EndTerm(partition);
  sets[partition].unordered = false;
}

// Where there is no room for it, the next term goes on after nothing that is known: who reads is told a gap.
void ReplicationTable::NoteTaken(PartitionId partition, const RecordView& record) {
  if (!ordered.load(std::memory_order_relaxed)) return;
  ReplicaSet& set = sets[partition];
  if (!std::exchange(set.has_taken, true)) {
    in_flight[partition].fetch_add(1, std::memory_order_relaxed);
  }
  if (StreamsOf(partition).taken.Add(partition, record)) return;
  (void)TakeTaken(partition);
  set.NoteUnordered();
}

TakenEffects::Group ReplicationTable::TakeTaken(PartitionId partition) {
  if (!std::exchange(sets[partition].has_taken, false)) return {};
  in_flight[partition].fetch_sub(1, std::memory_order_release);
  return StreamsOf(partition).taken.Take(partition);
}

// What it took, the next owner finds by a comparison, too.
void ReplicationTable::EndTerm(PartitionId partition) {
  sets[partition].CloseTerm();
  (void)TakeTaken(partition);
}

}  // namespace gyre
