// A shard: partitions, their slab arena, eviction and expiry, behind one mutex. Written as a
// single-threaded store; everything but `mutex()` requires the mutex.
//
// How the parts work together: a record's bytes (item.h) stand in slots of the arena
// (slab_arena.h); its partition's index (partition.h), whose segments stand there, too, refers to it;
// if it has an expiry, so does the wheel (expiry.h). Whoever frees a record takes it out of both
// first. When no slot is left, the evictor (eviction.h) names a victim or a page.
//
// Invariants (CheckInvariants asserts them): every taken slot of the arena is a record of exactly one
// index, a chunk of such a record, or a segment or branch of an index; a live index holds no void
// record, for Flush removes them at once; `info` counts exactly the records of its index; the wheel
// holds exactly the records that have an expiry. One of a copy stays in it when its time has come, until its
// owner says that it is gone, or has said nothing for a while.
//
// A dropped or flushed partition's index joins the dropped ones, whole and in O(1). Its records are
// out of sight, but stay in the arena and the wheel until Tick, or whoever needs memory first,
// frees them.
//
// A record that expires in a partition that keeps tombstones turns into one, for as long as the
// record is younger than the tombstone time: a peer that missed it must not bring an older version
// back. Removing a key that is not here leaves a tombstone, too: it may have been evicted here and
// live in other copies. Tombstones may take a share of the memory and no more: beyond it a new one
// takes an old one's place. What is removed without a trace, or whose trace had to go, counts as
// evicted (`newest_evicted`): so nobody's older record is taken back.
//
// A tombstone usually goes much earlier: once all holders have the removal (ForgetRemovals), none of
// them can bring an older record. Whoever else comes with one (a copy that was gone meanwhile) comes
// too late: what is not newer than the removals that were forgotten, and is not here, was removed
// (`newest_forgotten`).
//
// What leaves a partition that this node owns, evicted or expired, is listed until the cluster takes it to
// tell the other copies (TakeEvicted); they drop the same (DropEvicted).
//
// What is owned gives way to what is copied, in fair shares (memory_shares.h).
//
// The hash of keys may change while they are used (UseKeyHash): partition by partition, a segment at a
// time; until a partition is through, all see it in its old order (shard_rehash.cc).
//
// A sample of the keys is watched beyond their eviction (reuse_sampler.h), to tell what more memory, or
// less, would do to the hit ratio.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/clock.h"
#include "base/prefetch.h"
#include "base/statistic.h"
#include "common/mutex.h"
#include "proto/limits.h"
#include "proto/result.h"
#include "storage/claims.h"
#include "storage/eviction.h"
#include "storage/eviction_log.h"
#include "storage/expiry.h"
#include "storage/key.h"
#include "storage/memory_shares.h"
#include "storage/partition.h"
#include "storage/record.h"
#include "storage/removals.h"
#include "storage/reuse_sampler.h"
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
  bool claimed = false;  // Claims::Any
  // Whether a removal leaves a tombstone (false on a ring of one node: nobody could bring the
  // record back).
  bool keeps_tombstones = false;
  bool has_evicted = false;  // TakeEvicted has something
  Version flushed = 0;       // records of versions up to this are void (FLUSHALL)
  // Nothing of a higher version was ever evicted or removed without a tombstone.
  Version newest_evicted = 0;
  // All holders had everything up to this version, and removals up to it are forgotten: what is not
  // newer, and is not here, is nobody's to bring.
  Version newest_forgotten = 0;
  std::uint64_t digest =
      0;  // sum over records of MixDigest(key hash, version); tombstones count, too
  std::uint64_t records = 0;  // live ones (expired ones count until they are reclaimed)
  std::uint64_t tombstones = 0;
  std::uint64_t value_bytes = 0;
  std::uint64_t expiring = 0;        // live ones that have an expiry
  std::uint64_t expiry_seconds = 0;  // the sum of these, as unix seconds (see ExpirySeconds)
  // Whole as of then, and not since: restored from a snapshot and not settled with anybody yet, or on a
  // node that said goodbye. 0: whole now, or never was.
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

