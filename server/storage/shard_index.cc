// The segments of a shard's indexes: how they get memory, grow, split, shrink, merge and go.
#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

#include "storage/shard.h"

namespace gyre {
namespace {

// Segments grow at the comfortable size less up to this share of it.
constexpr std::uint32_t kLimitSpread = 13;
constexpr std::uint32_t kGoldenRatio32 = 0x9e3779b9;  // 2^32 / 1.618: multiples spread evenly
// Tick: segments looked at.
constexpr std::size_t kTidiedATick = 16;
// A segment filled to less than a third shrinks, to three quarters; so a branch becomes one.
constexpr std::uint32_t kShrinkBelow = 3;
constexpr std::size_t kBranchLines = sizeof(Branch) / kLineBytes;
// Where so many slots of a class of segments are free, one of so many, its pages are compacted.
constexpr std::uint64_t kHolesShare = 16;

// How full a segment may get. Evenly spread keys fill all segments alike: without a limit of its own
// for each, all would be rebuilt in the same moment.
std::uint32_t LimitOf(const SegmentLink& segment) {
  const std::uint32_t most = PartitionIndex::ComfortableSize(segment.buckets);
  const std::uint32_t share = (segment.at * kGoldenRatio32) >> 16;  // of 2^16, spread evenly
  return most - (most / kLimitSpread * share >> 16);
}

}  // namespace

// ---- Growing -----------------------------------------------------------------------------------

// Whether one more record of that key can be indexed. kMade: a step was taken towards it, and that may
// have evicted or moved any record.
Shard::Room Shard::MakeIndexRoom(PartitionIndex& index, const Key& key) {
  const PartitionIndex::Leaf leaf = index.LeafOf(key.bytes, key.hash, space_);
  const bool crowded = PartitionIndex::IsCrowded(leaf, key.bytes, key.hash, space_);
  if (!crowded && leaf.link->records < LimitOf(*leaf.link)) return Room::kThere;
  if (crowded || leaf.link->buckets >= kSegmentBucketsFull ? Split(leaf) : Grow(leaf)) {
    return Room::kMade;
  }
  const bool has_entry = !crowded && leaf.link->records < leaf.link->buckets * kBucketEntries;
  return has_entry ? Room::kThere : Room::kNone;
}

// False: not one more record of that key can be indexed. May evict.
bool Shard::EnsureIndexRoom(PartitionIndex& index, const Key& key) {
  Room room = Room::kMade;
  while (room == Room::kMade) room = MakeIndexRoom(index, key);
  return room == Room::kThere;
}

// A place for a segment of at least so many buckets, without records; none: no room.
SegmentLink Shard::NewSegment(std::size_t buckets, bool may_evict) {
  const ClassId id = arena_->classes().ForTable(buckets);
  const Ref block = may_evict ? AllocateOrEvict(id, 0) : arena_->Allocate(id);
  if (block == 0) return {};
  const std::size_t lines = arena_->SlotBytes(block) / sizeof(Bucket);
  return {.at = block,
          .buckets = static_cast<std::uint16_t>(std::min<std::size_t>(lines, kSegmentBucketsMax))};
}

// Gives the segment a third more buckets. False: no room, nothing has changed.
bool Shard::Grow(PartitionIndex::Leaf leaf) {
  CompactSegments();
  const std::size_t buckets = leaf.link->buckets;
  const std::size_t more = std::max(buckets + 1, buckets * 4 / 3);
  const SegmentLink fresh = NewSegment(std::min<std::size_t>(more, kSegmentBucketsFull), true);
  if (fresh.at == 0) return false;
  const Ref old = PartitionIndex::Rebuild(leaf, fresh.at, fresh.buckets, space_);
  if (old != 0) arena_->Free(old);
  ++counters_.tables_rebuilt;
  return true;
}

// Makes a branch of the segment. False: no room, nothing has changed.
bool Shard::Split(PartitionIndex::Leaf leaf) {
  if (leaf.depth >= PartitionIndex::kDepthMax) return false;
  CompactSegments();
  // Making room may evict records of these parts, but adds none.
  PartitionIndex::Hashes hashes;
  const PartitionIndex::Parts parts = PartitionIndex::CountParts(leaf, hashes, space_);
  std::array<SegmentLink, kBranchLinks> links;
  const Ref branch = AllocateOrEvict(arena_->classes().ForTable(kBranchLines), 0);
  bool whole = branch != 0;
  for (std::size_t part = 0; part < kBranchLinks && whole; ++part) {
    if (parts[part] == 0) continue;
    links[part] = NewSegment(PartitionIndex::BucketsFor(parts[part]), true);
    whole = links[part].at != 0;
  }
  if (whole) {
    arena_->Free(PartitionIndex::Split(leaf, hashes, branch, links, space_));
    ++counters_.tables_rebuilt;
    return true;
  }
  for (const SegmentLink& link : links) {
    if (link.at != 0) arena_->Free(link.at);
  }
  if (branch != 0) arena_->Free(branch);
  return false;
}

// ---- Compacting --------------------------------------------------------------------------------

// The link to the segment in that slot, or null: it has no records to tell by.
SegmentLink* Shard::LinkOf(Ref block) {
  const std::size_t lines = arena_->SlotBytes(block) / sizeof(Bucket);
  const auto* const begin = reinterpret_cast<const Bucket*>(arena_->At(block));
  const auto* const end = begin + std::min<std::size_t>(lines, kSegmentBucketsMax);
  for (const Bucket* bucket = begin; bucket != end; ++bucket) {
    const auto* const taken = std::find_if(std::begin(bucket->tags), std::end(bucket->tags),
                                           [](std::uint8_t tag) { return tag != 0; });
    if (taken == std::end(bucket->tags)) continue;
    const Ref record = bucket->refs[taken - std::begin(bucket->tags)];
    const Key key = KeyOf(space_.KeyOf(record));
    const auto link_in = [&](const PartitionIndex& index) GYRE_NO_THREAD_SAFETY_ANALYSIS {
      SegmentLink* const link = index.LeafOf(key.bytes, index.hash()(key.bytes), space_).link;
      return link->at == block ? link : nullptr;
    };
    const PartitionState& state = StateOf(key.partition);
    if (SegmentLink* const link = link_in(state.index)) return link;
    SegmentLink* const rehashed = IsRehashing(state) ? link_in(rehash_->index) : nullptr;
    if (rehashed != nullptr) return rehashed;
    for (const DroppedIndex& dropped : dropped_) {
      if (SegmentLink* const link = link_in(dropped.index)) return link;
    }
    break;
  }
  return nullptr;
}

// Segments that grow leave holes in the pages of the slots that they had. Where these are many, moves
// the segments of one page into the holes of others. Requires that no block is without its link.
void Shard::CompactSegments() {
  const SizeClasses& classes = arena_->classes();
  const ClassId branches = classes.ForTable(kBranchLines);
  for (ClassId id = classes.ForTable(1); id < classes.count(); ++id) {
    const SlabArena::ClassUse& use = arena_->use(id);
    const std::uint64_t free = arena_->FreeSlots(id);
    const std::uint64_t slots = classes.at(id).slot_count;
    // What has as much free as a page holds needs one page less.
    if (id == branches || free < std::max(slots, use.pages * slots / kHolesShare)) continue;
    const PageId page = arena_->SparsestPage(id);
    arena_->ClosePage(page);
    std::uint32_t slot = 0;
    for (Ref from; arena_->PageUsed(page) > 0 && (from = arena_->NextTaken(page, slot)) != 0;
         ++slot) {
      SegmentLink* const link = LinkOf(from);
      if (link == nullptr) continue;
      const Ref to = arena_->Allocate(id);
      std::memcpy(arena_->At(to), arena_->At(from), link->buckets * sizeof(Bucket));
      link->at = to;
      arena_->Free(from);
    }
    if (arena_->PageUsed(page) > 0) arena_->ReopenPage(page);
    return;
  }
}

// ---- Shrinking ---------------------------------------------------------------------------------

// Shrinks segments of a few partitions, in turn.
std::size_t Shard::TidyIndexes(std::size_t budget) {
  CompactSegments();
  std::size_t used = 0;
  for (std::size_t i = 0; i < kTidiedATick && used < budget; ++i) {
    const PartitionIndex::Leaf leaf =
        partitions_[next_tidied_].index.LeafAt(next_tidied_at_, space_);
    next_tidied_at_ = leaf.end;
    if (next_tidied_at_.is_end()) next_tidied_ = (next_tidied_ + 1) % partitions_.size();
    used += TidyLeaf(leaf);
  }
  return used;
}

// Says how many records it moved.
std::size_t Shard::TidyLeaf(PartitionIndex::Leaf leaf) {
  constexpr std::uint32_t kMergeBelow =
      kSegmentBucketsMax * static_cast<std::uint32_t>(kBucketEntries) / kShrinkBelow;
  if (leaf.branch != nullptr) {
    const std::uint32_t records = PartitionIndex::RecordsOfBranch(leaf);
    if (records <= kMergeBelow && !PartitionIndex::IsLopsided(leaf)) {
      const std::size_t buckets = std::max(PartitionIndex::BucketsFor(records), 1U);
      const SegmentLink merged = NewSegment(buckets, false);
      if (merged.at == 0) return 0;
      for (const Ref freed : PartitionIndex::Merge(leaf, merged.at, merged.buckets, space_)) {
        if (freed != 0) arena_->Free(freed);
      }
      ++counters_.tables_rebuilt;
      return records;
    }
  }
  SegmentLink& link = *leaf.link;
  if (link.at == 0 || link.records > PartitionIndex::ComfortableSize(link.buckets) / kShrinkBelow) {
    return 0;
  }
  if (link.records == 0) {
    arena_->Free(link.at);
    link = {};
    return 0;
  }
  const std::uint32_t buckets = PartitionIndex::BucketsFor(link.records);
  if (buckets >= link.buckets) return 0;
  const SegmentLink fresh = NewSegment(buckets, false);
  if (fresh.at == 0) return 0;
  arena_->Free(PartitionIndex::Rebuild(leaf, fresh.at, fresh.buckets, space_));
  ++counters_.tables_rebuilt;
  return link.records;
}

// ---- Dropping ----------------------------------------------------------------------------------

void Shard::DropIndex(PartitionId partition) {
  PartitionState& state = StateOf(partition);
  if (IsRehashing(state)) AbandonRehash();
  if (!state.index.is_bare()) dropped_.push_back({.partition = partition, .index = state.index});
  state.index = PartitionIndex(*key_hash_);
  state.newest = 0;
  reuse_.ForgetGroup(IndexOf(state));
  removals_listed_ -= removals_[IndexOf(state)].size();
  removals_[IndexOf(state)].Clear();
  counters_.records -= state.info.records;
  counters_.tombstones -= state.info.tombstones;
  counters_.expiring -= state.info.expiring;
  counters_.expiry_seconds -= state.info.expiry_seconds;
  CountShare(state.info, /*added=*/false);
  tombstone_bytes_ -= state.tombstone_bytes;
  state.tombstone_bytes = 0;
  state.info.records = state.info.tombstones = state.info.value_bytes = state.info.digest = 0;
  state.info.expiring = state.info.expiry_seconds = 0;
  CountShare(state.info, /*added=*/true);
}

// Its segments and branches; the records are the caller's.
void Shard::FreeIndex(PartitionIndex& index) {
  index.ForEachLeaf(space_,
                    [this](const PartitionIndex::Leaf& leaf) GYRE_NO_THREAD_SAFETY_ANALYSIS {
                      if (leaf.link->at != 0) arena_->Free(leaf.link->at);
                      *leaf.link = {};
                    });
  index.ForEachBranch(space_,
                      [this](Ref branch) GYRE_NO_THREAD_SAFETY_ANALYSIS { arena_->Free(branch); });
  index = PartitionIndex(index.hash());
}

// Returns what of the budget it used: about the number of records freed, and at least one where
// there was anything.
std::size_t Shard::SweepDroppedIndexes(std::size_t budget) {
  std::size_t used = 0;
  while (!dropped_.empty() && used < budget) {
    DroppedIndex& dropped = dropped_.front();
    const PartitionIndex::Leaf leaf = dropped.index.LeafAt(dropped.next, space_);
    ++used;
    for (; leaf.link->records > 0 && used < budget; ++dropped.next_bucket, ++used) {
      for (std::uint32_t entry = 0; entry < kBucketEntries; ++entry) {
        const Ref ref = dropped.index.Take(leaf, dropped.next_bucket, entry, space_);
        if (ref == 0) continue;
        FreeRecord(ref);
        ++used;
      }
    }
    if (leaf.link->records > 0) break;
    if (leaf.link->at != 0) arena_->Free(leaf.link->at);
    *leaf.link = {};
    dropped.next = leaf.end;
    dropped.next_bucket = 0;
    if (!dropped.next.is_end()) continue;
    dropped.index.ForEachBranch(
        space_, [this](Ref branch) GYRE_NO_THREAD_SAFETY_ANALYSIS { arena_->Free(branch); });
    dropped_.pop_front();
  }
  return used;
}

}  // namespace gyre
