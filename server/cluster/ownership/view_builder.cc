#include "ownership/view_builder.h"

#include <xxhash.h>

#include <algorithm>
#include <map>
#include <string>

namespace gyre {
namespace {

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
          const std::vector<LocalKnowledge>& local)
      : placement_(placement), local_(local) {
    view_.partition_count = state.partition_count;
    view_.replicas = state.replicas;
    for (const auto& [id, member] : state.members) {
      if (id == state.self) view_.self = static_cast<MemberIndex>(view_.members.size());
      view_.members.push_back(member);
      holdings_.push_back(HoldingsOf(state, member));
      view_.leaving.push_back(holdings_.back() != nullptr && holdings_.back()->leaving);
      const auto entry = state.ring.find(id);
      view_.drained.push_back(entry != state.ring.end() && entry->second.drained);
    }
    view_.on_ring.assign(view_.members.size(), false);
    std::map<std::string, std::uint16_t> zones;
    for (const RingMember& member : placement.members) {
      const MemberIndex index = Find(member.id);
      ring_index_.push_back(index);
      if (index != kNoMember) view_.on_ring[index] = true;
      const auto zone = zones.emplace(member.zone, static_cast<std::uint16_t>(zones.size())).first;
      zone_.push_back(zone->second);
    }
    some_stay_ = std::any_of(ring_index_.begin(), ring_index_.end(), [this](MemberIndex member) {
      return Serves(member) && view_.stays(member);
    });
    std::vector<bool> lives(zones.size(), false);
    for (std::size_t ring = 0; ring < ring_index_.size(); ++ring) {
      if (!MayHold(ring_index_[ring])) continue;
      ++live_members_;
      lives[zone_[ring]] = true;
    }
    live_zones_ = static_cast<std::size_t>(std::count(lives.begin(), lives.end(), true));
    for (MemberIndex member = 0; member < view_.members.size(); ++member) {
      if (!view_.on_ring[member] && Serves(member)) others_.push_back(member);
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
  // Of a ring member: what is about to stop is given nothing to hold.
  bool MayHold(MemberIndex member) const {
    return Serves(member) && (!some_stay_ || view_.stays(member));
  }
  bool IsComplete(MemberIndex member, PartitionId partition) const {
    if (member == view_.self) return local_[partition].complete;
    return holdings_[member] != nullptr && holdings_[member]->complete.Has(partition);
  }
  bool Claims(MemberIndex member, PartitionId partition) const {
    const LocalKnowledge& local = local_[partition];
    if (member == view_.self) return local.owns;
    if (local.owns && view_.members[member].id == local.taken_from) return false;  // an echo
    return holdings_[member] != nullptr && holdings_[member]->owned.Has(partition);
  }

  // Members are sorted by id.
  MemberIndex Find(const NodeId& id) const {
    const auto found = std::lower_bound(
        view_.members.begin(), view_.members.end(), id,
        [](const MemberInfo& member, const NodeId& key) { return member.id < key; });
    if (found == view_.members.end() || found->id != id) return kNoMember;
    return static_cast<MemberIndex>(found - view_.members.begin());
  }

  void BuildPartition(PartitionId partition) {
    // Ring members in preference order, then the others.
    order_.clear();
    ranks_.clear();
    if (partition < placement_.preference.size()) {
      for (std::uint16_t ring : placement_.preference[partition]) {
        if (Serves(ring_index_[ring])) ranks_.push_back(ring);
      }
    }
    ChooseHolders(partition);
    for (std::uint16_t ring : ranks_) order_.push_back(ring_index_[ring]);
    order_.insert(order_.end(), others_.begin(), others_.end());
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

  // The first serving members of the list, but none of a zone that was taken as long as there are
  // others: in rounds through the zones. The list itself does so, but for its dead.
  void ChooseHolders(PartitionId partition) {
    std::vector<MemberIndex>& holders = view_.holders[partition];
    const std::size_t wanted = std::min<std::size_t>(live_members_, view_.replicas);
    chosen_.clear();
    for (std::uint16_t ring : ranks_) chosen_.push_back(!MayHold(ring_index_[ring]));
    while (holders.size() < wanted) {
      round_.clear();
      for (std::size_t rank = 0; rank < ranks_.size() && holders.size() < wanted; ++rank) {
        if (chosen_[rank] || InRound(zone_[ranks_[rank]])) continue;
        chosen_[rank] = true;
        round_.push_back(zone_[ranks_[rank]]);
        holders.push_back(ring_index_[ranks_[rank]]);
      }
      // Beyond the list: those of it that are left are dead, or of zones that are taken.
      const std::size_t zones =
          holders.size() == round_.size() ? std::min(wanted, live_zones_) : std::size_t{0};
      while (round_.size() < zones) Lengthen(partition, /*of_another_zone=*/true);
      const bool all_chosen = std::find(chosen_.begin(), chosen_.end(), false) == chosen_.end();
      if (holders.size() < wanted && all_chosen) {
        Lengthen(partition, /*of_another_zone=*/false);
      }
    }
  }

  bool InRound(std::uint16_t zone) const {
    return std::find(round_.begin(), round_.end(), zone) != round_.end();
  }

  // Adds a serving ring member to the ranks and the holders, of a zone that is not in the round if
  // that is asked for; which one, a hash decides. There must be one.
  void Lengthen(PartitionId partition, bool of_another_zone) {
    std::uint16_t best = 0;
    std::uint64_t least = 0;
    bool found = false;
    for (std::uint16_t ring = 0; ring < ring_index_.size(); ++ring) {
      if (!MayHold(ring_index_[ring]) || (of_another_zone && InRound(zone_[ring]))) continue;
      if (std::find(ranks_.begin(), ranks_.end(), ring) != ranks_.end()) continue;
      const NodeId& id = placement_.members[ring].id;
      const std::uint64_t hash = XXH3_64bits_withSeed(id.bytes.data(), id.bytes.size(), partition);
      if (found && hash >= least) continue;
      found = true;
      least = hash;
      best = ring;
    }
    ranks_.push_back(best);
    chosen_.push_back(true);
    round_.push_back(zone_[best]);
    view_.holders[partition].push_back(ring_index_[best]);
  }

  MemberIndex Owner(PartitionId partition, MemberIndex claimant) const {
    const LocalKnowledge& local = local_[partition];
    if (local.granted) {
      const MemberIndex granted = Find(local.granted_to);
      if (Serves(granted)) return granted;
    }
    if (claimant != kNoMember) return claimant;
    if (local.has_last_owner) {
      const MemberIndex last = Find(local.last_owner);
      if (last != view_.self && Serves(last)) return last;
    }
    return view_.complete[partition].empty() ? kNoMember : view_.complete[partition].front();
  }

  std::uint64_t Digest() const {
    std::string bytes;
    bytes.reserve(view_.members.size() * 128 + std::size_t{view_.partition_count} * 16);
    const auto add = [&bytes](auto value) {
      bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    };
    for (std::size_t i = 0; i < view_.members.size(); ++i) {
      const MemberInfo& member = view_.members[i];
      bytes.append(member.id.raw()).append(member.name).append(member.host).append(member.zone);
      for (std::uint64_t port : {member.port, member.resp_port, member.resp_cluster_port,
                                 member.memcached_port, member.http_port}) {
        add(port);
      }
      add(std::uint64_t{member.weight});
      add(member.incarnation);
      add(member.epoch);
      add(static_cast<std::uint64_t>(member.state) << 3 | (view_.drained[i] ? 4 : 0) |
          (view_.leaving[i] ? 2 : 0) | (view_.on_ring[i] ? 1 : 0));
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
  std::vector<MemberIndex> ring_index_;    // [placement member] -> member
  std::vector<std::uint16_t> zone_;        // [placement member] as a number
  bool some_stay_ = false;                 // serving ring members that are not leaving
  std::size_t live_members_ = 0;           // ring members that may hold something
  std::size_t live_zones_ = 0;             // that have one
  std::vector<MemberIndex> others_;        // serving members that are not on the ring
  // Of the partition being built.
  std::vector<std::uint16_t> ranks_;  // placement members that serve, in preference order
  std::vector<bool> chosen_;          // [rank] a holder, or none that may be one
  std::vector<std::uint16_t> round_;  // zones that it has a holder of
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
                    const std::vector<LocalKnowledge>& local) {
  return Builder(state, placement, local).Build();
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
