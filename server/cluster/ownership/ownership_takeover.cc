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
  const ClusterView& view = built().view;
  if (built().claimant[partition] != kNoMember) return false;
  if (view.complete[partition].empty() || view.complete[partition].front() != view.self) {
    return false;
  }
  const bool unheard_of = now - locals_[partition].complete_since < options_.spread;
  if (unheard_of && view.complete[partition].size() > 1) return false;
  const LocalKnowledge& knowledge = knowledge_[partition];
  // One that said goodbye handed on what it had: the news of it may be later than the goodbye.
  bool handed_on = false;
  if (knowledge.last_owner && knowledge.last_owner != self_) {
    const auto last = state_.members.find(*knowledge.last_owner);
    handed_on = last != state_.members.end() && last->second.state != MemberState::kDead;
  }
  return !handed_on || IsVacant(now, partition);
}

// Nobody granted it: other copies may have newer writes of the last owner.
void Ownership::TakeOver(TimePoint now, PartitionId partition) {
  ++taken_now_;
  ++stats_.takeovers;
  std::vector<Source> sources;
  for (MemberIndex member : built().view.complete[partition]) {
    const MemberInfo& info = built().view.members[member];
    if (member != built().view.self) sources.push_back({info.id, info.epoch});
  }
  Recover(now, partition, std::move(sources));
}

// Begins to own the partition, after a comparison with the copies of the `sources`.
void Ownership::Recover(TimePoint now, PartitionId partition, std::vector<Source> sources) {
  Owned owned = BeginOwning(now, partition, nullptr);
  if (sources.empty()) return Enter(partition, Owner{std::move(owned)});
  Enter(partition,
        Recovering{std::move(owned), std::move(sources), {}, now + options_.recovery_timeout});
  DecideRecovering(now, partition);
}

void Ownership::DecideRecovering(TimePoint now, PartitionId partition) {
  auto& recovering = std::get<Recovering>(locals_[partition].phase);
  std::erase_if(recovering.sources, [this](const Source& source) {
    const MemberInfo* member = Serving(source.node);
    return member == nullptr || member->epoch != source.epoch;
  });
  if (options_.majority && !recovering.leased) {
    // Until its lease has run out, the last owner may still bring writes to the other copies.
    recovering.until = now + options_.recovery_timeout;
    Wait(partition);
    return;
  }
  const bool late = now >= recovering.until;
  if (recovering.sources.empty() || late) {
    if (!recovering.sources.empty()) {
      ++cut_short_now_;
      recovering.cut_short = true;
      UpdateTargets(partition);
    }
    return StartOrdering(partition);
  }
  Wait(partition);
  for (Source& source : recovering.sources) {
    if (source.asked || now < source.retry_at) continue;
    source.asked = true;
    actions_.push_back(StartRecovery{partition, source.node});
  }
}

// What this node holds counts as stale from now on, whatever it was.
void Ownership::BecomeStale(TimePoint now, PartitionId partition) {
  const bool restored = CopyOf(locals_[partition].phase) == Copy::kRestored;
  knowledge_[partition].granted_to.reset();
  Enter(partition, Waiting{{restored ? Copy::kRestored : Copy::kStale}, now});
}

OwnershipActions Ownership::OnRecovered(TimePoint now, const std::vector<RecoveryEnd>& ends) {
  for (const RecoveryEnd& end : ends) {
    auto* recovering = std::get_if<Recovering>(&locals_[end.partition].phase);
    if (recovering == nullptr) continue;  // it was taken over, or given up, meanwhile
    std::vector<Source>& sources = recovering->sources;
    const auto source = std::find_if(sources.begin(), sources.end(),
                                     [&end](const Source& each) { return each.node == end.node; });
    if (source != sources.end()) {
      source->asked = false;
      source->retry_at = now + options_.retry;
      if (end.outcome == RecoveryOutcome::kGained) {
        source->retry_at = now;
        for (const Source& before : std::exchange(recovering->compared, {})) {
          sources.push_back({before.node, before.epoch});
        }
      } else if (end.outcome == RecoveryOutcome::kAgreed ||
                 end.outcome == RecoveryOutcome::kOutdated) {
        recovering->compared.push_back(*source);
        sources.erase(source);
      }
    }
    if (end.outcome == RecoveryOutcome::kContended) LeaveTo(now, end.partition, end.node);
  }
  return Run(now);
}

