// How the records of a partition come into the order of another hash, while it is used.
//
//   the index by the old hash:   all records; whatever is asked is answered by it
//                                |---- these were copied ----| next |---- not yet ----|
//   the index by the new hash:   references to the former
//
// A step copies what one segment of the old index refers to, so its work is bounded as that of a split
// is. Meanwhile, what changes in the old index at a place before `next` changes in the new one, too. So
// nothing that uses the partition sees anything of it, until, after the last segment, the new index
// takes the place of the old one: with it goes the digest, which was summed up along the way. That
// moment frees the old segments, some 50 ns for a thousand records.
//
// Going on is never needed for what the records are: where there is no room for the new index, or the
// partition is dropped, it is given up, and begun again later. A shard has one partition on the way at a
// time, so the second index takes little memory; like a segment that grows it may evict.
//
// Keys that were hashed by the other hash, before or after that moment, are hashed again under the lock
// (Shard::Current). Positions of walks and hashes that name records in messages mean nothing any more:
// whoever keeps them over several holds of the lock looks whether Shard::key_hash is still the same.
#include <utility>

#include "storage/shard.h"

namespace gyre {

void Shard::UseKeyHash(const KeyHash& hash) {
  if (rehash_) AbandonRehash();
  key_hash_ = &hash;
  next_rehashed_ = 0;
  for (PartitionState& state : partitions_) {
    if (!state.index.is_bare()) continue;
    state.index = PartitionIndex(hash);
    ForgetEvicted(state);
  }
}

// Returns what of the budget it used: about the number of records copied.
std::size_t Shard::RehashSome(std::size_t budget) {
  std::size_t used = 0;
  bool has_room = true;
  while (has_room && used < budget && (rehash_ || BeginRehash())) {
    const PartitionIndex::Leaf leaf = rehash_->state->index.LeafAt(rehash_->next, space_);
    used += leaf.link->records + 1;
    has_room = RehashSegment(leaf);
  }
  return used;
}

// False: all partitions have the hash that they should.
bool Shard::BeginRehash() {
  for (; next_rehashed_ < partitions_.size(); ++next_rehashed_) {
    PartitionState& state = partitions_[next_rehashed_];
    if (&state.index.hash() == key_hash_) continue;
    rehash_ = Rehash{.state = &state, .index = PartitionIndex(*key_hash_)};
    return true;
  }
  return false;
}

// False: there is no room for the new index, it is given up.
bool Shard::RehashSegment(const PartitionIndex::Leaf& leaf) {
  // Making room for one record may evict others of the segment, or move them: each is looked at anew.
  for (std::uint32_t bucket = 0; bucket < leaf.link->buckets; ++bucket) {
    for (std::uint32_t entry = 0; entry < kBucketEntries; ++entry) {
      if (RehashEntry(leaf, bucket, entry)) continue;
      AbandonRehash();
      return false;
    }
  }
  rehash_->next = leaf.end;
  if (leaf.end.is_end()) FinishRehash();
  return true;
}

// False: no room.
bool Shard::RehashEntry(const PartitionIndex::Leaf& leaf, std::uint32_t bucket,
                        std::uint32_t entry) {
  Room room = Room::kMade;
  while (room == Room::kMade) {
    const Ref ref = PartitionIndex::At(leaf, bucket, entry, space_);
    // A segment that was merged with one before it has records that are copied already.
    if (ref == 0 || IsRehashed(*rehash_->state, ref)) return true;
    PartitionIndex& index = rehash_->index;
    const Key key{space_.KeyOf(ref), index.HashOf(ref, space_)};
    room = MakeIndexRoom(index, key);
    if (room != Room::kThere) continue;
    index.Insert(key.hash, ref, space_);
    const ItemView item = ItemAt(ref);
    rehash_->digest += MixDigest(key.hash, item.version());
    if (item.is_tombstone()) ListRemoval(rehash_->removals, key.hash, item.version());
    ++counters_.rehashed;
  }
  return room == Room::kThere;
}

void Shard::FinishRehash() {
  PartitionState& state = *rehash_->state;
  reuse_.ForgetGroup(IndexOf(state));  // the sample is drawn by the hash
  ForgetEvicted(state);                // so is it named
  FreeIndex(state.index);
  state.index = rehash_->index;
  state.info.digest = rehash_->digest;
  Removals& removals = removals_[IndexOf(state)];
  removals_listed_ -= removals.size();
  removals = std::move(rehash_->removals);
  rehash_.reset();
}

void Shard::AbandonRehash() {
  FreeIndex(rehash_->index);
  removals_listed_ -= rehash_->removals.size();
  rehash_.reset();
}

// ---- Changes meanwhile -------------------------------------------------------------------------

// Whether a record of that key, by the old hash, stands before `next`.
bool Shard::BelongsToRehashed(const PartitionState& state, const Key& key) const {
  if (!IsRehashing(state)) return false;
  const WalkPosition& next = rehash_->next;
  if (key.hash != next.hash) return key.hash < next.hash;
  return next.within != 0 && space_.PlaceWithin(key.bytes) < next.within;
}

// Before a record of that key is built: then nothing more is evicted that could be it.
void Shard::MakeRehashRoom(const PartitionState& state, const Key& key) {
  if (!BelongsToRehashed(state, key)) [[likely]]
    return;
  const Key rehashed{key.bytes, rehash_->index.hash()(key.bytes)};
  if (!EnsureIndexRoom(rehash_->index, rehashed)) AbandonRehash();
}

void Shard::InsertInIndex(PartitionState& state, const Key& key, Ref ref) {
  state.index.Insert(key.hash, ref, space_);
  if (BelongsToRehashed(state, key)) [[unlikely]] {
    rehash_->index.Insert(rehash_->index.hash()(key.bytes), ref, space_);
  }
}

void Shard::ReplaceInIndex(const Place& place, Ref from, Ref to) {
  place.index->Replace(place.hash, from, to, space_);
  if (place.state != nullptr && IsRehashed(*place.state, from)) [[unlikely]] {
    rehash_->index.Replace(rehash_->index.HashOf(from, space_), from, to, space_);
  }
}

void Shard::EraseFromIndex(const Place& place, Ref ref) {
  place.index->Erase(place.hash, ref, space_);
  if (place.state != nullptr && IsRehashed(*place.state, ref)) [[unlikely]] {
    rehash_->index.Erase(rehash_->index.HashOf(ref, space_), ref, space_);
  }
}

}  // namespace gyre