struct ShardStats {
  std::uint64_t hits = 0;
  std::uint64_t misses = 0;
  std::uint64_t evicted = 0;  // the sum of the next three
  std::uint64_t evicted_for_record = 0;
  std::uint64_t evicted_for_page = 0;
  std::uint64_t evicted_for_table = 0;
  std::uint64_t evicted_copies = 0;  // of the same sum
  std::uint64_t expired = 0;
  std::uint64_t evicted_by_owner = 0;
  std::uint64_t evictions_untold = 0;
  std::uint64_t tombstones_evicted = 0;
  std::uint64_t tombstones_forgotten = 0;
  std::uint64_t tombstones_unlisted = 0;
  std::uint64_t refused_memory = 0;
  std::uint64_t tables_rebuilt = 0;
  std::uint64_t rehashed = 0;
  std::uint64_t pages_moved = 0;
  std::uint64_t records = 0;
  std::uint64_t tombstones = 0;
  std::uint64_t bytes_used = 0;
  std::uint64_t bytes_limit = 0;
  std::uint64_t reuse_keys = 0;
  std::uint64_t reuse_reads = 0;
  // Records that have an expiry, and the sum of these, as in PartitionInfo; for INFO keyspace.
  std::uint64_t expiring = 0;
  std::uint64_t expiry_seconds = 0;

  static constexpr Statistic<ShardStats> kStatistics[] = {
      {&ShardStats::hits,
       {.name = "gyre_hits_total",
        .help = "Reads that found a live record.",
        .redis = "keyspace_hits",
        .memcached = "get_hits"}},
      {&ShardStats::misses,
       {.name = "gyre_misses_total",
        .help = "Reads that found none.",
        .redis = "keyspace_misses",
        .memcached = "get_misses"}},
      {&ShardStats::evicted, {.redis = "evicted_keys", .memcached = "evictions"}},
      {&ShardStats::evicted_for_record,
       {.name = "gyre_evicted_total",
        .help =
            "Records evicted to stay within --memory: for another record of their size class, for "
            "a page that another class needed, or for the index.",
        .label = "cause",
        .label_value = "record"}},
      {&ShardStats::evicted_for_page,
       {.name = "gyre_evicted_total", .label = "cause", .label_value = "page"}},
      {&ShardStats::evicted_for_table,
       {.name = "gyre_evicted_total", .label = "cause", .label_value = "table"}},
      {&ShardStats::evicted_copies,
       {.name = "gyre_evicted_copies_total",
        .help = "Of the records evicted here, those of copies: their owner has more room."}},
      {&ShardStats::expired,
       {.name = "gyre_expired_total",
        .help = "Records reclaimed after their time.",
        .redis = "expired_keys",
        .memcached = "reclaimed"}},
      {&ShardStats::evicted_by_owner,
       {.name = "gyre_evicted_by_owner_total",
        .help = "Records of copies here that went because their owner evicted them."}},
      {&ShardStats::evictions_untold,
       {.name = "gyre_evictions_untold_total",
        .help = "Records that were evicted or expired here as their owner, without the other "
                "copies being told, because too many waited to be: those keep them longer."}},
      {&ShardStats::tombstones_evicted,
       {.name = "gyre_tombstones_evicted_total",
        .help = "Remembered deletions that went before --tombstone-ttl, for room: they may take an "
                "eighth of --memory."}},
      {&ShardStats::tombstones_forgotten,
       {.name = "gyre_tombstones_forgotten_total",
        .help = "Remembered deletions that went because all holders of the partition have them."}},
      {&ShardStats::tombstones_unlisted,
       {.name = "gyre_tombstones_unlisted_total",
        .help =
            "Deletions that are remembered for --tombstone-ttl, though all holders may have them "
            "earlier: too many were waiting for a holder."}},
      {&ShardStats::refused_memory,
       {.name = "gyre_refused_memory_total",
        .help = "Stores that found no room even after eviction.",
        .memcached = "store_no_memory"}},
      {&ShardStats::tables_rebuilt,
       {.name = "gyre_tables_rebuilt_total",
        .help =
            "Segments of the index that were rebuilt: to grow, to split, to shrink or to merge."}},
      {&ShardStats::rehashed,
       {.name = "gyre_rehashed_total",
        .help =
            "Records put in another order in the index, because the ring agreed on another secret "
            "for the hash of keys."}},
      {&ShardStats::pages_moved,
       {.name = "gyre_pages_moved_total",
        .help = "Arena pages moved between size classes or shards.",
        .memcached = "slabs_moved"}},
      {&ShardStats::records,
       {.kind = StatKind::kGauge,
        .name = "gyre_records",
        .help = "Live records.",
        .memcached = "curr_items"}},
      {&ShardStats::tombstones,
       {.kind = StatKind::kGauge, .name = "gyre_tombstones", .help = "Remembered deletions."}},
      {&ShardStats::bytes_used,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kBytes,
        .name = "gyre_memory_used_bytes",
        .help = "Arena bytes in use, index included.",
        .memcached = "bytes"}},
      {&ShardStats::bytes_limit,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kBytes,
        .name = "gyre_memory_limit_bytes",
        .help = "--memory."}},
      {&ShardStats::reuse_keys,
       {.kind = StatKind::kGauge,
        .name = "gyre_reuse_sampled_keys",
        .help =
            "Keys that are watched, evicted ones too, to tell what more or less memory would do "
            "to the hit ratio."}},
      {&ShardStats::reuse_reads,
       {.name = "gyre_reuse_sampled_reads_total", .help = "Reads of keys that are watched."}},
      {&ShardStats::expiring, {.kind = StatKind::kGauge}},
      {&ShardStats::expiry_seconds, {.kind = StatKind::kGauge, .unit = StatUnit::kSeconds}},
  };
};
static_assert(AllDescribed<ShardStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

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
  const KeyHash* key_hash = &KeyHash::Plain();  // outlives the shard
  // What it borrows of; without a pool memory_bytes is all that it has.
  SlabArena::Lending lending;
};

