// Sends each write's result to the other holders of its partition, and tells when enough of them
// have it.
//
// One replicator for each worker loop. It is handed what a transaction left on a partition as one
// group. Under the shard's lock the group gets its place in the partition's stream, is encoded, kept
// (stream/kept_stream.h) and gathered for each peer; `Flush` sends it at the end of a batch of requests.
// Copies apply it whole, and after its predecessor. What a peer did not acknowledge is sent again while
// the peer lives, what it lacks from what is kept; what does not fit in the bounded queue turns into a
// Resync of its partition. The ReplicationTable says who the targets are, and its `in_flight` lets a
// handover wait for what is on its way.
//
// While a member of an older release is on the ring, effects are sent each by itself and in any order,
// as that one knows them, and no position is given out (ReplicationTable::ordered).
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/statistic.h"
#include "cluster/transport.h"
#include "replication/effect.h"
#include "replication/replication_table.h"
#include "storage/engine.h"

namespace gyre {

struct ReplicatorOptions {
  std::uint32_t replicas = 2;                           // --replicas, this node's copy included
  std::uint32_t write_acks = 1;                         // --write-acks, this node's copy included
  Duration ack_timeout = std::chrono::seconds(2);       // then the outcome is unknown
  std::size_t queue_bytes_max = std::size_t{64} << 20;  // unacknowledged, for each peer and loop
};

struct ReplicatorStats {
  std::uint64_t mutations_sent = 0;
  std::uint64_t mutations_acked = 0;
  std::uint64_t mutations_dropped = 0;
  std::uint64_t resyncs = 0;
  std::uint64_t groups_resent = 0;
  std::uint64_t acks_late = 0;
  std::uint64_t queue_bytes = 0;
  std::uint64_t lag_ns = 0;  // of several loops, the largest counts

  static constexpr Statistic<ReplicatorStats> kStatistics[] = {
      {&ReplicatorStats::mutations_sent,
       {.name = "gyre_replication_sent_total",
        .help = "Writes sent to other holders: one for each of them, and for all that one command "
                "or transaction left on a partition."}},
      {&ReplicatorStats::mutations_acked,
       {.name = "gyre_replication_acknowledged_total",
        .help = "Those of them that a holder acknowledged."}},
      {&ReplicatorStats::mutations_dropped,
       {.name = "gyre_replication_dropped_total",
        .help = "Those given up because the holder died, refused them, or its queue was full."}},
      {&ReplicatorStats::resyncs,
       {.name = "gyre_replication_resyncs_total",
        .help = "Partitions that a holder was told to fetch again."}},
      {&ReplicatorStats::groups_resent,
       {.name = "gyre_replication_resent_total",
        .help = "Writes that a holder lacked and got from what is kept of the stream."}},
      {&ReplicatorStats::acks_late,
       {.name = "gyre_replication_late_total", .help = "Writes that ended as unknown outcome."}},
      {&ReplicatorStats::queue_bytes,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kBytes,
        .name = "gyre_replication_queue_bytes",
        .help = "Writes not yet acknowledged."}},
      {&ReplicatorStats::lag_ns,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kNanoseconds,
        .name = "gyre_replication_lag_seconds",
        .help = "Age of the oldest write that a holder has not yet acknowledged; 0 where there is "
                "none."}},
  };
};
static_assert(AllDescribed<ReplicatorStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

class Replicator {
 public:
  using Done = std::function<void(Status)>;
  // Identifies a group on this loop; grows. 0: nothing to wait for.
  using Ticket = std::uint64_t;

  virtual ~Replicator() = default;

  // Whether `acks` copies (0: the default) can be had now. If not: kUnavailable where they can be
  // had soon (a target is behind and is being filled: the write should wait), else kTooFewReplicas
  // with advice. Before the write. Requires the shard's mutex.
  virtual Status Check(PartitionId partition, std::uint32_t acks) = 0;

  // Queues a group for the partition's targets: all that a transaction left there, in its order; none
  // at all is a group, too. Requires the shard's mutex; the effects are read within the call.
  virtual Ticket Submit(PartitionId partition, std::span<const Effect> group) = 0;
  Ticket SubmitOne(const Effect& effect) { return Submit(effect.key->partition, {&effect, 1}); }

  // Calls `done` once all of the group has `acks` copies (0: the default; 1: at once, from within the
  // call), or with kUnknownOutcome after the timeout. Where `acks` is at least the replica count,
  // every complete target must have acknowledged, so that whoever takes over has the write.
  virtual void Await(Ticket ticket, std::uint32_t acks, Done done) = 0;

  // WAIT: the number of other nodes that have acknowledged everything up to `ticket` once there are
  // `copies` of them or `timeout` passed (0: no timeout but the default deadline).
  virtual void AwaitAll(Ticket ticket, std::uint32_t copies, Duration timeout,
                        std::function<void(std::uint32_t)> done) = 0;

  // Sends what was gathered.
  virtual void Flush() = 0;

  virtual ReplicatorStats stats() const = 0;
};

}  // namespace gyre
