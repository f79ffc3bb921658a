#include "cluster_net/cluster_runtime.h"

#include <string>
#include <utility>

#include "cluster_net/background_thread.h"
#include "cluster_net/control_thread.h"
#include "cluster_net/net_transport.h"
#include "crypto/keyring.h"
#include "net/event_loop.h"
#include "peer/relay_transport.h"
#include "replication/replicator_impl.h"

namespace gyre {
namespace {

// A worker's way to the control thread; the answer comes back to the worker's loop.
class WorkerControl final : public ControlPort {
 public:
  WorkerControl(EventLoop& loop, ControlThread& control) : loop_(loop), control_(control) {}

  void Handle(std::string payload, Done done) override {
    control_.Handle(std::move(payload), ReturnTo(loop_, std::move(done)));
  }

 private:
  EventLoop& loop_;
  ControlThread& control_;
};

void Add(const RelayStats& one, RelayStats& sum) {
  sum.links_relayed += one.links_relayed;
  sum.breaks += one.breaks;
  sum.calls += one.calls;
}

struct Worker {
  Worker(EventLoop& loop, const ClusterRuntimeOptions& options, Engine& engine,
         ReplicationTable& table, ViewPublisher& views, ControlThread& control_thread,
         LoadGauge& load)
      : links(loop, views,
              NetTransportOptions{.queue_bytes_max = options.link_queue_bytes_max,
                                  .keys = options.keys,
                                  .signer = options.signer,
                                  .self = options.self.id,
                                  .client_memory = options.client_memory},
              [&control_thread](const NodeId& id, std::uint64_t epoch) {
                control_thread.OnLinkDown(id, epoch);
              }),
        transport(
            options.self.id, links, views, [&loop] { return loop.now(); },
            [&control_thread](const NodeId& id) { control_thread.OnLinkSilent(id); }),
        replicator(MakeReplicator(options.replicator, engine, table, views, transport,
                                  [&loop] { return loop.now(); })),
        control(loop, control_thread),
        peers(
            engine, table, views, control, [&loop] { return loop.unix_now(); }, &load),
        part{transport, *replicator, peers} {
    peers.RelayThrough(links);
    if (options.signer != nullptr) peers.RequireProof(*options.signer, options.self.id);
    peers.set_replicator(*replicator);
  }

  NetTransport links;
  RelayTransport transport;
  std::unique_ptr<Replicator> replicator;
  WorkerControl control;
  PeerService peers;
  WorkerPart part;
};

class Runtime final : public ClusterRuntime {
 public:
  Runtime(const ClusterRuntimeOptions& options, Engine& engine)
      : leases_(options.membership.majority
                    ? std::make_unique<LeaseTable>(engine.options().partition_count)
                    : nullptr),
        options_(WithLeases(options, leases_.get())),
        engine_(engine),
        table_(engine.options().partition_count) {}
  ~Runtime() override { StopThreads(); }

  Status Init(const ClusterRuntimeOptions& options) {
    Result<std::unique_ptr<BackgroundThread>> background =
        BackgroundThread::Create(options, engine_, views_, load_);
    if (!background) return tl::unexpected<Error>(background.error());
    background_ = std::move(*background);
    Result<std::unique_ptr<ControlThread>> control =
        ControlThread::Create(options, engine_, table_, views_, *background_, leases_.get());
    if (!control) return tl::unexpected<Error>(control.error());
    control_ = std::move(*control);
    background_->on_recovered = [this](PartitionId partition, const NodeId& node,
                                       RecoveryOutcome outcome) {
      control_->OnRecovered(partition, node, outcome);
    };
    background_->on_pulled = [this](PartitionId partition, std::uint64_t pull, bool filled) {
      control_->OnPulled(partition, pull, filled);
    };
    control_->on_rebalance =
        [this, own_limit = options.transfer_bytes_per_second](const RebalanceSetting& setting) {
          background_->Restrain(setting.paused, setting.bytes_per_second.value_or(own_limit));
        };
    control_->progress = [this] { return background_->transfer_stats().progress; };
    background_->on_link_down = [this](const NodeId& id, std::uint64_t epoch) {
      control_->OnLinkDown(id, epoch);
    };
    background_->on_link_silent = [this](const NodeId& id) { control_->OnLinkSilent(id); };
    return {};
  }

