// Becoming the owner: granted, or taken over from an owner that is gone. See ownership.h.
#include <algorithm>

#include "ownership/ownership.h"

namespace gyre {
namespace {

bool SameTargets(const std::vector<ReplicaSet::Target>& a,
                 const std::vector<ReplicaSet::Target>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.node == y.node && x.epoch == y.epoch && x.complete == y.complete;
  });
}

}  // namespace

// ---- Taking over ------------------------------------------------------------------------------

bool Ownership::MayTake(TimePoint now, PartitionId partition) const {
  const ClusterView& view = built_.view;
  if (built_.claimant[partition] != kNoMember) return false;
  if (view.complete[partition].empty() || view.complete[partition].front() != view.self) {
    return false;
  }
  const bool unheard_of = now - locals_[partition].complete_since < options_.spread;
  if (unheard_of && view.complete[partition].size() > 1) return false;
  const LocalKnowledge& knowledge = knowledge_[partition];
  // One that said goodbye handed on what it had: the news of it may be later than the goodbye.
  bool handed_on = false;
  if (knowledge.has_last_owner && knowledge.last_owner != self_) {
    const auto last = state_.members.find(knowledge.last_owner);
    handed_on = last != state_.members.end() && last->second.state != MemberState::kDead;
  }
  return !handed_on || IsVacant(now, partition);
}

// Nobody granted it: other copies may have newer writes of the last owner.
void Ownership::TakeOver(TimePoint now, PartitionId partition) {
  ++taken_now_;
  ++stats_.takeovers;
  std::vector<Source> sources;
  for (MemberIndex member : built_.view.complete[partition]) {
    const MemberInfo& info = built_.view.members[member];
    if (member != built_.view.self) sources.push_back({info.id, info.epoch});
  }
  Recover(now, partition, std::move(sources));
}

// Begins to own the partition, after a comparison with the copies of the `sources`.
void Ownership::Recover(TimePoint now, PartitionId partition, std::vector<Source> sources) {
  if (sources.empty()) return BecomeOwner(partition, nullptr);
  Local& local = locals_[partition];
  knowledge_[partition].granted = false;
  local.stale = false;
  local.taking = options_.majority;
  local.taking_since = TimePoint{};
  local.given = false;
  BeginTargets(partition, nullptr);
  Enter(partition, Phase::kRecovering);
  local.sources = std::move(sources);
  local.recover_until = now + options_.recovery_timeout;
  DecideRecovering(now, partition);
}

void Ownership::DecideRecovering(TimePoint now, PartitionId partition) {
  Local& local = locals_[partition];
  std::erase_if(local.sources, [this](const Source& source) {
    const MemberInfo* member = Serving(source.node);
    return member == nullptr || member->epoch != source.epoch;
  });
  if (options_.majority && !local.leased) {
    // Until its lease has run out, the last owner may still bring writes to the other copies.
    local.recover_until = now + options_.recovery_timeout;
    return;
  }
  const bool late = now >= local.recover_until;
  if (local.sources.empty() || late) {
    if (!local.sources.empty()) ++cut_short_now_;
    Enter(partition, Phase::kOwner);
    return;
  }
  restless_ = true;
  for (Source& source : local.sources) {
    if (source.asked || now < source.retry_at) continue;
    source.asked = true;
    actions_.push_back(StartRecovery{partition, source.node});
  }
}

void Ownership::BecomeStale(TimePoint now, PartitionId partition) {
  Local& local = locals_[partition];
  knowledge_[partition].granted = false;
  local.stale = true;
  local.retry_at = now;
  Enter(partition, Phase::kWaiting);
  TellRole(partition, Role::kWarming);
}

OwnershipActions Ownership::OnRecovered(TimePoint now, const std::vector<RecoveryEnd>& ends) {
  for (const RecoveryEnd& end : ends) {
    Local& local = locals_[end.partition];
    for (Source& source : local.sources) {
      if (source.node != end.node) continue;
      source.asked = false;
      source.retry_at = now + options_.retry;
    }
    if (end.outcome == RecoveryOutcome::kAgreed || end.outcome == RecoveryOutcome::kOutdated) {
      std::erase_if(local.sources, [&](const Source& source) { return source.node == end.node; });
    }
    if (end.outcome == RecoveryOutcome::kContended) LeaveTo(now, end.partition, end.node);
  }
  return Run(now);
}

