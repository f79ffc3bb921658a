// A shard: partitions, their slab arena, eviction and expiry, behind one mutex. Written as a
// single-threaded store; everything but `mutex()` requires the mutex.
//
// How the parts work together: a record's bytes (item.h) stand in slots of the arena
// (slab_arena.h); its partition's table (partition.h) refers to it; if it has an expiry, so does
// the wheel (expiry.h). Whoever frees a record takes it out of both first. When no slot is left,
// the evictor (eviction.h) names a victim or a page.
//
// Invariants (CheckInvariants asserts them): every taken slot of the arena is a record of exactly one
// table, a chunk of such a record, or a table; a live table holds no void record, for Flush removes
// them at once; `info` counts exactly the records of its table; the wheel holds exactly the records
// that have an expiry.
//
// A dropped or flushed partition's table joins the dropped tables, whole and in O(1). Its records are
// out of sight, but stay in the arena and the wheel until Tick, or whoever needs memory first,
// frees them.
//
// A record that expires in a partition that keeps tombstones turns into one, for as long as the
// record is younger than the tombstone time: a peer that missed it must not bring an older version
// back. Removing a key that is not here leaves a tombstone, too: it may have been evicted here and
// live in other copies. Tombstones may take a share of the memory and no more: beyond it a new one
// takes an old one's place. What is removed without a trace, or whose trace had to go, counts as
// evicted (`newest_evicted`): so nobody's older record is taken back.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "proto/limits.h"
#include "proto/result.h"
#include "storage/eviction.h"
#include "storage/expiry.h"
#include "storage/key.h"
#include "storage/partition.h"
#include "storage/record.h"
#include "storage/slab_arena.h"

namespace gyre {

// What this node is for one partition. The storage only keeps it, under the shard's lock, so that a
// command's check and its write are one step; the cluster decides it.
enum class Role : std::uint8_t {
  kAbsent = 0,       // holds nothing of it; commands are forwarded
  kWarming = 1,      // takes mutations while it pulls the rest; not yet whole
  kReplica = 2,      // whole; the owner is another node
  kOwner = 3,        // whole; orders the writes
  kHandingOver = 4,  // was owner, settles its in-flight writes; commands wait, then are forwarded
  kRecovering = 5,   // took over from an owner that died, takes what the other copies have newer;
                     // commands wait, nobody may pull
};

// A time in which nobody served the partition, so that no deletion can be missing of it: the node
// was down with its data in a snapshot, and the whole cluster with it, or nobody had the partition
// yet. For the memory of deletions that time stood still: a tombstone of before it lives longer by
// its length (see RemembersFrom).
struct Outage {
  UnixMillis end = 0;  // 0: there was none
  UnixMillis length = 0;
  friend bool operator==(const Outage&, const Outage&) = default;
};
// Far beyond any clock, and far enough from the end of the numbers to add and subtract times.
constexpr UnixMillis kOutageEndMax = std::numeric_limits<UnixMillis>::max() / 2;

struct PartitionInfo {
  Role role = Role::kAbsent;
  // Whether a removal leaves a tombstone (false on a ring of one node: nobody could bring the
  // record back).
  bool keeps_tombstones = false;
  Version flushed = 0;  // records of versions up to this are void (FLUSHALL)
  // Nothing of a higher version was ever evicted or removed without a tombstone.
  Version newest_evicted = 0;
  std::uint64_t digest =
      0;  // sum over records of MixDigest(key hash, version); tombstones count, too
  std::uint64_t records = 0;  // live ones (expired ones count until they are reclaimed)
  std::uint64_t tombstones = 0;
  std::uint64_t value_bytes = 0;
  std::uint64_t expiring = 0;        // live ones that have an expiry
  std::uint64_t expiry_seconds = 0;  // the sum of these, as unix seconds (see ExpirySeconds)
  // Restored from a snapshot, whole as of then, and not settled with anybody since; 0 once it is
  // whole again, or if it never was restored.
  UnixMillis as_of = 0;
  bool was_whole = false;  // the copy was whole once, here or in the snapshot it came from
  Outage outage;
};

// Why a record is looked up. Reads of values count as hits and misses and as uses of the record.
enum class Purpose : std::uint8_t {
  kRead,
  kInspect,  // about the key, not for its value (TTL, EXISTS): counts, but keeps nothing from eviction
  kWrite,  // what a write depends on (INCR, SET NX): a use, neither hit nor miss
};

// Where a walk stands: before the records of this hash, or, where several have it, inside them. The
// order of those is this shard's secret, so that nobody can choose keys that share a place.
struct WalkPosition {
  std::uint64_t hash = 0;
  std::uint32_t within = 0;

