// The newest groups of the partitions of one shard, in the order of each partition, in a bounded ring of
// bytes. Guarded by the shard's mutex, but for Settle.
//
// A partition's groups are a chain:
//
//   floor        first                                                   last
//   (t1,7) <---- (t1,8) <---- (t1,9) <---- (t2,0) opening <---- (t2,1) <---- (t2,2)
//   not kept                               "t2 goes on after (t1,9)"
//
// Who is at a position of the chain, or at its floor, can be told all that comes after it. Any other
// position is a gap: older than what is kept, or of a term that the owners since did not know to its
// end. So an heir that lacks the last groups of a dead term opens its own after the last that it has,
// and whoever has more than that is not in its chain.
//
// All chains share the ring. An entry stands in one piece:
//
//   | previous | term | number | bytes | forward | the encoded group ... | padding to 8
//
// Where the end of the ring is too near, it begins again at the start. A new entry takes the place of
// the oldest ones, of whichever partition. Places are told by offsets that never repeat (place in the
// ring: modulo its size), so what a link leads to is gone if its offset is below that of the oldest
// entry; nobody has to be told. The predecessor of the first entry that is left is the floor.
//
// Cost: an append writes behind the last one, where the caches were told to look, and touches nothing
// else but the chain's head, of one cache line. Nothing is allocated after the ring, which is so at the
// first append. A chain leads backwards, so that no append touches an older entry; who searches a position
// goes back from the end, and draws the links forward on its way. A reader remembers where it stands in the
// ring (`Offset`), and goes on from there by those links: however far behind it is, and however little it
// reads at a time, each entry is gone through twice at most (KeptStreamStats::steps).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "base/prefetch.h"
#include "base/statistic.h"
#include "proto/slot.h"
#include "stream/position.h"

namespace gyre {

struct KeptStreamStats {
  std::uint64_t bytes = 0;
  std::uint64_t bytes_limit = 0;
  std::uint64_t groups_dropped = 0;
  std::uint64_t gaps = 0;
  std::uint64_t steps = 0;

