// Sends each write's result to the other holders of its partition, and tells when enough of them
// have it.
//
// One replicator for each worker loop. Mutations are encoded under the shard's lock, gathered for
// each peer, and sent by `Flush` at the end of a batch of requests. A mutation that a peer did not
// acknowledge is sent again while the peer lives (mutations are idempotent); what does not fit in
// the bounded queue turns into a Resync of its partition. `ReplicaSets` says who the targets are,
// `InFlight` lets a handover wait for what is on its way.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "cluster/replica_set.h"
#include "cluster/transport.h"
#include "replication/self_fence.h"
#include "storage/engine.h"

namespace gyre {

class LeaseTable;

struct ReplicatorOptions {
  std::uint32_t replicas = 2;                           // --replicas, this node's copy included
  std::uint32_t write_acks = 1;                         // --write-acks, this node's copy included
  Duration ack_timeout = std::chrono::seconds(2);       // then the outcome is unknown
  std::size_t queue_bytes_max = std::size_t{64} << 20;  // unacknowledged, for each peer and loop
  // --consistency majority: a write is OK only if its partition's lease held without a gap until
  // it was acknowledged. Null: available.
  LeaseTable* leases = nullptr;
};

struct ReplicatorStats {
  std::uint64_t mutations_sent = 0;
  std::uint64_t mutations_acked = 0;
  std::uint64_t mutations_dropped = 0;  // queue full or peer dead
  std::uint64_t resyncs = 0;            // partitions of a target that must be pulled again
  std::uint64_t acks_late = 0;          // writes that ended as unknown outcome
  std::uint64_t queue_bytes = 0;        // gauge
};

// State shared by all loops' replicators.
struct ReplicationTable {
  explicit ReplicationTable(std::uint32_t partition_count)
      : sets(partition_count), in_flight(partition_count) {}
  ReplicationTable(std::uint32_t partition_count, std::function<TimePoint()> clock)
      : sets(partition_count), in_flight(partition_count), self_fence(std::move(clock)) {}
  std::vector<ReplicaSet> sets;                       // [partition], under its shard's mutex
  std::vector<std::atomic<std::uint32_t>> in_flight;  // [partition] mutations sent, not yet settled
  std::atomic<std::uint64_t> revision{1};             // grows with each change of `sets`
  SelfFence self_fence;                               // of this node as an owner
};

class Replicator {
 public:
  using Done = std::function<void(Status)>;
  // Identifies a write on this loop; grows. 0: nothing to wait for.
  using Ticket = std::uint64_t;

  virtual ~Replicator() = default;

  // Whether `acks` copies (0: the default) can be had now. If not: kUnavailable where they can be
  // had soon (a target is behind and is being filled: the write should wait), else kTooFewReplicas
  // with advice. Before the write. Requires the shard's mutex.
  virtual Status Check(PartitionId partition, std::uint32_t acks) = 0;

  // Queues the record's state for the partition's targets. Requires the shard's mutex; `record` is
  // read within the call.
  virtual Ticket Submit(PartitionId partition, const RecordView& record) = 0;
  // Likewise for a key that is removed as of `version`, whatever was or is here.
  virtual Ticket SubmitRemoval(const Key& key, Version version) = 0;
  // Likewise for an emptied partition.
  virtual Ticket SubmitFlush(PartitionId partition, Version version) = 0;

  // Calls `done` once the write has `acks` copies (0: the default; 1: at once, from within the
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