  // At the end, as before the beginning, both are 0.
  bool is_end() const { return hash == 0 && within == 0; }
  friend auto operator<=>(const WalkPosition&, const WalkPosition&) = default;
};

// Counters only grow; gauges are marked.
struct ShardStats {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t evicted = 0;
  std::uint64_t expired = 0;
  std::uint64_t tombstones_evicted = 0;  // forgotten before their time, or never kept, for room
  std::uint64_t refused_memory = 0;      // stores that found no room
  std::uint64_t pages_moved = 0;         // between size classes
  std::uint64_t tables_rebuilt = 0;      // of the index, to grow or to shrink
  std::uint64_t records = 0;             // gauge
  std::uint64_t tombstones = 0;          // gauge
  std::uint64_t expiring = 0;            // gauge: records that have an expiry
  std::uint64_t expiry_seconds = 0;      // gauge: the sum of these, as in PartitionInfo
  std::uint64_t bytes_used = 0;          // gauge: pages in use, index included
  std::uint64_t bytes_limit = 0;         // gauge
};

// A size class of the arena, in numbers.
struct SlabClassUse {
  std::size_t slot_bytes = 0;
  std::size_t slots_a_page = 0;
  std::size_t page_bytes = 0;
  std::uint64_t pages = 0;
  std::uint64_t slots_used = 0;
};

// What an expiry adds to `expiry_seconds`.
std::uint64_t ExpirySeconds(UnixMillis expiry_ms);

struct ShardOptions {
  std::size_t memory_bytes = 0;  // for everything
  std::size_t value_bytes_max = kValueBytesDefaultMax;
  std::uint32_t partition_count = 0;  // of the engine
  std::uint32_t shard_count = 1;
  std::uint32_t shard_index =
      0;  // this shard has the partitions p with p mod shard_count == shard_index
  std::uint8_t version_node = 0;
  UnixMillis tombstone_ttl_ms = 0;
};

class Shard {
 public:
  // Fails if the address space cannot be had, or the memory does not hold a few pages.
  static Result<std::unique_ptr<Shard>> Create(const ShardOptions& options);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  Mutex& mutex() GYRE_RETURN_CAPABILITY(mutex_) { return mutex_; }

  // ---- Records. Requires mutex(). -------------------------------------------------------------

  // The live record, or empty if it is missing, a tombstone or expired at `now`. Counts what the
  // purpose says.
  RecordView Find(const Key& key, UnixMillis now, Purpose purpose = Purpose::kRead)
      GYRE_REQUIRES(mutex_);
  // The record in any state, expired and tombstones included; counts and marks nothing.
  RecordView Peek(const Key& key) const GYRE_REQUIRES(mutex_);
  // Begins to bring the key's index bucket into the CPU's cache; no effect otherwise.
  void Prefetch(const Key& key) const GYRE_REQUIRES(mutex_);
  // Likewise its record; reads the bucket, so it comes some time after Prefetch.
  void PrefetchRecord(const Key& key) const GYRE_REQUIRES(mutex_);

  // Inserts or replaces. `value` must not lie in the arena. Evicts what it must. An expiry that has
  // passed makes it a removal, and the returned record is empty. `version` is from NextVersion.
  // kInvalidArgument: it is older than the partition's flush. kTooLarge: over the key or value bound.
  // kOutOfMemory: it cannot fit even so; the old record, if any, is replaced only on success (but may
  // be among the evicted).
  Result<RecordView> Store(const Key& key, std::string_view value, UnixMillis expiry_ms,
                           std::uint32_t flags, Version version) GYRE_REQUIRES(mutex_);
  // Gives the live record `version` and a new expiry; empty if there is none. An expiry that has
  // passed is a removal, as in Store.
  Result<RecordView> SetExpiry(const Key& key, UnixMillis expiry_ms, Version version,
                               UnixMillis now) GYRE_REQUIRES(mutex_);
  // Removes the key, as of `version`, whether it is here or not: other copies may have what was
  // evicted here. Where the partition keeps tombstones it leaves one. Returns whether a live record
  // was there.
  bool Remove(const Key& key, Version version, UnixMillis now) GYRE_REQUIRES(mutex_);

  // A peer's mutation: applied if its version is higher than what is here and than the partition's
  // flush. False: not newer, ignored. A removal always leaves a tombstone (while there is room for
  // it), so the order of mutations does not matter; one of a record that has expired is a removal. kInvalidArgument: the
  // partition is not the key's, or not of this shard. kOutOfMemory: the older record is gone, too,
  // as if the new one had been evicted at once.
  Result<bool> Apply(const Mutation& mutation, UnixMillis now) GYRE_REQUIRES(mutex_);

