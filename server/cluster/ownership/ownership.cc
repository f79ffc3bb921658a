// Events of the ownership machine. The decisions stand in ownership_decide.cc.
#include "ownership/ownership.h"

#include <algorithm>
#include <cassert>

namespace gyre {
namespace {

bool Contains(const std::vector<PartitionId>& list, PartitionId partition) {
  return std::find(list.begin(), list.end(), partition) != list.end();
}

}  // namespace

Ownership::Ownership(OwnershipOptions options, NodeId self, std::uint32_t partition_count)
    : options_(options), self_(self), locals_(partition_count), knowledge_(partition_count) {
  state_.self = self;
  state_.partition_count = partition_count;
  built_.view.partition_count = partition_count;
  built_.view.owner.assign(partition_count, kNoMember);
  built_.view.holders.resize(partition_count);
  built_.view.complete.resize(partition_count);
  built_.claimant.assign(partition_count, kNoMember);
  options_.restored.partitions.ForEach([this](PartitionId partition) {
    locals_[partition].restored = locals_[partition].stale = true;
    Enter(partition, Phase::kWaiting);
  });
}

OwnershipActions Ownership::OnState(TimePoint now, const ClusterState& state) {
  state_ = state;
  std::vector<RingMember> ring = RingMembersOf(state_);
  if (ring != ring_) {
    ring_ = std::move(ring);
    placement_ = ComputePlacement(ring_, state_.replicas, state_.partition_count);
  }
  restorers_.clear();
  for (const auto& [id, holdings] : state_.holdings) {
    if (id == self_ || holdings.restored.as_of == 0 || Serving(id) == nullptr) continue;
    restorers_.emplace_back(id, &holdings.restored);
  }
  NoteStability(now);
  view_dirty_ = true;
  return Run(now);
}

OwnershipActions Ownership::Tick(TimePoint now) {
  return restless_ ? Run(now) : OwnershipActions{};
}

// ---- Filling ----------------------------------------------------------------------------------

OwnershipActions Ownership::OnPullsEnded(TimePoint now, const std::vector<PullEnd>& ends) {
  for (const PullEnd& end : ends) {
    Local& local = locals_[end.partition];
    if (local.phase != Phase::kPulling || local.pull != end.pull) continue;  // an older one
    if (end.filled) {
      local.retry_at = now;
      Enter(end.partition, Phase::kFilled);
    } else {
      local.retry_at = now + options_.retry;
      local.phase = Phase::kWaiting;  // transfer gave up by itself: there is no pull to stop
    }
  }
  return Run(now);
}

OwnershipActions Ownership::OnResync(TimePoint now, const NodeId& from,
                                     const std::vector<PartitionId>& partitions) {
  for (PartitionId partition : partitions) {
    if (partition >= locals_.size()) continue;
    Local& local = locals_[partition];
    const bool filled = local.phase == Phase::kReplica || local.phase == Phase::kFilled ||
                        local.phase == Phase::kPulling;
    // An old owner's word no longer counts; and what this node granted away is not its to judge.
    const MemberInfo* owner = OtherOwner(partition);
    if (!filled || local.asked || owner == nullptr || owner->id != from) continue;
    local.retry_at = now;
    Enter(partition, Phase::kWaiting);
  }
  return Run(now);
}

// ---- Handover: the owner's side ---------------------------------------------------------------

Ownership::HandoverStart Ownership::BeginHandover(TimePoint now, const NodeId& from,
                                                  const std::vector<PartitionId>& partitions) {
  HandoverStart start;
  if (!stopping_ && Serving(from) != nullptr) {
    for (PartitionId partition : partitions) {
      if (partition >= locals_.size()) continue;
      Local& local = locals_[partition];
      if (local.phase == Phase::kOwner) {
        local.peer = from;
        Enter(partition, Phase::kHandingOver);
        start.settling.push_back(partition);
      } else if (local.phase == Phase::kReplica && knowledge_[partition].granted &&
                 knowledge_[partition].granted_to == from) {
        local.granted_at = now;
        start.already_granted.push_back(partition);
      }
    }
  }
  start.actions = Run(now);
  return start;
}

Ownership::HandoverEnd Ownership::FinishHandover(TimePoint now, const NodeId& from,
                                                 const std::vector<PartitionId>& drained,
                                                 const std::vector<PartitionId>& kept) {
  HandoverEnd end;
  const MemberInfo* requester = Serving(from);
  for (PartitionId partition : drained) {
    const Local& local = locals_[partition];
    if (local.phase != Phase::kHandingOver || local.peer != from) continue;
    if (requester == nullptr || stopping_) {
      Enter(partition, Phase::kOwner);
    } else if (IsHolder(partition, from) && BetterPlaced(placement_, partition, from, self_)) {
      Grant(now, partition, *requester);
      end.granted.push_back(partition);
    } else {
      actions_.push_back(MarkSettled{partition, from, requester->epoch});
      Enter(partition, Phase::kOwner);
      end.settled.push_back(partition);
    }
  }
  for (PartitionId partition : kept) {
    const Local& local = locals_[partition];
    if (local.phase == Phase::kHandingOver && local.peer == from) Enter(partition, Phase::kOwner);
  }
  end.actions = Run(now);
  return end;
}

// The other node orders the writes from now on; this one is its complete replica.
void Ownership::Grant(TimePoint now, PartitionId partition, const MemberInfo& to) {
  LocalKnowledge& knowledge = knowledge_[partition];
  knowledge.granted = true;
  knowledge.granted_to = to.id;
  locals_[partition].granted_epoch = to.epoch;
  locals_[partition].granted_at = now;
  ++stats_.handovers_out;
  Enter(partition, Phase::kReplica);
}

// ---- Handover: the new owner's side -----------------------------------------------------------

// While it expects to be granted a partition, commands that already come here wait.
void Ownership::Expect(PartitionId partition, bool expects) {
  LocalKnowledge& knowledge = knowledge_[partition];
  knowledge.granted = expects;
  knowledge.granted_to = self_;
  view_dirty_ = true;
  TellRole(partition, expects ? Role::kHandingOver : RoleOf(locals_[partition].phase));
}

OwnershipActions Ownership::OnHandoverReply(TimePoint now, const NodeId& owner,
                                            const std::vector<OwnershipGrant>& granted,
                                            const std::vector<PartitionId>& settled,
                                            const std::vector<PartitionId>& missed,
                                            const std::vector<PartitionId>& asked) {
  if (std::uint32_t& count = asking_[owner]; count > 0) --count;
  for (PartitionId partition : asked) {
    Local& local = locals_[partition];
    if (!local.asked) continue;  // declared dead, or it took over by itself meanwhile
    local.asked = false;
    local.retry_at = now + options_.retry;
    if (knowledge_[partition].granted && knowledge_[partition].granted_to == self_) {
      Expect(partition, false);
    }
    if (Orders(local.phase)) continue;
    const auto grant =
        std::find_if(granted.begin(), granted.end(),
                     [&](const OwnershipGrant& each) { return each.partition == partition; });
    if (grant != granted.end()) {
      BeGranted(now, owner, *grant);
    } else if (Contains(settled, partition) && local.phase == Phase::kFilled) {
      if (local.stale) local.linger_until = now + options_.stale_linger;
      local.stale = false;
      local.complete_since = now;
      Enter(partition, Phase::kReplica);
    } else if (Contains(missed, partition)) {
      Enter(partition, Phase::kWaiting);
    }
  }
  return Run(now);
}

// ---- Stopping ---------------------------------------------------------------------------------

OwnershipActions Ownership::OnTakeOver(TimePoint now, const NodeId& from,
                                       const std::vector<OwnershipGrant>& grants,
                                       std::vector<PartitionId>& taken) {
  const MemberInfo* member = Serving(from);
  if (member != nullptr && !stopping_ && !leaving_) {
    for (const OwnershipGrant& grant : grants) {
      const PartitionId partition = grant.partition;
      if (partition >= locals_.size()) continue;
      const Phase phase = locals_[partition].phase;
      LocalKnowledge& knowledge = knowledge_[partition];
      // Asked again, since the answer was lost, when it has passed it on already.
      const bool passed_on = phase == Phase::kReplica && knowledge.granted &&
                             knowledge.granted_to != self_ && knowledge.granted_to != from;
      if (!passed_on && (phase == Phase::kReplica || phase == Phase::kRecovering)) {
        BeGranted(now, from, grant);
        knowledge.taken_from = from;
      }
      if (passed_on || locals_[partition].phase == Phase::kOwner) taken.push_back(partition);
    }
  }
  return Run(now);
}

OwnershipActions Ownership::BeginLeave(TimePoint now) {
  leaving_ = true;
  return Run(now);
}

bool Ownership::others_stay() const {
  const ClusterView& view = built_.view;
  for (MemberIndex member = 0; member < view.members.size(); ++member) {
    if (member != view.self && view.on_ring[member] && view.stays(member)) return true;
  }
  return false;
}

std::vector<PartitionId> Ownership::OnlyHere(
    const std::function<bool(PartitionId, const NodeId&)>& up_to_date) const {
  const ClusterView& view = built_.view;
  std::vector<PartitionId> only;
  for (PartitionId partition = 0; partition < locals_.size(); ++partition) {
    const Phase phase = locals_[partition].phase;
    if (!IsComplete(phase)) continue;
    const auto& complete = view.complete[partition];
    const bool safe = std::any_of(complete.begin(), complete.end(), [&](MemberIndex member) {
      return member != view.self && view.stays(member) &&
             (!Orders(phase) || up_to_date(partition, view.members[member].id));
    });
    if (!safe) only.push_back(partition);
  }
  return only;
}

OwnershipActions Ownership::BeginStop(TimePoint now, std::vector<PartitionId>& settling) {
  stopping_ = true;
  for (PartitionId partition = 0; partition < locals_.size(); ++partition) {
    Local& local = locals_[partition];
    if (!Orders(local.phase)) continue;
    local.peer = self_;
    Enter(partition, Phase::kHandingOver);
    settling.push_back(partition);
  }
  return Run(now);
}

OwnershipActions Ownership::HandOff(
    TimePoint now, const std::function<bool(PartitionId, const NodeId&)>& up_to_date) {
  std::map<NodeId, std::vector<PartitionId>> offers;
  for (PartitionId partition = 0; partition < locals_.size(); ++partition) {
    if (locals_[partition].phase != Phase::kHandingOver) continue;
    const MemberInfo* heir = nullptr;
    for (MemberIndex member : built_.view.complete[partition]) {
      const MemberInfo& info = built_.view.members[member];
      if (info.id == self_ || !built_.view.stays(member)) continue;
      if (!up_to_date(partition, info.id)) continue;
      heir = &info;
      break;
    }
    if (heir != nullptr) {
      offers[heir->id].push_back(partition);
    } else {
      Enter(partition, Phase::kOwner);
    }
  }
  for (auto& [to, partitions] : offers) actions_.push_back(SendTakeOver{to, std::move(partitions)});
  return Run(now);
}

OwnershipActions Ownership::OnTakenOver(TimePoint now, const NodeId& to,
                                        const std::vector<PartitionId>& asked,
                                        const std::vector<PartitionId>& taken) {
  const MemberInfo* heir = Serving(to);
  for (PartitionId partition : asked) {
    if (locals_[partition].phase != Phase::kHandingOver) continue;
    if (heir != nullptr && Contains(taken, partition)) {
      Grant(now, partition, *heir);
    } else {
      Enter(partition, Phase::kOwner);
    }
  }
  return Run(now);
}

// ---- Leases -----------------------------------------------------------------------------------

OwnershipActions Ownership::OnLeases(TimePoint now, const PartitionSet& held,
                                     const std::vector<PartitionId>& lost) {
  for (PartitionId partition = 0; partition < locals_.size(); ++partition) {
    Local& local = locals_[partition];
    if (!Orders(local.phase)) continue;
    local.leased = held.Has(partition);
    if (local.leased) local.taking = false;
  }
  for (PartitionId partition : lost) {
    if (!Orders(locals_[partition].phase) || locals_[partition].leased || stopping_) continue;
    ++yielded_now_;
    ++stats_.yields;
    BecomeStale(now, partition);
  }
  return Run(now);
}

// ---- Declared dead ----------------------------------------------------------------------------

OwnershipActions Ownership::OnDeclaredDead(TimePoint now) {
  std::size_t stale = 0;
  for (PartitionId partition = 0; partition < locals_.size(); ++partition) {
    Local& local = locals_[partition];
    if (local.phase == Phase::kAbsent || stopping_) continue;
    if (options_.majority && Orders(local.phase)) {
      // Whether somebody acted for it since is not for gossip to say: its lease goes on, or is
      // lost.
      local.taking = false;
      continue;
    }
    const std::vector<MemberIndex>& complete = built_.view.complete[partition];
    const bool others = std::any_of(complete.begin(), complete.end(), [this](MemberIndex member) {
      return member != built_.view.self;
    });
    if (!others && IsComplete(local.phase)) continue;
    local.asked = false;
    if (IsComplete(local.phase) || local.stale) {
      ++stale;
      BecomeStale(now, partition);
    } else {
      knowledge_[partition].granted = false;
      local.retry_at = now;
      Enter(partition, Phase::kWaiting);
      TellRole(partition, Role::kWarming);
    }
  }
  asking_.clear();
  if (stale != 0) {
    Log(true,
        "this node was declared dead while it lived: its copies may be stale and are pulled "
        "again: partitions=" +
            std::to_string(stale));
  }
  return Run(now);
}

// ---- What it knows ----------------------------------------------------------------------------

OwnershipStats Ownership::stats() const {
  OwnershipStats stats = stats_;
  for (const Local& local : locals_) {
    if (Orders(local.phase)) ++stats.owned;
    if (IsComplete(local.phase)) ++stats.complete;
    if (local.phase == Phase::kRecovering) ++stats.recovering;
    if (local.phase != Phase::kAbsent && !IsComplete(local.phase)) ++stats.warming;
  }
  return stats;
}

Readiness Ownership::readiness() const {
  const ClusterView& view = built_.view;
  Readiness readiness;
  readiness.joined = goes_on_alone_;
  readiness.drained = view.self != kNoMember && view.IsDrained(view.self);
  readiness.ring_is_back = ring_is_back_;
  readiness.ring = ring_.size();
  readiness.back = static_cast<std::uint64_t>(
      std::count_if(ring_.begin(), ring_.end(),
                    [this](const auto& each) { return Serving(each.id) != nullptr; }));
  for (PartitionId partition = 0; partition < locals_.size(); ++partition) {
    if (view.owner[partition] == kNoMember) ++readiness.unowned;
    if (!IsHolder(partition, self_)) continue;
    ++readiness.given;
    if (!IsComplete(locals_[partition].phase)) ++readiness.lacking;
  }
  return readiness;
}

bool Ownership::holds_nothing() const {
  return std::all_of(locals_.begin(), locals_.end(),
                     [](const Local& local) { return local.phase == Phase::kAbsent; });
}

bool Ownership::owns(PartitionId partition) const { return Orders(locals_[partition].phase); }

}  // namespace gyre
