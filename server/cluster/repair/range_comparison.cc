#include "repair/range_comparison.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace gyre {
namespace {

constexpr double kHashes = 18446744073709551616.0;  // 2^64
constexpr double kDenserThanAny = 1e12;             // records: far more than are cut any finer

}  // namespace

RangeComparison::RangeComparison(Shard& shard, PartitionId partition, const KeyHash& key_hash,
                                 std::uint64_t last, std::uint64_t records_max)
    : shard_(shard),
      partition_(partition),
      key_hash_(key_hash),
      last_(last),
      records_max_(records_max) {
  MutexLock lock(shard_.mutex());
  const PartitionInfo& info = shard_.info(partition);
  // Of the whole, if it is as dense as the part up to `last`.
  const double part = (static_cast<double>(last) + 1) / kHashes;
  const double records = static_cast<double>(info.records + info.tombstones) / part;
  bits_ = RangeBitsFor(static_cast<std::uint64_t>(std::min(records, kDenserThanAny)));
  range_count_ = RangeOf(last, bits_) + 1;
}

void RangeComparison::Ask(wire::Compare& request) const {
  request.set_partition(partition_);
  request.set_range_bits(static_cast<std::uint32_t>(bits_));
  request.set_first_range(next_range_);
  request.set_key_hash(key_hash_.id().tag);
  MutexLock lock(shard_.mutex());
  request.set_digest(shard_.info(partition_).digest);
}

bool RangeComparison::OnReply(const wire::CompareReply& reply, UnixMillis now) {
  if (reply.equal()) {
    MutexLock lock(shard_.mutex());
    const PartitionInfo& info = shard_.info(partition_);
    matched_ = info.records + info.tombstones;
    done_ = equal_ = true;
    return true;
  }
  if (reply.range_digests().empty()) return false;
  const std::vector<std::uint64_t> there(reply.range_digests().begin(),
                                         reply.range_digests().end());
  const auto count =
      static_cast<std::uint32_t>(std::min<std::size_t>(there.size(), range_count_ - next_range_));
  const std::vector<RangeSum> here = SumRanges(shard_, partition_, key_hash_, bits_, next_range_,
                                               count, std::numeric_limits<std::size_t>::max(), now);
  if (here.empty()) return false;
  for (std::size_t i = 0; i < here.size(); ++i) {
    if (here[i].digest == there[i]) matched_ += here[i].records;
  }
  const std::vector<HashRange> ranges =
      DifferingRanges(here, there, bits_, next_range_, records_max_);
  differing_.insert(differing_.end(), ranges.begin(), ranges.end());
  next_range_ += static_cast<std::uint32_t>(here.size());
  done_ = next_range_ >= range_count_;
  if (done_ && !differing_.empty()) {
    differing_.back().last = std::min(differing_.back().last, last_);
  }
  return true;
}

}  // namespace gyre
