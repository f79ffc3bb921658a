// Where two copies of a partition differ, found by comparing little: the hashes of keys are cut
// into 2^bits equal ranges, each copy sums up its records range by range, and only ranges whose
// sums differ are looked at record by record.
//
// A copy is summed up by a walk in hash order, so all ranges together cost one pass. The sum is
// that of the partition's own digest (MixDigest in storage/shard.h): equal sums mean the same
// records in the same versions. Writes may go on meanwhile: a range that one of them hits may then
// look different, never equal without being so, provided that the other copy gets the write, too.
// Copies that are in the order of different hashes (KeyHash) have no ranges in common.
#pragma once

#include <cstdint>
#include <vector>

#include "storage/shard.h"

namespace gyre {

inline constexpr std::uint64_t kHashMax = ~std::uint64_t{0};

struct HashRange {
  std::uint64_t first = 0;
  std::uint64_t last = 0;  // included
  friend bool operator==(const HashRange&, const HashRange&) = default;
};

struct RangeSum {
  std::uint64_t digest = 0;
  std::uint64_t records = 0;
  friend bool operator==(const RangeSum&, const RangeSum&) = default;
};

// A walk's cursor has 48 bits: more would cut between its steps.
inline constexpr int kRangeBitsMax = 16;
// Records of a range, about: the list of them is as long as the digests of so many ranges.
inline constexpr std::uint64_t kRangeRecords = 64;

// How finely a copy of so many records is cut.
int RangeBitsFor(std::uint64_t records);

inline std::uint32_t RangeCount(int bits) { return std::uint32_t{1} << bits; }
inline std::uint32_t RangeOf(std::uint64_t hash, int bits) {
  return bits == 0 ? 0 : static_cast<std::uint32_t>(hash >> (64 - bits));
}
inline HashRange RangeAt(std::uint32_t index, int bits) {
  if (bits == 0) return {0, kHashMax};
  const std::uint64_t first = std::uint64_t{index} << (64 - bits);
  return {first, first + (kHashMax >> bits)};
}

// The sums of the ranges `first`, `first` + 1, ...: of `ranges_max` of them, or of those that about
// `records_max` records are in, but of one at least. Takes the shard's lock, for some hundred
// records at a time. None where the partition is in the order of another hash than `hash`.
std::vector<RangeSum> SumRanges(Shard& shard, PartitionId partition, const KeyHash& hash, int bits,
                                std::uint32_t first, std::uint32_t ranges_max,
                                std::size_t records_max, UnixMillis now);

// Those of the ranges `first`, `first` + 1, ... whose digests differ; neighbours are joined as long
// as they have at most `records_max` records here. Both lists begin with range `first`; the shorter
// one counts.
std::vector<HashRange> DifferingRanges(const std::vector<RangeSum>& here,
                                       const std::vector<std::uint64_t>& there, int bits,
                                       std::uint32_t first, std::uint64_t records_max);

}  // namespace gyre