  // Removes the record, in whatever state, if it has this version: without a tombstone, as an
  // eviction does. False: it was not there.
  bool Forget(const Key& key, Version version) GYRE_REQUIRES(mutex_);

  Version NextVersion(UnixMillis now) GYRE_REQUIRES(mutex_);
  void SetVersionNode(std::uint8_t node) GYRE_REQUIRES(mutex_) { clock_.set_node(node); }
  // The time of the next version, as far as it is not `now`; see VersionClock.
  UnixMillis clock_millis() const GYRE_REQUIRES(mutex_) { return clock_.millis(); }
  void PassMillis(UnixMillis millis) GYRE_REQUIRES(mutex_) { clock_.PassMillis(millis); }

  // ---- Partitions. Requires mutex(). ----------------------------------------------------------

  const PartitionInfo& info(PartitionId partition) const GYRE_REQUIRES(mutex_);
  // A role of a whole copy ends `as_of`.
  void SetRole(PartitionId partition, Role role) GYRE_REQUIRES(mutex_);
  void SetKeepsTombstones(PartitionId partition, bool keeps) GYRE_REQUIRES(mutex_);
  // From a file or a peer: one that cannot be (it ends before time began, or is longer than that)
  // is cut to what can.
  void SetOutage(PartitionId partition, const Outage& outage) GYRE_REQUIRES(mutex_);
  // Before the records of an empty partition are applied from a snapshot that was whole at `as_of`.
  void BeginRestore(PartitionId partition, UnixMillis as_of, Version newest_evicted, UnixMillis now)
      GYRE_REQUIRES(mutex_);
  // Records up to that version may be missing here, as if they had been evicted.
  void NoteEvicted(PartitionId partition, Version version) GYRE_REQUIRES(mutex_);
  // Deletions since then are remembered, by a tombstone: a record that another copy had at that
  // time or later, and that is missing here, was not deleted.
  UnixMillis RemembersFrom(PartitionId partition, UnixMillis now) const GYRE_REQUIRES(mutex_);
  // Voids all records of versions up to `version`: they are out of sight, `info` and digest at
  // once. O(1) where that means all of them, then Tick frees them; else it costs a pass over the
  // partition.
  void Flush(PartitionId partition, Version version) GYRE_REQUIRES(mutex_);
  // Forgets the partition: records, `flushed`, `newest_evicted` and role (which becomes kAbsent).
  // O(1); frees in Tick.
  void Drop(PartitionId partition) GYRE_REQUIRES(mutex_);

  // Visits records (tombstones included, expired and void ones not) in the order of their hash,
  // from `cursor` on: 0 begins, and the returned cursor goes on; 0 again means the end. A record
  // that is present during the whole walk is visited at least once, whatever is inserted or grows
  // meanwhile. Stops after about `records_max` visits or when `visit` returns false (that record
  // counts as visited). Records whose hashes agree in the high 48 bits go together, even past a
  // false: so a cursor's low 16 bits are zero, free for the caller. `visit` must not write to the
  // shard.
  std::uint64_t Walk(PartitionId partition, std::uint64_t cursor, std::size_t records_max,
                     UnixMillis now, const std::function<bool(const RecordView&)>& visit) const
      GYRE_REQUIRES(mutex_);
  // Likewise, but it stops right after a false: where values are read, many large ones of one hash
  // must not come together.
  WalkPosition Walk(PartitionId partition, WalkPosition from, std::size_t records_max,
                    UnixMillis now, const std::function<bool(const RecordView&)>& visit) const
      GYRE_REQUIRES(mutex_);
  // A random live record of the partition; empty if there is none.
  RecordView Sample(PartitionId partition, std::uint64_t random, UnixMillis now) const
      GYRE_REQUIRES(mutex_);

  // Background work: reclaims expired and void records and old tombstones, shrinks tables, returns
  // empty pages; at most about `budget` records. True if more is due now.
  bool Tick(UnixMillis now, std::size_t budget) GYRE_REQUIRES(mutex_);

  ShardStats stats() const GYRE_REQUIRES(mutex_);
  // By class.
  std::vector<SlabClassUse> slab_classes() const GYRE_REQUIRES(mutex_);

  // Debug: whether all the invariants above hold. Slow: visits everything.
  bool CheckInvariants() const GYRE_REQUIRES(mutex_);

