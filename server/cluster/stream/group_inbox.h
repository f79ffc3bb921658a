// The groups of one shard's partitions that came to this node's copies out of their turn. Guarded by the
// shard's mutex.
//
// Several loops of an owner write a partition, each over links of its own, so groups overtake each other.
// At a complete copy an early one waits here for those between, bounded in bytes (and by whoever keeps
// it, in time). A warming copy has applied it already: its number is remembered, so that the copy knows
// where it stands once it is told at which position it began.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "proto/slot.h"
#include "stream/position.h"

namespace gyre {

struct GroupBatch;  // who is waited for with an answer; nothing is known of it here

class GroupInbox {
 public:
  static constexpr std::size_t kWaitingBytesMax = std::size_t{4} << 20;
  // Gaps in what a warming copy has; beyond, what is below the lowest is forgotten.
  static constexpr std::size_t kIntervalsMax = 64;

  struct Waiting {
    StreamPosition position;
    StreamPosition base;
    std::string effects;
    std::shared_ptr<GroupBatch> batch;
    std::uint32_t index = 0;  // in the batch
  };

  // False: there is no room. A group of any size has room where nothing else waits.
  bool Add(PartitionId partition, Waiting waiting);
  // The first in order of those that wait, if it is no longer early for a copy at `last`.
  std::optional<Waiting> TakeReady(PartitionId partition, StreamPosition last);
  // All that wait for `batch`.
  std::vector<Waiting> TakeOf(PartitionId partition, const GroupBatch* batch);

  // A warming copy at `last` applied a group: where it stands now.
  StreamPosition Applied(PartitionId partition, StreamPosition last, StreamPosition position,
                         StreamPosition base);
  // Likewise a copy that comes to stand at `last`: behind what directly follows and was applied.
  StreamPosition Reach(PartitionId partition, StreamPosition last);
  // Whether it was applied before its turn.
  bool HasApplied(PartitionId partition, StreamPosition position) const;
  // The copy is dropped. What waits goes on waiting for its time to be over.
  void Forget(PartitionId partition) { ahead_.erase(partition); }

  std::size_t waiting_bytes() const { return waiting_bytes_; }

 private:
  struct Ahead {
    std::uint64_t term = 0;
    std::map<std::uint64_t, std::uint64_t> intervals;  // first -> last, not touching each other
  };

  std::unordered_map<PartitionId, std::multimap<StreamPosition, Waiting>> waiting_;
  std::unordered_map<PartitionId, Ahead> ahead_;
  std::size_t waiting_bytes_ = 0;
};

}  // namespace gyre
