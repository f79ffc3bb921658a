// What one loop still owes one other node: mutations that it has not acknowledged, in batches.
//
//                        sealed            sent              acknowledged
//   open batch, being filled ----> waiting ----> in flight ----------------> gone
//                                     ^              |
//                                     +--------------+
//                                        call failed
//
// A batch keeps its bytes until it is acknowledged, so that it can be sent again: mutations are
// idempotent and need no order. All bytes here are bounded by the replicator; what does not fit is
// not queued.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "peer/peer_codec.h"
#include "replication/replicator.h"

namespace gyre {

struct ReplicaBatch {
  struct Entry {
    Replicator::Ticket ticket = 0;
    PartitionId partition = 0;
    bool is_flush = false;
    std::size_t offset = 0;  // of the encoded mutation in `payload`
    std::size_t bytes = 0;
  };
  std::string payload;  // an encoded PeerRequest once sealed
  std::vector<Entry> entries;
  bool in_flight = false;
  bool given_up = false;       // the node died: its reply no longer counts
  std::uint64_t revision = 0;  // of the table, when it was sent last
};
using ReplicaBatchPtr = std::shared_ptr<ReplicaBatch>;

struct ReplicaQueue {
  // A batch this large is sealed: one message should not hold up the others on its link.
  static constexpr std::size_t kBatchBytesMax = std::size_t{256} << 10;

  NodeId node;
  ReplicaBatchPtr open;
  std::deque<ReplicaBatchPtr> batches;  // sealed, unacknowledged
  std::size_t waiting = 0;              // of `batches`, not in flight
  std::size_t bytes = 0;                // of all of them
  TimePoint retry_at{};                 // after a failed call nothing is sent before
  Duration backoff{};

  bool idle() const { return open == nullptr && batches.empty(); }

  // The open batch, made if there is none.
  ReplicaBatch& Open();
  // Notes that everything from `offset` on was just appended to the open batch. Returns the batch.
  ReplicaBatchPtr Added(Replicator::Ticket ticket, PartitionId partition, bool is_flush,
                        std::size_t offset);
  // Appends a copy of an entry that stands in another queue's batch.
  void AddCopy(const ReplicaBatch& from, const ReplicaBatch::Entry& entry);
  // Seals the open batch, if any.
  void Seal();
  // Forgets `batch`, which was acknowledged or given up.
  void Remove(const ReplicaBatchPtr& batch);
};

}  // namespace gyre
