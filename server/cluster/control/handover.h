// Waits until nothing is in flight in partitions whose owner has stopped ordering writes
// (kHandingOver).
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "cluster/transport.h"
#include "replication/replicator.h"

namespace gyre {

class SettleWait {
 public:
  // The partitions that settled in time, and those that did not.
  using Done =
      std::function<void(std::vector<PartitionId> drained, std::vector<PartitionId> undrained)>;

  // On the loop of `transport`, which with `table` outlives it.
  SettleWait(ReplicationTable& table, Transport& transport, std::function<TimePoint()> clock);
  ~SettleWait();

  // The partitions' role must be kHandingOver already, set under their shards' locks: from then on
  // in_flight only falls. `done` may come from within the call.
  void Wait(std::vector<PartitionId> partitions, Duration timeout, Done done);

 private:
  struct Batch;
  void Poll(const std::shared_ptr<Batch>& batch);

  ReplicationTable& table_;
  Transport& transport_;
  const std::function<TimePoint()> clock_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace gyre