class Shard {
 public:
  // Fails if the address space cannot be had, or the memory does not hold a few pages.
  static Result<std::unique_ptr<Shard>> Create(const ShardOptions& options);
  // Of a shard of so much memory: the size of its pages, and what it needs for other things.
  static std::size_t PageBytesFor(std::size_t memory_bytes);
  static std::size_t FixedBytesFor(const ShardOptions& options);
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
  // The same two steps for how it is used, if it is one of the sample.
  void PrefetchUse(const Key& key) const GYRE_REQUIRES(mutex_) {
    if (reuse_.Samples(key.hash)) reuse_.PrefetchIndex(key.hash);
  }
  void PrefetchUseSlot(const Key& key) const GYRE_REQUIRES(mutex_) {
    if (reuse_.Samples(key.hash)) reuse_.PrefetchSlot(key.hash);
  }
  // The step before the first, without the mutex: the state of its partition.
  void PrefetchPartition(PartitionId partition) const GYRE_NO_THREAD_SAFETY_ANALYSIS {
    const auto* const state = reinterpret_cast<const char*>(&StateOf(partition));
    for (std::size_t at = 0; at < sizeof(PartitionState); at += kLineBytes) {
      PrefetchToRead(state + at);
    }
  }

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
  // flush, or, at a whole copy that lacks it, than what all holders had (`newest_forgotten`). False: not
  // newer, ignored. A removal always leaves a tombstone (while there is room for
  // it), so the order of mutations does not matter; one of a record that has expired is a removal. kInvalidArgument: the
  // partition is not the key's, or not of this shard. kOutOfMemory: the older record is gone, too,
  // as if the new one had been evicted at once.
  Result<bool> Apply(const Mutation& mutation, UnixMillis now) GYRE_REQUIRES(mutex_);

