// Commands that wait until somebody orders their partition's writes again, or until what has claimed
// their keys is done. First in, first out for each partition, so that a client's pipelined commands
// on one key keep their order through a handover; a command that arrives while others wait for its
// partition queues behind them. A partition's line is looked at every few milliseconds, and whose
// deadline has passed is answered.
//
// A command on keys of several partitions is divided where it waits for owners, each part in its own
// line. Where it waits for claims it must not be, for then others would see a part of it, or it a
// part of theirs: it stands in the lines of all its partitions, and is tried when it is the first in
// each. All stand in them in the order in which they came, so no two wait for each other.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/tally.h"
#include "command/command_context.h"
#include "command/command_counts.h"
#include "command/pending_command.h"
#include "proto/result.h"
#include "proto/slot.h"

namespace gyre {

class RetryQueue {
 public:
  // Over these, a command is refused instead of queued. Who stands in several lines counts in each.
  static constexpr std::size_t kPlacesMax = 64 * 1024;
  static constexpr std::size_t kBytesMax = std::size_t{64} << 20;
  // How soon a partition is looked at again: doubled each time from the one to the other.
  static constexpr Duration kRetryFirst = std::chrono::milliseconds(5);
  static constexpr Duration kRetryMax = std::chrono::milliseconds(80);

  // Tries the first in the line of a partition again. False: it must wait on; else it is taken care
  // of, and leaves the line.
  using TryAgain = std::function<bool(const PendingCommandPtr& pending, PartitionId line)>;

  // `context` and `counters` outlive it.
  RetryQueue(CommandContext& context, Tally<RouterStats>& counters, TryAgain try_again)
      : context_(context), counters_(counters), try_again_(std::move(try_again)) {}
  RetryQueue(const RetryQueue&) = delete;
  RetryQueue& operator=(const RetryQueue&) = delete;

  // Whether somebody waits for the partition.
  bool Blocks(PartitionId partition) const {
    return places_ != 0 && lines_.find(partition) != lines_.end();
  }
  // What those wait for who come before a command on these keys; `pending`: it, where it waits
  // itself.
  enum class Obstacle : std::uint8_t { kNone, kOwner, kClaims };
  Obstacle ObstacleOf(std::span<const Key> keys, const PendingCommand* pending) const;

  // Queues the command; it is answered with an error where the queue is full.
  void Wait(PartitionId partition, const PendingCommandPtr& pending);
  // Likewise, in the lines of all partitions of its keys. False: it does so already, as the first in
  // `line`.
  bool WaitForClaims(std::span<const Key> keys, const PendingCommandPtr& pending,
                     std::optional<PartitionId> line);

 private:
  struct Place {
    PendingCommandPtr pending;
    // All lines in which it waits for claims, and is tried from the first; null: it waits for an
    // owner, here alone.
    std::shared_ptr<const std::vector<PartitionId>> lines;
  };
  struct Line {
    std::deque<Place> places;
    Duration delay = kRetryFirst;
    bool has_claims = false;  // somebody in it waited for them
  };

  // False, and the command is answered: there is no room for it.
  bool TakePlaces(const PendingCommandPtr& pending, std::size_t count,
                  Tally<RouterStats>::Row cause);
  void Append(PartitionId partition, const Place& place);
  void LookAgain(PartitionId partition);
  void ScheduleLook(PartitionId partition);
  // How long to wait before the next look: not beyond a deadline.
  Duration NextDelay(Line& line) const;
  void FailExpired(PartitionId partition);
  // The first in the line of `partition`.
  void Leave(PartitionId partition, const Place& place);
  // Who is no longer in that line leaves all others.
  void Forget(PartitionId partition, const Place& place);

  CommandContext& context_;
  Tally<RouterStats>& counters_;
  const TryAgain try_again_;
  std::unordered_map<PartitionId, Line> lines_;  // none is empty
  std::size_t places_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace gyre
