// Partitions as a whole, walking them, and background work.
#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

#include "base/prefetch.h"
#include "base/prng.h"
#include "storage/shard.h"

namespace gyre {
namespace {

// Walk: the low bits of a cursor are zero.
constexpr int kCursorFreeBits = 16;
// Sample: draws before it searches from the last drawn bucket on.
constexpr int kDrawsMax = 64;
// Tick: idle pages kept for the next need and returned to the system.
constexpr std::size_t kIdlePagesKept = 4;
constexpr std::size_t kIdlePagesReturnedATick = 64;
// JudgeShares
constexpr UnixMillis kJudgeInterval = 100;

// What a record on a walk has behind its first line, as far as the hardware does not go on by itself.
void PrefetchValue(const char* record) {
  constexpr std::size_t kLineBytes = 64;
  constexpr std::size_t kLinesAhead = 4;
  for (std::size_t line = 1; line <= kLinesAhead; ++line)
    PrefetchToRead(record + line * kLineBytes);
}

// A record on a walk.
struct Visit {
  std::uint64_t hash;
  std::uint32_t within;  // 0 where the hash decides
  Ref ref;

  WalkPosition at() const { return {hash, within}; }
};
using Visits = std::array<Visit, kSegmentBucketsMax * kBucketEntries>;

// Those of one home from the position on, in order; says how many.
std::size_t Gather(const PartitionIndex::Leaf& leaf, std::uint32_t bucket, const WalkPosition& from,
                   const IndexSpace& space, Visits& visits) {
  std::size_t count = 0;
  PartitionIndex::ForEachOfHome(leaf, bucket, space, [&](std::uint64_t hash, Ref ref) {
    if (hash >= from.hash) visits[count++] = {hash, 0, ref};
  });
  const auto begin = visits.begin();
  const auto end = begin + static_cast<std::ptrdiff_t>(count);
  std::sort(begin, end, [](const Visit& a, const Visit& b) { return a.hash < b.hash; });
  for (auto first = begin; first != end;) {
    const auto next =
        std::find_if(first, end, [first](const Visit& each) { return each.hash != first->hash; });
    if (next - first > 1 || first->hash == from.hash || leaf.depth >= PartitionIndex::kHashDepth) {
      for (auto each = first; each != next; ++each) {
        each->within = space.PlaceWithin(space.KeyOf(each->ref));
      }
    }
    first = next;
  }
  std::sort(begin, end, [](const Visit& a, const Visit& b) { return a.at() < b.at(); });
  const auto first =
      std::find_if(begin, end, [&from](const Visit& each) { return each.at() >= from; });
  std::copy(first, end, begin);
  return static_cast<std::size_t>(end - first);
}

}  // namespace

const PartitionInfo& Shard::info(PartitionId partition) const { return StateOf(partition).info; }

void Shard::SetRole(PartitionId partition, Role role) {
  PartitionInfo& info = StateOf(partition).info;
  CountShare(info, /*added=*/false);
  info.role = role;
  CountShare(info, /*added=*/true);
  if (role != Role::kOwner && info.has_evicted) ForgetEvicted(partition);
  if (role < Role::kReplica) return;
  info.as_of = 0;
  info.was_whole = true;
}

// The partition in `shares_`.
void Shard::CountShare(const PartitionInfo& info, bool added) {
  if (info.role == Role::kAbsent) return;
  const std::uint64_t one = added ? 1 : ~std::uint64_t{0};
  (IsCopy(info.role) ? shares_.copied_partitions : shares_.owned_partitions) += one;
  CountShare(info, one * (info.value_bytes + info.records * MemoryShares::kRecordBytes));
}

bool Shard::TakeClaim(const Claim& wanted, ClaimMode mode, ClaimHolder by) {
  if (!claims_.Take(wanted, mode, by)) return false;
  StateOf(wanted.partition).info.claimed = true;
  return true;
}

void Shard::GiveBackClaim(const Claim& taken, ClaimMode mode, ClaimHolder by) {
  claims_.GiveBack(taken, mode, by);
  StateOf(taken.partition).info.claimed = claims_.Any(taken.partition);
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

void Shard::EndWhole(PartitionId partition, UnixMillis as_of) {
  StateOf(partition).info.as_of = as_of;
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
    DropIndex(partition);
    return;
  }
  // Newer writes overtook the flush: pick out what is void.
  state.index.ForEachLeaf(
      space_, [&](const PartitionIndex::Leaf& leaf) GYRE_NO_THREAD_SAFETY_ANALYSIS {
        PartitionIndex::ForEach(leaf, space_, [&](Ref ref) GYRE_NO_THREAD_SAFETY_ANALYSIS {
          if (ItemAt(ref).version() > version) return;
          const std::uint64_t hash = state.index.HashOf(ref, space_);
          if (reuse_.Samples(hash)) reuse_.Forget(hash);
          Discard({&state.index, &state, hash}, ref);
        });
      });
}

void Shard::Drop(PartitionId partition) {
  DropIndex(partition);
  SetRole(partition, Role::kAbsent);
  PartitionInfo& info = StateOf(partition).info;
  info.newest_evicted = info.newest_forgotten = 0;
  info.as_of = 0;
  info.was_whole = false;
  info.outage = {};
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

WalkPosition Shard::WalkFrom(PartitionId partition, WalkPosition from, std::size_t records_max,
                             UnixMillis now, Together together,
                             const std::function<bool(const RecordView&)>& visit) const {
  Visits visits;
  const PartitionIndex& index = StateOf(partition).index;
  WalkPosition last;  // the one that was visited last
  std::size_t visited = 0;
  bool go_on = true;
  WalkPosition begin = from;
  do {
    const PartitionIndex::Leaf leaf = index.LeafAt(begin, space_);
    std::uint32_t bucket = PartitionIndex::HomeOf(leaf, begin);
    for (; bucket < leaf.link->buckets; ++bucket) {
      const std::size_t count = Gather(leaf, bucket, from, space_, visits);
      for (std::size_t i = 0; i < count; ++i) {
        const Visit& each = visits[i];
        if (!go_on) {
          const bool joined = together == Together::kHash
                                  ? each.at() == last
                                  : each.hash >> kCursorFreeBits == last.hash >> kCursorFreeBits;
          // Between two groups, the cursor is where the next one begins.
          if (!joined && together == Together::kHash) return each.at();
          if (!joined) return {each.hash >> kCursorFreeBits << kCursorFreeBits, 0};
        }
        last = each.at();
        if (i + 1 < count) PrefetchValue(space_.At(visits[i + 1].ref));
        const ItemView item = ItemAt(each.ref);
        if (!item.is_tombstone() && item.IsExpired(now)) continue;
        ++visited;
        if (!visit(RecordAt(each.ref)) || visited >= records_max) go_on = false;
      }
    }
    begin = leaf.end;
  } while (!begin.is_end());
  return {};
}

RecordView Shard::Sample(PartitionId partition, std::uint64_t random, UnixMillis now) const {
  const PartitionState& state = StateOf(partition);
  if (state.info.records == 0) return {};
  // Entries are drawn until one is taken: uniform in a segment whatever the buckets' fill, and
  // nearly so over segments, which are filled alike.
  Prng prng(random);
  WalkPosition at;
  for (int draw = 0; draw < kDrawsMax; ++draw) {
    at = {prng.Next(), 0};
    const PartitionIndex::Leaf leaf = state.index.LeafAt(at, space_);
    const auto bucket =
        static_cast<std::uint32_t>(prng.Below(std::max<std::uint32_t>(leaf.link->buckets, 1)));
    const auto entry = static_cast<std::uint32_t>(prng.Below(kBucketEntries));
    if (leaf.link->buckets == 0) continue;
    const Ref ref = PartitionIndex::At(leaf, bucket, entry, space_);
    if (IsLive(ref, now)) return RecordAt(ref);
  }
  // Few are live: the first from there on, around the end.
  const WalkPosition begin = at;
  bool around = false;
  do {
    const PartitionIndex::Leaf leaf = state.index.LeafAt(at, space_);
    Ref found = 0;
    PartitionIndex::ForEach(leaf, space_, [&](Ref ref) GYRE_NO_THREAD_SAFETY_ANALYSIS {
      if (found == 0 && IsLive(ref, now)) found = ref;
    });
    if (found != 0) return RecordAt(found);
    at = leaf.end;
    around = around || at.is_end();
  } while (!around || at < begin);
  return {};
}

// ---- Background work ---------------------------------------------------------------------------

bool Shard::IsOfCopy(const ItemView& item) const {
  return IsCopy(StateOf(PartitionOf(SlotOf(item.key()), partition_count_)).info.role);
}

// Who gives way from now on (memory_shares.h).
void Shard::JudgeShares() {
  shares_.used_bytes = arena_->pages_used() * arena_->page_bytes();
  shares_.limit_bytes = memory_bytes_ - fixed_bytes_;
  const MemoryShares node = pool_ == nullptr ? shares_ : pool_->TellShares(shares_told_, shares_);
  shares_told_ = shares_;
  node_is_full_ = IsFull(node);
  // Copies of other nodes' records are not read: how far a larger memory would reach is asked of the rest.
  reuse_.SetMemory(node.OwnedPart() * static_cast<double>(memory_bytes_));
  const GivesWay gives = WhoGivesWay(node);
  if (std::exchange(gives_way_, gives) == gives) return;
  if (gives == GivesWay::kAny) return evictor_.Spare(nullptr);
  evictor_.Spare([this, copies = gives == GivesWay::kOwned](const ItemView& item)
                     GYRE_NO_THREAD_SAFETY_ANALYSIS { return IsOfCopy(item) == copies; });
}

// What is of a copy waits for its owner's word, and not for ever.
void Shard::ExpireDue(UnixMillis now, std::size_t& budget) {
  for (Ref overdue; budget > 0 && (overdue = wheel_.NextOverdue(now)) != 0; --budget) {
    Expire(overdue, now);
  }
  while (const Ref due = wheel_.NextDue(now, budget)) {
    if (!ItemAt(due).is_tombstone() && IsOfCopy(ItemAt(due))) {
      wheel_.SetAside(due);
    } else {
      Expire(due, now);
    }
    --budget;
  }
}

bool Shard::Tick(UnixMillis now, std::size_t budget) {
  now_ = now;
  if (now >= next_judged_) {
    next_judged_ = now + kJudgeInterval;
    JudgeShares();
  }
  reuse_.Advance(now, counters_.hits + counters_.misses);
  ExpireDue(now, budget);
  budget -= std::min(budget, SweepDroppedIndexes(budget));
  budget -= std::min(budget, RehashSome(budget));
  budget -= std::min(budget, TidyIndexes(budget));
  budget -= std::min(budget, DonatePages(budget));
  const std::size_t idle = arena_->pages_resident() - arena_->pages_used();
  if (idle > kIdlePagesKept) {
    arena_->ReturnIdle(std::min(idle - kIdlePagesKept, kIdlePagesReturnedATick));
  }
  arena_->GiveBack();
  return budget == 0 || !dropped_.empty() || rehash_.has_value() ||
         arena_->pages_resident() - arena_->pages_used() > kIdlePagesKept;
}

ShardStats Shard::stats() const {
  ShardStats stats = counters_;
  stats.bytes_used = fixed_bytes_ + arena_->pages_used() * arena_->page_bytes();
  stats.bytes_limit = memory_bytes_;
  stats.reuse_keys = reuse_.keys();
  stats.reuse_reads = reuse_.sampled_reads();
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