  // Removes the record, in whatever state, if it has this version: without a tombstone, as an
  // eviction does. False: it was not there.
  bool Forget(const Key& key, Version version) GYRE_REQUIRES(mutex_);

  // The owner's eviction, or expiry, of a record: it goes here as well, if it has this version. False: it
  // was not there.
  bool DropEvicted(PartitionId partition, const EvictedRecord& evicted, UnixMillis now)
      GYRE_REQUIRES(mutex_);
  // Begins to bring what DropEvicted looks at into the CPU's cache: first its place in the index, then, some
  // time later, the record.
  void PrefetchEvicted(PartitionId partition, const EvictedRecord& evicted, bool record) const
      GYRE_REQUIRES(mutex_) {
    const PartitionIndex& index = StateOf(partition).index;
    record ? index.PrefetchRecords(evicted.hash, space_) : index.Prefetch(evicted.hash, space_);
  }
  // Appends what was evicted and what expired of a partition owned here since it was taken last, `count_max`
  // at most, newest first, to `evicted`; a copy that the ring gives the partition should hear of it.
  void TakeEvicted(PartitionId partition, std::size_t count_max,
                   std::vector<EvictedRecord>& evicted) GYRE_REQUIRES(mutex_);
  void ForgetEvicted(PartitionId partition) GYRE_REQUIRES(mutex_) {
    ForgetEvicted(StateOf(partition));
  }
  const EvictionLog& eviction_log() const GYRE_REQUIRES(mutex_) { return eviction_log_; }

  Version NextVersion(UnixMillis now) GYRE_REQUIRES(mutex_);
  // Likewise, at the time that the last caller passed.
  Version NextVersion() GYRE_REQUIRES(mutex_) { return clock_.Next(now_); }
  void SetVersionNode(std::uint8_t node) GYRE_REQUIRES(mutex_) { clock_.set_node(node); }
  // The time of the next version, as far as it is not `now`; see VersionClock.
  UnixMillis clock_millis() const GYRE_REQUIRES(mutex_) { return clock_.millis(); }
  // No version that was stamped here is higher.
  Version NewestVersion() const GYRE_REQUIRES(mutex_) { return clock_.newest(); }
  void PassMillis(UnixMillis millis) GYRE_REQUIRES(mutex_) { clock_.PassMillis(millis); }

  // ---- Claims. Requires mutex(). --------------------------------------------------------------

  // As in Claims. The shard itself does not look at them.
  bool TakeClaim(const Claim& wanted, ClaimMode mode, ClaimHolder by) GYRE_REQUIRES(mutex_);
  void GiveBackClaim(const Claim& taken, ClaimMode mode, ClaimHolder by) GYRE_REQUIRES(mutex_);
  const Claims& claims() const GYRE_REQUIRES(mutex_) { return claims_; }

  // ---- The hash of keys. Requires mutex(). ----------------------------------------------------

