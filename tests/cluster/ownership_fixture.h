// Several ownership machines that hear each other at once: gossip without delay, transfers without
// data. Each action is carried out at once, so a test states who is there and looks at who owns
// what.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/log.h"
#include "ownership/ownership.h"
#include "sim/world.h"

namespace gyre {

class OwnershipCluster {
 public:
  static constexpr std::uint32_t kPartitions = 64;

  explicit OwnershipCluster(std::uint32_t replicas = 2) {
    state_.partition_count = kPartitions;
    state_.replicas = replicas;
  }

  struct Machine {
    std::unique_ptr<Ownership> ownership;
    std::map<PartitionId, Role> roles;
    std::map<PartitionId, std::vector<ReplicaSet::Target>> targets;
    std::set<PartitionId> all_serve;
    std::map<NodeId, std::size_t> compared_with;               // how often, in recoveries
    std::vector<std::pair<PartitionId, std::uint64_t>> pulls;  // begun, not ended
    std::size_t pulls_begun = 0;
    std::set<PartitionId> begun_empty;
    std::vector<std::string> log;
    ClusterViewPtr view;
    bool hears = true;  // gossip reaches it
  };

  // ---- Who is there ----
  NodeId Start(int node, bool founder = false, RestoredCopies restored = {}) {
    OwnershipOptions options;
    options.founder = founder;
    options.restored = std::move(restored);
    return Start(node, options);
  }
  NodeId Start(int node, const OwnershipOptions& options) {
    const NodeId id = sim::IdOf(static_cast<sim::NodeIndex>(node));
    MemberInfo info;
    info.id = id;
    info.name = "n" + std::to_string(node);
    info.incarnation = info.epoch = ++incarnation_;
    state_.members[id] = info;
    state_.ring[id] = RingEntry{id, "", 1, 1, false};
    state_.holdings.erase(id);
    Machine& machine = machines_[id];
    machine = Machine{};
    machine.ownership = std::make_unique<Ownership>(options, id, kPartitions);
    Tell();
    return id;
  }
  void Kill(const NodeId& id) {
    state_.members[id].state = MemberState::kDead;
    machines_.erase(id);
    Tell();
  }
  // On the ring, and not there.
  void Remember(int node) {
    const NodeId id = sim::IdOf(static_cast<sim::NodeIndex>(node));
    state_.members[id].id = id;
    state_.members[id].state = MemberState::kDead;
    state_.ring[id] = RingEntry{id, "", 1, 1, false};
  }
  // SIGTERM: about to stop, with a snapshot or not.
  void Leave(const NodeId& id, UnixMillis returns_as_of = 0) {
    state_.holdings[id].leaving = true;
    Carry(id, machines_[id].ownership->BeginLeave(now_, returns_as_of));
    Tell();
  }
  std::size_t OnlyAt(const NodeId& id) {
    return machines_[id]
        .ownership->OnlyHere([](PartitionId, const NodeId&) { return true; })
        .size();
  }
  void LeaveRing(const NodeId& id) {
    state_.ring[id].removed = true;
    Tell();
  }
  void Refute(const NodeId& id) {  // declared dead, and back with a new incarnation
    state_.members[id].incarnation = state_.members[id].epoch = ++incarnation_;
    state_.members[id].state = MemberState::kAlive;
    Carry(id, machines_[id].ownership->OnDeclaredDead(now_));
    Tell();
  }
  void RefuteSuspicion(const NodeId& id) {
    state_.members[id].incarnation = ++incarnation_;
    state_.holdings[id].incarnation = incarnation_;
    Tell();
  }
  void DeclareDead(const NodeId& id) {  // wrongly: its machine goes on
    state_.members[id].state = MemberState::kDead;
    machines_[id].hears = false;
    Tell();
  }
  void Hear(const NodeId& id) { machines_[id].hears = true; }

  void Pass(Duration span) {
    for (Duration each{}; each < span; each += std::chrono::milliseconds(50)) {
      now_ += std::chrono::milliseconds(50);
      for (auto& [id, machine] : machines_) Carry(id, machine.ownership->Tick(now_));
      Settle();
    }
  }
  void SetRecoveriesEnd(bool end) {
    recoveries_end_ = end;
    Settle();
  }
  // The first comparison of each partition with that node brings something.
  void SetGainsFrom(const NodeId& node) { gains_from_ = node; }
  void SetPullsEnd(bool end) {
    pulls_end_ = end;
    Settle();
  }

