// A shard: partitions, their slab arena, eviction and expiry, behind one mutex. Written as a single-threaded
// store; everything but `mutex()` requires the mutex.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "base/clock.h"
#include "base/mutex.h"
#include "proto/result.h"
#include "storage/key.h"
#include "storage/record.h"

namespace gyre {

// What this node is for one partition. The storage only keeps it, under the shard's lock, so that a command's
// check and its write are one step; the cluster decides it.
enum class Role : std::uint8_t {
  kAbsent = 0,       // holds nothing of it; commands are forwarded
  kWarming = 1,      // takes mutations while it pulls the rest; not yet whole
  kReplica = 2,      // whole; the owner is another node
  kOwner = 3,        // whole; orders the writes
  kHandingOver = 4,  // was owner, settles its in-flight writes; commands wait, then are forwarded
};

struct PartitionInfo {
  Role role = Role::kAbsent;
  // Whether a removal leaves a tombstone (false on a ring of one node: nobody could bring the record back).
  bool keeps_tombstones = false;
  Version flushed = 0;         // records of versions up to this are void (FLUSHALL)
  Version newest_evicted = 0;  // no record of a higher version was ever evicted
  std::uint64_t digest = 0;    // sum over records of MixDigest(key hash, version); tombstones count, too
  std::uint64_t records = 0;   // live ones (expired ones count until they are reclaimed)
  std::uint64_t tombstones = 0;
  std::uint64_t value_bytes = 0;
};

// Counters only grow; gauges are marked.
struct ShardStats {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t evicted = 0;
  std::uint64_t expired = 0;
  std::uint64_t refused_memory = 0;  // stores that found no room
  std::uint64_t pages_moved = 0;     // between size classes
  std::uint64_t records = 0;         // gauge
  std::uint64_t tombstones = 0;      // gauge
  std::uint64_t bytes_used = 0;      // gauge: pages in use, index included
  std::uint64_t bytes_limit = 0;     // gauge
};

class Shard {
 public:
  Mutex& mutex() GYRE_RETURN_CAPABILITY(mutex_);

  // ---- Records. Requires mutex(). -----------------------------------------------------------------------

  // The live record, or empty if it is missing, a tombstone or expired at `now`. Counts a hit or a miss and
  // marks the record as used.
  Record Find(const Key& key, UnixMillis now);
  // The record in any state, expired and tombstones included; counts and marks nothing.
  Record Peek(const Key& key) const;
  // Begins to bring the key's index bucket into the CPU's cache; no effect otherwise.
  void Prefetch(const Key& key) const;

  // Inserts or replaces. `value` must not lie in the arena. Evicts what it must.
  // kTooLarge: over the key or value bound. kOutOfMemory: it cannot fit even so; the old record, if any, is
  // removed only on success.
  Result<Record> Store(const Key& key, std::string_view value, UnixMillis expiry_ms,
                       std::uint32_t flags, Version version);
  // Gives the live record `version` and a new expiry; empty if there is none.
  Result<Record> SetExpiry(const Key& key, UnixMillis expiry_ms, Version version, UnixMillis now);
  // Removes the live record, leaving a tombstone where the partition keeps them. `existed` says whether it was
  // there; the returned record is the tombstone (empty if there is none).
  struct Removed {
    bool existed = false;
    Record tombstone;
  };
  Removed Remove(const Key& key, Version version, UnixMillis now);

  // A peer's mutation: applied if its version is higher than what is here and than the partition's flush.
  // False: not newer, ignored.
  Result<bool> Apply(const Mutation& mutation, UnixMillis now);

  Version NextVersion(UnixMillis now);

  // ---- Partitions. Requires mutex(). --------------------------------------------------------------------

  const PartitionInfo& info(PartitionId partition) const;
  void SetRole(PartitionId partition, Role role);
  void SetKeepsTombstones(PartitionId partition, bool keeps);
  // Voids all records of versions up to `version`. Frees at most a bounded number now, the rest in `Tick`;
  // void records are never seen by Find or Walk.
  void Flush(PartitionId partition, Version version);
  // Forgets the partition's records (role becomes kAbsent); frees in `Tick`.
  void Drop(PartitionId partition);

  // Visits records (tombstones included, expired and void ones not) in the order of their hash, from
  // `cursor` on: 0 begins, and the returned cursor goes on; 0 again means the end. A record that is present
  // during the whole walk is visited at least once, whatever is inserted or grows meanwhile. Stops after
  // about `records_max` visits or when `visit` returns false (that record counts as visited).
  std::uint64_t Walk(PartitionId partition, std::uint64_t cursor, std::size_t records_max,
                     UnixMillis now, const std::function<bool(const Record&)>& visit) const;
  // A random live record of the partition; empty if there is none.
  Record Sample(PartitionId partition, std::uint64_t random, UnixMillis now) const;

  // Background work: reclaims expired and void records and old tombstones, returns empty pages; at most about
  // `budget` records. True if more is due now.
  bool Tick(UnixMillis now, std::size_t budget);

  ShardStats stats() const;

 private:
  Mutex mutex_;
};

// One record's share of a partition's digest.
inline std::uint64_t MixDigest(std::uint64_t key_hash, Version version) {
  std::uint64_t mixed = key_hash ^ (version * 0x9e3779b97f4a7c15ULL);
  mixed = (mixed ^ (mixed >> 32)) * 0xd6e8feb86659fd93ULL;
  return mixed ^ (mixed >> 32);
}

}  // namespace gyre