  // From now on this one; it outlives the shard. Partitions without records have it at once, Tick
  // brings the others to it. Keys may be hashed by either.
  void UseKeyHash(const KeyHash& hash) GYRE_REQUIRES(mutex_);
  // Whose order the partition's records are in, now: positions of walks, digests, and hashes that stand
  // for keys say nothing once it is another.
  const KeyHash& key_hash(PartitionId partition) const GYRE_REQUIRES(mutex_) {
    return StateOf(partition).index.hash();
  }

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
  // Its owner need not send it writes any more.
  void EndWhole(PartitionId partition, UnixMillis as_of) GYRE_REQUIRES(mutex_);
  // Records up to that version may be missing here, as if they had been evicted.
  void NoteEvicted(PartitionId partition, Version version) GYRE_REQUIRES(mutex_);
  // All holders of the partition have everything up to `version`: the tombstones up to it go, but no more
  // than about `removals_max` of them. Returns up to which version they went; 0: there was none.
  Version ForgetRemovals(PartitionId partition, Version version,
                         std::size_t removals_max = std::numeric_limits<std::size_t>::max())
      GYRE_REQUIRES(mutex_);
  // What the record, which is there, takes of the memory: its slots, and its part of the index.
  std::size_t MemoryOf(const RecordView& record) const GYRE_REQUIRES(mutex_);
  // The version of the oldest tombstone that ForgetRemovals would find; 0: there is none.
  Version OldestRemoval(PartitionId partition) const GYRE_REQUIRES(mutex_);
  // Of the owner, by a copy that is filled from it: what it knew of removals before is void.
  void TakeForgotten(PartitionId partition, Version newest_forgotten) GYRE_REQUIRES(mutex_);
  // Deletions since then are remembered, by a tombstone: a record that another copy had at that
  // time or later, and that is missing here, was not deleted.
  UnixMillis RemembersFrom(PartitionId partition, UnixMillis now) const GYRE_REQUIRES(mutex_);
  // Voids all records of versions up to `version`: they are out of sight, `info` and digest at
  // once. O(1) where that means all of them, then Tick frees them; else it costs a pass over the
  // partition.
  void Flush(PartitionId partition, Version version) GYRE_REQUIRES(mutex_);
  // Forgets the partition: records, `newest_evicted`, `newest_forgotten` and role (which becomes kAbsent).
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

  // Background work: reclaims expired and void records and old tombstones, shrinks the index, returns
  // empty pages; at most about `budget` records. True if more is due now.
  bool Tick(UnixMillis now, std::size_t budget) GYRE_REQUIRES(mutex_);

  ShardStats stats() const GYRE_REQUIRES(mutex_);
  // Of the reads of the last half minute or so.
  ReuseHistogram reuse() const GYRE_REQUIRES(mutex_) {
    return reuse_.Histogram(counters_.hits + counters_.misses);
  }
  // By class.
  std::vector<SlabClassUse> slab_classes() const GYRE_REQUIRES(mutex_);

  // Debug: whether all the invariants above hold. Slow: visits everything.
  bool CheckInvariants() const GYRE_REQUIRES(mutex_);

 private:
  struct PartitionState {
    PartitionIndex index;
    PartitionInfo info;
    Version newest = 0;               // no record in the index is of a higher one
    std::size_t tombstone_bytes = 0;  // their slots
  };
  // An index whose records wait to be freed.
  struct DroppedIndex {
    PartitionId partition = 0;
    PartitionIndex index;
    WalkPosition next = {};         // no segment before it
    std::uint32_t next_bucket = 0;  // of the segment there; those before it are empty
  };
  // A partition on its way to another hash.
  struct Rehash {
    PartitionState* state = nullptr;
    PartitionIndex index;      // of its records before `next`, by the new hash
    Removals removals;         // likewise
    WalkPosition next = {};    // in the old order
    std::uint64_t digest = 0;  // of what is in `index`
  };
  // Where a record is indexed: `state` is null where the index is dropped.
  struct Place {
    PartitionIndex* index = nullptr;
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

  // EmptyPage: records of a page whose places in the index are fetched together.
  static constexpr std::size_t kSlotsAheadMax = 16;
  struct SlotsAhead {
    struct Slot {
      Ref at = 0;
      Key key;  // empty: a chunk
    };
    std::array<Slot, kSlotsAheadMax> slots;
    std::size_t count = 0;
    std::size_t next = 0;
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
    return StateOf(key.partition).index.Find(key.bytes, key.hash, space_);
  }
  bool IsHashedAnew(const Key& key) const GYRE_REQUIRES(mutex_) {
    return key.hashed_by != &StateOf(key.partition).index.hash();
  }
  // With the hash that its partition has now.
  Key Current(const Key& key) const GYRE_REQUIRES(mutex_) {
    const KeyHash& hash = key_hash(key.partition);
    return {key.bytes, hash(key.bytes), key.partition, &hash};
  }
  Key KeyOf(std::string_view bytes) const GYRE_REQUIRES(mutex_) {
    return Current({.bytes = bytes, .partition = PartitionOf(SlotOf(bytes), partition_count_)});
  }

