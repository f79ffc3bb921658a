// The index of one partition: key hash -> record. A tree of segments in hash order; each segment is
// a small hash table, whose buckets are one cache line each.
//
//   link, 8 bytes:     | place 4 | buckets 2 | records 2 |    of a segment, a branch, or nothing
//   branch, 2 lines:   | 16 links |     one for each value of the next four bits of the position
//   segment            | bucket | bucket | ...       1 to 127, in the order of their positions
//   bucket, 64 bytes:  | 12 tags of 1 byte | spill 2 | reach 1 | 0 | 12 references of 4 bytes |
//
// A record's position is its hash, and behind that, where several records have one hash, its place
// within: 32 bits of another hash, with a secret seed. The index is an ordered map of positions, so
// no keys, however chosen, share more than a few places in it, and a walk has a cursor that survives
// growth. A partition of up to some 1,200 records is one segment; a full one of most buckets becomes a
// branch of 16 segments, and so does one into whose buckets too many records crowd. So the work of
// growing is bounded by one segment, about 50 us, however large the partition.
//
// In a segment, a record's home is the bucket floor(rest * buckets / 2^64), where `rest` is what the
// branches above leave of its position. Its tag is made of the hash's low bits (0: the entry is
// free), so that a lookup compares 12 tags in one instruction and touches a record only where the
// tag agrees. A full home spills into the buckets that follow; it counts its spilled entries
// (`spill`) and how far the farthest may be (`reach`), so a lookup goes on only where something was
// spilled, and erasing needs no marks.
//
// Cost: 5.33 bytes an entry. A segment is filled up to 87 to 94% and grows by a third: 6.8 bytes a
// record in the mean, 5.7 to 8.2; branches take .1 at most. While a partition grows, a record is moved
// 3.6 times for each that is added, and its hash is made of its key anew. (Growing by a quarter: 3.8
// times, and .1 bytes less; by a half: 2.7, and .4 more.) A lookup reads one link for each level
// (16^l * 1,200 records have l of them) and these lines of buckets, measured with random hashes, by
// fill:
//
//            homes that spilled   a hit reads   a miss reads
//      72%          11%              1.04          1.16
//      80%          21%              1.08          1.40
//      85%          30%              1.15          1.75
//      90%          41%              1.28          2.57
//
// Invariants: every record of home h stands in the buckets h .. h + reach(h) of its segment,
// wrapping around; spill(h) of them not in h; a home without spilled records has reach 0; a link
// counts the records of its segment.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/prefetch.h"
#include "base/prng.h"
#include "storage/item.h"
#include "storage/key.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace gyre {

inline constexpr std::size_t kBucketEntries = 12;
// A full segment of so many splits: the largest slot but one that fills the usual pages well. It has
// some more where the pages' slots do.
inline constexpr std::uint32_t kSegmentBucketsFull = 113;
inline constexpr std::uint32_t kSegmentBucketsMax = 127;
// A home that spilled so many records is crowded: its segment splits. Evenly spread hashes never get
// there.
inline constexpr std::uint32_t kSpillMax = 64;
inline constexpr std::size_t kBranchLinks = 16;
inline constexpr int kBranchBits = 4;

struct alignas(64) Bucket {
  std::uint8_t tags[kBucketEntries];
  std::uint16_t spill;
  std::uint8_t reach;
  std::uint8_t unused;
  Ref refs[kBucketEntries];
};
static_assert(sizeof(Bucket) == 64, "a bucket is one cache line: a lookup costs one miss");
static_assert(kSegmentBucketsMax <= UINT8_MAX, "`reach` spans any segment");

