// How a shard finds slots for records, and whom it turns out.
#include <algorithm>
#include <cassert>

#include "storage/shard.h"

namespace gyre {
namespace {

// A value stands whole in a coarse slot only if that wastes at most 1/8.
constexpr std::size_t kWasteShare = 8;
// Records freed from dropped indexes before the caller looks for a slot again.
constexpr std::size_t kSweepStep = 64;
// Beyond this share of the memory, tombstones leave like records that nobody uses, and one for a key
// that is not here takes the place of another.
constexpr std::size_t kTombstoneShare = 8;
// Pages that a large record may need beyond its whole ones: its head and tail, and what the records
// of others that cannot leave at the moment hold.
constexpr std::size_t kPagesSpare = 8;
// A shard that has evicted a page's worth of records asks the others for so many pages, if theirs are
// worth clearly less than its own: what moves must not come back at once.
constexpr std::uint32_t kPagesAnAsk = 4;
constexpr double kAskMargin = 1.25;
// Where there are copies, others evict for some of its new records: a page is worth less than it seems.
constexpr double kAskMarginBesideCopies = 2.5;
// Free slots that a class keeps for copies, at most.
constexpr std::size_t kFreeSlotsShare = 32;

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

// Whether the record can be stored, though others may have to leave; borrows the pages that are
// lacking even so.
bool Shard::EnsurePagesFor(const ItemShape& shape) {
  const std::size_t bytes = shape.key_bytes + shape.value_bytes;
  if (bytes <= arena_->classes().fine_bytes_max()) return true;
  const std::size_t pages =
      bytes / (arena_->page_bytes() - 2 * kLineBytes) + kPagesSpare + arena_->TablePages();
  if (pages <= arena_->pages_limit()) return true;
  const std::size_t lacking = pages - arena_->pages_limit();
  const bool borrowed = arena_->Borrow(lacking);
  // Others fill the pool again, or for the next time.
  if (pool_ != nullptr && !pool_->HasPlenty()) {
    pool_->Ask(shard_index_, 0, static_cast<std::uint32_t>(lacking));
  }
  return borrowed;
}

// A new record, not yet in index, wheel and totals, or 0.
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

std::size_t Shard::MemoryOf(const RecordView& record) const {
  // Buckets are this full, where keys come and go.
  constexpr std::size_t kIndexBytes = sizeof(Bucket) * 10 / (kBucketEntries * 9) + 1;
  const Ref head = arena_->RefOf(record.header_);
  std::size_t bytes = kIndexBytes + arena_->SlotBytes(head);
  for (Ref chunk = ItemAt(head).first_chunk(); chunk != 0;
       chunk = Chunk(arena_->At(chunk)).next()) {
    bytes += arena_->SlotBytes(chunk);
  }
  return bytes;
}

void Shard::FreeChunks(Ref head) {
  for (Ref next = ItemAt(head).first_chunk(); next != 0;) {
    const Ref freed = next;
    next = Chunk(arena_->At(freed)).next();
    arena_->Free(freed);
  }
}

// Slots and wheel; index and totals are the caller's.
void Shard::FreeRecord(Ref ref) {
  if (ItemAt(ref).has_expiry()) wheel_.Remove(ref);
  FreeChunks(ref);
  arena_->Free(ref);
}

void Shard::Discard(const Place& place, Ref ref) {
  if (place.state != nullptr) Account(*place.state, place.hash, ref, /*added=*/false);
  EraseFromIndex(place, ref);
  FreeRecord(ref);
}

Shard::Place Shard::PlaceOf(Ref ref) {
  const Key key = KeyOf(ItemAt(ref).key());
  PartitionState& state = StateOf(key.partition);
  if (state.index.Contains(key.hash, ref, space_)) return {&state.index, &state, key.hash};
  for (DroppedIndex& dropped : dropped_) {
    if (dropped.partition != key.partition) continue;
    const std::uint64_t hash = dropped.index.HashOf(ref, space_);
    if (dropped.index.Contains(hash, ref, space_)) return {&dropped.index, nullptr, hash};
  }
  assert(false && "a record is in no index");
  return {};
}

void Shard::Evict(Ref ref, std::uint64_t ShardStats::*cause) {
  Evict(ref, KeyOf(ItemAt(ref).key()), cause);
}

// `key` is the record's.
void Shard::Evict(Ref ref, const Key& key, std::uint64_t ShardStats::*cause) {
  PartitionState& state = StateOf(key.partition);
  // One look at the index where it is the only one that has the record.
  const bool erased = !IsRehashing(state) && state.index.EraseIfThere(key.hash, ref, space_);
  const Place place = erased ? Place{&state.index, &state, key.hash} : PlaceOf(ref);
  if (place.state != nullptr) {
    const ItemView item = ItemAt(ref);
    if (item.is_tombstone()) {
      ++counters_.tombstones_evicted;
    } else {
      ++counters_.evicted;
      ++(counters_.*cause);
      if (IsCopy(place.state->info.role)) ++counters_.evicted_copies;
      NoteLeft(*place.state, {place.hash, item.version()});
    }
    state.info.newest_evicted = std::max(state.info.newest_evicted, item.version());
  }
  if (!erased) return Discard(place, ref);
  Account(state, key.hash, ref, /*added=*/false);
  FreeRecord(ref);
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

// Whether one that is owned leaves for `fresh`, a new record, though it found a slot: that was for a copy.
bool Shard::PaysForNew(const PartitionInfo& info, Ref fresh) const {
  if (info.role != Role::kOwner || gives_way_ != GivesWay::kOwned || !node_is_full_) return false;
  if (shares_.CopiesExceed(1)) return false;
  const ClassId id = arena_->ClassOf(fresh);
  return arena_->FreeSlots(id) * kFreeSlotsShare <= arena_->use(id).slots_used;
}

void Shard::GiveWayFor(Ref fresh) {
  evictor_.Pin(0, fresh);
  const Ref victim = evictor_.Victim(arena_->ClassOf(fresh), /*tombstones_may_leave=*/false);
  evictor_.Pin(0, 0);
  if (victim == 0 || ItemAt(victim).uses() > 0 || IsOfCopy(ItemAt(victim))) return;
  Evict(victim, &ShardStats::evicted_for_record);
}

bool Shard::TombstonesAreMany() const {
  const std::size_t bytes = arena_->pages_limit() * arena_->page_bytes();
  return tombstone_bytes_ > std::max(memory_bytes_, bytes) / kTombstoneShare;
}

// Whether one more may be added. Where they are many, an older one goes for it, so that deleting
// keys that are not here costs live records no more than the share: one of its class, else of the
// smallest, since tombstones are small.
bool Shard::MakeRoomForTombstone(std::size_t bytes) {
  if (!TombstonesAreMany()) return true;
  Ref old = evictor_.NextTombstone(arena_->classes().ForRecord(bytes));
  for (ClassId id = 0; old == 0 && id <= arena_->classes().record_run(); ++id) {
    old = evictor_.NextTombstone(id);
  }
  if (old != 0) Evict(old, &ShardStats::evicted_for_record);
  return old != 0;
}

// Frees at least one slot of the class, or a page, or a record of a dropped index; false: nothing
// more can be freed.
bool Shard::MakeRoom(ClassId id) {
  if (SweepDroppedIndexes(kSweepStep) > 0) return true;
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
      AskOthers(id);
      Evict(victim, &ShardStats::evicted_for_record);
      const SlabArena::ClassUse& use = arena_->use(id);
      if (use.hand != 0) LookAheadSlot(use.hand, use.hand_slot);  // for the next eviction
      return true;
    }
  }
  return TakePageFor(id, /*must=*/true, tombstones_may_leave);
}

// For pages that are worth less than those of the class.
void Shard::AskOthers(ClassId id) {
  if (pool_ == nullptr || ++evictions_unasked_ < arena_->classes().at(id).slot_count) return;
  evictions_unasked_ = 0;
  const double margin = gives_way_ == GivesWay::kAny ? kAskMargin : kAskMarginBesideCopies;
  pool_->Ask(shard_index_, margin * evictor_.DonationValue(id), kPagesAnAsk);
}

// Gives the pool pages that other shards asked for. Returns what of the budget it used: about the
// records of those pages.
std::size_t Shard::DonatePages(std::size_t budget) {
  if (pool_ == nullptr) return 0;
  evictor_.TellTime();
  pages_owed_ = std::min(pages_owed_ + pool_->Asked(shard_index_), PagePool::kAskedMax);
  std::size_t used = 0;
  const ClassId any = arena_->classes().ForTable(1);
  for (; pages_owed_ > 0 && used < budget; --pages_owed_) {
    if (!arena_->MayGive() || pool_->HasPlenty()) {
      pages_owed_ = 0;
      break;
    }
    const std::optional<ClassId> donor = evictor_.Donor(any, /*must=*/true, {});
    if (!donor) continue;
    used += arena_->classes().at(*donor).slot_count;
    const Evictor::DonatedPage donated = evictor_.PageToDonate(*donor, /*must=*/true);
    if (donated.page == 0) continue;
    if (!EmptyPage(donated, &ShardStats::evicted_for_page, TombstonesAreMany())) continue;
    ++counters_.pages_moved;
    arena_->ReturnIdle(1);
  }
  pool_->Offer(shard_index_, arena_->MayGive() ? evictor_.BestDonationValue() : 0);
  return used;
}

// Makes another class give a page away.
bool Shard::TakePageFor(ClassId id, bool must, bool tombstones_may_leave) {
  const auto cause = arena_->classes().IsTable(id) ? &ShardStats::evicted_for_table
                                                   : &ShardStats::evicted_for_page;

  Evictor::Tried tried;
  while (const std::optional<ClassId> donor = evictor_.Donor(id, must, tried)) {
    const Evictor::DonatedPage donated = evictor_.PageToDonate(*donor, must);
    if (donated.page != 0 && EmptyPage(donated, cause, tombstones_may_leave)) {
      ++counters_.pages_moved;
      return true;
    }
    if (!must) break;
    tried.set(*donor);
  }
  if (!must) evictor_.BidRefused(id);
  return false;
}

// Fetches what the index has of the next record of the page.
void Shard::LookAheadSlot(PageId page, std::uint32_t slot) const {
  const Ref at = arena_->NextTaken(page, slot);
  if (at == 0) return;
  const ItemView item = ItemAt(at);
  if (!item.is_chunk()) Prefetch(KeyOf(item.key()));
}

// Likewise of the next ones, together, for each is somewhere else in memory; keeps their keys.
void Shard::LookAheadSlots(PageId page, std::uint32_t slot, SlotsAhead& ahead) const {
  ahead.count = ahead.next = 0;
  for (Ref at; ahead.count < kSlotsAheadMax && (at = arena_->NextTaken(page, slot)) != 0; ++slot) {
    const ItemView item = ItemAt(at);
    SlotsAhead::Slot& seen = ahead.slots[ahead.count++];
    seen.at = at;
    if (item.is_chunk()) continue;
    seen.key = KeyOf(item.key());
    Prefetch(seen.key);
  }
}

// Moves or evicts all that the page holds. False if something had to stay.
bool Shard::EmptyPage(const Evictor::DonatedPage& donated, std::uint64_t ShardStats::*cause,
                      bool tombstones_may_leave) {
  const PageId page = donated.page;
  const ClassId id = arena_->PageClass(page);
  const bool can_move = arena_->classes().at(id).slot_count > 1;
  arena_->ClosePage(page);
  SlotsAhead ahead;
  std::uint32_t slot = 0;
  for (Ref at; arena_->PageUsed(page) > 0 && (at = arena_->NextTaken(page, slot)) != 0; ++slot) {
    // A closed page gets no record: those that are not there any more are passed over.
    while (ahead.next < ahead.count && ahead.slots[ahead.next].at != at) ++ahead.next;
    if (ahead.next == ahead.count) LookAheadSlots(page, slot, ahead);
    const Ref record = evictor_.OwnerOf(at);
    if (evictor_.IsPinned(record)) continue;
    const ItemView item = ItemAt(record);
    const bool worth_moving =
        donated.by_moving || item.uses() > 0 || item.is_tombstone() || evictor_.Spares(item);
    if (can_move && worth_moving) {
      // A colder record elsewhere makes way.
      if (arena_->use(id).open == 0) {
        const Ref victim = evictor_.Victim(id, /*tombstones_may_leave=*/false);
        if (victim != 0 && victim != record) Evict(victim, cause);
      }
      if (arena_->use(id).open != 0) {
        MoveSlot(at);
        continue;
      }
    }
    if (item.is_tombstone() && !tombstones_may_leave) continue;
    record == at ? Evict(record, ahead.slots[ahead.next].key, cause) : Evict(record, cause);
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
    ReplaceInIndex(place, from, to);
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

}  // namespace gyre
