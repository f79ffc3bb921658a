#include "replication/replica_queue.h"

#include <algorithm>

namespace gyre {

ReplicaBatch& ReplicaQueue::Open() {
  if (open == nullptr) {
    open = std::make_shared<ReplicaBatch>();
    BeginReplicate(open->payload);
    bytes += open->payload.size();
  }
  return *open;
}

ReplicaBatchPtr ReplicaQueue::Added(Replicator::Ticket ticket, PartitionId partition, bool is_flush,
                                    std::size_t offset) {
  const ReplicaBatchPtr batch = open;
  const std::size_t added = batch->payload.size() - offset;
  batch->entries.push_back({ticket, partition, is_flush, offset, added});
  bytes += added;
  if (batch->payload.size() >= kBatchBytesMax) Seal();
  return batch;
}

void ReplicaQueue::AddCopy(const ReplicaBatch& from, const ReplicaBatch::Entry& entry) {
  ReplicaBatch& batch = Open();
  const std::size_t offset = batch.payload.size();
  batch.payload.append(from.payload, entry.offset, entry.bytes);
  Added(entry.ticket, entry.partition, entry.is_flush, offset);
}

void ReplicaQueue::Seal() {
  if (open == nullptr) return;
  SealReplicate(open->payload);
  batches.push_back(std::move(open));
  open = nullptr;
  ++waiting;
}

void ReplicaQueue::Remove(const ReplicaBatchPtr& batch) {
  const auto found = std::find(batches.begin(), batches.end(), batch);
  if (found == batches.end()) return;
  bytes -= batch->payload.size();
  batches.erase(found);
}

}  // namespace gyre