// A bit for each entry whose tag is `tag`; 0: for each free one.
inline std::uint32_t Matches(const Bucket& bucket, std::uint8_t tag) {
  constexpr std::uint32_t kEntriesMask = (1U << kBucketEntries) - 1;
#if defined(__SSE2__)
  const __m128i tags = _mm_load_si128(reinterpret_cast<const __m128i*>(&bucket));
  const __m128i equal = _mm_cmpeq_epi8(tags, _mm_set1_epi8(static_cast<char>(tag)));
  return static_cast<std::uint32_t>(_mm_movemask_epi8(equal)) & kEntriesMask;
#else
  std::uint32_t matches = 0;
  for (std::uint32_t entry = 0; entry < kBucketEntries; ++entry) {
    matches |= static_cast<std::uint32_t>(bucket.tags[entry] == tag) << entry;
  }
  return matches & kEntriesMask;
#endif
}
// A bit for each entry that is taken.
inline std::uint32_t TakenOf(const Bucket& bucket) {
  return ~Matches(bucket, 0) & ((1U << kBucketEntries) - 1);
}

struct SegmentLink {
  Ref at = 0;                 // of the buckets, or of the branch; 0: nothing there
  std::uint16_t buckets = 0;  // 0: a branch, or nothing
  std::uint16_t records = 0;  // of the segment

  bool is_branch() const { return buckets == 0 && at != 0; }
};
struct alignas(64) Branch {
  std::array<SegmentLink, kBranchLinks> links;
};
static_assert(sizeof(Branch) == 128, "a branch is two cache lines, of which a lookup reads one");

// A position in the index, and so where a walk stands: before the records of this hash, or, where
// several have it, inside them. The order of those is the shard's secret, so that nobody can choose
// keys that share a place.
struct WalkPosition {
  std::uint64_t hash = 0;
  std::uint32_t within = 0;

  // At the end, as before the beginning, both are 0.
  bool is_end() const { return hash == 0 && within == 0; }
  friend auto operator<=>(const WalkPosition&, const WalkPosition&) = default;
};

// Where references count from, and the shard's secret of the places within a hash.
struct IndexSpace {
  char* base = nullptr;
  std::uint64_t seed = 0;

  char* At(Ref ref) const { return base + std::size_t{ref} * kGranuleBytes; }
  // Never 0.
  std::uint32_t PlaceWithin(std::string_view key) const;
  std::string_view KeyOf(Ref ref) const { return ItemView(At(ref)).key(); }
};

// Does not own the memory of its segments and branches: the shard does, and allocates it.
class PartitionIndex {
 public:
  // A segment, or the place for one: `link->at` is 0. Valid until a segment splits or merges.
  struct Leaf {
    SegmentLink* link = nullptr;
    int depth = 0;  // branches above it
    const KeyHash* hash = nullptr;
    WalkPosition end;          // the first position behind its range; is_end() behind the last
    Branch* branch = nullptr;  // whose link it is, of `above`; null: the root
    SegmentLink* above = nullptr;

    std::uint64_t HashOf(Ref ref, const IndexSpace& space) const {
      return (*hash)(space.KeyOf(ref));
    }
  };
  // Branches among which a whole hash chooses; those below divide the records of one hash.
  static constexpr int kHashDepth = 64 / kBranchBits;
  static constexpr int kDepthMax = 96 / kBranchBits - 1;  // what has this depth cannot split

  PartitionIndex() : PartitionIndex(KeyHash::Plain()) {}
  // `hash` outlives it.
  explicit PartitionIndex(const KeyHash& hash) : hash_(&hash) {}

  // What its records are ordered by.
  const KeyHash& hash() const { return *hash_; }
  std::uint64_t HashOf(Ref ref, const IndexSpace& space) const {
    return (*hash_)(space.KeyOf(ref));
  }
  std::uint32_t size() const { return size_; }
  // Whether it has any segment or branch.
  bool is_bare() const { return root_.at == 0; }

  // The fill up to which a segment serves well.
  static std::uint32_t ComfortableSize(std::uint32_t buckets);
  // Buckets that hold so many records with room to grow, at most kSegmentBucketsMax.
  static std::uint32_t BucketsFor(std::uint32_t records);