// `node` took the partition over, too, and goes first. Its claim is on the way; where none comes,
// this node tries again after `vacancy_grace`. Where leases decide nobody gives way (repair.h).
void Ownership::LeaveTo(TimePoint now, PartitionId partition, const NodeId& node) {
  Local& local = locals_[partition];
  if (local.phase != Phase::kRecovering || Serving(node) == nullptr) return;
  Enter(partition, Phase::kReplica);
  knowledge_[partition].has_last_owner = true;
  knowledge_[partition].last_owner = node;
  local.vacant_since = now;
  ++stats_.takeovers_left;
}

// ---- Beginning to order writes ----------------------------------------------------------------

void Ownership::BecomeOwner(PartitionId partition, const OwnershipGrant* grant) {
  knowledge_[partition].granted = false;
  locals_[partition].stale = false;
  locals_[partition].taking = options_.majority;
  locals_[partition].taking_since = TimePoint{};
  locals_[partition].given = grant != nullptr;
  BeginTargets(partition, grant);  // before the first write
  Enter(partition, Phase::kOwner);
}

void Ownership::BeGranted(TimePoint now, const NodeId& by, const OwnershipGrant& grant) {
  ++stats_.handovers_in;
  BecomeOwner(grant.partition, &grant);
  locals_[grant.partition].granted_by = by;
  locals_[grant.partition].echo_until = now + options_.grant_timeout;
}

// The claim of the node that granted the partition to this one, and has not seen yet that it did.
bool Ownership::IsEcho(TimePoint now, PartitionId partition, const NodeId& claimant) const {
  const Local& local = locals_[partition];
  return claimant == local.granted_by && now < local.echo_until;
}

// ---- Who must get the writes ------------------------------------------------------------------

// As far as gossip knows.
std::vector<ReplicaSet::Target> Ownership::TargetsOf(PartitionId partition) const {
  const ClusterView& view = built_.view;
  const std::vector<MemberIndex>& complete = view.complete[partition];
  std::vector<ReplicaSet::Target> targets;
  const auto add = [&](MemberIndex member) {
    if (member == view.self || targets.size() == kReplicasMax) return;
    const MemberInfo& info = view.members[member];
    const bool known = std::any_of(targets.begin(), targets.end(),
                                   [&](const auto& target) { return target.node == info.id; });
    if (known) return;
    const bool whole = std::find(complete.begin(), complete.end(), member) != complete.end();
    targets.push_back({info.id, info.epoch, ReplicaSet::Standing::kGossip, whole});
  };
  for (MemberIndex member : view.holders[partition]) add(member);
  for (MemberIndex member : complete) add(member);
  return targets;
}

void Ownership::UpdateTargets(PartitionId partition) {
  std::vector<ReplicaSet::Target> targets = TargetsOf(partition);
  if (SameTargets(targets, locals_[partition].targets)) return;
  locals_[partition].targets = targets;
  actions_.push_back(SetTargets{partition, std::move(targets), false});
}

void Ownership::BeginTargets(PartitionId partition, const OwnershipGrant* grant) {
  std::vector<ReplicaSet::Target> targets = TargetsOf(partition);
  locals_[partition].targets = targets;
  if (grant != nullptr) {
    const auto attested = [grant](const NodeId& node) {
      return std::find(grant->complete.begin(), grant->complete.end(), node) !=
             grant->complete.end();
    };
    for (ReplicaSet::Target& target : targets) {
      if (attested(target.node)) {
        target.standing = ReplicaSet::Standing::kSettled;
        target.complete = true;
      } else if (target.complete) {
        target.standing = ReplicaSet::Standing::kLagging;
        target.complete = false;
      }
    }
    for (const NodeId& node : grant->complete) {
      const MemberInfo* member = node == self_ ? nullptr : Serving(node);
      const bool listed = std::any_of(targets.begin(), targets.end(),
                                      [&](const auto& target) { return target.node == node; });
      if (member == nullptr || listed || targets.size() == kReplicasMax) continue;
      targets.push_back({node, member->epoch, ReplicaSet::Standing::kSettled, true});
    }
  }
  actions_.push_back(SetTargets{partition, std::move(targets), true});
}

}  // namespace gyre
