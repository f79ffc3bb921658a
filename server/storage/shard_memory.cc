// How a shard finds slots for records, and whom it turns out.
#include <algorithm>
#include <cassert>

#include "storage/shard.h"

namespace gyre {
namespace {

// A value stands whole in a coarse slot only if that wastes at most 1/8.
constexpr std::size_t kWasteShare = 8;
// Records freed from dropped tables before the caller looks for a slot again.
constexpr std::size_t kSweepStep = 64;
// Beyond this share of the memory, tombstones leave like records that nobody uses, and one for a key
// that is not here takes the place of another.
constexpr std::size_t kTombstoneShare = 8;
// Pages that a large record may need beyond its whole ones: its head and tail, and what the records
// of others that cannot leave at the moment hold.
constexpr std::size_t kPagesSpare = 8;
// Records of a page whose places in the index are fetched together.
constexpr int kSlotsForeseen = 16;
// Tables grow at the comfortable size less up to this share of it.
constexpr std::uint64_t kTableLimitSpread = 12;
constexpr std::uint32_t kGoldenRatio32 = 0x9e3779b9;  // 2^32 / 1.618: multiples spread evenly

}  // namespace

// ---- Building ----------------------------------------------------------------------------------

// The coarse class whose chunk `bytes` fill; where they fill none, the class that fits them.
ClassId Shard::ClassOfChunk(std::size_t bytes) const {
  const SizeClasses& classes = arena_->classes();
  for (std::size_t log2 = 0; log2 < kCoarseClasses; ++log2) {
    const ClassId id = classes.Coarse(log2);
    if (bytes + kChunkHeaderBytes >= classes.at(id).slot_bytes) return id;
  }
  return classes.ForRecord(bytes + kChunkHeaderBytes);
}

ItemShape Shard::ShapeOf(std::size_t key_bytes, const Content& content) const {
  const SizeClasses& classes = arena_->classes();
  const bool expires = content.expiry != kNeverExpires;
  ItemShape shape =
      PlainShape(key_bytes, content.value.size(), expires, content.flags != 0, content.tombstone);
  const std::size_t bytes = shape.slot_bytes();
  if (bytes <= classes.fine_bytes_max() || content.tombstone) return shape;
  const std::size_t slot_bytes = classes.at(classes.ForRecord(bytes)).slot_bytes;
  if (slot_bytes >= bytes && slot_bytes - bytes <= bytes / kWasteShare) return shape;
  // Chunks take what fills coarse slots; the rest goes with the key.
  shape.bits = static_cast<std::uint8_t>((shape.bits & ~kItemFormMask) | kChunked);
  std::size_t rest = content.value.size();
  for (std::size_t log2 = 0; log2 < kCoarseClasses; ++log2) {
    const std::size_t chunk = classes.at(classes.Coarse(log2)).slot_bytes - kChunkHeaderBytes;
    rest = log2 == 0 ? rest % chunk : (rest >= chunk ? rest - chunk : rest);
  }
  shape.inline_bytes = 0;
  if (shape.slot_bytes() + rest <= classes.fine_bytes_max()) shape.inline_bytes = rest;
  return shape;
}

bool Shard::CanEverFit(const ItemShape& shape) const {
  const std::size_t bytes = shape.key_bytes + shape.value_bytes;
  if (bytes <= arena_->classes().fine_bytes_max()) return true;
  const std::size_t pages = bytes / (arena_->page_bytes() - 2 * kLineBytes) + kPagesSpare;
  return arena_->TablePages() + pages <= arena_->pages_limit();
}

// A new record, not yet in table, wheel and totals, or 0.
Ref Shard::Build(const Key& key, const ItemShape& shape, const Content& content) {
  const Ref ref = AllocateRecordSlot(shape.slot_bytes());
  if (ref == 0) return 0;
  Item item = ItemAt(ref);
  item.WriteHeader(shape, content.version, content.expiry, content.flags);
  key.bytes.copy(item.key_space(), key.bytes.size());
  content.value.copy(item.value_space(), shape.inline_bytes);
  if (shape.inline_bytes == shape.value_bytes) return ref;
  evictor_.Pin(0, ref);
  const bool built = BuildChunks(ref, content.value.substr(shape.inline_bytes));
  evictor_.Pin(0, 0);
  if (built) return ref;
  FreeChunks(ref);
  arena_->Free(ref);
  return 0;
}

bool Shard::BuildChunks(Ref head, std::string_view rest) {
  Ref last = 0;
  while (!rest.empty()) {
    const ClassId id = ClassOfChunk(rest.size());
    const Ref ref = AllocateOrEvict(id, 0);
    if (ref == 0) return false;
    const std::size_t bytes =
        std::min(rest.size(), arena_->classes().at(id).slot_bytes - kChunkHeaderBytes);
    Chunk chunk(arena_->At(ref));
    chunk.WriteHeader(head, bytes);
    rest.copy(chunk.value_space(), bytes);
    rest.remove_prefix(bytes);
    if (last == 0) {
      ItemAt(head).set_first_chunk(ref);
    } else {
      Chunk(arena_->At(last)).set_next(ref);
    }
    last = ref;
  }
  return true;
}

void Shard::SetOwner(Ref first_chunk, Ref owner) {
  for (Ref next = first_chunk; next != 0;) {
    Chunk chunk(arena_->At(next));
    chunk.set_owner(owner);
    next = chunk.next();
  }
}

// ---- Freeing -----------------------------------------------------------------------------------

void Shard::FreeChunks(Ref head) {
  for (Ref next = ItemAt(head).first_chunk(); next != 0;) {
    const Ref freed = next;
    next = Chunk(arena_->At(freed)).next();
    arena_->Free(freed);
  }
}

// Slots and wheel; table and totals are the caller's.
void Shard::FreeRecord(Ref ref) {
  if (ItemAt(ref).has_expiry()) wheel_.Remove(ref);
  FreeChunks(ref);
  arena_->Free(ref);
}

void Shard::Discard(const Place& place, Ref ref) {
  if (place.state != nullptr) Account(*place.state, place.hash, ref, /*added=*/false);
  place.table->Erase(place.hash, ref);
  FreeRecord(ref);
}

Shard::Place Shard::PlaceOf(Ref ref) {
  const Key key = MakeKey(ItemAt(ref).key(), partition_count_);
  PartitionState& state = StateOf(key.partition);
  if (state.table.Contains(key.hash, ref)) return {&state.table, &state, key.hash};
  for (DroppedTable& dropped : dropped_tables_) {
    if (dropped.partition == key.partition && dropped.table.Contains(key.hash, ref)) {
      return {&dropped.table, nullptr, key.hash};
    }
  }
  assert(false && "a record is in no table");
  return {};
}

void Shard::Evict(Ref ref) {
  const Place place = PlaceOf(ref);
  if (place.state != nullptr) {
    ++(ItemAt(ref).is_tombstone() ? counters_.tombstones_evicted : counters_.evicted);
    Version& newest = place.state->info.newest_evicted;
    newest = std::max(newest, ItemAt(ref).version());
  }
  Discard(place, ref);
}

// ---- Finding room ------------------------------------------------------------------------------

Ref Shard::AllocateRecordSlot(std::size_t bytes) {
  return AllocateOrEvict(arena_->classes().ForRecord(bytes), bytes);
}

// `bytes` counts for runs only.
Ref Shard::AllocateOrEvict(ClassId id, std::size_t bytes) {
  const bool is_run = arena_->classes().IsRun(id);
  for (;;) {
    const Ref ref = is_run ? arena_->AllocateRun(id, bytes) : arena_->Allocate(id);
    if (ref != 0) return ref;
    // A run may lack contiguous address space rather than memory: evicting would not help.
    if (is_run && arena_->pages_used() + arena_->RunPages(bytes) <= arena_->pages_limit()) return 0;
    if (!MakeRoom(id)) return 0;
  }
}

bool Shard::TombstonesAreMany() const { return tombstone_bytes_ > memory_bytes_ / kTombstoneShare; }

// Whether one more may be added. Where they are many, an older one goes for it, so that deleting
// keys that are not here costs live records no more than the share: one of its class, else of the
// smallest, since tombstones are small.
bool Shard::MakeRoomForTombstone(std::size_t bytes) {
  if (!TombstonesAreMany()) return true;
  Ref old = evictor_.NextTombstone(arena_->classes().ForRecord(bytes));
  for (ClassId id = 0; old == 0 && id <= arena_->classes().record_run(); ++id) {
    old = evictor_.NextTombstone(id);
  }
  if (old != 0) Evict(old);
  return old != 0;
}

// Frees at least one slot of the class, or a page, or a record of a dropped table; false: nothing
// more can be freed.
bool Shard::MakeRoom(ClassId id) {
  if (SweepDroppedTables(kSweepStep) > 0) return true;
  const bool tombstones_may_leave = TombstonesAreMany();
  if (MakeRoomByEviction(id, tombstones_may_leave)) return true;
  return !tombstones_may_leave && MakeRoomByEviction(id, /*tombstones_may_leave=*/true);
}

bool Shard::MakeRoomByEviction(ClassId id, bool tombstones_may_leave) {
  if (!arena_->classes().IsTable(id)) {
    if (evictor_.MayBid(id) && TakePageFor(id, /*must=*/false, tombstones_may_leave)) {
      return true;
    }
    if (const Ref victim = evictor_.Victim(id, tombstones_may_leave)) {
      Evict(victim);
      const SlabArena::ClassUse& use = arena_->use(id);
      if (use.hand != 0) LookAheadSlots(use.hand, use.hand_slot, 1);  // for the next eviction
      return true;
    }
  }
  return TakePageFor(id, /*must=*/true, tombstones_may_leave);
}

// Makes another class give a page away.
bool Shard::TakePageFor(ClassId id, bool must, bool tombstones_may_leave) {
  Evictor::Tried tried;
  while (const std::optional<ClassId> donor = evictor_.Donor(id, must, tried)) {
    const Evictor::DonatedPage donated = evictor_.PageToDonate(*donor, must);
    if (donated.page != 0 && EmptyPage(donated, tombstones_may_leave)) {
      ++counters_.pages_moved;
      return true;
    }
    if (!must) break;
    tried.set(*donor);
  }
  if (!must) evictor_.BidRefused(id);
  return false;
}

// Fetches what the index has of the next records of the page, together: each is somewhere else in
// memory. Returns the slot behind them.
std::uint32_t Shard::LookAheadSlots(PageId page, std::uint32_t slot, int count) const {
  for (; count > 0; --count, ++slot) {
    const Ref at = arena_->NextTaken(page, slot);
    if (at == 0) break;
    const ItemView item = ItemAt(at);
    if (!item.is_chunk()) Prefetch(MakeKey(item.key(), partition_count_));
  }
  return slot;
}

// Moves or evicts all that the page holds. False if something had to stay.
bool Shard::EmptyPage(const Evictor::DonatedPage& donated, bool tombstones_may_leave) {
  const PageId page = donated.page;
  const ClassId id = arena_->PageClass(page);
  const bool can_move = arena_->classes().at(id).slot_count > 1;
  arena_->ClosePage(page);
  std::uint32_t slot = 0;
  std::uint32_t lookahead = 0;
  for (Ref at; arena_->PageUsed(page) > 0 && (at = arena_->NextTaken(page, slot)) != 0; ++slot) {
    if (slot >= lookahead) lookahead = LookAheadSlots(page, slot, kSlotsForeseen);
    const Ref record = evictor_.OwnerOf(at);
    if (evictor_.IsPinned(record)) continue;
    const ItemView item = ItemAt(record);
    const bool worth_moving = donated.by_moving || item.uses() > 0 || item.is_tombstone();
    if (can_move && worth_moving) {
      // A colder record elsewhere makes way.
      if (arena_->use(id).open == 0) {
        const Ref victim = evictor_.Victim(id, /*tombstones_may_leave=*/false);
        if (victim != 0 && victim != record) Evict(victim);
      }
      if (arena_->use(id).open != 0) {
        MoveSlot(at);
        continue;
      }
    }
    if (item.is_tombstone() && !tombstones_may_leave) continue;
    Evict(record);
  }
  if (arena_->PageUsed(page) == 0) return true;
  arena_->ReopenPage(page);
  return false;
}

// Moves a record or chunk to another slot of its class. Requires an open page of it.
void Shard::MoveSlot(Ref from) {
  const Ref to = arena_->Allocate(arena_->ClassOf(from));
  std::memcpy(arena_->At(to), arena_->At(from), arena_->SlotBytes(from));
  if (ItemAt(from).is_chunk()) {
    MoveChunk(from, to);
  } else {
    const Place place = PlaceOf(from);
    place.table->Replace(place.hash, from, to);
    if (ItemAt(to).has_expiry()) wheel_.Moved(from, to);
    SetOwner(ItemAt(to).first_chunk(), to);
  }
  arena_->Free(from);
}

// Makes what refers to the chunk at `from` refer to `to`.
void Shard::MoveChunk(Ref from, Ref to) {
  Item owner = ItemAt(Chunk(arena_->At(to)).owner());
  if (owner.first_chunk() == from) {
    owner.set_first_chunk(to);
    return;
  }
  Ref previous = owner.first_chunk();
  while (Chunk(arena_->At(previous)).next() != from) previous = Chunk(arena_->At(previous)).next();
  Chunk(arena_->At(previous)).set_next(to);
}

// ---- Tables ------------------------------------------------------------------------------------

// How full a partition's table may get. Evenly spread keys fill all tables alike: without a limit
// of its own for each, all would be rebuilt in the same moment.
std::uint32_t Shard::TableLimit(PartitionId partition) const {
  const std::uint64_t most = StateOf(partition).table.comfortable_size();
  const std::uint64_t share = (partition * kGoldenRatio32) >> 16;  // of 2^16, spread evenly
  return static_cast<std::uint32_t>(most - (most / kTableLimitSpread * share >> 16));
}

// False: not one more record can be indexed.
bool Shard::EnsureTableRoom(PartitionId partition) {
  PartitionState& state = StateOf(partition);
  const PartitionTable& table = state.table;
  if (table.size() < TableLimit(partition)) return true;
  const std::size_t buckets = table.bucket_count();
  return Resize(state, std::max(buckets + 1, buckets * 5 / 4), /*may_evict=*/true) ||
         table.HasRoom();
}

// Moves the table to at least so many buckets. False: no room, nothing has changed.
bool Shard::Resize(PartitionState& state, std::size_t buckets, bool may_evict) {
  const SizeClasses& classes = arena_->classes();
  const ClassId id = classes.ForTable(buckets);
  const std::size_t bytes = buckets * sizeof(Bucket);
  Ref block = 0;
  if (may_evict) {
    block = AllocateOrEvict(id, bytes);
  } else {
    block = classes.IsRun(id) ? arena_->AllocateRun(id, bytes) : arena_->Allocate(id);
  }
  if (block == 0) return false;
  const Ref old = state.table.block();
  const auto count = static_cast<std::uint32_t>(arena_->SlotBytes(block) / sizeof(Bucket));
  if (!state.table.Rebuild(arena_->At(block), block, count, arena_->base())) {
    arena_->Free(block);
    return false;
  }
  if (old != 0) arena_->Free(old);
  ++counters_.tables_rebuilt;
  return true;
}

}  // namespace gyre