  std::uint32_t IndexOf(const PartitionState& state) const GYRE_REQUIRES(mutex_) {
    return static_cast<std::uint32_t>(&state - partitions_.data());
  }

  // shard.cc: records
  void NoteLookup(const Key& key, Ref ref, bool live, Purpose purpose) GYRE_REQUIRES(mutex_);
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
  void ListRemoval(Removals& removals, std::uint64_t hash, Version version) GYRE_REQUIRES(mutex_);
  // Whether a record of that version which is not here was removed here, or never was to be.
  static bool IsForgotten(const PartitionInfo& info, Version version) {
    return info.role >= Role::kReplica && version <= info.newest_forgotten;
  }
  void Expire(Ref ref, UnixMillis now) GYRE_REQUIRES(mutex_);
  void ForgetEvicted(PartitionState& state) GYRE_REQUIRES(mutex_);
  void NoteLeft(PartitionState& state, const EvictedRecord& record) GYRE_REQUIRES(mutex_);

  // shard_memory.cc: slots
  ItemShape ShapeOf(std::size_t key_bytes, const Content& content) const GYRE_REQUIRES(mutex_);
  ClassId ClassOfChunk(std::size_t bytes) const GYRE_REQUIRES(mutex_);
  bool EnsurePagesFor(const ItemShape& shape) GYRE_REQUIRES(mutex_);
  void AskOthers(ClassId id) GYRE_REQUIRES(mutex_);
  std::size_t DonatePages(std::size_t budget) GYRE_REQUIRES(mutex_);
  Ref Build(const Key& key, const ItemShape& shape, const Content& content) GYRE_REQUIRES(mutex_);
  bool BuildChunks(Ref head, std::string_view rest) GYRE_REQUIRES(mutex_);
  void SetOwner(Ref first_chunk, Ref owner) GYRE_REQUIRES(mutex_);
  void FreeChunks(Ref head) GYRE_REQUIRES(mutex_);
  void FreeRecord(Ref ref) GYRE_REQUIRES(mutex_);
  void Discard(const Place& place, Ref ref) GYRE_REQUIRES(mutex_);
  Ref AllocateRecordSlot(std::size_t bytes) GYRE_REQUIRES(mutex_);
  Ref AllocateOrEvict(ClassId id, std::size_t bytes) GYRE_REQUIRES(mutex_);
  bool PaysForNew(const PartitionInfo& info, Ref fresh) const GYRE_REQUIRES(mutex_);
  void GiveWayFor(Ref fresh) GYRE_REQUIRES(mutex_);
  bool TombstonesAreMany() const GYRE_REQUIRES(mutex_);
  bool MakeRoomForTombstone(std::size_t bytes) GYRE_REQUIRES(mutex_);
  bool MakeRoom(ClassId id) GYRE_REQUIRES(mutex_);
  bool MakeRoomByEviction(ClassId id, bool tombstones_may_leave) GYRE_REQUIRES(mutex_);
  bool TakePageFor(ClassId id, bool must, bool tombstones_may_leave) GYRE_REQUIRES(mutex_);
  void LookAheadSlot(PageId page, std::uint32_t slot) const GYRE_REQUIRES(mutex_);
  void LookAheadSlots(PageId page, std::uint32_t slot, SlotsAhead& ahead) const
      GYRE_REQUIRES(mutex_);
  bool EmptyPage(const Evictor::DonatedPage& donated, std::uint64_t ShardStats::*cause,
                 bool tombstones_may_leave) GYRE_REQUIRES(mutex_);
  void MoveSlot(Ref from) GYRE_REQUIRES(mutex_);
  void MoveChunk(Ref from, Ref to) GYRE_REQUIRES(mutex_);
  // `cause`: which of the counters of evicted records it adds to.
  void Evict(Ref ref, std::uint64_t ShardStats::*cause) GYRE_REQUIRES(mutex_);
  void Evict(Ref ref, const Key& key, std::uint64_t ShardStats::*cause) GYRE_REQUIRES(mutex_);
  Place PlaceOf(Ref ref) GYRE_REQUIRES(mutex_);

