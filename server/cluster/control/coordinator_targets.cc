// Who gets the writes of the partitions that this node owns: what the decisions and gossip say,
// joined with what the owner knows of its targets at first hand (ReplicaSet::Standing).
#include <algorithm>
#include <map>
#include <string>

#include "base/log.h"
#include "control/coordinator.h"

namespace gyre {
namespace {

constexpr Duration kResyncInterval = std::chrono::milliseconds(100);

}  // namespace

// What this owner knows of a target at first hand outlives what gossip says, unless ownership
// begins afresh. Gossip is believed for the targets with which ownership began: they get every
// write from the first. Who turns up as complete later without having settled with this owner has
// missed writes of it.
void Coordinator::Perform(SetTargets& action) {
  using Standing = ReplicaSet::Standing;
  Shard& shard = parts_.engine.ShardOf(action.partition);
  MutexLock lock(shard.mutex());
  ReplicaSet& set = parts_.table.sets[action.partition];
  ReplicaSet next = set;
  next.count = 0;
  next.all_serve = action.all_serve;
  for (ReplicaSet::Target target : action.targets) {
    const ReplicaSet::Target* known = nullptr;
    for (std::uint8_t i = 0; i < set.count && !action.fresh; ++i) {
      const ReplicaSet::Target& each = set.targets[i];
      const bool same = each.node == target.node && (each.epoch == 0 || each.epoch == target.epoch);
      if (same) known = &each;
    }
    if (known != nullptr) {
      target.standing = known->standing;
      target.pulling_since = known->pulling_since;
      target.absent = known->absent;
      target.writes_only = known->writes_only;
    }
    const bool new_to_us = !action.fresh && (known == nullptr || !known->complete);
    if (target.standing == Standing::kGossip && target.complete && new_to_us) {
      target.standing = Standing::kLagging;
    }
    if (target.standing == Standing::kSettled) target.complete = true;
    if (target.standing == Standing::kPulling || target.standing == Standing::kLagging) {
      target.complete = false;
    }
    if (next.count < next.targets.size()) next.targets[next.count++] = target;
  }
  for (std::uint8_t i = 0; i < set.count && !action.fresh; ++i) {
    const ReplicaSet::Target& known = set.targets[i];
    const bool at_first_hand =
        known.standing == Standing::kPulling || known.standing == Standing::kSettled;
    if (!at_first_hand || next.count == next.targets.size()) continue;
    const bool listed = std::any_of(
        action.targets.begin(), action.targets.end(),
        [&known](const ReplicaSet::Target& target) { return target.node == known.node; });
    if (!listed && !IsGone(known)) next.targets[next.count++] = known;
  }
  set = next;
  shard.SetKeepsTombstones(action.partition, keeps_tombstones_ || set.count != 0);
  for (std::uint8_t i = 0; i < set.count; ++i) {
    if (!IsLogged(LogLevel::kDebug)) break;
    LogDebug("target", {{"of", self_.ToString().substr(0, 8)},
                        {"partition", action.partition},
                        {"fresh", action.fresh},
                        {"target", set.targets[i].node.ToString().substr(0, 8)},
                        {"complete", set.targets[i].complete},
                        {"standing", static_cast<int>(set.targets[i].standing)}});
  }
  parts_.table.revision.fetch_add(1, std::memory_order_release);
}

void Coordinator::Perform(const MarkSettled& action) {
  MutexLock lock(parts_.engine.ShardOf(action.partition).mutex());
  ReplicaSet& set = parts_.table.sets[action.partition];
  for (std::uint8_t i = 0; i < set.count; ++i) {
    ReplicaSet::Target& target = set.targets[i];
    if (target.node != action.node) continue;
    target = {action.node, action.epoch, ReplicaSet::Standing::kSettled, true};
  }
  parts_.table.revision.fetch_add(1, std::memory_order_release);
}

// It must pull again, as if it had missed a write of this owner.
void Coordinator::MarkLagging(PartitionId partition, const NodeId& node) {
  MutexLock lock(parts_.engine.ShardOf(partition).mutex());
  ReplicaSet& set = parts_.table.sets[partition];
  for (std::uint8_t i = 0; i < set.count; ++i) {
    ReplicaSet::Target& target = set.targets[i];
    if (target.node != node) continue;
    target.standing = ReplicaSet::Standing::kLagging;
    target.complete = false;
  }
  parts_.table.revision.fetch_add(1, std::memory_order_release);
}

bool Coordinator::IsGone(const ReplicaSet::Target& target) const {
  const auto& members = state().members;
  const auto member = members.find(target.node);
  if (member == members.end()) return false;  // gossip did not tell of it yet
  const bool same_life = target.epoch == 0 || target.epoch == member->second.epoch;
  return !member->second.serving() || !same_life;
}

// Targets that gossip lists are the decisions' business. Those kept beyond them, because they
// settled with this owner, would be waited for after their death as long as nothing else changes.
void Coordinator::DropGoneTargets() {
  Lives lives;
  for (const auto& [id, member] : state().members) {
    if (member.serving()) lives.emplace(id, member.epoch);
  }
  const bool none_ended = std::includes(lives.begin(), lives.end(), lives_.begin(), lives_.end());
  lives_ = std::move(lives);
  if (none_ended) return;
  bool changed = false;
  for (PartitionId partition = 0; partition < parts_.table.sets.size(); ++partition) {
    MutexLock lock(parts_.engine.ShardOf(partition).mutex());
    ReplicaSet& set = parts_.table.sets[partition];
    auto* const begin = set.targets.begin();
    auto* const end =
        std::remove_if(begin, begin + set.count, [this](const auto& each) { return IsGone(each); });
    changed = changed || end != begin + set.count;
    set.count = static_cast<std::uint8_t>(end - begin);
  }
  if (changed) parts_.table.revision.fetch_add(1, std::memory_order_release);
}

// Targets that missed writes of this owner but call themselves complete, or want nothing but writes: they
// must pull again. Until gossip shows that they know, or they do, they are told again.
void Coordinator::SendResyncs() {
  next_resync_ = now() + kResyncInterval;
  const ClusterView& view = ownership_.view();
  std::map<NodeId, wire::PeerRequest> requests;
  for (PartitionId partition = 0; partition < view.partition_count; ++partition) {
    if (!ownership_.owns(partition)) continue;
    MutexLock lock(parts_.engine.ShardOf(partition).mutex());
    const ReplicaSet& set = parts_.table.sets[partition];
    for (std::uint8_t i = 0; i < set.count; ++i) {
      if (set.targets[i].standing != ReplicaSet::Standing::kLagging) continue;
      const MemberIndex member = view.Find(set.targets[i].node);
      const bool whole = view.complete[partition].Has(member);
      if (!whole && !set.targets[i].writes_only) continue;
      wire::Resync& body = *requests[set.targets[i].node].mutable_resync();
      body.set_from(std::string(self_.raw()));
      body.add_partitions(partition);
    }
  }
  for (const auto& [node, request] : requests) {
    Call(node, request, kCallTimeout, [](const wire::PeerReply*) {});
  }
}

}  // namespace gyre
