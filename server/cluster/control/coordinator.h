// Carries out what Ownership decides: roles and targets under the shards' locks, pulls, messages to
// other nodes, holdings to gossip, views to the loops. Lives on the control thread (in the
// simulator: on its one thread).
//
//   Membership --state--> Coordinator --event--> Ownership --actions--> Coordinator
//        ^                                                                   |
//        +------------------------- holdings, ring --------------------------+
//                                                                            v
//                              shards, ReplicationTable, PullPort, Transport, ViewPublisher
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/transport.h"
#include "cluster/view.h"
#include "control/handover.h"
#include "control/peer_service.h"
#include "control/stop_options.h"
#include "leases/lease.h"
#include "leases/lease_table.h"
#include "membership/membership.h"
#include "ownership/death_fences.h"
#include "ownership/ownership.h"
#include "ownership/readiness.h"
#include "proto_gen/cluster.pb.h"

namespace gyre {

// The way to Transfer and Repair, which may run on another thread. The end of a pull comes to
// Coordinator::OnPulled, that of a recovery to OnRecovered.
class PullPort {
 public:
  virtual ~PullPort() = default;
  virtual void Start(PartitionId partition, const NodeId& source, std::uint64_t pull,
                     bool writes_only) = 0;
  virtual void Stop(PartitionId partition) = 0;
  virtual void Recover(PartitionId partition, const NodeId& node) = 0;
};

// Faults that the simulator injects to see that its checker catches them. Never set in production.
struct CoordinatorFaults {
  bool skip_fence =
      false;  // grants a partition while its writes are in flight and goes on ordering them
  bool ignore_leases = false;  // acts as if it held the lease of all that it owns
};

class Coordinator {
 public:
  struct Parts {
    Engine& engine;
    ReplicationTable& table;
    ViewPublisher& views;
    Transport& transport;
    Membership& membership;
    PullPort& pulls;
    // Performs what Membership answers to this node's own changes; calls OnStateChanged for a
    // StateChanged.
    std::function<void(MembershipActions)> perform;
    std::function<TimePoint()> clock = SteadyNow;
    std::function<UnixMillis()> wall_clock = UnixNow;
    // So many random bytes; null: this node makes no secret for the hash of keys (tests).
    std::function<std::string(std::size_t)> random_bytes = nullptr;
    // From now on keys are hashed by this one: to be kept over a restart.
    std::function<void(const std::shared_ptr<const KeyHash>&)> keep_key_hash = nullptr;
  };

  Coordinator(OwnershipOptions options, NodeId self, Parts parts);
  ~Coordinator();

  // Begins to take part: joins the ring as soon as membership has joined the cluster.
  void Start();

  // ---- From membership's shell ----
  void OnStateChanged();
  void OnDeclaredDead();
  void OnLeaseMessage(const NodeId& from, const std::string& payload);

  // ---- From PeerService: handover, take_over, resync, drained ----
  void Handle(const std::string& payload, ControlPort::Done done);

  // ---- From Transfer ----
  void OnPulled(PartitionId partition, std::uint64_t pull, bool filled);

  // ---- From Repair ----
  void OnRecovered(PartitionId partition, const NodeId& node, RecoveryOutcome outcome);

  // ---- From the operator ----
  void Drain(const NodeId& id, std::function<void(Status)> done);
  void Undrain(const NodeId& id, const std::function<void(Status)>& done);
  void Remove(const NodeId& id, const std::function<void(Status)>& done);
  // Waits until others have what only this node has, then hands over what it owns; `done` once, when
  // the node may end.
  void BeginStop(const StopOptions& options, std::function<void()> done);

  // OwnershipOptions::return_grace from now on.
  void SetReturnGrace(Duration grace) { ownership_.SetReturnGrace(grace); }

  OwnershipStats stats() const { return ownership_.stats(); }
  Readiness readiness() const;
  const Ownership& ownership() const { return ownership_; }
  LeaseStats lease_stats() const;
  void set_faults(const CoordinatorFaults& faults) { faults_ = faults; }

 private:
  // Of what one node asks another.
  static constexpr Duration kCallTimeout = std::chrono::seconds(1);

  struct DrainWait {
    NodeId id;
    std::function<void(Status)> done;
  };

  TimePoint now() const { return parts_.clock(); }
  std::uint32_t partition_count() const { return parts_.engine.options().partition_count; }
  std::vector<PartitionId> ToList(
      const google::protobuf::RepeatedField<std::uint32_t>& partitions) const;
  void ScheduleWork();
  void Work();
  void ScheduleTick();
  void Tick();
  void JoinIfNeeded();
  void SendResyncs();
  void NoteState();
  void NoteVersionNode();
  void DropGoneTargets();
  bool IsGone(const ReplicaSet::Target& target) const;
  // What the decisions may know: membership's, but for deaths that no majority has confirmed.
  const ClusterState& state() const;

