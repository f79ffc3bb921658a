#include "cluster_net/cluster_runtime.h"

#include <algorithm>
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
    peers.set_tasks({[&loop](std::function<void()> task) { loop.Post(std::move(task)); },
                     [this](Duration delay, std::function<void()> task) {
                       transport.After(delay, std::move(task));
                     }});
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
      : options_(options),
        engine_(engine),
        table_(TableOptionsFor(engine, options.membership.majority)) {}
  ~Runtime() override { StopThreads(); }

  Status Init(const ClusterRuntimeOptions& options) {
    Result<std::unique_ptr<BackgroundThread>> background =
        BackgroundThread::Create(options, engine_, table_, views_, load_);
    if (!background) return tl::unexpected<Error>(background.error());
    background_ = std::move(*background);
    Result<std::unique_ptr<ControlThread>> control =
        ControlThread::Create(options, engine_, table_, views_, *background_);
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
  TimePoint last_turn() override {
    return std::min(control_->last_turn(), background_->last_turn());
  }
  ClusterStats stats() override {
    const ControlThread::Stats control = control_->stats();
    ClusterStats stats;
    stats.membership = control.membership;
    stats.settings = control.settings;
    stats.ownership = control.ownership;
    stats.majority = table_.fence.uses_leases();
    stats.leases = control.leases;
    stats.readiness = control.readiness;
    stats.replication = background_->replicator_stats();
    std::uint64_t lag_ns = stats.replication.lag_ns;
    for (const std::unique_ptr<Worker>& worker : workers_) {
      const ReplicatorStats replication = worker->replicator->stats();
      lag_ns = std::max(lag_ns, replication.lag_ns);
      stats.replication += replication;
      stats.peers += worker->peers.stats();
      stats.receivers += worker->peers.groups().stats();
      stats.relay += worker->transport.stats();
    }
    stats.replication.lag_ns = lag_ns;
    stats.streams = KeptStats(engine_, table_);
    stats.relay += control_->relay_stats();
    stats.relay += background_->relay_stats();
    stats.transfer = background_->transfer_stats();
    stats.repair = background_->repair_stats();
    stats.peers.versions_refused += stats.transfer.versions_refused + stats.repair.versions_refused;
    stats.load.permille = load_.permille();
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
  void ChangeSettings(std::vector<SettingChange> changes,
                      std::function<void(Status)> done) override {
    control_->ChangeSettings(std::move(changes), std::move(done));
  }
  void SetEvictAfter(Duration evict_after) override { control_->SetEvictAfter(evict_after); }
  void AskProgress(std::function<void(std::vector<NodeProgress>)> done) override {
    control_->AskProgress(std::move(done));
  }
  void AskPages(NodePageKind kind, std::function<void(NodePages)> done) override {
    control_->AskPages(kind, std::move(done));
  }
  void BeginStop(const StopOptions& stop, std::function<void()> done) override {
    control_->BeginStop(stop, std::move(done));
  }

 private:
  void StopThreads() {
    if (control_) control_->Stop();
    if (background_) background_->Halt();
  }

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
