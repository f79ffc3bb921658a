// The background thread: pulls of partitions, repair, and the shards' own maintenance, where it
// cannot hold up a client for longer than it holds a shard's lock.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "cluster_net/cluster_runtime.h"
#include "cluster_net/net_transport.h"
#include "control/coordinator.h"
#include "net/event_loop.h"
#include "peer/relay_transport.h"
#include "repair/load_gauge.h"
#include "repair/repair.h"
#include "repair/transfer.h"
#include "replication/eviction_teller.h"

namespace gyre {

class BackgroundThread final : public PullPort {
 public:
  // All arguments outlive it.
  static Result<std::unique_ptr<BackgroundThread>> Create(const ClusterRuntimeOptions& options,
                                                          Engine& engine, ReplicationTable& table,
                                                          ViewPublisher& views, LoadGauge& load);
  ~BackgroundThread() override;

  // Called on this thread. Set before Run.
  std::function<void(PartitionId partition, std::uint64_t pull, bool filled)> on_pulled;
  std::function<void(PartitionId partition, const NodeId& node, RecoveryOutcome outcome)>
      on_recovered;
  std::function<void(const NodeId& id, std::uint64_t epoch)> on_link_down;
  std::function<void(const NodeId& id)> on_link_silent;

  // A worker's loop, whose load the pulls yield to; it outlives the thread. Before Run.
  void Watch(EventLoop& loop) { watched_.push_back(&loop); }

  void Run();   // begins the thread
  void Halt();  // ends it

  // PullPort. Any thread; carried out on this one, in order.
  void Start(PartitionId partition, const NodeId& source, std::uint64_t pull,
             bool writes_only) override;
  void Stop(PartitionId partition) override;
  void Recover(PartitionId partition, const NodeId& node) override;

  // Any thread. What the operator wants of moves.
  void Restrain(bool paused, std::uint64_t bytes_per_second);

  // Any thread.
  TransferStats transfer_stats() const { return transfer_->stats(); }
  RepairStats repair_stats() const { return repair_->stats(); }
  ReplicatorStats replicator_stats() const { return replicator_->stats(); }
  RelayStats relay_stats() const { return transport_->stats(); }
  // Any thread. When the loop last gave a sign of life.
  TimePoint last_turn() const { return TimePoint(Duration(last_turn_ns_.load())); }

 private:
  BackgroundThread(Engine& engine, LoadGauge& load) : engine_(engine), load_(load) {}

  void Maintain();
  void MeasureLoad();

  Engine& engine_;
  LoadGauge& load_;
  std::vector<EventLoop*> watched_;
  std::unique_ptr<EventLoop> loop_;
  // The loop's thread only.
  std::unique_ptr<NetTransport> links_;
  std::unique_ptr<RelayTransport> transport_;
  std::unique_ptr<Transfer> transfer_;
  std::unique_ptr<Replicator> replicator_;  // of what repair took, and of evictions
  std::unique_ptr<EvictionTeller> teller_;
  std::unique_ptr<Repair> repair_;
  std::unique_ptr<Timer> maintenance_;
  std::unique_ptr<Timer> load_timer_;
  Duration busy_{};             // of all watched loops, as of `measured_at_`
  std::uint64_t requests_ = 0;  // likewise
  TimePoint measured_at_{};
  // Any thread.
  std::atomic<Duration::rep> last_turn_ns_ = SteadyNow().time_since_epoch().count();
  std::thread thread_;
};

}  // namespace gyre
