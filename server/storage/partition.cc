#include "storage/partition.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "base/prng.h"
#include "storage/key.h"
#include "storage/size_classes.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace gyre {
namespace {

constexpr std::uint32_t kEntriesMask = (1U << kBucketEntries) - 1;

// 1 to 255; the home is made of the high bits.
std::uint8_t TagOf(std::uint64_t hash) {
  return static_cast<std::uint8_t>(1 + ((hash & 0xffffffff) * 255 >> 32));
}

// A bit for each entry whose tag is `tag`.
std::uint32_t Matches(const Bucket& bucket, std::uint8_t tag) {
#if defined(__SSE2__)
  const __m128i tags = _mm_load_si128(reinterpret_cast<const __m128i*>(&bucket));
  const __m128i equal = _mm_cmpeq_epi8(tags, _mm_set1_epi8(static_cast<char>(tag)));
  return static_cast<std::uint32_t>(_mm_movemask_epi8(equal)) & kEntriesMask;
#else
  std::uint32_t matches = 0;
  for (std::uint32_t entry = 0; entry < kBucketEntries; ++entry) {
    matches |= static_cast<std::uint32_t>(bucket.tags[entry] == tag) << entry;
  }
  return matches;
#endif
}

}  // namespace

std::uint64_t HashOfItem(const char* base, Ref ref) {
  return HashKey(ItemView(base + std::size_t{ref} * kGranuleBytes).key());
}

std::uint32_t PartitionTable::ComfortableSize(std::uint32_t buckets) {
  const std::uint32_t entries = buckets * static_cast<std::uint32_t>(kBucketEntries);
  return entries - (entries * 3 + 19) / 20;
}

std::uint32_t PartitionTable::HomeOf(std::uint64_t hash) const {
  return static_cast<std::uint32_t>((static_cast<Wide>(hash) * bucket_count_) >> 64);
}

std::uint64_t PartitionTable::FirstHashOf(std::uint32_t bucket) const {
  const Wide at = static_cast<Wide>(bucket) << 64;
  return static_cast<std::uint64_t>((at + bucket_count_ - 1) / bucket_count_);
}

Ref PartitionTable::Find(std::string_view key, std::uint64_t hash, const char* base) const {
  if (size_ == 0) return 0;
  const std::uint8_t tag = TagOf(hash);
  const std::uint32_t home = HomeOf(hash);
  const std::uint32_t reach = buckets_[home].reach;
  for (std::uint32_t step = 0; step <= reach; ++step) {
    const Bucket& bucket = buckets_[Wrapped(home + step)];
    for (std::uint32_t left = Matches(bucket, tag); left != 0; left &= left - 1) {
      const Ref ref = bucket.refs[std::countr_zero(left)];
      if (ItemView(base + std::size_t{ref} * kGranuleBytes).key() == key) return ref;
    }
  }
  return 0;
}

void PartitionTable::PrefetchRecords(std::uint64_t hash, const char* base) const {
  if (size_ == 0) return;
  const Bucket& bucket = buckets_[HomeOf(hash)];
  for (std::uint32_t left = Matches(bucket, TagOf(hash)); left != 0; left &= left - 1) {
    const char* const record =
        base + std::size_t{bucket.refs[std::countr_zero(left)]} * kGranuleBytes;
    __builtin_prefetch(record);
    __builtin_prefetch(record + kLineBytes);
  }
}

PartitionTable::Place PartitionTable::PlaceOf(std::uint64_t hash, Ref ref) const {
  if (size_ == 0) return {};
  const std::uint32_t home = HomeOf(hash);
  const std::uint32_t reach = buckets_[home].reach;
  for (std::uint32_t step = 0; step <= reach; ++step) {
    Bucket& bucket = buckets_[Wrapped(home + step)];
    for (std::uint32_t left = Matches(bucket, TagOf(hash)); left != 0; left &= left - 1) {
      const auto entry = static_cast<std::uint32_t>(std::countr_zero(left));
      if (bucket.refs[entry] == ref) return {&bucket, entry};
    }
  }
  return {};
}

