// Whether this node may act as the owner of a partition now, and whether it might all the time
// since something began. Ownership decides who should order the writes; whoever executes a command,
// acknowledges a write or says why a command had to wait asks here, for what was decided may be
// over: this node was stopped, starved or cut off, and others went on without it.
//
// Two guards stand behind the answers, both told by the control thread and asked without a lock:
//   self_fence.h    always: this node lives in the eyes of another. One answer is enough.
//   lease_table.h   with --consistency majority, of each partition: nobody else may act for it.
//
//   what                                      the node itself        the partition's lease
//   ---------------------------------------   --------------------   ----------------------------
//   a read by the owner                       -                      before it and through it
//   a write; a read that waited for a pause   before it              before it and through it
//   an acknowledgement                        now, and never since   without a gap since the write
//                                             declared dead
//
// A pause asks a second question, which is none of this fence: how old is a request that lay in the
// kernel meanwhile? base/pause_detector.h answers it, for any process and without a cluster. The
// connection refuses the writes among them, whoever owns what by now, and marks the reads
// (Request::waited), which are then asked for here like writes.
//
// Cost: a read in available mode looks at one pointer. A write looks at one word more, and at the
// clock. With leases the clock is read before and after each command.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "leases/lease_table.h"
#include "proto/slot.h"
#include "replication/self_fence.h"

namespace gyre {

class WriteFence {
 public:
  // `majority`: leases decide, too. `clock` is read anew at each question: the time that a loop
  // caches is that of before a SIGSTOP.
  WriteFence(std::uint32_t partition_count, bool majority,
             const std::function<TimePoint()>& clock = SteadyNow)
      : self_(clock),
        leases_(majority ? std::make_unique<LeaseTable>(partition_count, clock) : nullptr) {}

  // ---- The control thread: what the guards are told ----
  SelfFence& self() { return self_; }
  LeaseTable* leases() const { return leases_.get(); }  // null: available

  // ---- Any thread ----
  bool uses_leases() const { return leases_ != nullptr; }
  // Not to act by, but to say how things stand. True where no leases are used.
  bool HasLease(PartitionId partition) const {
    return leases_ == nullptr || leases_->Holds(partition, leases_->Now());
  }

  // A command's turn, from before it begins to after it. Where it is not leased, the leases are not
  // asked: none are used, or it was not begun here, as for a replica, whose reads may be stale.
  struct Turn {
    bool leased = false;
    TimePoint from{};
  };
  Turn Begin() const {
    return leases_ == nullptr ? Turn{} : Turn{.leased = true, .from = leases_->Now()};
  }
  // Before it: whether the partition's lease holds, and allows a version of the time `stamp`.
  bool MayAct(const Turn& turn, PartitionId partition, UnixMillis stamp) const {
    if (!turn.leased) [[likely]]
      return true;
    return LeaseAllows(turn.from, partition, stamp);
  }
  // After it: whether all of it happened under the lease. If not, its reply must not be let go.
  bool Held(const Turn& turn, PartitionId partition) const {
    if (!turn.leased) [[likely]]
      return true;
    return HeldSince(turn.from, partition);
  }
  // Before a command that writes, or that lay in the kernel through a pause: whether the node
  // itself may.
  bool MayOrder() const { return self_.Holds(); }

  // A write that waits to be acknowledged.
  struct Mark {
    TimePoint at{};  // where leases are used
    std::uint32_t overruled = 0;
  };
  enum class Verdict : std::uint8_t {
    kHolds,      // it may be acknowledged
    kUnsure,     // not now: nobody has answered for a while
    kOverruled,  // this node was declared dead since: another may have ordered writes
    kLapsed,     // its lease had a gap since
  };
  // How often this node was declared dead.
  std::uint32_t deaths() const { return self_.overruled(); }
  Mark MarkWrite() const {
    return {leases_ == nullptr ? TimePoint{} : leases_->Now(), self_.overruled()};
  }
  Verdict Judge(const Mark& mark, PartitionId partition) const;

 private:
  // Both count what they refuse.
  bool LeaseAllows(TimePoint at, PartitionId partition, UnixMillis stamp) const;
  bool HeldSince(TimePoint from, PartitionId partition) const;

  SelfFence self_;
  const std::unique_ptr<LeaseTable> leases_;
};

}  // namespace gyre