  // The record of that key, or 0.
  Ref Find(std::string_view key, std::uint64_t hash, const IndexSpace& space) const;
  // The record of that hash and version, or 0; 0 also where so many keys share the hash that only a key
  // tells them apart.
  Ref FindVersion(std::uint64_t hash, Version version, const IndexSpace& space) const;
  // Whether `ref`, of that hash, is in the index. Its bytes must still be there, here and below.
  bool Contains(std::uint64_t hash, Ref ref, const IndexSpace& space) const;
  // Requires a free entry in the segment: see Leaf and IsCrowded.
  void Insert(std::uint64_t hash, Ref ref, const IndexSpace& space);
  // False: `ref` is not there.
  bool EraseIfThere(std::uint64_t hash, Ref ref, const IndexSpace& space);
  // Both require that `ref` is there.
  void Erase(std::uint64_t hash, Ref ref, const IndexSpace& space);
  void Replace(std::uint64_t hash, Ref from, Ref to, const IndexSpace& space);

  // The two steps of a lookup as hints: first the home bucket, then, once that has come, the
  // beginning of each record there whose tag agrees. The branches above, which are few and in use
  // all the time, are read.
  void Prefetch(std::uint64_t hash, const IndexSpace& space) const;
  void PrefetchRecords(std::uint64_t hash, const IndexSpace& space) const;

  // ---- Segments -------------------------------------------------------------------------------

  Leaf LeafAt(const WalkPosition& position, const IndexSpace& space) const;
  // The leaf where a record of that key belongs.
  Leaf LeafOf(std::string_view key, std::uint64_t hash, const IndexSpace& space) const;
  // Whether the home of that key has spilled so much that the segment should split.
  static bool IsCrowded(const Leaf& leaf, std::string_view key, std::uint64_t hash,
                        const IndexSpace& space);
  // Moves the leaf's records to `buckets` empty buckets at `block`, whose memory need not be
  // initialised and which have an entry for each. Returns the block they stood in, or 0.
  static Ref Rebuild(const Leaf& leaf, Ref block, std::uint32_t buckets, const IndexSpace& space);
  // How many records each part of the leaf would have, were it to become a branch. Their hashes are
  // kept, each in its entry's place, so that each record is read once.
  using Parts = std::array<std::uint16_t, kBranchLinks>;
  using Hashes = std::array<std::uint64_t, kSegmentBucketsMax * kBucketEntries>;
  static Parts CountParts(const Leaf& leaf, Hashes& hashes, const IndexSpace& space);
  // Makes of the leaf a branch at `branch`, whose segments are `links`, with entries enough for the
  // records of each part, and without records. Since they were counted some may have gone, and none
  // come. Returns the block they stood in.
  static Ref Split(const Leaf& leaf, const Hashes& hashes, Ref branch,
                   const std::array<SegmentLink, kBranchLinks>& links, const IndexSpace& space);
  // The reverse, for a branch that has only segments: makes of it one segment of `buckets` at
  // `block`. Returns what their blocks and the branch itself stood in.
  using Freed = std::array<Ref, kBranchLinks + 1>;
  static Freed Merge(const Leaf& leaf, Ref block, std::uint32_t buckets, const IndexSpace& space);
  // The records of the branch that the leaf belongs to; more than a segment holds if it has branches
  // below it.
  static std::uint32_t RecordsOfBranch(const Leaf& leaf);
  // Whether most of them, and more than a bucket should spill, are of one segment.
  static bool IsLopsided(const Leaf& leaf);

