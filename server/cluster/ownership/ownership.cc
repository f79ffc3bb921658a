// Events of the ownership machine. The decisions stand in ownership_decide.cc.
#include "ownership/ownership.h"

#include <algorithm>
#include <cassert>

namespace gyre {
namespace {

bool Contains(const std::vector<PartitionId>& list, PartitionId partition) {
  return std::find(list.begin(), list.end(), partition) != list.end();
}

ClusterState EmptyState(const NodeId& self, std::uint32_t partition_count) {
  ClusterState state;
  state.self = self;
  state.partition_count = partition_count;
  return state;
}

// But for which partitions they have or own.
bool SameButPartitions(const Holdings& a, const Holdings& b) {
  return a.incarnation == b.incarnation && a.leaving == b.leaving && a.restored == b.restored &&
         a.complete.partition_count() == b.complete.partition_count() &&
         a.owned.partition_count() == b.owned.partition_count();
}

// But for which partitions the members have or own.
bool SameButPartitions(const ClusterState& a, const ClusterState& b) {
  return a.self == b.self && a.replicas == b.replicas && a.members == b.members &&
         a.ring == b.ring &&
         std::equal(a.holdings.begin(), a.holdings.end(), b.holdings.begin(), b.holdings.end(),
                    [](const auto& x, const auto& y) {
                      return x.first == y.first && SameButPartitions(x.second, y.second);
                    });
}

}  // namespace

Ownership::Ownership(OwnershipOptions options, NodeId self, std::uint32_t partition_count)
    : options_(options),
      self_(self),
      state_(EmptyState(self, partition_count)),
      locals_(partition_count),
      knowledge_(partition_count),
      builder_(state_, placement_, knowledge_),
      changed_(partition_count),
      undecided_(partition_count),
      waiting_(partition_count) {
  held_.complete = held_.owned = held_.restored.partitions = PartitionSet(partition_count);
  options_.restored.partitions.ForEach([this](PartitionId partition) {
    Enter(partition, Waiting{{Copy::kRestored}, TimePoint{}});
  });
}

// Takes over what changed; false if all of it may have.
bool Ownership::TakeState(const ClusterState& state) {
  if (!SameButPartitions(state_, state)) {
    state_ = state;
    AllChanged();
    return false;
  }
  auto known = state_.holdings.begin();
  for (const auto& [id, holdings] : state.holdings) {
    Holdings& mine = (known++)->second;
    if (mine.revision == holdings.revision) continue;
    for (const auto set : {&Holdings::complete, &Holdings::owned}) {
      PartitionSet difference = mine.*set;
      difference.Toggle(holdings.*set);
      if (id != self_) changed_.Add(difference);
    }
    mine = holdings;
  }
  return true;
}

OwnershipActions Ownership::OnState(TimePoint now, const ClusterState& state) {
  if (TakeState(state)) return Run(now);
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
  NoteAway(now);
  NoteStability(now);
  return Run(now);
}

OwnershipActions Ownership::Tick(TimePoint now) {
  return waiting_.Any() || undecided_.Any() || now >= grace_ends_ ? Run(now) : OwnershipActions{};
}

// ---- Filling ----------------------------------------------------------------------------------

OwnershipActions Ownership::OnPullsEnded(TimePoint now, const std::vector<PullEnd>& ends) {
  for (const PullEnd& end : ends) {
    Local& local = locals_[end.partition];
    const auto* pulling = std::get_if<Pulling>(&local.phase);
    if (pulling == nullptr || pulling->pull != end.pull) continue;  // an older one
    if (end.filled && pulling->writes_only) {
      local.phase = Waiting{{pulling->copy}, now, true, pulling->source};
      Changed(end.partition);
    } else if (end.filled) {
      local.ask_at = now;
      Enter(end.partition, Filled{{pulling->copy}, pulling->source});
    } else {
      // Not by Enter: transfer gave up by itself, there is no pull to stop.
      local.phase = Waiting{{pulling->copy}, now + options_.retry};
      Changed(end.partition);
    }
  }
  return Run(now);
}

OwnershipActions Ownership::OnResync(TimePoint now, const NodeId& from,
                                     const std::vector<PartitionId>& partitions) {
  for (PartitionId partition : partitions) {
    if (partition >= locals_.size()) continue;
    const Local& local = locals_[partition];
    const auto* waiting = std::get_if<Waiting>(&local.phase);
    const bool filled = local.Is<Replica>() || local.Is<Filled>() || local.Is<Pulling>() ||
                        (waiting != nullptr && waiting->follows.has_value());
    // An old owner's word no longer counts; and what this node granted away is not its to judge.
    const MemberInfo* owner = OtherOwner(partition);
    if (!filled || local.asked || owner == nullptr || owner->id != from) continue;
    Enter(partition, Waiting{{CopyOf(local.phase)}, now});
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
      if (local.Is<Owner>()) {
        StopOrdering(partition, from);
        start.settling.push_back(partition);
      } else if (local.Is<Replica>() && knowledge_[partition].granted_to == from) {
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
  const auto settles = [&](PartitionId partition) {
    const auto* handing_over = std::get_if<HandingOver>(&locals_[partition].phase);
    return handing_over != nullptr && handing_over->to == from;
  };
  for (PartitionId partition : drained) {
    if (!settles(partition)) continue;
    if (requester == nullptr || stopping_) {
      StartOrdering(partition);
    } else if (IsHolder(partition, from) && BetterPlaced(placement_, partition, from, self_)) {
      Grant(now, partition, *requester);
      end.granted.push_back(partition);
    } else {
      actions_.push_back(MarkSettled{partition, from, requester->epoch});
      StartOrdering(partition);
      end.settled.push_back(partition);
    }
  }
  for (PartitionId partition : kept) {
    if (settles(partition)) StartOrdering(partition);
  }
  end.actions = Run(now);
  return end;
}

// The other node orders the writes from now on; this one is its complete replica.
void Ownership::Grant(TimePoint now, PartitionId partition, const MemberInfo& to) {
  knowledge_[partition].granted_to = to.id;
  locals_[partition].granted_epoch = to.epoch;
  locals_[partition].granted_at = now;
  ++stats_.handovers_out;
  Enter(partition, Replica{});
}

// ---- Handover: the new owner's side -----------------------------------------------------------

// While it expects to be granted a partition, commands that already come here wait.
void Ownership::Expect(PartitionId partition, bool expects) {
  knowledge_[partition].granted_to = expects ? std::optional(self_) : std::nullopt;
  Changed(partition);
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
    local.ask_at = now + options_.retry;
    Changed(partition);
    if (knowledge_[partition].granted_to == self_) Expect(partition, false);
    if (Orders(local.phase)) continue;
    const auto grant =
        std::find_if(granted.begin(), granted.end(),
                     [&](const OwnershipGrant& each) { return each.partition == partition; });
    if (grant != granted.end()) {
      BeGranted(now, owner, *grant);
    } else if (Contains(settled, partition) && local.Is<Filled>()) {
      if (CopyOf(local.phase) != Copy::kSound) local.linger_until = now + options_.stale_linger;
      local.complete_since = now;
      Enter(partition, Replica{});
    } else if (Contains(missed, partition)) {
      Enter(partition, Waiting{{CopyOf(local.phase)}, now + options_.retry});
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
      const Local& local = locals_[partition];
      LocalKnowledge& knowledge = knowledge_[partition];
      // Asked again, since the answer was lost, when it has passed it on already.
      const bool passed_on = local.Is<Replica>() && knowledge.granted_to &&
                             knowledge.granted_to != self_ && knowledge.granted_to != from;
      if (!passed_on && (local.Is<Replica>() || local.Is<Recovering>())) {
        BeGranted(now, from, grant);
        knowledge.taken_from = from;
      }
      if (passed_on || local.Is<Owner>()) taken.push_back(partition);
    }
  }
  return Run(now);
}

OwnershipActions Ownership::BeginLeave(TimePoint now, UnixMillis returns_as_of) {
  leaving_ = true;
  returns_as_of_ = returns_as_of;
  AllChanged();
  return Run(now);
}

bool Ownership::others_stay() const {
  const ClusterView& view = built().view;
  for (MemberIndex member = 0; member < view.members.size(); ++member) {
    if (member != view.self && view.on_ring[member] && view.stays(member)) return true;
  }
  return false;
}

std::vector<PartitionId> Ownership::OnlyHere(
    const std::function<bool(PartitionId, const NodeId&)>& up_to_date) const {
  const ClusterView& view = built().view;
  std::vector<PartitionId> only;
  for (PartitionId partition = 0; partition < locals_.size(); ++partition) {
    const Phase& phase = locals_[partition].phase;
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
  AllChanged();
  for (PartitionId partition = 0; partition < locals_.size(); ++partition) {
    if (!Orders(locals_[partition].phase)) continue;
    StopOrdering(partition, self_);
    settling.push_back(partition);
  }
  return Run(now);
}

OwnershipActions Ownership::HandOff(
    TimePoint now, const std::function<bool(PartitionId, const NodeId&)>& up_to_date) {
  std::map<NodeId, std::vector<PartitionId>> offers;
  for (PartitionId partition = 0; partition < locals_.size(); ++partition) {
    if (!locals_[partition].Is<HandingOver>()) continue;
    const MemberInfo* heir = nullptr;
    for (MemberIndex member : built().view.complete[partition]) {
      const MemberInfo& info = built().view.members[member];
      if (info.id == self_ || !built().view.stays(member)) continue;
      if (!up_to_date(partition, info.id)) continue;
      heir = &info;
      break;
    }
    if (heir != nullptr) {
      offers[heir->id].push_back(partition);
    } else {
      StartOrdering(partition);
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
    if (!locals_[partition].Is<HandingOver>()) continue;
    if (heir != nullptr && Contains(taken, partition)) {
      Grant(now, partition, *heir);
    } else {
      StartOrdering(partition);
    }
  }
  return Run(now);
}

void Ownership::EndStop() {
  stopping_ = false;
  AllChanged();
}

bool Ownership::Resign(TimePoint now, OwnershipActions& actions) {
  const std::vector<MemberInfo>& members = built().view.members;
  const bool alone = std::none_of(members.begin(), members.end(), [this](const MemberInfo& member) {
    return member.id != self_ && member.serving();
  });
  stopping_ = true;
  AllChanged();
  for (PartitionId partition = 0; partition < locals_.size() && !alone; ++partition) {
    if (locals_[partition].Is<Owner>()) StopOrdering(partition, self_);
  }
  actions = Run(now);
  return !alone;
}

// ---- Leases -----------------------------------------------------------------------------------

OwnershipActions Ownership::OnLeases(TimePoint now, const PartitionSet& held,
                                     const std::vector<PartitionId>& lost) {
  for (PartitionId partition = 0; partition < locals_.size(); ++partition) {
    Owned* owned = OwnedOf(locals_[partition].phase);
    if (owned == nullptr) continue;
    if (owned->leased == held.Has(partition) && !(owned->leased && owned->taking)) continue;
    owned->leased = held.Has(partition);
    if (owned->leased) owned->taking = false;
    Changed(partition);
  }
  for (PartitionId partition : lost) {
    const Owned* owned = OwnedOf(locals_[partition].phase);
    if (owned == nullptr || owned->leased || stopping_) continue;
    ++yielded_now_;
    ++stats_.yields;
    BecomeStale(now, partition);
  }
  return Run(now);
}

// ---- Declared dead ----------------------------------------------------------------------------

OwnershipActions Ownership::OnDeclaredDead(TimePoint now) {
  std::size_t stale = 0;
  AllChanged();
  for (PartitionId partition = 0; partition < locals_.size(); ++partition) {
    Local& local = locals_[partition];
    if (local.Is<Absent>() || stopping_) continue;
    if (Owned* owned = OwnedOf(local.phase); owned != nullptr && options_.majority) {
      // Whether somebody acted for it since is not for gossip to say: its lease goes on, or is
      // lost.
      owned->taking = false;
      continue;
    }
    const MemberList& complete = built().view.complete[partition];
    const bool others = std::any_of(complete.begin(), complete.end(), [this](MemberIndex member) {
      return member != built().view.self;
    });
    if (!others && IsComplete(local.phase)) continue;
    local.asked = false;
    if (IsComplete(local.phase) || CopyOf(local.phase) != Copy::kSound) {
      ++stale;
      BecomeStale(now, partition);
    } else {
      knowledge_[partition].granted_to.reset();
      Enter(partition, Waiting{{}, now});
    }
  }
  asking_.clear();
  if (stale != 0) {
    Log(LogLevel::kWarn,
        "this node was declared dead while it lived: its copies may be stale and are pulled again",
        {{"partitions", stale}});
  }
  return Run(now);
}

// ---- What it knows ----------------------------------------------------------------------------

OwnershipStats Ownership::stats() const {
  OwnershipStats stats = stats_;
  for (const Local& local : locals_) {
    if (Orders(local.phase)) ++stats.owned;
    if (IsComplete(local.phase)) ++stats.complete;
    if (local.Is<Recovering>()) ++stats.recovering;
    if (RoleOf(local.phase) == Role::kWarming) ++stats.warming;
    if (StandsBy(local.phase)) ++stats.standing_by;
  }
  return stats;
}

Readiness Ownership::readiness() const {
  const ClusterView& view = built().view;
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
    if (StandsBy(locals_[partition].phase)) continue;
    ++readiness.given;
    if (!IsComplete(locals_[partition].phase)) ++readiness.lacking;
  }
  return readiness;
}

bool Ownership::holds_nothing() const {
  return std::all_of(locals_.begin(), locals_.end(),
                     [](const Local& local) { return local.Is<Absent>(); });
}

bool Ownership::owns(PartitionId partition) const { return Orders(locals_[partition].phase); }

bool Ownership::takes(PartitionId partition) const {
  const Owned* owned = OwnedOf(locals_[partition].phase);
  return owned != nullptr && owned->taking;
}

}  // namespace gyre
