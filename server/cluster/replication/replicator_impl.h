// The Replicator over a Transport.
//
// Each group is a write, with a ticket, a place in the partition's stream and an entry in a window. Each
// target has a queue of batches (replica_queue.h). An acknowledged batch marks its writes; a write is
// settled once every target has acknowledged it or was given up. Since copies apply groups in order, all
// complete copies have then whatever the partition's stream has up to it (KeptStream::Settle).
//
// A target may answer that it lacks what comes before a write: another loop's batch is late or lost, or
// it took part in the stream under an owner that died. It gets that from what is kept, and the write
// again. Where too little is kept it is behind for good: it must pull again.
//
// When is a write acknowledged to its client? With `acks` copies wanted, this node's included, and
// the partition's targets as they are *now*:
//   - acks >= replicas: every complete target has it (whoever takes over has it, too);
//   - fewer: acks - 1 complete targets have it;
//   - where there are fewer complete targets than acks - 1: every target has it, complete or
//     warming. (One of the warming may be complete already, and about to own, without this node
//     having heard so.)
// Targets that joined the set since the write get it, too, and count only then. A target that died
// no longer counts. Until enough have it, the write waits; at the timeout its outcome is unknown.
// There is no route to OK without the copies.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/tally.h"
#include "cluster/view.h"
#include "replication/replica_queue.h"
#include "replication/replicator.h"

namespace gyre {

// `engine`, `table`, `views` and `transport` outlive it. All calls, and those of `transport`, on
// one loop. `clock` is the loop's monotonic time.
std::unique_ptr<Replicator> MakeReplicator(ReplicatorOptions options, Engine& engine,
                                           ReplicationTable& table, ViewPublisher& views,
                                           Transport& transport,
                                           std::function<TimePoint()> clock = SteadyNow);

// Faults that the simulator injects to see that its checker catches them. Never set in production.
struct ReplicatorFaults {
  std::uint32_t skip_every = 0;         // every n-th group reaches the targets without its effects
  std::uint32_t tear_every = 0;         // every n-th group of several effects, with the first alone
  bool ack_before_replication = false;  // Await reports success at once
  bool skip_tombstones = false;         // deletions reach no target
  bool skip_evictions = false;          // nor do evictions and expiries
};

class ReplicatorImpl final : public Replicator {
 public:
  ReplicatorImpl(ReplicatorOptions options, Engine& engine, ReplicationTable& table,
                 ViewPublisher& views, Transport& transport, std::function<TimePoint()> clock);
  ~ReplicatorImpl() override;

  Status Check(PartitionId partition, std::uint32_t acks) override;
  Ticket Submit(PartitionId partition, std::span<const Effect> group) override;
  void Await(Ticket ticket, std::uint32_t acks, Done done) override;
  void AwaitAll(Ticket ticket, std::uint32_t copies, Duration timeout,
                std::function<void(std::uint32_t)> done) override;
  void Flush() override;
  ReplicatorStats stats() const override { return counters_.Read(); }

  void set_faults(const ReplicatorFaults& faults) { faults_ = faults; }

 private:
  // One write in the window. Bit i of a mask stands for targets[i].
  struct Write {
    PartitionId partition = 0;
    std::uint8_t count = 0;
    std::uint8_t acked = 0;
    std::uint8_t settled = 0;   // acked, refused, failed or given up
    std::uint8_t failed = 0;    // found no room there, or a newer state by another node
    std::uint8_t current = 0;   // still a target, as of `revision`
    std::uint8_t complete = 0;  // likewise, and complete
    bool waited = false;
    StreamPosition position;  // unknown: it was sent without an order
    WriteFence::Mark submitted;
    std::uint64_t revision = 0;  // of the table, when `current` and `complete` were read
    std::array<ReplicaQueue*, kReplicasMax> targets{};
    ReplicaBatchPtr source;  // a batch that has its bytes, while they may be needed again
    std::size_t source_entry = 0;

    static std::uint8_t Bit(std::size_t index) { return static_cast<std::uint8_t>(1U << index); }
    std::uint8_t all() const { return static_cast<std::uint8_t>((1U << count) - 1U); }
  };
  struct Waiter {
    std::uint32_t acks = 0;
    TimePoint deadline{};
    Done done;
  };
  struct CopiesWaiter {
    Ticket ticket = 0;
    std::uint32_t copies = 0;
    TimePoint deadline{};
    std::function<void(std::uint32_t)> done;
  };
  enum class Verdict : std::uint8_t { kPending, kEnough, kFailed, kOverruled, kLapsed };

