#include "control/handover.h"

#include <algorithm>

namespace gyre {
namespace {

// In flight means a round trip to a replica: about a millisecond.
constexpr Duration kPollInterval = std::chrono::milliseconds(1);

}  // namespace

struct SettleWait::Batch {
  std::vector<PartitionId> waiting;
  std::vector<PartitionId> drained;
  TimePoint deadline{};
  Done done;
};

SettleWait::SettleWait(ReplicationTable& table, Transport& transport,
                       std::function<TimePoint()> clock)
    : table_(table), transport_(transport), clock_(std::move(clock)) {}

SettleWait::~SettleWait() { *alive_ = false; }

void SettleWait::Wait(std::vector<PartitionId> partitions, Duration timeout, Done done) {
  auto batch = std::make_shared<Batch>();
  batch->waiting = std::move(partitions);
  batch->deadline = clock_() + timeout;
  batch->done = std::move(done);
  Poll(batch);
}

void SettleWait::Poll(const std::shared_ptr<Batch>& batch) {
  const auto settled =
      std::partition(batch->waiting.begin(), batch->waiting.end(), [this](PartitionId partition) {
        return table_.in_flight[partition].load(std::memory_order_acquire) != 0;
      });
  batch->drained.insert(batch->drained.end(), settled, batch->waiting.end());
  batch->waiting.erase(settled, batch->waiting.end());
  if (batch->waiting.empty() || clock_() >= batch->deadline) {
    return batch->done(std::move(batch->drained), std::move(batch->waiting));
  }
  transport_.After(kPollInterval, [this, alive = alive_, batch] {
    if (*alive) Poll(batch);
  });
}

}  // namespace gyre
