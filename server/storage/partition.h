// The index of one partition: key hash -> record. Buckets of one cache line, in hash order.
//
//   bucket, 64 bytes:  | 12 tags of 1 byte | spill 1 | reach 1 | 0 0 | 12 references of 4 bytes |
//
// A record's home is the bucket floor(hash * buckets / 2^64): the buckets stand in the order of the
// hashes. Its tag is made of the hash's low bits (0: the entry is free), so that a lookup compares
// 12 tags in one instruction and touches a record only where the tag agrees. A full home spills
// into the buckets that follow; it counts its spilled entries (`spill`) and how far the farthest
// may be (`reach`), so a lookup goes on only where something was spilled, and erasing needs no
// marks.
//
// Cost: 5.33 bytes an entry. The table is filled up to 85% and grows by a quarter: 6.3 to 7.8 bytes
// a record. Lines read, measured with random hashes, by fill:
//
//            homes that spilled   a hit reads   a miss reads
//      72%          11%              1.04          1.16
//      80%          21%              1.08          1.40
//      85%          30%              1.15          1.75
//      90%          41%              1.28          2.57
//
// Hash order gives the walk a cursor that survives growth: a position in hash space. Growth and
// shrinking rebuild the table of one partition, which bounds the pause; each record is hashed
// again.
//
// Invariants: every record of home h stands in the buckets h .. h + reach(h), wrapping around;
// spill(h) of them not in h; a home without spilled records has reach 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "storage/item.h"

namespace gyre {

inline constexpr std::size_t kBucketEntries = 12;
// A full home looks for room in at most so many buckets that follow. Only keys made to collide get
// there.
inline constexpr std::uint32_t kSpillReachMax = 255;

struct alignas(64) Bucket {
  std::uint8_t tags[kBucketEntries];
  std::uint8_t spill;
  std::uint8_t reach;
  std::uint16_t unused;
  Ref refs[kBucketEntries];
};
static_assert(sizeof(Bucket) == 64, "a bucket is one cache line: a lookup costs one miss");

// Does not own the memory of its buckets: the shard does.
class PartitionTable {
 public:
  std::uint32_t size() const { return size_; }
  std::uint32_t bucket_count() const { return bucket_count_; }
  // The slot the buckets stand in; 0 while there are none.
  Ref block() const { return block_; }

  // The fill up to which the table serves well, and its physical bound.
  std::uint32_t comfortable_size() const { return ComfortableSize(bucket_count_); }
  static std::uint32_t ComfortableSize(std::uint32_t buckets);
  bool HasRoom() const { return size_ < bucket_count_ * kBucketEntries; }

  // The record of that key, or 0. `base` is where references count from, here and below.
  Ref Find(std::string_view key, std::uint64_t hash, const char* base) const;
  // Whether `ref`, of that hash, is in the table.
  bool Contains(std::uint64_t hash, Ref ref) const;
  // False: no room within reach (the table is full, or hundreds of keys collide).
  bool Insert(std::uint64_t hash, Ref ref);
  // Both require that `ref` is there.
  void Erase(std::uint64_t hash, Ref ref);
  void Replace(std::uint64_t hash, Ref from, Ref to);

  // Moves all entries to `buckets` empty buckets at `block`, whose memory need not be initialised.
  // False if they do not fit: then nothing has changed.
  bool Rebuild(char* at, Ref block, std::uint32_t buckets, const char* base);
  // The two steps of a lookup as hints, without waiting for memory in between: first the home
  // bucket, then, once that has come, the beginning of each record there whose tag agrees.
  void Prefetch(std::uint64_t hash) const {
    if (bucket_count_ > 0) __builtin_prefetch(&buckets_[HomeOf(hash)]);
  }
  void PrefetchRecords(std::uint64_t hash, const char* base) const;

  std::uint32_t HomeOf(std::uint64_t hash) const;
  // The smallest hash whose home is `bucket`.
  std::uint64_t FirstHashOf(std::uint32_t bucket) const;
  // Calls visit(hash, ref) for each record whose home is `bucket`, in no order.
  template <typename Visitor>
  void ForEachOfHome(std::uint32_t bucket, const char* base, Visitor&& visit) const;
  // Reads one entry; 0 if it is free.
  Ref At(std::uint32_t bucket, std::uint32_t entry) const {
    return buckets_[bucket].tags[entry] == 0 ? 0 : buckets_[bucket].refs[entry];
  }

  // Frees the entry and returns what it held. For a table that is being torn down: spills are not
  // counted any more, so only Contains, Erase and Take may follow.
  Ref Take(std::uint32_t bucket, std::uint32_t entry);

  // Debug: the invariants above.
  bool CheckInvariants(const char* base) const;

 private:
  struct Place {
    Bucket* bucket = nullptr;
    std::uint32_t entry = 0;
  };
  Place PlaceOf(std::uint64_t hash, Ref ref) const;
  std::uint32_t Wrapped(std::uint32_t bucket) const {
    return bucket < bucket_count_ ? bucket : bucket - bucket_count_;
  }

  Bucket* buckets_ = nullptr;
  std::uint32_t bucket_count_ = 0;
  std::uint32_t size_ = 0;
  Ref block_ = 0;
};

std::uint64_t HashOfItem(const char* base, Ref ref);

template <typename Visitor>
void PartitionTable::ForEachOfHome(std::uint32_t bucket, const char* base, Visitor&& visit) const {
  for (std::uint32_t step = 0; step <= buckets_[bucket].reach; ++step) {
    const std::uint32_t at = Wrapped(bucket + step);
    for (std::uint32_t entry = 0; entry < kBucketEntries; ++entry) {
      const Ref ref = At(at, entry);
      if (ref == 0) continue;
      const std::uint64_t hash = HashOfItem(base, ref);
      if (HomeOf(hash) == bucket) visit(hash, ref);
    }
  }
}

}  // namespace gyre
