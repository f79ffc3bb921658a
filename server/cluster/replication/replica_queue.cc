#include "replication/replica_queue.h"

#include <algorithm>

namespace gyre {

ReplicaBatch& ReplicaQueue::Open(BatchForm form) {
  if (open != nullptr && open->form != form) Seal();
  if (open == nullptr) {
    open = std::make_shared<ReplicaBatch>();
    open->form = form;
    BeginReplicate(open->payload, form);
    bytes += open->payload.size();
  }
  return *open;
}

ReplicaBatchPtr ReplicaQueue::Added(ReplicaBatch::Entry entry) {
  const ReplicaBatchPtr batch = open;
  entry.bytes = batch->payload.size() - entry.offset;
  bytes += entry.bytes;
  batch->entries.push_back(entry);
  if (batch->payload.size() >= kBatchBytesMax) Seal();
  return batch;
}

void ReplicaQueue::AddCopy(const ReplicaBatch& from, const ReplicaBatch::Entry& entry) {
  ReplicaBatch& batch = Open(from.form);
  ReplicaBatch::Entry copy = entry;
  copy.offset = batch.payload.size();
  batch.payload.append(from.payload, entry.offset, entry.bytes);
  Added(copy);
}

void ReplicaQueue::Seal() {
  if (open == nullptr) return;
  SealReplicate(open->payload, open->form);
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