  // Reads one entry of a segment; 0 if it is free.
  static Ref At(const Leaf& leaf, std::uint32_t bucket, std::uint32_t entry,
                const IndexSpace& space);
  // The bucket of a leaf's segment in which the records of that position, and of no earlier one, are
  // at home; 0 if the position is before the leaf's.
  static std::uint32_t HomeOf(const Leaf& leaf, const WalkPosition& position);
  // Calls visit(hash, ref) for each record whose home is `bucket`, in no order.
  template <typename Visitor>
  static void ForEachOfHome(const Leaf& leaf, std::uint32_t bucket, const IndexSpace& space,
                            Visitor&& visit);
  // Calls visit(ref) for each record of the segment. The visitor may erase that one.
  template <typename Visitor>
  static void ForEach(const Leaf& leaf, const IndexSpace& space, Visitor&& visit) {
    ForEachEntry(leaf, space, [&visit](std::size_t, Ref ref) { visit(ref); });
  }
  // Likewise visit(place, ref): the entry's number in the segment.
  template <typename Visitor>
  static void ForEachEntry(const Leaf& leaf, const IndexSpace& space, Visitor&& visit);
  // Calls visit(leaf) for each, in order, empty ones included. The visitor may change segments, but
  // not split or merge.
  template <typename Visitor>
  void ForEachLeaf(const IndexSpace& space, Visitor&& visit) const;
  // Calls visit(place) for each branch, those below it first.
  template <typename Visitor>
  void ForEachBranch(const IndexSpace& space, Visitor&& visit) const {
    ForEachBranchOf(root_, space, visit);
  }

  // Frees the entry and returns what it held. For an index that is being torn down: spills are not
  // counted any more, so only Contains, Erase and Take may follow.
  Ref Take(const Leaf& leaf, std::uint32_t bucket, std::uint32_t entry, const IndexSpace& space);

  // Debug: the invariants above.
  bool CheckInvariants(const IndexSpace& space) const;

 private:
  // A segment and what of a position chooses the bucket in it.
  struct Spot {
    SegmentLink* link = nullptr;
    std::uint64_t rest = 0;

    std::uint32_t home() const {
      return static_cast<std::uint32_t>((static_cast<Wide>(rest) * link->buckets) >> 64);
    }
  };
  struct Entry {
    Bucket* bucket = nullptr;
    std::uint32_t at = 0;

    Ref ref() const { return bucket == nullptr ? 0 : bucket->refs[at]; }
  };

  // Links are changed by whoever changes the index; that a leaf is found does not change it.
  SegmentLink* root() const { return const_cast<SegmentLink*>(&root_); }
  // `within` is called only where a whole hash does not decide.
  template <typename Within>
  Spot SpotOf(std::uint64_t hash, const IndexSpace& space, Within&& within) const {
    Spot spot{root(), hash};
    for (int depth = 0; spot.link->is_branch();) {
      Branch* const branch = reinterpret_cast<Branch*>(space.At(spot.link->at));
      spot.link = &branch->links[spot.rest >> (64 - kBranchBits)];
      spot.rest <<= kBranchBits;
      if (++depth == kHashDepth) spot.rest = std::uint64_t{within()} << 32;
    }
    return spot;
  }
  Spot SpotOf(std::string_view key, std::uint64_t hash, const IndexSpace& space) const {
    return SpotOf(hash, space, [&] { return space.PlaceWithin(key); });
  }
  Spot SpotOf(std::uint64_t hash, Ref ref, const IndexSpace& space) const {
    return SpotOf(hash, space, [&] { return space.PlaceWithin(space.KeyOf(ref)); });
  }
  // What is left of a position at that depth.
  static std::uint64_t RestOf(int depth, const WalkPosition& position) {
    return depth < kHashDepth
               ? position.hash << (depth * kBranchBits)
               : std::uint64_t{position.within} << (32 + (depth - kHashDepth) * kBranchBits);
  }
  static std::uint64_t RestOf(int depth, std::uint64_t hash, Ref ref, const IndexSpace& space) {
    return RestOf(depth, {hash, depth < kHashDepth ? 0 : space.PlaceWithin(space.KeyOf(ref))});
  }
  static Bucket* BucketsOf(const SegmentLink& link, const IndexSpace& space) {
    return reinterpret_cast<Bucket*>(space.At(link.at));
  }
  // Of the records whose hash may be `hash`, the first for which `is_it` holds.
  template <typename IsIt>
  static Entry FindEntry(const Spot& spot, std::uint64_t hash, const IndexSpace& space,
                         IsIt&& is_it);
  static Entry EntryOf(const Spot& spot, std::uint64_t hash, Ref ref, const IndexSpace& space);
  static void Add(const Spot& spot, std::uint64_t hash, Ref ref, const IndexSpace& space);
  static void Clear(const SegmentLink& link, const IndexSpace& space);
  // Records are scattered over the arena: those of the next bucket are asked for while this one's are
  // looked at. There may be no such bucket.
  static void PrefetchBucket(const Leaf& leaf, std::uint32_t bucket, const IndexSpace& space);
  bool CheckLeaf(const Leaf& leaf, const IndexSpace& space) const;
  template <typename Visitor>
  static void ForEachBranchOf(const SegmentLink& link, const IndexSpace& space, Visitor& visit);