  // shard_index.cc: the segments of the indexes
  enum class Room : std::uint8_t { kThere, kMade, kNone };
  Room MakeIndexRoom(PartitionIndex& index, const Key& key) GYRE_REQUIRES(mutex_);
  bool EnsureIndexRoom(PartitionIndex& index, const Key& key) GYRE_REQUIRES(mutex_);
  SegmentLink* LinkOf(Ref block) GYRE_REQUIRES(mutex_);
  void CompactSegments() GYRE_REQUIRES(mutex_);
  bool Grow(PartitionIndex::Leaf leaf) GYRE_REQUIRES(mutex_);
  bool Split(PartitionIndex::Leaf leaf) GYRE_REQUIRES(mutex_);
  SegmentLink NewSegment(std::size_t buckets, bool may_evict) GYRE_REQUIRES(mutex_);
  void DropIndex(PartitionId partition) GYRE_REQUIRES(mutex_);
  void FreeIndex(PartitionIndex& index) GYRE_REQUIRES(mutex_);
  std::size_t SweepDroppedIndexes(std::size_t budget) GYRE_REQUIRES(mutex_);
  std::size_t TidyIndexes(std::size_t budget) GYRE_REQUIRES(mutex_);
  std::size_t TidyLeaf(PartitionIndex::Leaf leaf) GYRE_REQUIRES(mutex_);

  // shard_rehash.cc
  std::size_t RehashSome(std::size_t budget) GYRE_REQUIRES(mutex_);
  bool BeginRehash() GYRE_REQUIRES(mutex_);
  bool RehashSegment(const PartitionIndex::Leaf& leaf) GYRE_REQUIRES(mutex_);
  bool RehashEntry(const PartitionIndex::Leaf& leaf, std::uint32_t bucket, std::uint32_t entry)
      GYRE_REQUIRES(mutex_);
  void FinishRehash() GYRE_REQUIRES(mutex_);
  void AbandonRehash() GYRE_REQUIRES(mutex_);
  bool IsRehashing(const PartitionState& state) const GYRE_REQUIRES(mutex_) {
    return rehash_ && rehash_->state == &state;
  }
  bool IsRehashed(const PartitionState& state, Ref ref) const GYRE_REQUIRES(mutex_) {
    return IsRehashing(state) &&
           rehash_->index.Contains(rehash_->index.HashOf(ref, space_), ref, space_);
  }
  bool BelongsToRehashed(const PartitionState& state, const Key& key) const GYRE_REQUIRES(mutex_);
  // What changes in an index, in both of a partition that is being rehashed.
  void MakeRehashRoom(const PartitionState& state, const Key& key) GYRE_REQUIRES(mutex_);
  void InsertInIndex(PartitionState& state, const Key& key, Ref ref) GYRE_REQUIRES(mutex_);
  void ReplaceInIndex(const Place& place, Ref from, Ref to) GYRE_REQUIRES(mutex_);
  void EraseFromIndex(const Place& place, Ref ref) GYRE_REQUIRES(mutex_);

  // shard_partitions.cc: partitions and background work
  void JudgeShares() GYRE_REQUIRES(mutex_);
  void CountShare(const PartitionInfo& info, bool added) GYRE_REQUIRES(mutex_);
  // So many bytes more, or less, of the partition; the number wraps.
  void CountShare(const PartitionInfo& info, std::uint64_t bytes) GYRE_REQUIRES(mutex_) {
    if (info.role == Role::kAbsent) return;
    (IsCopy(info.role) ? shares_.copied_bytes : shares_.owned_bytes) += bytes;
  }
  bool IsOfCopy(const ItemView& item) const GYRE_REQUIRES(mutex_);
  static bool IsCopy(Role role) { return role == Role::kReplica || role == Role::kWarming; }
  void ExpireDue(UnixMillis now, std::size_t& budget) GYRE_REQUIRES(mutex_);
  enum class Together : std::uint8_t { kHash, kHigh48Bits };  // what a walk does not divide
  WalkPosition WalkFrom(PartitionId partition, WalkPosition from, std::size_t records_max,
                        UnixMillis now, Together together,
                        const std::function<bool(const RecordView&)>& visit) const
      GYRE_REQUIRES(mutex_);

