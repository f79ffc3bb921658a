#include "cluster_net/background_thread.h"

#include <pthread.h>

#include "replication/replicator_impl.h"

namespace gyre {
namespace {

// Records looked at under one hold of a shard's lock: some tens of microseconds.
constexpr std::size_t kMaintenanceBudget = 256;
constexpr Duration kMaintenanceIdle = std::chrono::milliseconds(20);
constexpr Duration kMaintenanceBusy = std::chrono::milliseconds(1);
constexpr Duration kLoadInterval = std::chrono::milliseconds(50);

}  // namespace

Result<std::unique_ptr<BackgroundThread>> BackgroundThread::Create(
    const ClusterRuntimeOptions& options, Engine& engine, ReplicationTable& table,
    ViewPublisher& views, LoadGauge& load) {
  std::unique_ptr<BackgroundThread> thread(new BackgroundThread(engine, load));
  Result<std::unique_ptr<EventLoop>> loop = EventLoop::Create();
  if (!loop) return tl::unexpected<Error>(loop.error());
  thread->loop_ = std::move(*loop);
  BackgroundThread* self = thread.get();
  thread->links_ = std::make_unique<NetTransport>(
      *thread->loop_, views,
      NetTransportOptions{.keys = options.keys, .signer = options.signer, .self = options.self.id},
      [self](const NodeId& id, std::uint64_t epoch) { self->on_link_down(id, epoch); });
  thread->transport_ = std::make_unique<RelayTransport>(
      options.self.id, *thread->links_, views, [self] { return self->loop_->now(); },
      [self](const NodeId& id) { self->on_link_silent(id); });
  TransferOptions transfer;
  transfer.bytes_per_second = options.transfer_bytes_per_second;
  thread->transfer_ = std::make_unique<Transfer>(
      transfer, options.self.id, engine, *thread->transport_,
      [self](PartitionId partition, std::uint64_t pull, bool filled) {
        self->on_pulled(partition, pull, filled);
      },
      SteadyNow, UnixNow, &views, &load);
  thread->transfer_->set_streams(table);
  thread->replicator_ = MakeReplicator(options.replicator, engine, table, views,
                                       *thread->transport_, [self] { return self->loop_->now(); });
  thread->teller_ = std::make_unique<EvictionTeller>(engine, table, *thread->replicator_);
  RepairOptions repair;
  repair.partitions_per_second = options.repair_partitions_per_second;
  repair.yields = !options.membership.majority;
  thread->repair_ =
      std::make_unique<Repair>(repair, options.self.id, engine, views, *thread->transport_);
  thread->repair_->set_streams(table, *thread->replicator_);
  thread->repair_->on_recovered = [self](PartitionId partition, const NodeId& node,
                                         RecoveryOutcome outcome) {
    self->on_recovered(partition, node, outcome);
  };
  thread->maintenance_ = std::make_unique<Timer>(*thread->loop_);
  thread->load_timer_ = std::make_unique<Timer>(*thread->loop_);
  return thread;
}

BackgroundThread::~BackgroundThread() { Halt(); }

void BackgroundThread::Run() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "gyre-background");
    repair_->Start();
    maintenance_->Start(kMaintenanceIdle, Duration{}, [this] { Maintain(); });
    load_timer_->Start(kLoadInterval, kLoadInterval, [this] { MeasureLoad(); });
    loop_->Run();
  });
}

void BackgroundThread::Halt() {
  if (!thread_.joinable()) return;
  loop_->Post([this] {
    maintenance_->Stop();
    load_timer_->Stop();
    links_->Close();
  });
  loop_->Stop();
  thread_.join();
}

void BackgroundThread::Maintain() {
  bool more = false;
  for (std::uint32_t index = 0; index < engine_.shard_count(); ++index) {
    Shard& shard = engine_.shard(index);
    {
      MutexLock lock(shard.mutex());
      more = shard.Tick(loop_->unix_now(), kMaintenanceBudget) || more;
      teller_->Tell(index, shard, loop_->now());
    }
    replicator_->Flush();  // who writes next should not wait for it at the copies
  }
  maintenance_->Start(more ? kMaintenanceBusy : kMaintenanceIdle, Duration{},
                      [this] { Maintain(); });
}

void BackgroundThread::MeasureLoad() {
  Duration busy{};
  std::uint64_t requests = 0;
  for (const EventLoop* loop : watched_) {
    busy += loop->busy().sum;
    requests += loop->requests();
  }
  const TimePoint now = SteadyNow();
  load_.Report(watched_.size(), busy - busy_, requests - requests_, now - measured_at_);
  busy_ = busy;
  requests_ = requests;
  measured_at_ = now;
  last_turn_ns_.store(now.time_since_epoch().count());
}

void BackgroundThread::Restrain(bool paused, std::uint64_t bytes_per_second) {
  loop_->Post([this, paused, bytes_per_second] { transfer_->Restrain(paused, bytes_per_second); });
}

void BackgroundThread::Start(PartitionId partition, const NodeId& source, std::uint64_t pull,
                             bool writes_only) {
  loop_->Post([this, partition, source, pull, writes_only] {
    transfer_->Start(partition, source, pull, writes_only);
  });
}

void BackgroundThread::Stop(PartitionId partition) {
  loop_->Post([this, partition] { transfer_->Stop(partition); });
}

void BackgroundThread::Recover(PartitionId partition, const NodeId& node) {
  loop_->Post([this, partition, node] { repair_->Recover(partition, node); });
}

}  // namespace gyre
