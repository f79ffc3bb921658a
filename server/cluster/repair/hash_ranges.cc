#include "repair/hash_ranges.h"

#include <algorithm>
#include <bit>

#include "storage/key.h"

namespace gyre {
namespace {

// Under one hold of the lock: some tens of microseconds.
constexpr std::size_t kStepRecords = 512;

}  // namespace

int RangeBitsFor(std::uint64_t records) {
  const std::uint64_t ranges = std::max<std::uint64_t>(records / kRangeRecords, 1);
  return std::min(static_cast<int>(std::bit_width(ranges)) - 1, kRangeBitsMax);
}

std::vector<RangeSum> SumRanges(Shard& shard, PartitionId partition, const KeyHash& key_hash,
                                int bits, std::uint32_t first, std::uint32_t ranges_max,
                                std::size_t records_max, UnixMillis now) {
  const std::uint32_t count_max = std::min(ranges_max, RangeCount(bits) - first);
  std::vector<RangeSum> sums;
  std::uint64_t cursor = RangeAt(first, bits).first;
  std::size_t visited = 0;
  do {
    MutexLock lock(shard.mutex());
    if (&shard.key_hash(partition) != &key_hash) return {};
    cursor = shard.Walk(partition, cursor, kStepRecords, now, [&](const RecordView& record) {
      const std::uint64_t hash = key_hash(record.key());
      const std::uint32_t index = RangeOf(hash, bits) - first;
      if (index >= count_max) return false;
      if (index >= sums.size()) sums.resize(index + 1);
      sums[index].digest += MixDigest(hash, record.version());
      ++sums[index].records;
      ++visited;
      return true;
    });
    // Those before the cursor's are done.
    const std::uint32_t done = cursor == 0 ? count_max : RangeOf(cursor, bits) - first;
    if (done >= count_max || (done > 0 && visited >= records_max)) {
      sums.resize(std::min(done, count_max));
      return sums;
    }
  } while (true);
}

std::vector<HashRange> DifferingRanges(const std::vector<RangeSum>& here,
                                       const std::vector<std::uint64_t>& there, int bits,
                                       std::uint32_t first, std::uint64_t records_max) {
  std::vector<HashRange> ranges;
  std::uint64_t records = 0;  // of the last of them, here
  bool adjacent = false;      // it ends where the next one begins
  for (std::size_t i = 0; i < std::min(here.size(), there.size()); ++i) {
    if (here[i].digest == there[i]) {
      adjacent = false;
      continue;
    }
    const HashRange range = RangeAt(first + static_cast<std::uint32_t>(i), bits);
    if (adjacent && records + here[i].records <= records_max) {
      ranges.back().last = range.last;
      records += here[i].records;
    } else {
      ranges.push_back(range);
      records = here[i].records;
    }
    adjacent = true;
  }
  return ranges;
}

}  // namespace gyre