  // shard_check.cc
  bool CheckRehash(Tally& tally) const GYRE_REQUIRES(mutex_);
  bool CheckIndex(const PartitionIndex& index, Version flushed, Tally& tally,
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
  PagePool* const pool_;  // null: its memory is its own
  const std::unique_ptr<SlabArena> arena_ GYRE_GUARDED_BY(mutex_);
  const IndexSpace space_;
  Evictor evictor_ GYRE_GUARDED_BY(mutex_);
  TimingWheel wheel_ GYRE_GUARDED_BY(mutex_);
  VersionClock clock_ GYRE_GUARDED_BY(mutex_);
  ReuseSampler reuse_ GYRE_GUARDED_BY(mutex_);
  std::vector<PartitionState> partitions_ GYRE_GUARDED_BY(mutex_);
  std::vector<Removals> removals_ GYRE_GUARDED_BY(mutex_);  // [as partitions_]
  EvictionLog eviction_log_ GYRE_GUARDED_BY(mutex_);        // likewise
  const KeyHash* key_hash_ GYRE_GUARDED_BY(mutex_);
  std::optional<Rehash> rehash_ GYRE_GUARDED_BY(mutex_);
  std::size_t next_rehashed_ GYRE_GUARDED_BY(mutex_) =
      0;  // in partitions_: those before are through
  Claims claims_ GYRE_GUARDED_BY(mutex_);
  std::deque<DroppedIndex> dropped_ GYRE_GUARDED_BY(mutex_);
  UnixMillis now_ GYRE_GUARDED_BY(mutex_) = 0;                   // the latest that a caller passed
  std::size_t tombstone_bytes_ GYRE_GUARDED_BY(mutex_) = 0;      // their slots, of live indexes
  std::size_t removals_listed_ GYRE_GUARDED_BY(mutex_) = 0;      // in removals_
  std::uint32_t evictions_unasked_ GYRE_GUARDED_BY(mutex_) = 0;  // since it asked for pages
  std::uint32_t pages_owed_ GYRE_GUARDED_BY(mutex_) = 0;         // to other shards, who asked
  std::size_t next_tidied_ GYRE_GUARDED_BY(mutex_) = 0;          // in partitions_
  WalkPosition next_tidied_at_ GYRE_GUARDED_BY(mutex_);          // in its index
  UnixMillis next_judged_ GYRE_GUARDED_BY(mutex_) = 0;           // by JudgeShares
  MemoryShares shares_ GYRE_GUARDED_BY(mutex_);                  // bytes in use: as of JudgeShares
  MemoryShares shares_told_ GYRE_GUARDED_BY(mutex_);             // to the pool
  GivesWay gives_way_ GYRE_GUARDED_BY(mutex_) = GivesWay::kAny;  // likewise
  bool node_is_full_ GYRE_GUARDED_BY(mutex_) = false;            // likewise
  ShardStats counters_ GYRE_GUARDED_BY(mutex_);  // gauges `records` and `tombstones` included
};

// One record's share of a partition's digest.
inline std::uint64_t MixDigest(std::uint64_t key_hash, Version version) {
  std::uint64_t mixed = key_hash ^ (version * 0x9e3779b97f4a7c15ULL);
  mixed = (mixed ^ (mixed >> 32)) * 0xd6e8feb86659fd93ULL;
  return mixed ^ (mixed >> 32);
}

}  // namespace gyre
