// Commands that wait until somebody orders their partition's writes again. First in, first out for
// each partition, so that a client's pipelined commands on one key keep their order through a
// handover; a command that arrives while others wait for its partition queues behind them.
#pragma once

#include <cstddef>
#include <deque>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "command/pending_command.h"
#include "proto/result.h"
#include "proto/slot.h"

namespace gyre {

class RetryQueue {
 public:
  // Over these, a command is refused instead of queued.
  static constexpr std::size_t kCommandsMax = 64 * 1024;
  static constexpr std::size_t kBytesMax = std::size_t{64} << 20;
  // How soon a partition is looked at again: doubled each time from the one to the other.
  static constexpr Duration kRetryFirst = std::chrono::milliseconds(5);
  static constexpr Duration kRetryMax = std::chrono::milliseconds(80);

  bool empty() const { return commands_ == 0; }
  bool Blocks(PartitionId partition) const {
    return commands_ != 0 && lines_.find(partition) != lines_.end();
  }

  // kUnavailable if it is full; then the pending command stays the caller's. `*first` is set if nobody
  // waited there before: the caller starts the partition's timer.
  Status Push(PartitionId partition, PendingCommandPtr pending, bool* first);
  // The first in line; null if nobody waits.
  PendingCommandPtr Front(PartitionId partition) const;
  void PopFront(PartitionId partition);
  // Takes out those whose deadline has passed.
  std::vector<PendingCommandPtr> TakeExpired(PartitionId partition, TimePoint now);
  // How long to wait before the next look at the partition, where somebody waits: not beyond a
  // deadline.
  Duration NextDelay(PartitionId partition, TimePoint now);

 private:
  struct Line {
    std::deque<PendingCommandPtr> commands;
    Duration delay = kRetryFirst;
  };
  void Forget(const PendingCommand& pending);

  std::unordered_map<PartitionId, Line> lines_;  // none is empty
  std::size_t commands_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace gyre
