// Partitions as a whole, walking them, and background work.
#include <algorithm>
#include <array>
#include <cassert>

#include "base/prng.h"
#include "storage/shard.h"

namespace gyre {
namespace {

// Walk: the low bits of a cursor are zero.
constexpr int kCursorFreeBits = 16;
// Of a hash, what is not needed to tell the records of one bucket apart.
constexpr int kPlaceFreeBits = 33;
// Sample: draws before it searches from the last drawn bucket on.
constexpr int kDrawsMax = 64;
// Tick: tables looked at, idle pages kept for the next need and returned to the system.
constexpr std::size_t kTidiedATick = 16;
constexpr std::size_t kIdlePagesKept = 4;
constexpr std::size_t kIdlePagesReturnedATick = 64;
// A table filled to less than a third shrinks, to three quarters.
constexpr std::uint32_t kShrinkBelow = 3;

}  // namespace

const PartitionInfo& Shard::info(PartitionId partition) const { return StateOf(partition).info; }

void Shard::SetRole(PartitionId partition, Role role) {
  PartitionInfo& info = StateOf(partition).info;
  info.role = role;
  if (role < Role::kReplica) return;
  info.as_of = 0;
  info.was_whole = true;
}

void Shard::SetKeepsTombstones(PartitionId partition, bool keeps) {
  StateOf(partition).info.keeps_tombstones = keeps;
}

void Shard::SetOutage(PartitionId partition, const Outage& outage) {
  const UnixMillis end = std::clamp<UnixMillis>(outage.end, 0, kOutageEndMax);
  StateOf(partition).info.outage = {end, std::clamp<UnixMillis>(outage.length, 0, end)};
}

void Shard::BeginRestore(PartitionId partition, UnixMillis as_of, Version newest_evicted,
                         UnixMillis now) {
  clock_.Observe(newest_evicted);
  PartitionInfo& info = StateOf(partition).info;
  info.newest_evicted = newest_evicted;
  info.as_of = as_of;
  info.was_whole = true;
  info.outage = {now, std::max<UnixMillis>(now - as_of, 0)};
}

void Shard::NoteEvicted(PartitionId partition, Version version) {
  clock_.Observe(version);
  Version& newest = StateOf(partition).info.newest_evicted;
  newest = std::max(newest, version);
}

UnixMillis Shard::RemembersFrom(PartitionId partition, UnixMillis now) const {
  const Outage& outage = StateOf(partition).info.outage;
  const UnixMillis usual = now - tombstone_ttl_ms_;
  return usual < outage.end ? usual - outage.length : usual;
}

void Shard::Flush(PartitionId partition, Version version) {
  clock_.Observe(version);
  PartitionState& state = StateOf(partition);
  if (version <= state.info.flushed) return;
  state.info.flushed = version;
  if (state.newest <= version) {
    DropTable(partition);
    return;
  }
  // Newer writes overtook the flush: pick out what is void.
  for (std::uint32_t bucket = 0; bucket < state.table.bucket_count(); ++bucket) {
    for (std::uint32_t entry = 0; entry < kBucketEntries; ++entry) {
      const Ref ref = state.table.At(bucket, entry);
      if (ref == 0 || ItemAt(ref).version() > version) continue;
      Discard({&state.table, &state, HashOfItem(arena_->base(), ref)}, ref);
    }
  }
}

void Shard::Drop(PartitionId partition) {
  DropTable(partition);
  PartitionInfo& info = StateOf(partition).info;
  info.role = Role::kAbsent;
  info.newest_evicted = 0;
  info.as_of = 0;
  info.was_whole = false;
  info.outage = {};
}

void Shard::DropTable(PartitionId partition) {
  PartitionState& state = StateOf(partition);
  if (state.table.block() != 0) dropped_tables_.push_back({partition, state.table, 0});
  state.table = PartitionTable{};
  state.newest = 0;
  counters_.records -= state.info.records;
  counters_.tombstones -= state.info.tombstones;
  counters_.expiring -= state.info.expiring;
  counters_.expiry_seconds -= state.info.expiry_seconds;
  tombstone_bytes_ -= state.tombstone_bytes;
  state.tombstone_bytes = 0;
  state.info.records = state.info.tombstones = state.info.value_bytes = state.info.digest = 0;
  state.info.expiring = state.info.expiry_seconds = 0;
}

// ---- Walking -----------------------------------------------------------------------------------

std::uint64_t Shard::Walk(PartitionId partition, std::uint64_t cursor, std::size_t records_max,
                          UnixMillis now,
                          const std::function<bool(const RecordView&)>& visit) const {
  return WalkFrom(partition, {cursor, 0}, records_max, now, Together::kHigh48Bits, visit).hash;
}

WalkPosition Shard::Walk(PartitionId partition, WalkPosition from, std::size_t records_max,
                         UnixMillis now,
                         const std::function<bool(const RecordView&)>& visit) const {
  return WalkFrom(partition, from, records_max, now, Together::kHash, visit);
}

// Among the records of its hash; never 0.
std::uint32_t Shard::PlaceWithin(Ref ref) const {
  const std::string_view key = ItemAt(ref).key();
  return 1 + static_cast<std::uint32_t>(XXH3_64bits_withSeed(key.data(), key.size(), walk_seed_) >>
                                        kPlaceFreeBits);
}

WalkPosition Shard::WalkFrom(PartitionId partition, WalkPosition from, std::size_t records_max,
                             UnixMillis now, Together together,
                             const std::function<bool(const RecordView&)>& visit) const {
  struct Visit {
    WalkPosition at;
    Ref ref;
  };
  std::array<Visit, kBucketEntries + kSpillReachMax> visits;
  const PartitionTable& table = StateOf(partition).table;
  if (table.size() == 0) return {};
  WalkPosition last;  // the one that was visited last
  std::size_t visited = 0;
  bool go_on = true;
  for (std::uint32_t bucket = table.HomeOf(from.hash); bucket < table.bucket_count(); ++bucket) {
    std::size_t count = 0;
    table.ForEachOfHome(bucket, arena_->base(), [&](std::uint64_t hash, Ref ref) {
      if (hash >= from.hash) visits[count++] = {{hash, 0}, ref};
    });
    const auto begin = visits.begin();
    const auto end = begin + static_cast<std::ptrdiff_t>(count);
    const auto by_position = [](const Visit& a, const Visit& b) { return a.at < b.at; };
    std::sort(begin, end, by_position);
    for (auto first = begin; first != end;) {
      const auto next = std::find_if(
          first, end, [first](const Visit& each) { return each.at.hash != first->at.hash; });
      if (next - first > 1 || first->at.hash == from.hash) {
        for (auto each = first; each != next; ++each) each->at.within = PlaceWithin(each->ref);
        std::sort(first, next, by_position);
      }
      first = next;
    }
    for (auto each = begin; each != end; ++each) {
      if (each->at < from) continue;
      if (!go_on) {
        const bool joined = together == Together::kHash
                                ? each->at == last
                                : each->at.hash >> kCursorFreeBits == last.hash >> kCursorFreeBits;
        // Between two groups, the cursor is where the next one begins.
        if (!joined && together == Together::kHash) return each->at;
        if (!joined) return {each->at.hash >> kCursorFreeBits << kCursorFreeBits, 0};
      }
      last = each->at;
      const ItemView item = ItemAt(each->ref);
      if (!item.is_tombstone() && item.IsExpired(now)) continue;
      ++visited;
      if (!visit(RecordAt(each->ref)) || visited >= records_max) go_on = false;
    }
  }
  return {};
}

RecordView Shard::Sample(PartitionId partition, std::uint64_t random, UnixMillis now) const {
  const PartitionState& state = StateOf(partition);
  if (state.info.records == 0) return {};
  // Drawing entries until one is taken is uniform, whatever the buckets' fill.
  Prng prng(random);
  const std::uint32_t buckets = state.table.bucket_count();
  std::uint32_t bucket = 0;
  for (int draw = 0; draw < kDrawsMax; ++draw) {
    bucket = static_cast<std::uint32_t>(prng.Below(buckets));
    const auto entry = static_cast<std::uint32_t>(prng.Below(kBucketEntries));
    const Ref ref = state.table.At(bucket, entry);
    if (IsLive(ref, now)) return RecordAt(ref);
  }
  for (std::uint32_t step = 0; step < buckets; ++step) {
    for (std::uint32_t entry = 0; entry < kBucketEntries; ++entry) {
      const Ref ref = state.table.At((bucket + step) % buckets, entry);
      if (IsLive(ref, now)) return RecordAt(ref);
    }
  }
  return {};
}

// ---- Background work ---------------------------------------------------------------------------

bool Shard::Tick(UnixMillis now, std::size_t budget) {
  now_ = now;
  while (const Ref due = wheel_.NextDue(now, budget)) {
    Expire(due, now);
    --budget;
  }
  budget -= std::min(budget, SweepDroppedTables(budget));
  budget -= std::min(budget, TidyTables(budget));
  const std::size_t idle = arena_->pages_resident() - arena_->pages_used();
  if (idle > kIdlePagesKept) {
    arena_->ReturnIdle(std::min(idle - kIdlePagesKept, kIdlePagesReturnedATick));
  }
  return budget == 0 || !dropped_tables_.empty() ||
         arena_->pages_resident() - arena_->pages_used() > kIdlePagesKept;
}

// Returns what of the budget it used: about the number of records freed, and at least one where
// there was anything.
std::size_t Shard::SweepDroppedTables(std::size_t budget) {
  std::size_t used = 0;
  while (!dropped_tables_.empty() && used < budget) {
    DroppedTable& dropped = dropped_tables_.front();
    PartitionTable& table = dropped.table;
    for (; table.size() > 0 && used < budget; ++dropped.next_bucket, ++used) {
      for (std::uint32_t entry = 0; entry < kBucketEntries; ++entry) {
        const Ref ref = table.Take(dropped.next_bucket, entry);
        if (ref == 0) continue;
        FreeRecord(ref);
        ++used;
      }
    }
    if (table.size() > 0) break;
    ++used;
    arena_->Free(table.block());
    dropped_tables_.pop_front();
  }
  return used;
}

// Shrinks the tables of a few partitions, in turn.
std::size_t Shard::TidyTables(std::size_t budget) {
  std::size_t used = 0;
  for (std::size_t i = 0; i < std::min(kTidiedATick, partitions_.size()) && used < budget; ++i) {
    PartitionState& state = partitions_[next_tidied_];
    next_tidied_ = (next_tidied_ + 1) % partitions_.size();
    const std::uint32_t size = state.table.size();
    if (state.table.block() == 0 || size > state.table.comfortable_size() / kShrinkBelow) continue;
    if (size == 0) {
      arena_->Free(state.table.block());
      state.table = PartitionTable{};
    } else if (state.table.bucket_count() > 1) {
      const std::size_t buckets = (size * 4 / 3 + kBucketEntries - 1) / kBucketEntries;
      if (buckets < state.table.bucket_count()) {
        Resize(state, buckets, /*may_evict=*/false);
        used += size;
      }
    }
  }
  return used;
}

ShardStats Shard::stats() const {
  ShardStats stats = counters_;
  stats.bytes_used = fixed_bytes_ + arena_->pages_used() * arena_->page_bytes();
  stats.bytes_limit = memory_bytes_;
  return stats;
}

std::vector<SlabClassUse> Shard::slab_classes() const {
  std::vector<SlabClassUse> classes;
  for (std::size_t i = 0; i < arena_->classes().count(); ++i) {
    const auto id = static_cast<ClassId>(i);
    const SizeClass& shape = arena_->classes().at(id);
    const SlabArena::ClassUse& use = arena_->use(id);
    classes.push_back({.slot_bytes = shape.slot_bytes,
                       .slots_a_page = shape.slot_count,
                       .page_bytes = arena_->page_bytes(),
                       .pages = use.pages,
                       .slots_used = use.slots_used});
  }
  return classes;
}

}  // namespace gyre
