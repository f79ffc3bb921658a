// A feed without its sockets: which partition is read where and how far, what nodes said, and the events
// that wait for the caller.
//
//   partition:  idle --Ask--> asked --OnReply--> read --OnPush: moved, OnLost--> idle
//
// What a connection says of a partition counts only while that is read there. A reply stands before all
// that its request has begun, so that what was on its way of an earlier request is told apart.
//
// A gap that an owner tells may be none: it may have come back just now, and another node, which ordered
// the writes meanwhile, still keep what it does not. So the others are asked for the range first, one
// after the other (a detour), and only then the caller is told.
//
// Pure; every field from the network is checked.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client/feed_cursor.h"
#include "gyre/client.h"

namespace gyre::client {

class FeedProgress {
 public:
  // Which connection: each has a number of its own, never used again.
  using Source = std::uint64_t;

  FeedProgress(FeedCursor begin, bool values);

  std::uint32_t partition_count() const { return static_cast<std::uint32_t>(partitions_.size()); }
  bool is_idle(std::uint32_t partition) const {
    return partitions_[partition].state == State::kIdle;
  }
  Source source(std::uint32_t partition) const { return partitions_[partition].source; }
  std::uint32_t read_count() const { return read_count_; }
  // Each has a position: from now on nothing is missed.
  bool begun() const { return begun_count_ == partitions_.size(); }

  // What FEED FROM says of the partition, which is asked of `source` from now on.
  std::string Ask(std::uint32_t partition, Source source);
  // The reply to FEED, that asked for these partitions. Those that the node does not own are idle again.
  std::optional<Error> OnReply(Source source, std::span<const std::uint32_t> asked,
                               const Value& reply);
  std::optional<Error> OnPush(Source source, Value message);
  void OnLost(Source source);
  // What is missing of the partition at its owner is looked for elsewhere.
  bool is_on_detour(std::uint32_t partition) const {
    return partitions_[partition].gap_end.has_value();
  }
  // How many nodes did not have it.
  std::uint32_t detours_failed(std::uint32_t partition) const {
    return partitions_[partition].detours_failed;
  }
  // The node that was to be asked next cannot be; there is no node left.
  void FailDetour(std::uint32_t partition) { ++partitions_[partition].detours_failed; }
  void TellGap(std::uint32_t partition);

  bool has_event() const { return !events_.empty(); }
  FeedEvent Take();
  // Behind what was taken.
  FeedCursor cursor() const;

 private:
  enum class State : std::uint8_t { kIdle, kAsked, kRead };
  struct Partition {
    State state = State::kIdle;
    Source source = 0;
    std::optional<FeedPosition> received;
    std::optional<FeedPosition> taken;
    std::optional<FeedPosition> gap_end;  // where the owner goes on
    std::uint32_t detours_failed = 0;
  };
  struct Waiting {
    FeedEvent event;
    FeedPosition position;  // behind the last one of its group
  };
  struct Place {
    std::uint32_t partition = 0;
    std::optional<FeedPosition> position;
  };

  std::optional<Place> ParsePlace(const Value& value) const;
  void SetState(Partition& partition, State state);
  void ToIdle(Partition& partition);
  std::optional<Error> OnGroup(const Place& place, std::vector<Value>& message);
  static std::optional<FeedEvent> ReadChange(Value& change, bool values);

  const bool values_;
  std::vector<Partition> partitions_;
  std::uint32_t read_count_ = 0;
  std::size_t begun_count_ = 0;
  std::deque<Waiting> events_;
};

}  // namespace gyre::client
