#include "cluster/view_builder.h"

#include <xxhash.h>

#include <algorithm>
#include <string>

namespace gyre {
namespace {

bool Has(const PartitionSet& set, PartitionId partition) {
  return partition < set.size() && set[partition];
}

// What `state` believes of a member's holdings; null if it has said nothing since it was last
// started.
const Holdings* HoldingsOf(const ClusterState& state, const MemberInfo& member) {
  const auto found = state.holdings.find(member.id);
  if (found == state.holdings.end()) return nullptr;
  return found->second.incarnation == member.incarnation ? &found->second : nullptr;
}

class Builder {
 public:
  Builder(const ClusterState& state, const Placement& placement,
          const std::vector<LocalKnowledge>& local, const std::set<NodeId>& stopping)
      : placement_(placement), local_(local) {
    view_.partition_count = state.partition_count;
    view_.replicas = state.replicas;
    for (const auto& [id, member] : state.members) {
      if (id == state.self) view_.self = static_cast<MemberIndex>(view_.members.size());
      view_.members.push_back(member);
      holdings_.push_back(HoldingsOf(state, member));
      believed_.push_back(!stopping.contains(id));
    }
    view_.on_ring.assign(view_.members.size(), false);
    for (const RingMember& member : placement.members) {
      const MemberIndex index = view_.Find(member.id);
      ring_index_.push_back(index);
      if (index != kNoMember) view_.on_ring[index] = true;
    }
  }

  BuiltView Build() {
    view_.owner.assign(view_.partition_count, kNoMember);
    view_.holders.resize(view_.partition_count);
    view_.complete.resize(view_.partition_count);
    claimants_.assign(view_.partition_count, kNoMember);
    for (PartitionId partition = 0; partition < view_.partition_count; ++partition) {
      BuildPartition(partition);
    }
    view_.digest = Digest();
    return {std::move(view_), std::move(claimants_)};
  }

 private:
  bool Serves(MemberIndex member) const {
    return member != kNoMember && view_.members[member].serving();
  }
  bool IsComplete(MemberIndex member, PartitionId partition) const {
    if (member == view_.self) return local_[partition].complete;
    return holdings_[member] != nullptr && Has(holdings_[member]->complete, partition);
  }
  bool Claims(MemberIndex member, PartitionId partition) const {
    if (member == view_.self) return local_[partition].owns;
    return believed_[member] && holdings_[member] != nullptr &&
           Has(holdings_[member]->owned, partition);
  }

  void BuildPartition(PartitionId partition) {
    // Ring members in preference order, then the others.
    order_.clear();
    if (partition < placement_.preference.size()) {
      for (std::uint16_t ring : placement_.preference[partition]) {
        if (Serves(ring_index_[ring])) order_.push_back(ring_index_[ring]);
      }
    }
    const std::size_t holders = std::min<std::size_t>(order_.size(), view_.replicas);
    view_.holders[partition].assign(order_.begin(),
                                    order_.begin() + static_cast<std::ptrdiff_t>(holders));
    for (MemberIndex member = 0; member < view_.members.size(); ++member) {
      if (!view_.on_ring[member] && Serves(member)) order_.push_back(member);
    }
    MemberIndex claimant = kNoMember;
    for (MemberIndex member : order_) {
      if (IsComplete(member, partition)) view_.complete[partition].push_back(member);
      if (!Claims(member, partition)) continue;
      if (claimant == kNoMember) claimant = member;
      MemberIndex& other = claimants_[partition];
      if (other == kNoMember && member != view_.self) other = member;
    }
    view_.owner[partition] = Owner(partition, claimant);
  }

  MemberIndex Owner(PartitionId partition, MemberIndex claimant) const {
    const LocalKnowledge& local = local_[partition];
    if (local.granted) {
      const MemberIndex granted = view_.Find(local.granted_to);
      if (Serves(granted)) return granted;
    }
    if (claimant != kNoMember) return claimant;
    if (local.has_last_owner) {
      const MemberIndex last = view_.Find(local.last_owner);
      if (last != view_.self && Serves(last) && believed_[last]) return last;
    }
    return view_.complete[partition].empty() ? kNoMember : view_.complete[partition].front();
  }

  std::uint64_t Digest() const {
    std::string bytes;
    const auto add = [&bytes](std::uint64_t value) {
      bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    };
    for (std::size_t i = 0; i < view_.members.size(); ++i) {
      const MemberInfo& member = view_.members[i];
      bytes.append(member.id.raw()).append(member.name).append(member.host).append(member.zone);
      for (std::uint64_t port : {member.port, member.resp_port, member.resp_cluster_port,
                                 member.memcached_port, member.http_port}) {
        add(port);
      }
      add(member.weight);
      add(member.incarnation);
      add(static_cast<std::uint64_t>(member.state) << 1 | (view_.on_ring[i] ? 1 : 0));
    }
    for (PartitionId partition = 0; partition < view_.partition_count; ++partition) {
      add(view_.owner[partition]);
      for (MemberIndex member : view_.holders[partition]) add(member);
      add(kNoMember);
      for (MemberIndex member : view_.complete[partition]) add(member);
      add(kNoMember);
    }
    const std::uint64_t digest = XXH3_64bits(bytes.data(), bytes.size());
    return digest == 0 ? 1 : digest;
  }

  const Placement& placement_;
  const std::vector<LocalKnowledge>& local_;
  ClusterView view_;
  std::vector<MemberIndex> claimants_;     // [partition] besides this node
  std::vector<const Holdings*> holdings_;  // [member]
  std::vector<bool> believed_;             // [member] its claims to own
  std::vector<MemberIndex> ring_index_;    // [placement member] -> member
  std::vector<MemberIndex> order_;
};

}  // namespace

std::vector<RingMember> RingMembersOf(const ClusterState& state) {
  std::vector<RingMember> members;
  for (const auto& [id, entry] : state.ring) {
    if (!entry.removed) members.push_back({id, entry.zone, std::max(entry.weight, 1U)});
  }
  return members;
}

BuiltView BuildView(const ClusterState& state, const Placement& placement,
                    const std::vector<LocalKnowledge>& local, const std::set<NodeId>& stopping) {
  return Builder(state, placement, local, stopping).Build();
}

bool BetterPlaced(const Placement& placement, PartitionId partition, const NodeId& a,
                  const NodeId& b) {
  if (partition < placement.preference.size()) {
    for (std::uint16_t ring : placement.preference[partition]) {
      const NodeId& id = placement.members[ring].id;
      if (id == a) return a != b;
      if (id == b) return false;
    }
  }
  return a < b;
}

}  // namespace gyre
