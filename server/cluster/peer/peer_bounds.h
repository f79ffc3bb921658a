// What is believed of a peer at most, beyond what each message's reader checks by itself.
//
// Time. A version is a hybrid logical clock: whoever sees one is ahead of it from then on, so one
// from the year 9999 would carry the whole cluster's clock there, for ever and up to the end of its
// 44 bits. So records and flushes whose version is further than kAheadMax ahead of this node's wall
// clock are refused and counted, wherever they come in: a node whose clock is that wrong cannot
// replicate until it is set. What is less wrong is absorbed as ever (version.h), and the wall clock
// catches up with it. A week: far beyond wrong time zones, and harmless.
//
// Lists. Partitions are numbered, so a list of them is never longer than there are partitions; the
// holders of one never more than kHoldersMax.
//
// Pages. A cursor grows from page to page, or the reader would go on for ever.
#pragma once

#include <google/protobuf/repeated_field.h>

#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "proto/limits.h"
#include "proto/slot.h"
#include "storage/shard.h"
#include "storage/version.h"

namespace gyre {

// The owner and its targets.
inline constexpr int kHoldersMax = 1 + static_cast<int>(kReplicasMax);

inline bool IsTooFarAhead(Version version, UnixMillis now) {
  return MillisOf(version) > now + kAheadMaxMs;
}

// Those of a peer's list that there are, each once, in its order.
inline std::vector<PartitionId> KnownPartitions(
    const google::protobuf::RepeatedField<std::uint32_t>& list, std::uint32_t partition_count) {
  std::vector<PartitionId> known;
  std::vector<bool> seen(partition_count);
  for (const std::uint32_t partition : list) {
    if (partition >= partition_count || seen[partition]) continue;
    seen[partition] = true;
    known.push_back(partition);
  }
  return known;
}

// Whether a reader that stood at `before` may go on at `next`, which may be the end.
inline bool CursorAdvances(const WalkPosition& before, const WalkPosition& next) {
  return next.is_end() || next > before;
}
inline bool CursorAdvances(std::uint64_t before, std::uint64_t next) {
  return next == 0 || next > before;
}

}  // namespace gyre