// `node` took the partition over, too, and goes first. Its claim is on the way; where none comes,
// this node tries again after `vacancy_grace`. Where leases decide nobody gives way (repair.h).
void Ownership::LeaveTo(TimePoint now, PartitionId partition, const NodeId& node) {
  Local& local = locals_[partition];
  if (Serving(node) == nullptr) return;
  Enter(partition, Replica{});
  knowledge_[partition].last_owner = node;
  local.vacant_since = now;
  ++stats_.takeovers_left;
}

// ---- Beginning to order writes ----------------------------------------------------------------

Ownership::Owned Ownership::BeginOwning(TimePoint now, PartitionId partition,
                                        const OwnershipGrant* grant) {
  knowledge_[partition].granted_to.reset();
  Owned owned;
  owned.targets = TargetsOf(partition);
  owned.all_serve = AllServe(partition, owned.targets);
  owned.since = now;
  owned.taking = options_.majority;
  // It was granted while it recovered: its lease goes on.
  if (const Owned* before = OwnedOf(locals_[partition].phase)) owned.leased = before->leased;
  BeginTargets(partition, owned, grant);  // before the first write
  return owned;
}

void Ownership::BeGranted(TimePoint now, const NodeId& by, const OwnershipGrant& grant) {
  ++stats_.handovers_in;
  Owned owned = BeginOwning(now, grant.partition, &grant);
  owned.granted_by = by;
  owned.echo_until = now + options_.grant_timeout;
  Enter(grant.partition, Owner{std::move(owned)});
}

// ---- Who must get the writes ------------------------------------------------------------------

// As far as gossip knows.
std::vector<ReplicaSet::Target> Ownership::TargetsOf(PartitionId partition) const {
  const ClusterView& view = built().view;
  const MemberList& complete = view.complete[partition];
  std::vector<ReplicaSet::Target> targets;
  const auto add = [&](MemberIndex member) {
    if (member == view.self || targets.size() == kReplicasMax) return;
    const MemberInfo& info = view.members[member];
    const bool known = std::any_of(targets.begin(), targets.end(),
                                   [&](const auto& target) { return target.node == info.id; });
    if (known) return;
    const bool whole = complete.Has(member);
    targets.push_back({info.id, info.epoch, ReplicaSet::Standing::kGossip, whole});
  };
  for (MemberIndex member : view.holders[partition]) add(member);
  for (MemberIndex member : complete) add(member);
  return targets;
}

// Whether everybody whom the ring gives the partition serves, and gets its writes: first on its preference
// list, in any state but dead.
bool Ownership::AllServe(PartitionId partition,
                         const std::vector<ReplicaSet::Target>& targets) const {
  if (partition >= placement_.preference.size()) return false;
  const std::vector<std::uint16_t>& list = placement_.preference[partition];
  const std::size_t copies = std::min<std::size_t>(list.size(), built().view.replicas);
  return std::all_of(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(copies),
                     [&](std::uint16_t ring) {
                       const NodeId& id = placement_.members[ring].id;
                       if (id == self_) return true;
                       return Serving(id) != nullptr &&
                              std::any_of(targets.begin(), targets.end(),
                                          [&id](const auto& target) { return target.node == id; });
                     });
}

void Ownership::UpdateTargets(PartitionId partition) {
  std::vector<ReplicaSet::Target> targets = TargetsOf(partition);
  Owned& owned = *OwnedOf(locals_[partition].phase);
  const bool all_serve = !owned.cut_short && AllServe(partition, targets);
  if (all_serve == owned.all_serve && SameTargets(targets, owned.targets)) return;
  owned.targets = targets;
  owned.all_serve = all_serve;
  actions_.push_back(SetTargets{partition, std::move(targets), false, all_serve});
}

// The targets as far as gossip knows; an owner that granted the partition knows better.
void Ownership::BeginTargets(PartitionId partition, const Owned& owned,
                             const OwnershipGrant* grant) {
  std::vector<ReplicaSet::Target> targets = owned.targets;
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
  actions_.push_back(SetTargets{partition, std::move(targets), true, owned.all_serve});
}

}  // namespace gyre