 private:
  struct PartitionState {
    PartitionTable table;
    PartitionInfo info;
    Version newest = 0;               // no record in the table is of a higher one
    std::size_t tombstone_bytes = 0;  // their slots
  };
  // A table whose records wait to be freed.
  struct DroppedTable {
    PartitionId partition = 0;
    PartitionTable table;
    std::uint32_t next_bucket = 0;  // those before it are empty
  };
  // Where a record is indexed: `state` is null where the table is dropped.
  struct Place {
    PartitionTable* table = nullptr;
    PartitionState* state = nullptr;
    std::uint64_t hash = 0;
  };
  // What a record is to be.
  struct Content {
    std::string_view value;
    Version version = 0;
    UnixMillis expiry = kNeverExpires;  // as stored
    std::uint32_t flags = 0;
    bool tombstone = false;
  };

  // CheckInvariants: what the arena and the wheel should hold.
  struct Tally {
    std::size_t slots = 0;
    std::size_t tombstone_bytes = 0;
    std::unordered_set<Ref> expiring;
  };

  Shard(const ShardOptions& options, std::size_t fixed_bytes, std::unique_ptr<SlabArena> arena);

  PartitionState& StateOf(PartitionId partition) GYRE_REQUIRES(mutex_) {
    return partitions_[partition >> shard_count_log2_];
  }
  const PartitionState& StateOf(PartitionId partition) const GYRE_REQUIRES(mutex_) {
    return partitions_[partition >> shard_count_log2_];
  }
  RecordView RecordAt(Ref ref) const GYRE_REQUIRES(mutex_) {
    return ref == 0 ? RecordView{} : RecordView(arena_->base(), arena_->At(ref));
  }
  Item ItemAt(Ref ref) const GYRE_REQUIRES(mutex_) { return Item(arena_->At(ref)); }
  // Not null, a tombstone or expired.
  bool IsLive(Ref ref, UnixMillis now) const GYRE_REQUIRES(mutex_) {
    return ref != 0 && !ItemAt(ref).is_tombstone() && !ItemAt(ref).IsExpired(now);
  }
  Ref Lookup(const Key& key) const GYRE_REQUIRES(mutex_) {
    return StateOf(key.partition).table.Find(key.bytes, key.hash, arena_->base());
  }

  // shard.cc: records
  Result<Ref> Put(const Key& key, const Content& content) GYRE_REQUIRES(mutex_);
  void Overwrite(PartitionState& state, const Key& key, Ref ref, const ItemShape& shape,
                 const Content& content) GYRE_REQUIRES(mutex_);
  void Rewrite(Ref ref, Ref target, const ItemShape& shape, Version version, UnixMillis expiry)
      GYRE_REQUIRES(mutex_);
  Status CheckBounds(std::string_view key, std::string_view value) const;
  void PutTombstone(const Key& key, Ref old, Version version, bool keep) GYRE_REQUIRES(mutex_);
  bool ReplaceByTombstone(PartitionState& state, const Key& key, Ref old, const Content& content)
      GYRE_REQUIRES(mutex_);
  void Account(PartitionState& state, std::uint64_t hash, Ref ref, bool added)
      GYRE_REQUIRES(mutex_);
  // When a tombstone of the partition may go.
  UnixMillis ForgetAt(const PartitionInfo& info, Version version) const {
    const UnixMillis usual = MillisOf(version) + tombstone_ttl_ms_;
    if (MillisOf(version) >= info.outage.end) return usual;
    return std::min(usual + info.outage.length, info.outage.end + tombstone_ttl_ms_);
  }
  void Expire(Ref ref, UnixMillis now) GYRE_REQUIRES(mutex_);

