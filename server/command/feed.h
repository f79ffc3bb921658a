// The feed of changes, as one connection reads it (FEED): the groups of partitions that this node owns,
// in the order of each, once all complete copies have them.
//
//   replicator --settled--> StreamReaders --wake--> connection --Write--> Feed --reads--> KeptStream
//
// What is sent are messages (protocol/push.h), lists that begin with a word. A place is a partition with
// a position, "PARTITION@TERM-NUMBER":
//
//   group PLACE CHANGE ...   a group of which something is asked for; it ends at the position. A change is
//                            a list: set KEY VERSION [VALUE FLAGS EXPIRY_MS], remove KEY VERSION, or
//                            flush "" VERSION (all keys of the partition)
//   at PLACE                 nothing that is asked for came up to here; said now and then
//   gap PLACE                groups are missing before the position, where it goes on: the reader's was
//                            older than what is kept, or of a term that the owners since did not know
//   moved PARTITION          this node does not order its writes any more: ask the next owner; or it has
//                            sent the range that it was asked for
//
// A node that just became the owner may keep less than the one before, which still has a copy: so any
// node that has both ends of "PARTITION@TERM-NUMBER..TERM-NUMBER" in its stream sends what is between. The
// second is where an owner said that it goes on behind a gap.
//
// What a comparison brought to the owner from another copy is a group like any other
// (ReplicationTable::NoteTaken). What expires or is evicted is no change yet: each copy does so by itself.
// Once that is an effect with a cause, the cause is the word of the change (SayChange).
//
// Who was stopped or cut off tells nothing until somebody answers it: it may be deposed, and what it settled
// may have been so in its own eyes only.
//
// Cost: nothing where nobody reads; a turn reads what was settled since the last one, some kilobytes of a
// partition at a time, copied under the shard's lock and encoded outside of it. How far the reader is
// costs a position for each partition, whatever it does not read: the stream is what is bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "base/tally.h"
#include "command/command_context.h"
#include "command/command_counts.h"
#include "peer/effect_codec.h"
#include "protocol/push.h"
#include "stream/kept_stream.h"
#include "stream/stream_readers.h"

namespace gyre {

// "12@34-56"; of a place without a position "12"; of a range "12@34-56..78-9".
struct FeedPlace {
  PartitionId partition = 0;
  std::optional<StreamPosition> position;
  std::optional<StreamPosition> until;

  static std::optional<FeedPlace> Parse(std::string_view text, std::uint32_t partition_count);
  std::string ToString() const;
};

// One loop's, as its connection. The context outlives it.
class Feed final : public PushSource {
 public:
  // Of groups that are taken from a stream at once.
  static constexpr std::size_t kReadBytes = std::size_t{32} << 10;
  // How often it looks by itself: whether partitions went elsewhere, and how far those are of which
  // nothing was asked for.
  static constexpr Duration kLookEvery = std::chrono::milliseconds(100);

  struct Options {
    std::string prefix;  // of the keys; empty: all
    bool values = false;
  };

  Feed(CommandContext& context, std::unique_ptr<StreamReaders::Reader> reader,
       Tally<RouterStats>& counters);
  ~Feed() override;

  void set_options(Options options) { options_ = std::move(options); }
  // Wakes its connection from now on.
  void Start(std::shared_ptr<PushWaker> waker);
  // Sends what comes after the place's position, or without one what is settled from now on, in place of
  // what it sent of this partition before. The place where it stands; nothing: this node is not the owner,
  // or does not have the range.
  std::optional<FeedPlace> Begin(const FeedPlace& place);
  void Wake() { waker_->Wake(); }

  bool Write(PushSink& sink) override;

 private:
  struct Place {
    StreamPosition at;
    KeptStream::Offset entry = 0;         // where that stands, as far as Read knows
    std::optional<StreamPosition> until;  // of a range
    bool on = false;
    bool queued = false;  // in `ready_`
    bool quiet = false;   // `at` has moved, and was not told
  };
  // What stands before each group in `taken_`.
  struct Taken {
    StreamPosition position;
    std::size_t bytes = 0;
  };

  KeptStream& StreamOf(PartitionId partition) const;
  // With the mutex of the partition's shard:
  bool Owns(PartitionId partition) const;
  bool MayTell() const;
  void OpenTerm(PartitionId partition);
  void SettleWithoutAWrite(PartitionId partition);

  void Enqueue(PartitionId partition);
  void End(PartitionId partition);
  void LookLater();
  void Look(PushSink& sink);
  bool SendFrom(PartitionId partition, PushSink& sink);
  KeptStream::Outcome Take(PartitionId partition);
  bool EndWith(PartitionId partition, PushSink& sink);
  bool HasRange(const FeedPlace& range);
  void SendTaken(PartitionId partition, PushSink& sink);
  void SendGroup(PartitionId partition, StreamPosition position, std::string_view group,
                 PushSink& sink);
  void SayPlace(PushSink& sink, std::string_view word, PartitionId partition,
                StreamPosition position);

  CommandContext& context_;
  const std::unique_ptr<StreamReaders::Reader> reader_;
  Tally<RouterStats>& counters_;
  Options options_;
  std::shared_ptr<PushWaker> waker_;

  std::vector<Place> places_;  // [partition]
  std::deque<PartitionId> ready_;
  bool must_look_ = false;
  Buffer taken_;                        // groups of one partition, as they were read under the lock
  std::vector<DecodedEffect> changes_;  // of the group at hand
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace gyre