  WorkerPart& MakeWorker(EventLoop& loop) override {
    background_->Watch(loop);
    workers_.push_back(
        std::make_unique<Worker>(loop, options_, engine_, table_, views_, *control_, load_));
    return workers_.back()->part;
  }
  void CloseWorker(WorkerPart& part) override {
    for (const std::unique_ptr<Worker>& worker : workers_) {
      if (&worker->part == &part) worker->links.Close();
    }
  }
  Status Start() override {
    background_->Run();
    control_->Start();
    return {};
  }
  void Stop() override { StopThreads(); }

  ViewPublisher& views() override { return views_; }
  ReplicationTable& replication() override { return table_; }
  LeaseTable* leases() override { return leases_.get(); }
  ClusterStats stats() override {
    const ControlThread::Stats control = control_->stats();
    ClusterStats stats;
    stats.membership = control.membership;
    stats.ownership = control.ownership;
    stats.majority = leases_ != nullptr;
    stats.leases = control.leases;
    stats.readiness = control.readiness;
    for (const std::unique_ptr<Worker>& worker : workers_) {
      const ReplicatorStats each = worker->replicator->stats();
      stats.replication.mutations_sent += each.mutations_sent;
      stats.replication.mutations_acked += each.mutations_acked;
      stats.replication.mutations_dropped += each.mutations_dropped;
      stats.replication.resyncs += each.resyncs;
      stats.replication.acks_late += each.acks_late;
      stats.replication.queue_bytes += each.queue_bytes;
      stats.peers.requests_malformed += worker->peers.stats().requests_malformed;
      stats.peers.versions_refused += worker->peers.stats().versions_refused;
      stats.peers.requests_strange += worker->peers.stats().requests_strange;
      Add(worker->transport.stats(), stats.relay);
    }
    Add(control_->relay_stats(), stats.relay);
    Add(background_->relay_stats(), stats.relay);
    stats.transfer = background_->transfer_stats();
    stats.repair = background_->repair_stats();
    stats.load_permille = load_.permille();
    return stats;
  }

  void Drain(const NodeId& id, std::function<void(Status)> done) override {
    control_->Drain(id, std::move(done));
  }
  void Undrain(const NodeId& id, std::function<void(Status)> done) override {
    control_->Undrain(id, std::move(done));
  }
  void Remove(const NodeId& id, std::function<void(Status)> done) override {
    control_->Remove(id, std::move(done));
  }
  void SetRebalance(const RebalanceChange& change, std::function<void(Status)> done) override {
    control_->SetRebalance(change, std::move(done));
  }
  void AskProgress(std::function<void(std::vector<NodeProgress>)> done) override {
    control_->AskProgress(std::move(done));
  }
  void BeginStop(const StopOptions& stop, std::function<void()> done) override {
    control_->BeginStop(stop, std::move(done));
  }

 private:
  void StopThreads() {
    if (control_) control_->Stop();
    if (background_) background_->Halt();
  }

  static ClusterRuntimeOptions WithLeases(ClusterRuntimeOptions options, LeaseTable* leases) {
    options.replicator.leases = leases;
    return options;
  }

  const std::unique_ptr<LeaseTable> leases_;
  const ClusterRuntimeOptions options_;
  Engine& engine_;
  ReplicationTable table_;
  ViewPublisher views_;
  LoadGauge load_;
  std::unique_ptr<BackgroundThread> background_;
  std::unique_ptr<ControlThread> control_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace

Result<std::unique_ptr<ClusterRuntime>> ClusterRuntime::Create(ClusterRuntimeOptions options,
                                                               Engine& engine) {
  auto runtime = std::make_unique<Runtime>(options, engine);
  if (Status made = runtime->Init(options); !made) return tl::unexpected<Error>(made.error());
  return runtime;
}

}  // namespace gyre