  // shard_memory.cc: slots
  ItemShape ShapeOf(std::size_t key_bytes, const Content& content) const GYRE_REQUIRES(mutex_);
  ClassId ClassOfChunk(std::size_t bytes) const GYRE_REQUIRES(mutex_);
  bool CanEverFit(const ItemShape& shape) const GYRE_REQUIRES(mutex_);
  Ref Build(const Key& key, const ItemShape& shape, const Content& content) GYRE_REQUIRES(mutex_);
  bool BuildChunks(Ref head, std::string_view rest) GYRE_REQUIRES(mutex_);
  void SetOwner(Ref first_chunk, Ref owner) GYRE_REQUIRES(mutex_);
  void FreeChunks(Ref head) GYRE_REQUIRES(mutex_);
  void FreeRecord(Ref ref) GYRE_REQUIRES(mutex_);
  void Discard(const Place& place, Ref ref) GYRE_REQUIRES(mutex_);
  Ref AllocateRecordSlot(std::size_t bytes) GYRE_REQUIRES(mutex_);
  Ref AllocateOrEvict(ClassId id, std::size_t bytes) GYRE_REQUIRES(mutex_);
  bool TombstonesAreMany() const GYRE_REQUIRES(mutex_);
  bool MakeRoomForTombstone(std::size_t bytes) GYRE_REQUIRES(mutex_);
  bool MakeRoom(ClassId id) GYRE_REQUIRES(mutex_);
  bool MakeRoomByEviction(ClassId id, bool tombstones_may_leave) GYRE_REQUIRES(mutex_);
  bool TakePageFor(ClassId id, bool must, bool tombstones_may_leave) GYRE_REQUIRES(mutex_);
  std::uint32_t LookAheadSlots(PageId page, std::uint32_t slot, int count) const
      GYRE_REQUIRES(mutex_);
  bool EmptyPage(const Evictor::DonatedPage& donated, bool tombstones_may_leave)
      GYRE_REQUIRES(mutex_);
  void MoveSlot(Ref from) GYRE_REQUIRES(mutex_);
  void MoveChunk(Ref from, Ref to) GYRE_REQUIRES(mutex_);
  void Evict(Ref ref) GYRE_REQUIRES(mutex_);
  Place PlaceOf(Ref ref) GYRE_REQUIRES(mutex_);
  std::uint32_t TableLimit(PartitionId partition) const GYRE_REQUIRES(mutex_);
  bool EnsureTableRoom(PartitionId partition) GYRE_REQUIRES(mutex_);
  bool Resize(PartitionState& state, std::size_t buckets, bool may_evict) GYRE_REQUIRES(mutex_);

  // shard_partitions.cc: partitions and background work
  enum class Together : std::uint8_t { kHash, kHigh48Bits };  // what a walk does not divide
  WalkPosition WalkFrom(PartitionId partition, WalkPosition from, std::size_t records_max,
                        UnixMillis now, Together together,
                        const std::function<bool(const RecordView&)>& visit) const
      GYRE_REQUIRES(mutex_);
  std::uint32_t PlaceWithin(Ref ref) const GYRE_REQUIRES(mutex_);
  void DropTable(PartitionId partition) GYRE_REQUIRES(mutex_);
  std::size_t SweepDroppedTables(std::size_t budget) GYRE_REQUIRES(mutex_);
  std::size_t TidyTables(std::size_t budget) GYRE_REQUIRES(mutex_);

  // shard_check.cc
  bool CheckTable(const PartitionTable& table, Version flushed, Tally& tally,
                  PartitionInfo& counted) const GYRE_REQUIRES(mutex_);

  Mutex mutex_;

  // Set once.
  const std::size_t memory_bytes_;
  const std::size_t fixed_bytes_;  // of memory_bytes_, for what does not grow with data
  const std::size_t value_bytes_max_;
  const std::uint32_t partition_count_;
  const std::uint32_t shard_index_;
  const int shard_count_log2_;
  const UnixMillis tombstone_ttl_ms_;
  const std::uint64_t walk_seed_;  // of the order of records that share a hash

  const std::unique_ptr<SlabArena> arena_ GYRE_GUARDED_BY(mutex_);
  Evictor evictor_ GYRE_GUARDED_BY(mutex_);
  TimingWheel wheel_ GYRE_GUARDED_BY(mutex_);
  VersionClock clock_ GYRE_GUARDED_BY(mutex_);
  std::vector<PartitionState> partitions_ GYRE_GUARDED_BY(mutex_);
  std::deque<DroppedTable> dropped_tables_ GYRE_GUARDED_BY(mutex_);
  UnixMillis now_ GYRE_GUARDED_BY(mutex_) = 0;               // the latest that a caller passed
  std::size_t tombstone_bytes_ GYRE_GUARDED_BY(mutex_) = 0;  // their slots, of live tables
  std::size_t next_tidied_ GYRE_GUARDED_BY(mutex_) = 0;      // index in partitions_
  ShardStats counters_ GYRE_GUARDED_BY(mutex_);  // gauges `records` and `tombstones` included
};

// One record's share of a partition's digest.
inline std::uint64_t MixDigest(std::uint64_t key_hash, Version version) {
  std::uint64_t mixed = key_hash ^ (version * 0x9e3779b97f4a7c15ULL);
  mixed = (mixed ^ (mixed >> 32)) * 0xd6e8feb86659fd93ULL;
  return mixed ^ (mixed >> 32);
}

}  // namespace gyre
