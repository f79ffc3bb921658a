// The groups that come to this node's copies: applied whole, in the order of their stream, acknowledged.
// One for each loop.
//
// A batch is answered once each of its groups is applied or refused. One that came early waits in the
// shard's GroupInbox, and its batch with it, until whichever loop applies its predecessor applies it,
// too, and posts the answer to the batch's loop. After kEarlyWait the answer says how far the copy is
// instead, and the owner sends what is missing (Replicator::SendKept).
//
// A group's effects are applied under one hold of the shard's mutex, so no reader sees a part of it. A
// record of it that finds no room leaves the copy as if it had been evicted at once: its key goes, that is
// noted (PartitionInfo::newest_evicted), the answer says that the group failed, and the stream goes on. So
// a copy may lack keys, as it may by any eviction, but no older value of them stays.
//
// What its owner evicted and what expired there goes here, too, before the group's effects, for which it
// makes room.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/statistic.h"
#include "base/tally.h"
#include "peer/effect_codec.h"
#include "peer/peer_codec.h"
#include "replication/replication_table.h"
#include "storage/engine.h"

namespace gyre {

struct GroupReceiverStats {
  std::uint64_t applied = 0;
  std::uint64_t waited = 0;
  std::uint64_t behind = 0;
  std::uint64_t diverged = 0;
  std::uint64_t stale = 0;
  std::uint64_t versions_refused = 0;  // shown with those of PeerServiceStats

  static constexpr Statistic<GroupReceiverStats> kStatistics[] = {
      {&GroupReceiverStats::applied,
       {.name = "gyre_stream_applied_total", .help = "Groups of writes of other owners applied."}},
      {&GroupReceiverStats::waited,
       {.name = "gyre_stream_waited_total",
        .help = "Groups that came before their predecessors, and waited for them."}},
      {&GroupReceiverStats::behind,
       {.name = "gyre_stream_behind_total",
        .help = "Groups of which the predecessors did not come, and were asked for."}},
      {&GroupReceiverStats::diverged,
       {.name = "gyre_stream_diverged_total",
        .help =
            "Times that a copy here had writes of a dead owner that the new one began without."}},
      {&GroupReceiverStats::stale,
       {.name = "gyre_stream_stale_total",
        .help = "Groups refused because a newer owner has written since."}},
      {&GroupReceiverStats::versions_refused, {}},
  };
};
static_assert(AllDescribed<GroupReceiverStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

// Faults that the simulator injects to see that its checker catches them. Never set in production.
struct GroupReceiverFaults {
  bool ignore_order = false;  // what comes early is applied, and acknowledged, at once
};

class GroupReceiver {
 public:
  using Reply = std::function<void(std::string)>;
  // How to come back to this loop: `post` from any thread, `after` from the loop.
  struct Tasks {
    std::function<void(std::function<void()>)> post;
    std::function<void(Duration, std::function<void()>)> after;
  };
  // How long an early group waits: a round trip after a link broke, and not long beside --write-acks'
  // patience.
  static constexpr Duration kEarlyWait = std::chrono::milliseconds(250);

  // `engine` and `table` outlive it.
  GroupReceiver(Engine& engine, ReplicationTable& table, std::function<UnixMillis()> wall_clock);
  ~GroupReceiver();

  // Without it nothing waits.
  void set_tasks(Tasks tasks) { tasks_ = std::make_shared<const Tasks>(std::move(tasks)); }
  void set_faults(const GroupReceiverFaults& faults) { faults_ = faults; }

  // `body` is an encoded ReplicateGroups, borrowed for the call. `reply` gets the encoded PeerReply once,
  // from within the call or later on this loop; never, if this is gone before. An error comes back where
  // it is malformed: then `reply` is not called, and what stands before it may have been applied.
  Status Handle(std::string_view body, Reply& reply);

  // Any thread.
  GroupReceiverStats stats() const { return counters_.Read(); }

 private:
  using BatchPtr = std::shared_ptr<GroupBatch>;

  void LookAhead();
  const BatchPtr& NewBatch();
  void Receive(const GroupView& group, std::uint32_t index, const BatchPtr& batch);
  void Place(Shard& shard, const GroupView& group, std::uint32_t index, const BatchPtr& batch)
      GYRE_REQUIRES(shard.mutex());
  void Wait(Shard& shard, const GroupView& group, std::uint32_t index, const BatchPtr& batch)
      GYRE_REQUIRES(shard.mutex());
  void SayBehind(PartitionId partition, GroupBatch& batch);
  // Of what is in `effects_` and `notes_`.
  bool Apply(Shard& shard, const GroupView& group) GYRE_REQUIRES(shard.mutex());
  void ApplyEvictions(Shard& shard, PartitionId partition, UnixMillis now)
      GYRE_REQUIRES(shard.mutex());
  bool Merge(Shard& shard, const GroupView& group) GYRE_REQUIRES(shard.mutex());
  bool Advance(Shard& shard, const GroupView& group) GYRE_REQUIRES(shard.mutex());
  void PlaceReady(Shard& shard, PartitionId partition) GYRE_REQUIRES(shard.mutex());
  void GiveUp(const BatchPtr& batch);
  void Finish(const BatchPtr& batch);
  void AnswerFinished();

  Engine& engine_;
  ReplicationTable& table_;
  const std::function<UnixMillis()> wall_clock_;
  std::shared_ptr<const Tasks> tasks_ = std::make_shared<const Tasks>();
  GroupReceiverFaults faults_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  // Of the call, kept for their memory.
  std::vector<GroupView> groups_;
  std::vector<DecodedEffect> effects_;
  GroupNotes notes_;                // likewise
  GroupNotes ahead_;                // of LookAhead
  std::vector<BatchPtr> finished_;  // to be answered once no shard is locked
  BatchPtr batch_;                  // used again where nothing waits of it

  Tally<GroupReceiverStats> counters_;
};

}  // namespace gyre