  // ---- What came of it ----
  Machine& at(const NodeId& id) { return machines_[id]; }
  std::size_t CountRole(const NodeId& id, Role role) {
    std::size_t count = 0;
    for (const auto& [partition, each] : machines_[id].roles) count += each == role ? 1 : 0;
    return count;
  }
  // Who has the role kOwner; one line for each partition with none or several.
  std::string WrongOwners() {
    std::string wrong;
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      std::size_t owners = 0;
      for (auto& [id, machine] : machines_) {
        const auto role = machine.roles.find(partition);
        owners += role != machine.roles.end() && role->second == Role::kOwner ? 1 : 0;
      }
      if (owners != 1) {
        wrong += "partition " + std::to_string(partition) + " has " + std::to_string(owners) +
                 " owners\n";
      }
    }
    return wrong;
  }
  std::size_t worst_owner_count() const { return worst_owner_count_; }
  const ClusterState& state() const { return state_; }
  TimePoint now() const { return now_; }

  void Tell() {
    for (auto& [id, machine] : machines_) told_.insert(id);
    Settle();
  }

  void Carry(const NodeId& id, OwnershipActions actions) {
    for (OwnershipAction& action : actions) {
      std::visit([&](auto& each) { Perform(id, each); }, action);
    }
    CountOwners();
  }

  void Stop(const NodeId& id) {  // SIGTERM
    std::vector<PartitionId> settling;
    Carry(id, machines_[id].ownership->BeginStop(now_, settling));
    Carry(id,
          machines_[id].ownership->HandOff(now_, [](PartitionId, const NodeId&) { return true; }));
    Settle();
    state_.members[id].state = MemberState::kStopped;
    machines_.erase(id);
    Tell();
  }

 private:
  void Perform(const NodeId& id, const SetRole& action) {
    machines_[id].roles[action.partition] = action.role;
  }
  void Perform(const NodeId& id, const SetTargets& action) {
    machines_[id].targets[action.partition] = action.targets;
    machines_[id].all_serve.erase(action.partition);
    if (action.all_serve) machines_[id].all_serve.insert(action.partition);
  }
  void Perform(const NodeId& id, const MarkSettled& action) {
    for (ReplicaSet::Target& target : machines_[id].targets[action.partition]) {
      if (target.node == action.node) target.complete = true;
    }
  }
  void Perform(const NodeId& id, const DropCopy& action) {
    machines_[id].roles[action.partition] = Role::kAbsent;
  }
  void Perform(const NodeId& id, const BeginEmpty& action) {
    machines_[id].begun_empty.insert(action.partition);
  }
  void Perform(const NodeId& id, const StartPull& action) {
    machines_[id].pulls.emplace_back(action.partition, action.pull);
    machines_[id].pulls_begun += action.writes_only ? 0 : 1;
  }
  void Perform(const NodeId& id, const StartRecovery& action) {
    recoveries_.push_back({id, action.node, {action.partition}});
  }
  void Perform(const NodeId& id, const StopPull& action) {
    std::erase_if(machines_[id].pulls,
                  [&](const auto& pull) { return pull.first == action.partition; });
  }
  void Perform(const NodeId& id, const SendHandover& action) {
    handovers_.push_back({id, action.to, action.partitions});
  }
  void Perform(const NodeId& id, const SendTakeOver& action) {
    std::vector<PartitionId> taken;
    if (machines_.contains(action.to)) {
      std::vector<OwnershipGrant> grants;
      for (PartitionId partition : action.partitions) grants.push_back(GrantOf(id, partition));
      Carry(action.to, machines_[action.to].ownership->OnTakeOver(now_, id, grants, taken));
    }
    Carry(id, machines_[id].ownership->OnTakenOver(now_, action.to, action.partitions, taken));
  }
  void Perform(const NodeId& id, const PublishHoldings& action) {
    Holdings& holdings = state_.holdings[id];
    holdings.incarnation = state_.members[id].incarnation;
    ++holdings.revision;
    holdings.complete = action.complete;
    holdings.owned = action.owned;
    holdings.restored = action.restored;
    for (auto& [other, machine] : machines_) told_.insert(other);
  }
  void Perform(const NodeId& id, const PublishView& action) { machines_[id].view = action.view; }
  void Perform(const NodeId& id, const LogEvent& action) {
    machines_[id].log.push_back(ToText(action));
  }

