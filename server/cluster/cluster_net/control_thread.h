// The control thread: gossip, membership and the coordinator on one loop of their own, so that
// client load cannot fake a death. The methods below may be called from any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "cluster_net/cluster_runtime.h"
#include "cluster_net/gossip.h"
#include "cluster_net/net_transport.h"
#include "common/mutex.h"
#include "control/cluster_stats.h"
#include "control/coordinator.h"
#include "control/page_survey.h"
#include "control/peer_service.h"
#include "net/event_loop.h"
#include "peer/relay_transport.h"
#include "repair/progress_survey.h"

namespace gyre {

class ControlThread {
 public:
  // Binds the gossip port. All arguments outlive it.
  static Result<std::unique_ptr<ControlThread>> Create(const ClusterRuntimeOptions& options,
                                                       Engine& engine, ReplicationTable& table,
                                                       ViewPublisher& views, PullPort& pulls);
  ~ControlThread();

  // Called on this thread; set before Start. The setting changed; how far this node has come.
  std::function<void(const RebalanceSetting&)> on_rebalance;
  std::function<TransferProgress()> progress;

  void Start();
  void Stop();

  // A message for membership or the coordinator; `done` runs on this thread.
  void Handle(std::string payload, ControlPort::Done done);
  void OnLinkDown(const NodeId& id, std::uint64_t epoch);
  void OnLinkSilent(const NodeId& id);
  void OnPulled(PartitionId partition, std::uint64_t pull, bool filled);
  void OnRecovered(PartitionId partition, const NodeId& node, RecoveryOutcome outcome);
  void Drain(const NodeId& id, std::function<void(Status)> done);
  void Undrain(const NodeId& id, std::function<void(Status)> done);
  void Remove(const NodeId& id, std::function<void(Status)> done);
  void BeginStop(const StopOptions& options, std::function<void()> done);
  void ChangeSettings(std::vector<SettingChange> changes, std::function<void(Status)> done);
  void SetEvictAfter(Duration evict_after);
  void SetRebalance(const RebalanceChange& change, std::function<void(Status)> done);
  void AskProgress(std::function<void(std::vector<NodeProgress>)> done);
  void AskPages(NodePageKind kind, std::function<void(NodePages)> done);

  struct Stats {
    MembershipStats membership;
    SettingsStats settings;
    OwnershipStats ownership;
    LeaseStats leases;
    Readiness readiness;
  };
  // As of a moment ago.
  Stats stats();
  RelayStats relay_stats() const { return transport_->stats(); }
  // Any thread. When the loop last gave a sign of life.
  TimePoint last_turn() const { return TimePoint(Duration(last_turn_ns_.load())); }

 private:
  explicit ControlThread(const ClusterRuntimeOptions& options);

  void HandlePage(NodePageKind kind, ControlPort::Done done);
  void HandleHere(const std::string& payload, ControlPort::Done done);
  void TakeStats();
  void NoteRebalance();
  void NoteRing();
  void NoteSettings();

  const std::vector<Address> seeds_;
  std::unique_ptr<EventLoop> loop_;
  // The loop's thread only.
  std::unique_ptr<NetTransport> links_;
  std::unique_ptr<RelayTransport> transport_;
  std::unique_ptr<Membership> membership_;
  std::unique_ptr<Gossip> gossip_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<Timer> stats_timer_;
  RebalanceSetting rebalance_;  // as last told to on_rebalance
  RememberedRing ring_;         // as last told to on_ring_
  const std::function<void(const RememberedRing&)> on_ring_;
  const std::function<void(const SettingsMap&)> on_settings_;
  const std::function<void(NodePageKind, std::function<void(std::string)>)> page_;
  // Any thread.
  std::atomic<Duration::rep> last_turn_ns_ = SteadyNow().time_since_epoch().count();
  Mutex mutex_;
  Stats stats_ GYRE_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace gyre
