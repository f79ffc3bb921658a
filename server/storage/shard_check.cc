// What a shard holds, counted anew. For tests and debugging: visits everything.
#include <unordered_set>

#include "storage/shard.h"

namespace gyre {
namespace {

bool Agree(const PartitionInfo& a, const PartitionInfo& b) {
  return a.records == b.records && a.tombstones == b.tombstones && a.value_bytes == b.value_bytes &&
         a.digest == b.digest && a.expiring == b.expiring && a.expiry_seconds == b.expiry_seconds;
}

}  // namespace

// Counts an index's records into `counted`, and all its slots into `tally`. False: a record is
// broken.
bool Shard::CheckIndex(const PartitionIndex& index, Version flushed, Tally& tally,
                       PartitionInfo& counted) const {
  bool whole = true;
  const auto check = [&](Ref ref) GYRE_NO_THREAD_SAFETY_ANALYSIS {
    const ItemView item = ItemAt(ref);
    whole = whole && !item.is_chunk() && item.version() > flushed &&
            item.shape().slot_bytes() <= arena_->SlotBytes(ref);
    if (!whole) return;
    ++tally.slots;
    if (item.has_expiry()) tally.expiring.insert(ref);
    std::size_t value_bytes = item.inline_bytes();
    for (Ref next = item.first_chunk(); next != 0 && whole; next = Chunk(arena_->At(next)).next()) {
      whole = ItemAt(next).is_chunk() && Chunk(arena_->At(next)).owner() == ref;
      value_bytes += Chunk(arena_->At(next)).bytes();
      ++tally.slots;
    }
    whole = whole && value_bytes == item.value_bytes();
    counted.digest += MixDigest(index.HashOf(ref, space_), item.version());
    counted.value_bytes += item.is_tombstone() ? 0 : value_bytes;
    ++(item.is_tombstone() ? counted.tombstones : counted.records);
    if (item.has_expiry() && !item.is_tombstone()) {
      ++counted.expiring;
      counted.expiry_seconds += ExpirySeconds(item.expiry());
    }
    if (item.is_tombstone()) tally.tombstone_bytes += arena_->SlotBytes(ref);
  };
  index.ForEachLeaf(space_, [&](const PartitionIndex::Leaf& leaf) GYRE_NO_THREAD_SAFETY_ANALYSIS {
    if (leaf.link->at != 0) ++tally.slots;
    PartitionIndex::ForEach(leaf, space_, check);
  });
  index.ForEachBranch(space_, [&](Ref) { ++tally.slots; });
  return whole;
}

// It has the records of its partition before `next`, and no others.
bool Shard::CheckRehash(Tally& tally) const {
  const PartitionIndex& index = rehash_->index;
  const PartitionState& state = *rehash_->state;
  std::uint64_t digest = 0;
  bool whole = index.CheckInvariants(space_);
  index.ForEachLeaf(space_, [&](const PartitionIndex::Leaf& leaf) GYRE_NO_THREAD_SAFETY_ANALYSIS {
    if (leaf.link->at != 0) ++tally.slots;
    PartitionIndex::ForEach(leaf, space_, [&](Ref ref) GYRE_NO_THREAD_SAFETY_ANALYSIS {
      const Key key{space_.KeyOf(ref), state.index.HashOf(ref, space_)};
      whole = whole && state.index.Contains(key.hash, ref, space_) && BelongsToRehashed(state, key);
      digest += MixDigest(leaf.HashOf(ref, space_), ItemAt(ref).version());
    });
  });
  index.ForEachBranch(space_, [&](Ref) { ++tally.slots; });
  std::uint32_t before = 0;
  state.index.ForEachLeaf(
      space_, [&](const PartitionIndex::Leaf& leaf) GYRE_NO_THREAD_SAFETY_ANALYSIS {
        PartitionIndex::ForEach(leaf, space_, [&](Ref ref) GYRE_NO_THREAD_SAFETY_ANALYSIS {
          before += BelongsToRehashed(state, {space_.KeyOf(ref), leaf.HashOf(ref, space_)}) ? 1 : 0;
        });
      });
  return whole && digest == rehash_->digest && before == index.size();
}

bool Shard::CheckInvariants() const {
  Tally tally;
  std::uint64_t records = 0;
  std::uint64_t tombstones = 0;
  std::uint64_t expiring = 0;
  std::uint64_t expiry_seconds = 0;
  std::uint64_t shares = 0;
  for (const PartitionState& state : partitions_) {
    if (state.info.role != Role::kAbsent) {
      shares += state.info.value_bytes + state.info.records * MemoryShares::kRecordBytes;
    }
    PartitionInfo counted;
    if (!state.index.CheckInvariants(space_)) return false;
    if (!CheckIndex(state.index, state.info.flushed, tally, counted)) return false;
    if (!Agree(counted, state.info)) return false;
    records += counted.records;
    tombstones += counted.tombstones;
    expiring += counted.expiring;
    expiry_seconds += counted.expiry_seconds;
  }
  if (shares != shares_.owned_bytes + shares_.copied_bytes) return false;
  if (records != counters_.records || tombstones != counters_.tombstones) return false;
  if (expiring != counters_.expiring || expiry_seconds != counters_.expiry_seconds) return false;
  if (tally.tombstone_bytes != tombstone_bytes_) return false;
  for (const DroppedIndex& dropped : dropped_) {
    PartitionInfo unused;
    if (!CheckIndex(dropped.index, 0, tally, unused)) return false;
  }
  if (rehash_ && !CheckRehash(tally)) return false;
  bool all_expire = true;
  const bool wheel_holds = wheel_.CheckInvariants(
      [&](Ref ref) { all_expire = tally.expiring.erase(ref) == 1 && all_expire; });
  return wheel_holds && reuse_.CheckInvariants() && all_expire && tally.expiring.empty() &&
         arena_->CheckInvariants() && arena_->SlotsUsed() == tally.slots;
}

}  // namespace gyre