  void CountOwners() {
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      std::size_t owners = 0;
      for (auto& [id, machine] : machines_) {
        const auto role = machine.roles.find(partition);
        owners += role != machine.roles.end() && role->second == Role::kOwner ? 1 : 0;
      }
      worst_owner_count_ = std::max(worst_owner_count_, owners);
    }
  }

  // Until nothing more follows.
  void Settle() {
    for (int round = 0; round < 1000; ++round) {
      if (!told_.empty()) {
        const NodeId id = *told_.begin();
        told_.erase(told_.begin());
        if (machines_.contains(id) && machines_[id].hears) {
          state_.self = id;
          ++state_.digest;
          Carry(id, machines_[id].ownership->OnState(now_, state_));
        }
        continue;
      }
      if (!handovers_.empty()) {
        const Request request = handovers_.front();
        handovers_.pop_front();
        Handover(request);
        continue;
      }
      if (recoveries_end_ && !recoveries_.empty()) {
        const Request recovery = recoveries_.front();
        recoveries_.pop_front();
        EndRecovery(recovery);
        continue;
      }
      if (pulls_end_ && EndOnePull()) continue;
      return;
    }
    ADD_FAILURE() << "the machines do not come to rest";
  }

  OwnershipGrant GrantOf(const NodeId& owner, PartitionId partition) {
    OwnershipGrant grant{partition, {owner}};
    for (const ReplicaSet::Target& target : machines_[owner].targets[partition]) {
      if (target.complete) grant.complete.push_back(target.node);
    }
    return grant;
  }
  struct Request {
    NodeId from;
    NodeId to;
    std::vector<PartitionId> partitions;
  };
  void Handover(const Request& request) {
    std::vector<OwnershipGrant> granted;
    std::vector<PartitionId> settled;
    if (machines_.contains(request.to)) {
      Ownership& owner = *machines_[request.to].ownership;
      auto start = owner.BeginHandover(now_, request.from, request.partitions);
      Carry(request.to, std::move(start.actions));
      auto end = owner.FinishHandover(now_, request.from, start.settling, {});
      for (PartitionId each : end.granted) granted.push_back(GrantOf(request.to, each));
      for (PartitionId each : start.already_granted) granted.push_back(GrantOf(request.to, each));
      settled = end.settled;
      Carry(request.to, std::move(end.actions));
    }
    if (!machines_.contains(request.from)) return;
    Carry(request.from, machines_[request.from].ownership->OnHandoverReply(
                            now_, request.to, granted, settled, {}, request.partitions));
  }
  void EndRecovery(const Request& recovery) {
    if (!machines_.contains(recovery.from)) return;
    const bool answered = machines_.contains(recovery.to);
    ++machines_[recovery.from].compared_with[recovery.to];
    const bool gains = answered && gains_from_ == recovery.to &&
                       gained_.insert(recovery.partitions.front()).second;
    const std::vector<Ownership::RecoveryEnd> ends{{recovery.partitions.front(), recovery.to,
                                                    gains      ? RecoveryOutcome::kGained
                                                    : answered ? RecoveryOutcome::kAgreed
                                                               : RecoveryOutcome::kFailed}};
    Carry(recovery.from, machines_[recovery.from].ownership->OnRecovered(now_, ends));
  }
  bool EndOnePull() {
    for (auto& [id, machine] : machines_) {
      if (machine.pulls.empty()) continue;
      const auto [partition, pull] = machine.pulls.back();
      machine.pulls.pop_back();
      Carry(id, machine.ownership->OnPullsEnded(now_, {{partition, pull, true}}));
      return true;
    }
    return false;
  }

  ClusterState state_;
  std::map<NodeId, Machine> machines_;
  std::set<NodeId> told_;  // to be told the state
  std::deque<Request> handovers_;
  std::deque<Request> recoveries_;
  TimePoint now_{std::chrono::seconds(1)};
  std::uint64_t incarnation_ = 0;
  bool pulls_end_ = true;
  bool recoveries_end_ = true;
  std::optional<NodeId> gains_from_;
  std::set<PartitionId> gained_;
  std::size_t worst_owner_count_ = 0;
};

}  // namespace gyre