  static constexpr Statistic<KeptStreamStats> kStatistics[] = {
      {&KeptStreamStats::bytes,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kBytes,
        .name = "gyre_stream_kept_bytes",
        .help = "Newest writes, kept for copies that are behind and for readers of the feed."}},
      {&KeptStreamStats::bytes_limit,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kBytes,
        .name = "gyre_stream_kept_limit_bytes",
        .help = "What they may take; the oldest go first."}},
      {&KeptStreamStats::groups_dropped,
       {.name = "gyre_stream_dropped_total",
        .help = "Groups of writes that went to make room for newer ones."}},
      {&KeptStreamStats::gaps,
       {.name = "gyre_stream_gaps_total",
        .help = "Readers that were behind what is kept, or ahead of what a new owner knew."}},
      {&KeptStreamStats::steps,
       {.name = "gyre_stream_read_steps_total",
        .help = "Groups that were looked at to read what is kept, and to find where a reader is."}},
  };
};
static_assert(AllDescribed<KeptStreamStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

class KeptStream {
 public:
  // One group, or, with number 0 and without bytes, the opening of a term.
  struct Group {
    StreamPosition position;
    StreamPosition predecessor;
    std::string_view bytes;  // valid for the call

    bool is_opening() const { return position.number == 0; }
  };
  using Visitor = std::function<void(const Group&)>;
  // Where an entry stands; never used again for another one. 0: nowhere.
  using Offset = std::uint64_t;

  enum class Which : std::uint8_t { kAll, kSettled };
  enum class Outcome : std::uint8_t {
    kEnd,   // all that there is, of what was asked for
    kMore,  // `bytes_max` is used up
    kGap,   // the position is not in the chain: nothing was visited
  };

  // Of the partitions p with p mod shard_count == this shard's index; `shard_count` is a power of two.
  // `bytes_max` for the ring, which is allocated when the first group comes.
  KeptStream(std::uint32_t partition_count, std::uint32_t shard_count, std::size_t bytes_max);

  // Begins to bring the partition's head into the CPU's cache, for a group that is about to be executed or
  // applied. Any thread.
  void Prefetch(PartitionId partition) const { PrefetchToWrite(&ChainOf(partition)); }

  // ---- Order ----------------------------------------------------------------------------------

  // The last position of the partition here: of its newest group, or opening.
  StreamPosition last(PartitionId partition) const { return ChainOf(partition).last; }
  // After which group of an earlier term the newest one goes on.
  StreamPosition base(PartitionId partition) const { return OpeningOf(partition).base; }
  // Begins `term`, which is above that of last(), after `predecessor`. Where that is last(), the chain
  // goes on; else what is kept of the partition is forgotten.
  void Open(PartitionId partition, std::uint64_t term, StreamPosition predecessor);
  // `group` is last().next(). One that is too large to be kept counts as dropped at once.
  void Append(PartitionId partition, StreamPosition position, std::string_view group);
  // Forgets what is kept of the partition: it goes on after `position`.
  void Restart(PartitionId partition, StreamPosition position);

  // ---- Settled --------------------------------------------------------------------------------

  // All complete holders have the partition's groups up to `position`, of which the term is the newest
  // here; what is said of older terms is ignored. Any thread, without the mutex.
  void Settle(PartitionId partition, StreamPosition position);
  // The newest position that is; where the newest term settled nothing yet, of an earlier one.
  StreamPosition settled(PartitionId partition) const;

  // ---- Reading --------------------------------------------------------------------------------

  // Visits what comes after `after`, in order, until about `bytes_max` of groups were visited (at least
  // one entry is). `place` is the reader's, for this partition: where the last entry stands that a Read
  // visited for it, first 0. It spares the search, and is forgotten where it is none of `after`.
  Outcome Read(PartitionId partition, StreamPosition after, Offset& place, std::size_t bytes_max,
               Which which, const Visitor& visit);
  Outcome Read(PartitionId partition, StreamPosition after, std::size_t bytes_max, Which which,
               const Visitor& visit) {
    Offset place = 0;
    return Read(partition, after, place, bytes_max, which, visit);
  }
  // Whether Read from there is no gap.
  bool Reaches(PartitionId partition, StreamPosition after);

  // Where a reader at `after` goes on behind a gap: the newest position of the chain that is not newer,
  // else the oldest that is kept.
  StreamPosition Nearest(PartitionId partition, StreamPosition after) const;

  KeptStreamStats stats() const;

 private:
  struct Entry {
    Offset previous = 0;  // of its chain
    StreamPosition position;
    std::uint32_t bytes = 0;
    std::uint32_t forward = 0;  // so much further stands the next of its chain; 0: not drawn
  };
  static_assert(sizeof(Entry) == 32, "a group's place costs half a cache line");
  // What each append touches.
  struct alignas(64) Chain {
    Offset last_entry = 0;
    Offset begin = 0;  // what stands before this is of an earlier chain, or cut off
    StreamPosition last;
    // For Settle, which has no lock. `settled`: how many terms began here, and 1 + the newest settled
    // number of the newest (0: none); see Settle.
    std::atomic<std::uint64_t> term{0};
    std::atomic<std::uint64_t> settled{0};
  };
  static_assert(sizeof(Chain) == 64, "an append should miss the cache once");
  // How the newest term of a chain began.
  struct Opening {
    StreamPosition base;
    StreamPosition settled_before;
  };

  Chain& ChainOf(PartitionId partition) { return chains_[partition >> shard_count_log2_]; }
  const Chain& ChainOf(PartitionId partition) const {
    return chains_[partition >> shard_count_log2_];
  }
  char* At(Offset offset) const { return ring_.get() + offset % capacity_; }
  Entry EntryAt(Offset offset) const;
  void Write(Offset offset, const Entry& entry);
  std::string_view BytesAt(Offset offset, const Entry& entry) const;

  void Cut(Chain& chain);
  void Link(Chain& chain, StreamPosition position, std::string_view group);
  const Opening& OpeningOf(PartitionId partition) const {
    return openings_[partition >> shard_count_log2_];
  }
  bool IsKept(Offset offset) const { return offset != 0 && offset >= begin_; }
  StreamPosition PredecessorOf(Offset offset, const Entry& entry) const;

  void PrefetchNext() const;
  void DropOldest();
  void NewTerm(PartitionId partition, std::uint64_t term, const Opening& opening);
  void DrawForward(Offset from, Offset to);
  // `next` is the first entry behind `after` (0: there is none), and links lead forward from there. False:
  // a gap.
  bool Find(const Chain& chain, StreamPosition after, Offset& next);
  bool FindFrom(const Chain& chain, StreamPosition after, Offset place, Offset& next);
  Offset NextOf(const Chain& chain, Offset offset);

  const int shard_count_log2_;
  const std::size_t capacity_;
  std::vector<Chain> chains_;
  std::vector<Opening> openings_;
  std::unique_ptr<char[]> ring_;
  // What is kept stands in [begin_, end_): entries, and at the end of the ring what was too short.
  Offset begin_;
  Offset end_;
  KeptStreamStats counters_;
};

}  // namespace gyre
