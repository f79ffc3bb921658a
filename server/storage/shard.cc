// Records: find, store, remove, apply. Memory is in shard_memory.cc, partitions are in
// shard_partitions.cc.
#include "storage/shard.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <random>
#include <string>

namespace gyre {
namespace {

// Pages are as large as they can be while a shard still has some thousands: some sixty classes
// share them, and each must be able to have about the share that its records are worth. (512
// instead of 2,048 cost 0.4 to 1.2 points of hit ratio at 32 MiB.)
constexpr std::size_t kPagesAShard = 2048;
// Less does not hold a page of each of the usual classes.
constexpr std::size_t kArenaBytesMin = 64 * kPageBytesMin;
// What the arena keeps about a page, at most.
constexpr std::size_t kBookBytesAPage = 64;
constexpr std::size_t kIndexBytesARecord = 7;
// The lists of removals take at most this share of the memory, beside it.
constexpr std::size_t kRemovalsShare = 256;
// So does what other copies are to be told of evictions, of so many records at least.
constexpr std::size_t kEvictionLogShare = 512;
constexpr std::size_t kEvictionLogMin = 1024;
// Expiries count up to here in their sum (500 years), so that it does not overflow.
constexpr UnixMillis kExpirySummedMax = UnixMillis{1} << 44;

// What a record takes, with its place in the index; without what its slot is larger.
std::size_t BytesOf(const ItemView& item) {
  return item.shape().slot_bytes() - item.inline_bytes() + item.value_bytes() + kIndexBytesARecord;
}

}  // namespace

std::uint64_t ExpirySeconds(UnixMillis expiry_ms) {
  return static_cast<std::uint64_t>(std::clamp(expiry_ms, UnixMillis{0}, kExpirySummedMax)) / 1000;
}

std::size_t Shard::PageBytesFor(std::size_t memory_bytes) {
  return std::clamp(std::bit_floor(memory_bytes / kPagesAShard + 1), kPageBytesMin, kPageBytesMax);
}

std::size_t Shard::FixedBytesFor(const ShardOptions& options) {
  const std::size_t partitions =
      std::max<std::size_t>(options.partition_count / options.shard_count, 1);
  return sizeof(Shard) + partitions * (sizeof(PartitionState) + sizeof(Removals)) +
         options.memory_bytes / PageBytesFor(options.memory_bytes) * kBookBytesAPage +
         ReuseSampler::BytesFor(options.memory_bytes);
}

Result<std::unique_ptr<Shard>> Shard::Create(const ShardOptions& options) {
  assert(std::has_single_bit(options.shard_count) && std::has_single_bit(options.partition_count));
  const std::size_t page_bytes = PageBytesFor(options.memory_bytes);
  const std::size_t fixed = FixedBytesFor(options);
  if (options.memory_bytes < fixed + kArenaBytesMin) {
    return Fail(ErrorCode::kInvalidArgument,
                "memory: " + std::to_string(options.memory_bytes) + " bytes a shard are too few, " +
                    std::to_string(options.partition_count) + " partitions need at least " +
                    std::to_string((fixed + kArenaBytesMin) * options.shard_count) +
                    " bytes in all: raise --memory");
  }
  auto arena = options.lending.pool == nullptr
                   ? SlabArena::Create(options.memory_bytes - fixed, page_bytes)
                   : SlabArena::Create(options.lending, page_bytes);
  if (!arena) return tl::unexpected(arena.error());
  return std::unique_ptr<Shard>(new Shard(options, fixed, std::move(*arena)));
}

Shard::Shard(const ShardOptions& options, std::size_t fixed_bytes, std::unique_ptr<SlabArena> arena)
    : memory_bytes_(options.memory_bytes),
      fixed_bytes_(fixed_bytes),
      value_bytes_max_(options.value_bytes_max),
      partition_count_(options.partition_count),
      shard_index_(options.shard_index),
      shard_count_log2_(std::countr_zero(options.shard_count)),
      tombstone_ttl_ms_(options.tombstone_ttl_ms),
      pool_(options.lending.pool),
      arena_(std::move(arena)),
      space_{arena_->base(), std::random_device{}() * std::uint64_t{0x9e3779b97f4a7c15}},
      evictor_(*arena_, pool_),
      wheel_(arena_->base()),
      clock_(options.version_node),
      reuse_(options.memory_bytes, std::random_device{}() * std::uint64_t{0xd6e8feb86659fd93}),
      partitions_(std::max<std::size_t>(options.partition_count / options.shard_count, 1),
                  PartitionState{.index = PartitionIndex(*options.key_hash)}),
      removals_(partitions_.size()),
      eviction_log_(partitions_.size(),
                    std::max(options.memory_bytes / kEvictionLogShare / EvictionLog::kEntryBytes,
                             kEvictionLogMin)),
      key_hash_(options.key_hash) {}

Shard::~Shard() = default;

RecordView Shard::Find(const Key& key, UnixMillis now, Purpose purpose) {
  if (IsHashedAnew(key)) [[unlikely]]
    return Find(Current(key), now, purpose);
  now_ = now;
  const Ref ref = Lookup(key);
  const bool counts = purpose != Purpose::kWrite;
  const bool live = IsLive(ref, now);
  if (reuse_.Samples(key.hash)) [[unlikely]]
    NoteLookup(key, ref, live, purpose);
  if (!live) {
    counters_.misses += counts ? 1 : 0;
    return {};
  }
  counters_.hits += counts ? 1 : 0;
  if (purpose != Purpose::kInspect) ItemAt(ref).CountUse();
  return RecordAt(ref);
}

// Of a key that is sampled.
void Shard::NoteLookup(const Key& key, Ref ref, bool live, Purpose purpose) {
  if (purpose == Purpose::kInspect) return;
  if (live) {
    const std::size_t bytes = BytesOf(ItemAt(ref));
    const std::uint32_t group = IndexOf(StateOf(key.partition));
    return purpose == Purpose::kRead ? reuse_.OnHit(key.hash, bytes, group)
                                     : reuse_.OnUse(key.hash, bytes, group);
  }
  if (ref != 0) reuse_.Forget(key.hash);  // expired, or removed
  if (purpose == Purpose::kRead) reuse_.OnMiss(key.hash);
}

RecordView Shard::Peek(const Key& key) const {
  return RecordAt(Lookup(IsHashedAnew(key) ? Current(key) : key));
}

void Shard::Prefetch(const Key& key) const {
  StateOf(key.partition).index.Prefetch(key.hash, space_);
}

void Shard::PrefetchRecord(const Key& key) const {
  StateOf(key.partition).index.PrefetchRecords(key.hash, space_);
}

Version Shard::NextVersion(UnixMillis now) {
  now_ = now;
  return clock_.Next(now);
}

// ---- Writes ------------------------------------------------------------------------------------

Result<RecordView> Shard::Store(const Key& key, std::string_view value, UnixMillis expiry_ms,
                                std::uint32_t flags, Version version) {
  if (IsHashedAnew(key)) [[unlikely]]
    return Store(Current(key), value, expiry_ms, flags, version);
  if (Status status = CheckBounds(key.bytes, value); !status) {
    return tl::unexpected(status.error());
  }
  const PartitionInfo& info = StateOf(key.partition).info;
  if (version <= info.flushed) {
    return Fail(ErrorCode::kInvalidArgument, "the partition was flushed after this version");
  }
  if (expiry_ms != kNeverExpires && expiry_ms <= now_) {
    PutTombstone(key, Lookup(key), version, info.keeps_tombstones);
    return RecordView{};
  }
  const Result<Ref> stored =
      Put(key, {.value = value, .version = version, .expiry = expiry_ms, .flags = flags});
  if (!stored) return tl::unexpected(stored.error());
  return RecordAt(*stored);
}

bool Shard::Remove(const Key& key, Version version, UnixMillis now) {
  if (IsHashedAnew(key)) [[unlikely]]
    return Remove(Current(key), version, now);
  now_ = now;
  const Ref ref = Lookup(key);
  const bool existed = IsLive(ref, now);
  if (ref != 0 && !existed && !ItemAt(ref).is_tombstone()) ++counters_.expired;
  PutTombstone(key, ref, version, StateOf(key.partition).info.keeps_tombstones);
  return existed;
}

Result<bool> Shard::Apply(const Mutation& mutation, UnixMillis now) {
  now_ = now;
  if (Status status = CheckBounds(mutation.key, mutation.value); !status) {
    return tl::unexpected(status.error());
  }
  const Key key = KeyOf(mutation.key);
  const std::uint32_t shard_mask = (1U << shard_count_log2_) - 1;
  if (key.partition != mutation.partition || (key.partition & shard_mask) != shard_index_) {
    return Fail(ErrorCode::kInvalidArgument,
                "a mutation names partition " + std::to_string(mutation.partition) +
                    ", its key belongs to " + std::to_string(key.partition));
  }
  clock_.Observe(mutation.version);
  PartitionState& state = StateOf(key.partition);
  if (mutation.version <= state.info.flushed) return false;
  const Ref old = Lookup(key);
  if (old != 0 && ItemAt(old).version() >= mutation.version) return false;
  if (old == 0 && IsForgotten(state.info, mutation.version)) return false;
  const bool expired = mutation.expiry_ms != kNeverExpires && mutation.expiry_ms <= now;
  if (mutation.tombstone || expired) {
    PutTombstone(key, old, mutation.version, /*keep=*/true);
    return true;
  }
  const Result<Ref> stored = Put(key, {.value = mutation.value,
                                       .version = mutation.version,
                                       .expiry = mutation.expiry_ms,
                                       .flags = mutation.flags});
  if (stored) return true;
  if (const Ref stale = Lookup(key); stale != 0) Discard({&state.index, &state, key.hash}, stale);
  state.info.newest_evicted = std::max(state.info.newest_evicted, mutation.version);
  return tl::unexpected(stored.error());
}

bool Shard::Forget(const Key& key, Version version) {
  if (IsHashedAnew(key)) [[unlikely]]
    return Forget(Current(key), version);
  const Ref ref = Lookup(key);
  if (ref == 0 || ItemAt(ref).version() != version) return false;
  if (reuse_.Samples(key.hash)) reuse_.Forget(key.hash);
  PartitionState& state = StateOf(key.partition);
  if (!ItemAt(ref).is_tombstone()) {
    state.info.newest_evicted = std::max(state.info.newest_evicted, version);
  }
  Discard({&state.index, &state, key.hash}, ref);
  return true;
}

Status Shard::CheckBounds(std::string_view key, std::string_view value) const {
  if (key.size() > kKeyBytesMax) {
    return Fail(ErrorCode::kTooLarge, "the key has " + std::to_string(key.size()) +
                                          " bytes, at most " + std::to_string(kKeyBytesMax) +
                                          " are possible");
  }
  if (value.size() > value_bytes_max_) {
    return Fail(ErrorCode::kTooLarge, "the value has " + std::to_string(value.size()) +
                                          " bytes, --max-value allows " +
                                          std::to_string(value_bytes_max_));
  }
  return {};
}

Result<Ref> Shard::Put(const Key& key, const Content& content) {
  evictor_.OnWrite();
  PartitionState& state = StateOf(key.partition);
  const ItemShape shape = ShapeOf(key.bytes.size(), content);
  Ref old = Lookup(key);
  if (old != 0 && ItemAt(old).form() != kChunked && (shape.bits & kItemFormMask) != kChunked &&
      arena_->ClassOf(old) == arena_->classes().ForRecord(shape.slot_bytes()) &&
      arena_->SlotBytes(old) >= shape.slot_bytes()) {
    Overwrite(state, key, old, shape, content);
    return old;
  }
  const std::uint64_t evicted_before = counters_.evicted;
  const bool fits = EnsurePagesFor(shape) && (old != 0 || EnsureIndexRoom(state.index, key));
  if (fits && old == 0) MakeRehashRoom(state, key);
  const Ref fresh = fits ? Build(key, shape, content) : 0;
  if (fresh != 0) {
    // Making room may have evicted the old record.
    old = Lookup(key);
    if (old != 0) {
      const std::uint8_t uses = ItemAt(old).uses();
      Account(state, key.hash, old, /*added=*/false);
      ReplaceInIndex({&state.index, &state, key.hash}, old, fresh);
      FreeRecord(old);
      ItemAt(fresh).set_uses(uses);
      ItemAt(fresh).CountUse();
    }
    if (old == 0) InsertInIndex(state, key, fresh);
    if (ItemAt(fresh).has_expiry()) wheel_.Insert(fresh, now_);
    Account(state, key.hash, fresh, /*added=*/true);
    const bool found_a_slot = counters_.evicted == evicted_before;
    if (old == 0 && !content.tombstone && found_a_slot && PaysForNew(state.info, fresh)) {
      GiveWayFor(fresh);
    }
    return fresh;
  }
  ++counters_.refused_memory;
  return Fail(ErrorCode::kOutOfMemory,
              "a record of " + std::to_string(shape.key_bytes + shape.value_bytes) +
                  " bytes finds no room in a shard of " + std::to_string(memory_bytes_) +
                  " bytes, even after eviction: raise --memory or store smaller values");
}

// Gives the slot new content. The key may lie in the slot itself.
void Shard::Overwrite(PartitionState& state, const Key& key, Ref ref, const ItemShape& shape,
                      const Content& content) {
  assert(arena_->SlotBytes(ref) >= shape.slot_bytes() &&
         content.value.size() == shape.inline_bytes);
  Item item = ItemAt(ref);
  const std::uint8_t uses = item.uses();
  Account(state, key.hash, ref, /*added=*/false);
  if (item.has_expiry()) wheel_.Remove(ref);
  FreeChunks(ref);
  // The key first: the new header may cover where it stands.
  if (!key.bytes.empty()) {
    std::memmove(arena_->At(ref) + ItemHeaderBytes(shape.bits), key.bytes.data(), key.bytes.size());
  }
  item.WriteHeader(shape, content.version, content.expiry, content.flags);
  if (!content.value.empty()) {
    std::memcpy(item.value_space(), content.value.data(), content.value.size());
  }
  item.set_uses(uses);
  item.CountUse();
  if (item.has_expiry()) wheel_.Insert(ref, now_);
  Account(state, key.hash, ref, /*added=*/true);
}

// Replaces `old` (0: there is none) by a tombstone, or, unless `keep`, by nothing. Never fails:
// where nothing is left of the removal, the partition counts it as evicted.
void Shard::PutTombstone(const Key& key, Ref old, Version version, bool keep) {
  if (reuse_.Samples(key.hash)) reuse_.Forget(key.hash);
  PartitionState& state = StateOf(key.partition);
  const Content content{
      .version = version, .expiry = ForgetAt(state.info, version), .tombstone = true};
  if (keep && old != 0 && ReplaceByTombstone(state, key, old, content)) return;
  if (keep && old == 0) {
    const std::size_t bytes = ShapeOf(key.bytes.size(), content).slot_bytes();
    if (MakeRoomForTombstone(bytes) && Put(key, content)) return;
  }
  if (keep) ++counters_.tombstones_evicted;
  NoteEvicted(key.partition, version);
  // Making room may have evicted the old record.
  if (const Ref left = Lookup(key); left != 0) Discard({&state.index, &state, key.hash}, left);
}

// False: there is no room for it.
bool Shard::ReplaceByTombstone(PartitionState& state, const Key& key, Ref old,
                               const Content& content) {
  const ItemShape shape = ShapeOf(key.bytes.size(), content);
  const ClassId id = arena_->classes().ForRecord(shape.slot_bytes());
  Ref slot = old;
  if (arena_->ClassOf(old) != id || arena_->SlotBytes(old) < shape.slot_bytes()) {
    // A tombstone needs little, so it should not keep the record's large slot; but it must not
    // cost others their place either, if that slot will do.
    slot = arena_->classes().IsRun(id) ? 0 : arena_->Allocate(id);
    if (slot == 0 && arena_->SlotBytes(old) >= shape.slot_bytes()) slot = old;
    if (slot == 0) {
      evictor_.Pin(1, old);
      slot = AllocateRecordSlot(shape.slot_bytes());
      evictor_.Pin(1, 0);
    }
  }
  if (slot == 0) return false;
  if (slot == old) {
    Overwrite(state, key, old, shape, content);
    return true;
  }
  Item item = ItemAt(slot);
  item.WriteHeader(shape, content.version, content.expiry, 0);
  key.bytes.copy(item.key_space(), key.bytes.size());
  Account(state, key.hash, old, /*added=*/false);
  ReplaceInIndex({&state.index, &state, key.hash}, old, slot);
  FreeRecord(old);
  wheel_.Insert(slot, now_);
  Account(state, key.hash, slot, /*added=*/true);
  return true;
}

Result<RecordView> Shard::SetExpiry(const Key& key, UnixMillis expiry_ms, Version version,
                                    UnixMillis now) {
  if (IsHashedAnew(key)) [[unlikely]]
    return SetExpiry(Current(key), expiry_ms, version, now);
  now_ = now;
  const Ref ref = Lookup(key);
  if (!IsLive(ref, now)) return RecordView{};
  PartitionState& state = StateOf(key.partition);
  if (expiry_ms != kNeverExpires && expiry_ms <= now) {
    PutTombstone(key, ref, version, state.info.keeps_tombstones);
    return RecordView{};
  }
  Ref target = ref;
  ItemShape shape = ItemAt(ref).shape();
  shape.bits &= static_cast<std::uint8_t>(~kItemHasExpiry);
  if (expiry_ms != kNeverExpires) shape.bits |= kItemHasExpiry;
  if (shape.slot_bytes() > arena_->SlotBytes(ref)) {
    evictor_.Pin(1, ref);
    target = AllocateRecordSlot(shape.slot_bytes());
    evictor_.Pin(1, 0);
    if (target == 0) {
      ++counters_.refused_memory;
      return Fail(ErrorCode::kOutOfMemory, "no room for an expiry: raise --memory");
    }
  }
  Account(state, key.hash, ref, /*added=*/false);
  Rewrite(ref, target, shape, version, expiry_ms);
  if (target != ref) {
    ReplaceInIndex({&state.index, &state, key.hash}, ref, target);
    arena_->Free(ref);
  }
  Account(state, key.hash, target, /*added=*/true);
  return RecordAt(target);
}

// Gives the record another header, in place or in another slot; its chunks stay.
void Shard::Rewrite(Ref ref, Ref target, const ItemShape& shape, Version version,
                    UnixMillis expiry) {
  const Item old = ItemAt(ref);
  const std::uint8_t uses = old.uses();
  const std::uint32_t flags = old.flags();
  const Ref chunks = old.first_chunk();
  if (old.has_expiry()) wheel_.Remove(ref);
  std::memmove(arena_->At(target) + ItemHeaderBytes(shape.bits), arena_->At(ref) + old.key_at(),
               shape.key_bytes + shape.inline_bytes);
  Item item = ItemAt(target);
  item.WriteHeader(shape, version, expiry, flags);
  item.set_uses(uses);
  if (chunks != 0) item.set_first_chunk(chunks);
  if (target != ref) SetOwner(chunks, target);
  if (item.has_expiry()) wheel_.Insert(target, now_);
}

// The record's time has come.
void Shard::Expire(Ref ref, UnixMillis now) {
  const Place place = PlaceOf(ref);
  const Item item = ItemAt(ref);
  if (place.state == nullptr || item.is_tombstone()) {
    Discard(place, ref);
    return;
  }
  ++counters_.expired;
  NoteLeft(*place.state, {place.hash, item.version(), /*expired=*/true});
  if (reuse_.Samples(place.hash)) reuse_.Forget(place.hash);
  // What a peer may still lack must not be forgotten, or its older version would come back.
  const PartitionInfo& info = place.state->info;
  if (!IsForgotten(info, item.version()) && ForgetAt(info, item.version()) > now) {
    const Key key = KeyOf(item.key());
    PutTombstone(key, ref, item.version(), info.keeps_tombstones);
    return;
  }
  Discard(place, ref);
}

// ---- What left at the owner --------------------------------------------------------------------

// A record of a live index, not a tombstone, was evicted or has expired.
void Shard::NoteLeft(PartitionState& state, const EvictedRecord& record) {
  if (state.info.role != Role::kOwner || !state.info.keeps_tombstones) return;
  if (eviction_log_.Add(IndexOf(state), record)) {
    state.info.has_evicted = true;
  } else {
    ++counters_.evictions_untold;
  }
}

void Shard::TakeEvicted(PartitionId partition, std::size_t count_max,
                        std::vector<EvictedRecord>& evicted) {
  PartitionState& state = StateOf(partition);
  eviction_log_.Take(IndexOf(state), count_max, evicted);
  state.info.has_evicted = eviction_log_.Has(IndexOf(state));
}

void Shard::ForgetEvicted(PartitionState& state) {
  eviction_log_.Clear(IndexOf(state));
  state.info.has_evicted = false;
}

bool Shard::DropEvicted(PartitionId partition, const EvictedRecord& evicted, UnixMillis now) {
  now_ = now;
  PartitionState& state = StateOf(partition);
  const Ref ref = state.index.FindVersion(evicted.hash, evicted.version, space_);
  if (ref == 0 || ItemAt(ref).is_tombstone()) return false;
  if (evicted.expired) {
    Expire(ref, now);
    return true;
  }
  ++counters_.evicted_by_owner;
  state.info.newest_evicted = std::max(state.info.newest_evicted, evicted.version);
  Discard({&state.index, &state, evicted.hash}, ref);
  return true;
}

// ---- Removals that all holders have ------------------------------------------------------------

// One that finds no place in the list is remembered for the usual time.
void Shard::ListRemoval(Removals& removals, std::uint64_t hash, Version version) {
  if ((removals_listed_ + 1) * sizeof(Removal) > memory_bytes_ / kRemovalsShare) {
    ++counters_.tombstones_unlisted;
    return;
  }
  removals.Add({version, hash});
  ++removals_listed_;
}

Version Shard::ForgetRemovals(PartitionId partition, Version version, std::size_t removals_max) {
  PartitionState& state = StateOf(partition);
  Removals& removals = removals_[IndexOf(state)];
  Version newest = 0;
  for (std::size_t taken = 0; !removals.empty() && removals.oldest().version <= version; ++taken) {
    // Those of one version go together.
    if (taken >= removals_max && removals.oldest().version != newest) break;
    const Removal removal = removals.Take();
    --removals_listed_;
    newest = removal.version;
    const Ref ref = state.index.FindVersion(removal.hash, removal.version, space_);
    if (ref == 0 || !ItemAt(ref).is_tombstone()) continue;
    Discard({&state.index, &state, removal.hash}, ref);
    ++counters_.tombstones_forgotten;
  }
  const bool all = removals.empty() || removals.oldest().version > version;
  TakeForgotten(partition, std::max(state.info.newest_forgotten, all ? version : newest));
  return newest == 0 ? 0 : state.info.newest_forgotten;
}

Version Shard::OldestRemoval(PartitionId partition) const {
  const Removals& removals = removals_[IndexOf(StateOf(partition))];
  return removals.empty() ? 0 : removals.oldest().version;
}

void Shard::TakeForgotten(PartitionId partition, Version newest_forgotten) {
  clock_.Observe(newest_forgotten);
  StateOf(partition).info.newest_forgotten = newest_forgotten;
}

void Shard::Account(PartitionState& state, std::uint64_t hash, Ref ref, bool added) {
  const ItemView item = ItemAt(ref);
  const std::uint64_t one = added ? 1 : ~std::uint64_t{0};
  if (item.is_tombstone()) {
    state.info.tombstones += one;
    counters_.tombstones += one;
    state.tombstone_bytes += one * arena_->SlotBytes(ref);
    tombstone_bytes_ += one * arena_->SlotBytes(ref);
    if (added) ListRemoval(removals_[IndexOf(state)], hash, item.version());
  } else {
    state.info.records += one;
    counters_.records += one;
    state.info.value_bytes += one * item.value_bytes();
    CountShare(state.info, one * (item.value_bytes() + MemoryShares::kRecordBytes));
    if (added && reuse_.Samples(hash)) reuse_.OnUse(hash, BytesOf(item), IndexOf(state));
    if (item.has_expiry()) {
      const std::uint64_t seconds = ExpirySeconds(item.expiry());
      state.info.expiring += one;
      counters_.expiring += one;
      state.info.expiry_seconds += one * seconds;
      counters_.expiry_seconds += one * seconds;
    }
  }
  state.info.digest += one * MixDigest(hash, item.version());
  if (IsRehashed(state, ref)) [[unlikely]] {
    const std::uint64_t rehashed = rehash_->index.HashOf(ref, space_);
    rehash_->digest += one * MixDigest(rehashed, item.version());
    if (added && item.is_tombstone()) ListRemoval(rehash_->removals, rehashed, item.version());
  }
  if (added) state.newest = std::max(state.newest, item.version());
}

}  // namespace gyre