  // Requires the shard's mutex.
  bool IsHeard(PartitionId partition) const;
  void Encode(std::span<const Effect> group);
  Ticket SubmitEncoded(PartitionId partition);
  void SubmitTaken(PartitionId partition);
  void SubmitToReaders(PartitionId partition);
  void Order(GroupView& group) GYRE_NO_THREAD_SAFETY_ANALYSIS;
  void AppendEvicted(PartitionId partition, Shard& shard) GYRE_NO_THREAD_SAFETY_ANALYSIS;
  ReplicaQueue& QueueOf(const NodeId& node);
  Write* Find(Ticket ticket);
  std::uint32_t AcksOr(std::uint32_t acks) const { return acks == 0 ? options_.write_acks : acks; }
  void MarkLagging(ReplicaSet::Target& target);
  void NoteRefused(PartitionId partition, const NodeId& node, std::uint64_t sent_revision,
                   bool absent);
  void BackOff(ReplicaQueue& queue);

  void Send(ReplicaQueue& queue);
  void SendBatch(ReplicaQueue& queue, const ReplicaBatchPtr& batch);
  void OnReply(ReplicaQueue& queue, const ReplicaBatchPtr& batch, Result<std::string_view> reply);
  void Settle(ReplicaQueue& queue, const ReplicaBatch::Entry& entry, bool acked, bool failed);
  void NoteSettled(PartitionId partition, StreamPosition position);
  void SendMissing(ReplicaQueue& queue, const ReplicaBatch& batch,
                   const ReplicateResult::Behind& behind,
                   const std::vector<const ReplicaBatch::Entry*>& missing);
  // kGone: it is no longer kept. kUnwanted: the node is no target, or must pull anyway.
  enum class Kept : std::uint8_t { kSent, kGone, kUnwanted };
  Kept SendKept(ReplicaQueue& queue, PartitionId partition, StreamPosition after,
                StreamPosition before);
  void MarkBehind(ReplicaQueue& queue, PartitionId partition);
  void GiveUp(ReplicaQueue& queue);

  // Of the copies, and of this node's right to acknowledge. Of writes that wait: `acks` is above 1.
  Verdict Judge(Ticket ticket, Write& write, std::uint32_t acks);
  Verdict JudgeCopies(Ticket ticket, Write& write, std::uint32_t acks);
  static Status StatusOf(Verdict verdict);
  void Refresh(Ticket ticket, Write& write);
  void Decide(Ticket ticket);
  void DecideAll();
  std::uint32_t CopiesOf(Ticket ticket);
  void DecideCopies();
  void TrimWindow();

  void NoteRemovals(PartitionId partition);
  void ForgetQuietRemovals();

  void EnsureTick();
  void Tick();
  void NoteView();
  bool Serves(const NodeId& node) const;

  const ReplicatorOptions options_;
  Engine& engine_;
  ReplicationTable& table_;
  ViewPublisher& views_;
  Transport& transport_;
  const std::function<TimePoint()> clock_;
  ReplicatorFaults faults_;

  std::unordered_map<NodeId, std::unique_ptr<ReplicaQueue>> queues_;
  Ticket next_ticket_ = 1;
  Ticket window_begin_ = 1;   // ticket of window_.front()
  std::deque<Write> window_;  // [window_begin_, next_ticket_)
  std::unordered_map<Ticket, std::vector<Waiter>> waiters_;
  std::vector<CopiesWaiter> copies_waiters_;
  std::uint64_t view_revision_ = 0;
  ClusterViewPtr view_;
  // Partitions that this loop wrote to, and which have removals that nobody may forget before a further
  // group says so.
  struct Unforgotten {
    PartitionId partition = 0;
    StreamPosition last;  // as of the last look
  };
  std::vector<Unforgotten> unforgotten_;
  std::vector<bool> is_unforgotten_;  // [partition]
  TimePoint next_forgetting_{};
  bool ticking_ = false;
  std::string effects_;                 // of the group that is being submitted
  std::uint32_t mutations_ = 0;         // likewise
  std::vector<EvictedRecord> evicted_;  // likewise
  std::uint64_t submitted_ = 0;         // for the faults
  std::uint64_t several_submitted_ = 0;
  // Callbacks that outlive this object find it gone.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  // Written on the loop, read anywhere.
  Tally<ReplicatorStats> counters_;
};

}  // namespace gyre
