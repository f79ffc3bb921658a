// What one loop still owes one other node: writes that it has not acknowledged, in batches.
//
//                        sealed            sent              acknowledged
//   open batch, being filled ----> waiting ----> in flight ----------------> gone
//                                     ^              |
//                                     +--------------+
//                                        call failed
//
// A batch keeps its bytes until it is acknowledged, so that it can be sent again: who has a write
// already acknowledges it again. All bytes here are bounded by the replicator; what does not fit is not
// queued.
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
    std::uint32_t mutations = 0;  // kRecords: so many records, and flushes besides
    StreamPosition position;      // kGroups
    std::uint8_t behind = 0;      // so often the node lacked what comes before it
    std::size_t offset = 0;       // of the encoded write in `payload`
    std::size_t bytes = 0;
  };
  BatchForm form = BatchForm::kRecords;
  std::string payload;  // an encoded PeerRequest once sealed
  std::vector<Entry> entries;
  TimePoint
      due{};  // when it was first to be sent: at the end of the turn that its oldest entry came in
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
  // Since when the node owes an acknowledgement; TimePoint::max(): it owes none.
  TimePoint owed_since() const {
    const ReplicaBatch* const oldest = batches.empty() ? open.get() : batches.front().get();
    return oldest == nullptr || oldest->due == TimePoint{} ? TimePoint::max() : oldest->due;
  }

  // The open batch of that form, made if there is none.
  ReplicaBatch& Open(BatchForm form);
  // Notes that everything from `entry.offset` on was just appended to the open batch. Returns the batch.
  ReplicaBatchPtr Added(ReplicaBatch::Entry entry);
  // Appends a copy of an entry that stands in another batch.
  void AddCopy(const ReplicaBatch& from, const ReplicaBatch::Entry& entry);
  // Seals the open batch, if any.
  void Seal();
  // Forgets `batch`, which was acknowledged or given up.
  void Remove(const ReplicaBatchPtr& batch);
};

}  // namespace gyre