bool PartitionTable::Contains(std::uint64_t hash, Ref ref) const {
  return PlaceOf(hash, ref).bucket != nullptr;
}

bool PartitionTable::Insert(std::uint64_t hash, Ref ref) {
  if (bucket_count_ == 0) return false;
  const std::uint32_t home = HomeOf(hash);
  const std::uint32_t steps = std::min(bucket_count_ - 1, kSpillReachMax);
  for (std::uint32_t step = 0; step <= steps; ++step) {
    Bucket& bucket = buckets_[Wrapped(home + step)];
    const std::uint32_t free = Matches(bucket, 0);
    if (free == 0) continue;
    if (step > 0) {
      Bucket& home_bucket = buckets_[home];
      if (home_bucket.spill == UINT8_MAX) return false;
      ++home_bucket.spill;
      home_bucket.reach = std::max(home_bucket.reach, static_cast<std::uint8_t>(step));
    }
    const int entry = std::countr_zero(free);
    bucket.tags[entry] = TagOf(hash);
    bucket.refs[entry] = ref;
    ++size_;
    return true;
  }
  return false;
}

void PartitionTable::Erase(std::uint64_t hash, Ref ref) {
  const Place place = PlaceOf(hash, ref);
  assert(place.bucket != nullptr);
  place.bucket->tags[place.entry] = 0;
  --size_;
  Bucket& home = buckets_[HomeOf(hash)];
  if (&home != place.bucket && --home.spill == 0) home.reach = 0;
}

void PartitionTable::Replace(std::uint64_t hash, Ref from, Ref to) {
  const Place place = PlaceOf(hash, from);
  assert(place.bucket != nullptr);
  place.bucket->refs[place.entry] = to;
}

bool PartitionTable::Rebuild(char* at, Ref block, std::uint32_t buckets, const char* base) {
  PartitionTable rebuilt;
  rebuilt.buckets_ = reinterpret_cast<Bucket*>(at);
  rebuilt.block_ = block;
  rebuilt.bucket_count_ = buckets;
  std::memset(at, 0, std::size_t{buckets} * sizeof(Bucket));
  for (std::uint32_t bucket = 0; bucket < bucket_count_; ++bucket) {
    // The records are scattered over the arena: ask for the next bucket's while this one's are
    // hashed.
    if (bucket + 1 < bucket_count_) {
      for (const Ref next : buckets_[bucket + 1].refs) {
        __builtin_prefetch(base + std::size_t{next} * kGranuleBytes);
      }
    }
    for (std::uint32_t entry = 0; entry < kBucketEntries; ++entry) {
      const Ref ref = At(bucket, entry);
      if (ref != 0 && !rebuilt.Insert(HashOfItem(base, ref), ref)) return false;
    }
  }
  *this = rebuilt;
  return true;
}

Ref PartitionTable::Take(std::uint32_t bucket, std::uint32_t entry) {
  const Ref ref = At(bucket, entry);
  if (ref == 0) return 0;
  buckets_[bucket].tags[entry] = 0;
  --size_;
  return ref;
}

bool PartitionTable::CheckInvariants(const char* base) const {
  std::uint32_t found = 0;
  for (std::uint32_t bucket = 0; bucket < bucket_count_; ++bucket) {
    std::uint32_t spilled = 0;
    ForEachOfHome(bucket, base, [&](std::uint64_t hash, Ref ref) {
      ++found;
      if (PlaceOf(hash, ref).bucket != &buckets_[bucket]) ++spilled;
    });
    if (spilled != buckets_[bucket].spill) return false;
    if (spilled == 0 && buckets_[bucket].reach != 0) return false;
  }
  std::uint32_t taken = 0;
  for (std::uint32_t bucket = 0; bucket < bucket_count_; ++bucket) {
    for (std::uint32_t entry = 0; entry < kBucketEntries; ++entry) taken += At(bucket, entry) != 0;
  }
  return found == size_ && taken == size_;
}

}  // namespace gyre
