#include "storage/partition.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "base/prefetch.h"
#include "storage/size_classes.h"

namespace gyre {
namespace {

constexpr int kPositionBits = 96;

// 1 to 255; the home is made of the high bits.
std::uint8_t TagOf(std::uint64_t hash) {
  return static_cast<std::uint8_t>(1 + ((hash & 0xffffffff) * 255 >> 32));
}

std::uint32_t Wrapped(std::uint32_t bucket, std::uint32_t buckets) {
  return bucket < buckets ? bucket : bucket - buckets;
}

// The first position behind the range of that depth which `position` lies in.
WalkPosition EndOf(const WalkPosition& position, int depth) {
  const int free_bits = kPositionBits - depth * kBranchBits;
  const Wide at = static_cast<Wide>(position.hash) << 32 | position.within;
  const Wide end = ((at >> free_bits) + 1) << free_bits;
  return {static_cast<std::uint64_t>(end >> 32), static_cast<std::uint32_t>(end)};
}

}  // namespace

std::uint32_t IndexSpace::PlaceWithin(std::string_view key) const {
  const std::uint64_t hash = XXH3_64bits_withSeed(key.data(), key.size(), seed);
  return std::max(1U, static_cast<std::uint32_t>(hash >> 32));
}

// 94%.
std::uint32_t PartitionIndex::ComfortableSize(std::uint32_t buckets) {
  const std::uint32_t entries = buckets * static_cast<std::uint32_t>(kBucketEntries);
  return entries - (entries * 3 + 49) / 50;
}

std::uint32_t PartitionIndex::BucketsFor(std::uint32_t records) {
  constexpr std::uint32_t kEntries = kBucketEntries;
  return std::min((records * 4 / 3 + kEntries - 1) / kEntries, kSegmentBucketsMax);
}

// ---- Records -----------------------------------------------------------------------------------

template <typename IsIt>
inline PartitionIndex::Entry PartitionIndex::FindEntry(const Spot& spot, std::uint64_t hash,
                                                       const IndexSpace& space, IsIt&& is_it) {
  if (spot.link->records == 0) return {};
  Bucket* const buckets = BucketsOf(*spot.link, space);
  const std::uint8_t tag = TagOf(hash);
  const std::uint32_t home = spot.home();
  const std::uint32_t reach = buckets[home].reach;
  for (std::uint32_t step = 0; step <= reach; ++step) {
    Bucket& bucket = buckets[Wrapped(home + step, spot.link->buckets)];
    for (std::uint32_t left = Matches(bucket, tag); left != 0; left &= left - 1) {
      const auto at = static_cast<std::uint32_t>(std::countr_zero(left));
      if (is_it(bucket.refs[at])) return {&bucket, at};
    }
  }
  return {};
}

Ref PartitionIndex::Find(std::string_view key, std::uint64_t hash, const IndexSpace& space) const {
  return FindEntry(SpotOf(key, hash, space), hash, space,
                   [&](Ref ref) { return space.KeyOf(ref) == key; })
      .ref();
}

Ref PartitionIndex::FindVersion(std::uint64_t hash, Version version,
                                const IndexSpace& space) const {
  return FindEntry(SpotOf(hash, space, [] { return 0U; }), hash, space,
                   [&](Ref ref) {
                     return ItemView(space.At(ref)).version() == version &&
                            HashOf(ref, space) == hash;
                   })
      .ref();
}

void PartitionIndex::PrefetchRecords(std::uint64_t hash, const IndexSpace& space) const {
  if (size_ == 0) return;
  const Spot spot = SpotOf(hash, space, [] { return 0U; });
  if (spot.link->records == 0) return;
  const Bucket& bucket = BucketsOf(*spot.link, space)[spot.home()];
  for (std::uint32_t left = Matches(bucket, TagOf(hash)); left != 0; left &= left - 1) {
    const char* const record = space.At(bucket.refs[std::countr_zero(left)]);
    PrefetchToRead(record);
    PrefetchToRead(record + kLineBytes);
  }
}

PartitionIndex::Entry PartitionIndex::EntryOf(const Spot& spot, std::uint64_t hash, Ref ref,
                                              const IndexSpace& space) {
  return FindEntry(spot, hash, space, [ref](Ref each) { return each == ref; });
}

bool PartitionIndex::Contains(std::uint64_t hash, Ref ref, const IndexSpace& space) const {
  return EntryOf(SpotOf(hash, ref, space), hash, ref, space).bucket != nullptr;
}

// The segment has a free entry.
void PartitionIndex::Add(const Spot& spot, std::uint64_t hash, Ref ref, const IndexSpace& space) {
  Bucket* const buckets = BucketsOf(*spot.link, space);
  const std::uint32_t home = spot.home();
  std::uint32_t step = 0;
  std::uint32_t free = 0;
  while ((free = Matches(buckets[Wrapped(home + step, spot.link->buckets)], 0)) == 0) ++step;
  if (step > 0) {
    ++buckets[home].spill;
    buckets[home].reach = std::max(buckets[home].reach, static_cast<std::uint8_t>(step));
  }
  Bucket& bucket = buckets[Wrapped(home + step, spot.link->buckets)];
  const int entry = std::countr_zero(free);
  bucket.tags[entry] = TagOf(hash);
  bucket.refs[entry] = ref;
  ++spot.link->records;
}

void PartitionIndex::Insert(std::uint64_t hash, Ref ref, const IndexSpace& space) {
  const Spot spot = SpotOf(hash, ref, space);
  assert(spot.link->records < spot.link->buckets * kBucketEntries);
  Add(spot, hash, ref, space);
  ++size_;
}

void PartitionIndex::Erase(std::uint64_t hash, Ref ref, const IndexSpace& space) {
  [[maybe_unused]] const bool was_there = EraseIfThere(hash, ref, space);
  assert(was_there);
}

bool PartitionIndex::EraseIfThere(std::uint64_t hash, Ref ref, const IndexSpace& space) {
  const Spot spot = SpotOf(hash, ref, space);
  const Entry entry = EntryOf(spot, hash, ref, space);
  if (entry.bucket == nullptr) return false;
  entry.bucket->tags[entry.at] = 0;
  --spot.link->records;
  --size_;
  Bucket& home = BucketsOf(*spot.link, space)[spot.home()];
  if (&home != entry.bucket && --home.spill == 0) home.reach = 0;
  return true;
}

void PartitionIndex::Replace(std::uint64_t hash, Ref from, Ref to, const IndexSpace& space) {
  const Entry entry = EntryOf(SpotOf(hash, from, space), hash, from, space);
  assert(entry.bucket != nullptr);
  entry.bucket->refs[entry.at] = to;
}

Ref PartitionIndex::Take(const Leaf& leaf, std::uint32_t bucket, std::uint32_t entry,
                         const IndexSpace& space) {
  const Ref ref = At(leaf, bucket, entry, space);
  if (ref == 0) return 0;
  BucketsOf(*leaf.link, space)[bucket].tags[entry] = 0;
  --leaf.link->records;
  --size_;
  return ref;
}

// ---- Segments ----------------------------------------------------------------------------------

PartitionIndex::Leaf PartitionIndex::LeafAt(const WalkPosition& position,
                                            const IndexSpace& space) const {
  Leaf leaf{.link = root(), .hash = hash_};
  while (leaf.link->is_branch()) {
    leaf.above = leaf.link;
    leaf.branch = reinterpret_cast<Branch*>(space.At(leaf.link->at));
    leaf.link = &leaf.branch->links[RestOf(leaf.depth, position) >> (64 - kBranchBits)];
    ++leaf.depth;
  }
  if (leaf.depth > 0) leaf.end = EndOf(position, leaf.depth);
  return leaf;
}

PartitionIndex::Leaf PartitionIndex::LeafOf(std::string_view key, std::uint64_t hash,
                                            const IndexSpace& space) const {
  const Leaf leaf = LeafAt({hash, 0}, space);
  return leaf.depth < kHashDepth ? leaf : LeafAt({hash, space.PlaceWithin(key)}, space);
}

bool PartitionIndex::IsCrowded(const Leaf& leaf, std::string_view key, std::uint64_t hash,
                               const IndexSpace& space) {
  if (leaf.link->records < kSpillMax) return false;
  const std::uint32_t within = leaf.depth < kHashDepth ? 0 : space.PlaceWithin(key);
  const std::uint32_t home = HomeOf(leaf, {hash, within});
  return BucketsOf(*leaf.link, space)[home].spill >= kSpillMax;
}

std::uint32_t PartitionIndex::HomeOf(const Leaf& leaf, const WalkPosition& position) {
  return Spot{leaf.link, RestOf(leaf.depth, position)}.home();
}

void PartitionIndex::Clear(const SegmentLink& link, const IndexSpace& space) {
  std::memset(space.At(link.at), 0, link.buckets * sizeof(Bucket));
}

Ref PartitionIndex::Rebuild(const Leaf& leaf, Ref block, std::uint32_t buckets,
                            const IndexSpace& space) {
  SegmentLink rebuilt{block, static_cast<std::uint16_t>(buckets), 0};
  Clear(rebuilt, space);
  ForEach(leaf, space, [&](Ref ref) {
    const std::uint64_t hash = leaf.HashOf(ref, space);
    Add({&rebuilt, RestOf(leaf.depth, hash, ref, space)}, hash, ref, space);
  });
  const Ref old = leaf.link->at;
  *leaf.link = rebuilt;
  return old;
}

PartitionIndex::Parts PartitionIndex::CountParts(const Leaf& leaf, Hashes& hashes,
                                                 const IndexSpace& space) {
  Parts parts{};
  ForEachEntry(leaf, space, [&](std::size_t place, Ref ref) {
    hashes[place] = leaf.HashOf(ref, space);
    ++parts[RestOf(leaf.depth, hashes[place], ref, space) >> (64 - kBranchBits)];
  });
  return parts;
}

Ref PartitionIndex::Split(const Leaf& leaf, const Hashes& hashes, Ref at,
                          const std::array<SegmentLink, kBranchLinks>& links,
                          const IndexSpace& space) {
  Branch& branch = *reinterpret_cast<Branch*>(space.At(at));
  branch.links = links;
  for (const SegmentLink& link : links) {
    if (link.at != 0) Clear(link, space);
  }
  ForEachEntry(leaf, space, [&](std::size_t place, Ref ref) {
    const std::uint64_t hash = hashes[place];
    const std::uint64_t part = RestOf(leaf.depth, hash, ref, space) >> (64 - kBranchBits);
    Add({&branch.links[part], RestOf(leaf.depth + 1, hash, ref, space)}, hash, ref, space);
  });
  const Ref old = leaf.link->at;
  *leaf.link = {.at = at};
  return old;
}

PartitionIndex::Freed PartitionIndex::Merge(const Leaf& leaf, Ref block, std::uint32_t buckets,
                                            const IndexSpace& space) {
  Freed freed{};
  SegmentLink merged{block, static_cast<std::uint16_t>(buckets), 0};
  Clear(merged, space);
  for (std::size_t part = 0; part < kBranchLinks; ++part) {
    freed[part] = leaf.branch->links[part].at;
    const Leaf each{.link = &leaf.branch->links[part], .depth = leaf.depth, .hash = leaf.hash};
    ForEach(each, space, [&](Ref ref) {
      const std::uint64_t hash = leaf.HashOf(ref, space);
      Add({&merged, RestOf(leaf.depth - 1, hash, ref, space)}, hash, ref, space);
    });
  }
  freed[kBranchLinks] = leaf.above->at;
  *leaf.above = merged;
  return freed;
}

std::uint32_t PartitionIndex::RecordsOfBranch(const Leaf& leaf) {
  std::uint32_t records = 0;
  for (const SegmentLink& link : leaf.branch->links) {
    records += link.is_branch() ? kSegmentBucketsMax * kBucketEntries : link.records;
  }
  return records;
}

bool PartitionIndex::IsLopsided(const Leaf& leaf) {
  const auto& links = leaf.branch->links;
  const auto most = std::max_element(
      links.begin(), links.end(),
      [](const SegmentLink& a, const SegmentLink& b) { return a.records < b.records; });
  return most->records > kSpillMax && most->records > RecordsOfBranch(leaf) / 2;
}

// ---- Checks ------------------------------------------------------------------------------------

bool PartitionIndex::CheckLeaf(const Leaf& leaf, const IndexSpace& space) const {
  std::uint32_t found = 0;
  for (std::uint32_t bucket = 0; bucket < leaf.link->buckets; ++bucket) {
    std::uint32_t spilled = 0;
    const Bucket* const home = &BucketsOf(*leaf.link, space)[bucket];
    bool in_place = true;
    ForEachOfHome(leaf, bucket, space, [&](std::uint64_t hash, Ref ref) {
      ++found;
      const Spot spot = SpotOf(hash, ref, space);
      in_place = in_place && spot.link == leaf.link;
      if (EntryOf(spot, hash, ref, space).bucket != home) ++spilled;
    });
    if (!in_place || spilled != home->spill) return false;
    if (spilled == 0 && home->reach != 0) return false;
  }
  std::uint32_t taken = 0;
  ForEach(leaf, space, [&](Ref) { ++taken; });
  return found == leaf.link->records && taken == leaf.link->records;
}

bool PartitionIndex::CheckInvariants(const IndexSpace& space) const {
  bool all_hold = true;
  std::uint32_t records = 0;
  ForEachLeaf(space, [&](const Leaf& leaf) {
    all_hold = all_hold && CheckLeaf(leaf, space);
    records += leaf.link->records;
  });
  return all_hold && records == size_;
}

}  // namespace gyre