  // ---- coordinator_operator.cc
  void CheckDrains();
  // Whether gossip has the member hold something.
  bool HoldsByGossip(MemberIndex member) const;
  void AskDrained(const NodeId& id);
  // Of this node: it is off the ring and has nothing.
  bool IsDrained() const;
  void OnDrained(const ControlPort::Done& done) const;
  void EndDrains(const NodeId& id, const Status& status);

  // ---- coordinator_key_hash.cc
  void TickKeyHash();
  void MakeKeyHash();
  void TakeKeyHash(const NodeId& from);
  void UseKeyHash(std::shared_ptr<const KeyHash> hash);
  void OnKeyHashSecret(const ControlPort::Done& done) const;

  // ---- coordinator_leases.cc; without effect where the mode is available.
  void NoteLeaseFacts();
  void NoteClaims();
  void TickLeases();
  void AfterLeases();
  void PublishLeases();
  void SendLeases(const LeaseSends& sends);
  UnixMillis NewestStamp();
  // Whether this node may act for the partition now; always, where the mode is available.
  bool Leased(PartitionId partition) const;

  void Apply(OwnershipActions actions);
  void Perform(const SetRole& action);
  void Perform(SetTargets& action);
  void Perform(const MarkSettled& action);
  void MarkLagging(PartitionId partition, const NodeId& node);
  void Perform(const DropCopy& action);
  void Perform(const BeginEmpty& action);
  void Perform(const StartPull& action);
  void Perform(const StopPull& action);
  void Perform(const StartRecovery& action);
  void Perform(SendHandover& action);
  void Perform(SendTakeOver& action);
  void Perform(PublishHoldings& action);
  void Perform(PublishView& action);
  void Perform(const LogEvent& action);
  void TellHoldings();

  void OnHandover(const wire::Handover& request, const ControlPort::Done& done);
  // A Handover that is being settled for `from`.
  struct Settlement {
    NodeId from;
    std::uint64_t epoch = 0;
    std::vector<PartitionId> stale;
    wire::PeerReply reply;  // what is decided already
    ControlPort::Done done;
  };
  void FinishHandover(const Settlement& settlement, std::vector<PartitionId> drained,
                      std::vector<PartitionId> undrained);
  void WriteGrant(PartitionId partition, wire::Grant& grant);
  std::uint64_t EpochOf(const NodeId& node) const;
  bool MissedWrites(PartitionId partition, const NodeId& node) const;
  void OnTakeOver(const wire::TakeOver& request, const ControlPort::Done& done);
  void OnResync(const wire::Resync& request, const ControlPort::Done& done);
  // ---- coordinator_stop.cc
  void CheckLeave();
  void HandOver();
  void OfferTakeOver(SendTakeOver offer, wire::PeerRequest request);
  void EndHandOver();
  void FinishStop();
  void EndCopies();
  void LogWhatIsLost() const;
  std::vector<PartitionId> OnlyHere() const;
  void NoteLevel();
  void KeepTombstones(bool keep);
  void Call(const NodeId& to, const wire::PeerRequest& request, Duration timeout,
            std::function<void(const wire::PeerReply*)> done);
  void After(Duration delay, std::function<void()> task);

  const NodeId self_;
  Parts parts_;
  LeaseTable* const lease_table_;  // null where the mode is available; its clock dates the leases
  Ownership ownership_;
  SettleWait settle_;
  CoordinatorFaults faults_;
  std::vector<OwnershipActions> pending_;  // events that came while actions were being carried out
  bool applying_ = false;
  bool started_ = false;
  bool state_changed_ = false;
  std::vector<Ownership::PullEnd> pulls_ended_;
  std::vector<Ownership::RecoveryEnd> recoveries_ended_;
  bool work_scheduled_ = false;
  TimePoint next_resync_{};
  std::optional<PublishHoldings> untold_;  // what others are to be told, in a moment
  TimePoint next_holdings_{};
  std::uint64_t told_epoch_ = 0;
  bool join_pending_ = true;  // on the ring as soon as possible
  bool keeps_tombstones_ = false;
  bool asks_for_key_hash_ = false;
  bool key_hash_refused_ = false;
  std::optional<std::uint8_t> version_node_;  // as the shards stamp it
  using Lives = std::map<NodeId, std::uint64_t>;
  Lives lives_;  // who served when the state changed last, in which epoch
  std::vector<DrainWait> drains_;
  std::set<NodeId> drains_asked_;   // whether they are over
  std::unique_ptr<Leases> leases_;  // likewise
  DeathFences fences_;
  PartitionSet claims_;
  PartitionSet taking_;
  PartitionSet held_;  // as Ownership was told
  UnixMillis stamp_floor_ = 0;
  std::function<void()> stop_done_;
  StopOptions stop_;
  TimePoint leave_until_{};         // others are waited for so long at most
  TimePoint next_hand_over_{};      // not before
  TimePoint leave_logged_{};        // how far it is
  bool take_over_refused_ = false;  // in this attempt, some of it
  bool handing_over_ = false;       // what is owned is being settled and offered
  std::size_t take_overs_ = 0;      // on their way
  bool stopped_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace gyre
