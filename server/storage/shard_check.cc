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

// Counts a table's records into `counted`, and all its slots into `slots`. False: a record is
// broken.
bool Shard::CheckTable(const PartitionTable& table, Version flushed, Tally& tally,
                       PartitionInfo& counted) const {
  if (table.block() == 0) return table.size() == 0;
  ++tally.slots;
  for (std::uint32_t bucket = 0; bucket < table.bucket_count(); ++bucket) {
    for (std::uint32_t entry = 0; entry < kBucketEntries; ++entry) {
      const Ref ref = table.At(bucket, entry);
      if (ref == 0) continue;
      const ItemView item = ItemAt(ref);
      if (item.is_chunk() || item.version() <= flushed) return false;
      if (item.shape().slot_bytes() > arena_->SlotBytes(ref)) return false;
      ++tally.slots;
      if (item.has_expiry()) tally.expiring.insert(ref);
      std::size_t value_bytes = item.inline_bytes();
      for (Ref next = item.first_chunk(); next != 0; next = Chunk(arena_->At(next)).next()) {
        if (!ItemAt(next).is_chunk() || Chunk(arena_->At(next)).owner() != ref) return false;
        value_bytes += Chunk(arena_->At(next)).bytes();
        ++tally.slots;
      }
      if (value_bytes != item.value_bytes()) return false;
      counted.digest += MixDigest(HashOfItem(arena_->base(), ref), item.version());
      counted.value_bytes += item.is_tombstone() ? 0 : value_bytes;
      ++(item.is_tombstone() ? counted.tombstones : counted.records);
      if (item.has_expiry() && !item.is_tombstone()) {
        ++counted.expiring;
        counted.expiry_seconds += ExpirySeconds(item.expiry());
      }
      if (item.is_tombstone()) tally.tombstone_bytes += arena_->SlotBytes(ref);
    }
  }
  return true;
}

bool Shard::CheckInvariants() const {
  Tally tally;
  std::uint64_t records = 0;
  std::uint64_t tombstones = 0;
  std::uint64_t expiring = 0;
  std::uint64_t expiry_seconds = 0;
  for (const PartitionState& state : partitions_) {
    PartitionInfo counted;
    if (!state.table.CheckInvariants(arena_->base())) return false;
    if (!CheckTable(state.table, state.info.flushed, tally, counted)) return false;
    if (!Agree(counted, state.info)) return false;
    records += counted.records;
    tombstones += counted.tombstones;
    expiring += counted.expiring;
    expiry_seconds += counted.expiry_seconds;
  }
  if (records != counters_.records || tombstones != counters_.tombstones) return false;
  if (expiring != counters_.expiring || expiry_seconds != counters_.expiry_seconds) return false;
  if (tally.tombstone_bytes != tombstone_bytes_) return false;
  for (const DroppedTable& dropped : dropped_tables_) {
    PartitionInfo unused;
    if (!CheckTable(dropped.table, 0, tally, unused)) return false;
  }
  bool all_expire = true;
  const bool wheel_holds = wheel_.CheckInvariants(
      [&](Ref ref) { all_expire = tally.expiring.erase(ref) == 1 && all_expire; });
  return wheel_holds && all_expire && tally.expiring.empty() && arena_->CheckInvariants() &&
         arena_->SlotsUsed() == tally.slots;
}

}  // namespace gyre