  SegmentLink root_;
  std::uint32_t size_ = 0;
  const KeyHash* hash_;
};

inline void PartitionIndex::Prefetch(std::uint64_t hash, const IndexSpace& space) const {
  if (size_ == 0) return;
  const Spot spot = SpotOf(hash, space, [] { return 0U; });
  if (spot.link->buckets > 0) PrefetchToRead(&BucketsOf(*spot.link, space)[spot.home()]);
}

inline Ref PartitionIndex::At(const Leaf& leaf, std::uint32_t bucket, std::uint32_t entry,
                              const IndexSpace& space) {
  const Bucket& at = BucketsOf(*leaf.link, space)[bucket];
  return at.tags[entry] == 0 ? 0 : at.refs[entry];
}

inline void PartitionIndex::PrefetchBucket(const Leaf& leaf, std::uint32_t bucket,
                                           const IndexSpace& space) {
  if (bucket >= leaf.link->buckets) return;
  const Bucket& next = BucketsOf(*leaf.link, space)[bucket];
  for (std::uint32_t left = TakenOf(next); left != 0; left &= left - 1) {
    PrefetchToRead(space.At(next.refs[std::countr_zero(left)]));
  }
}

template <typename Visitor>
void PartitionIndex::ForEachOfHome(const Leaf& leaf, std::uint32_t bucket, const IndexSpace& space,
                                   Visitor&& visit) {
  const std::uint32_t buckets = leaf.link->buckets;
  const std::uint32_t reach = BucketsOf(*leaf.link, space)[bucket].reach;
  PrefetchBucket(leaf, bucket + 1, space);
  for (std::uint32_t step = 0; step <= reach; ++step) {
    const std::uint32_t at = (bucket + step) % buckets;
    for (std::uint32_t entry = 0; entry < kBucketEntries; ++entry) {
      const Ref ref = At(leaf, at, entry, space);
      if (ref == 0) continue;
      const std::uint64_t hash = leaf.HashOf(ref, space);
      const Spot spot{leaf.link, RestOf(leaf.depth, hash, ref, space)};
      if (spot.home() == bucket) visit(hash, ref);
    }
  }
}

template <typename Visitor>
void PartitionIndex::ForEachEntry(const Leaf& leaf, const IndexSpace& space, Visitor&& visit) {
  for (std::uint32_t bucket = 0; bucket < leaf.link->buckets; ++bucket) {
    PrefetchBucket(leaf, bucket + 1, space);
    const Bucket& at = BucketsOf(*leaf.link, space)[bucket];
    for (std::uint32_t left = TakenOf(at); left != 0; left &= left - 1) {
      const auto entry = static_cast<std::size_t>(std::countr_zero(left));
      visit(bucket * kBucketEntries + entry, at.refs[entry]);
    }
  }
}

template <typename Visitor>
void PartitionIndex::ForEachLeaf(const IndexSpace& space, Visitor&& visit) const {
  WalkPosition at;
  do {
    const Leaf leaf = LeafAt(at, space);
    visit(leaf);
    at = leaf.end;
  } while (!at.is_end());
}

template <typename Visitor>
void PartitionIndex::ForEachBranchOf(const SegmentLink& link, const IndexSpace& space,
                                     Visitor& visit) {
  if (!link.is_branch()) return;
  for (const SegmentLink& each : reinterpret_cast<const Branch*>(space.At(link.at))->links) {
    ForEachBranchOf(each, space, visit);
  }
  visit(link.at);
}

}  // namespace gyre
