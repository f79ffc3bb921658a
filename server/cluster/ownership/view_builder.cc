#include "ownership/view_builder.h"

#include <xxhash.h>

#include <algorithm>
#include <map>
#include <utility>

namespace gyre {
namespace {

// What `state` believes of a member's holdings; null if it has said nothing since it was last
// started.
const Holdings* HoldingsOf(const ClusterState& state, const MemberInfo& member) {
  const auto found = state.holdings.find(member.id);
  if (found == state.holdings.end()) return nullptr;
  return found->second.incarnation == member.incarnation ? &found->second : nullptr;
}

template <typename Value>
void AppendValue(Value value, std::string& bytes) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

ViewBuilder::ViewBuilder(const ClusterState& state, const Placement& placement,
                         const std::vector<LocalKnowledge>& local)
    : state_(state), placement_(placement), local_(local) {
  const std::uint32_t count = state.partition_count;
  ClusterView& view = built_.view;
  view.partition_count = count;
  view.owner.assign(count, kNoMember);
  view.holders.resize(count);
  view.complete.resize(count);
  built_.claimant.assign(count, kNoMember);
  digests_.assign(count, 0);
}

void ViewBuilder::Rebuild() {
  NoteMembers();
  NoteRing();
  for (PartitionId partition = 0; partition < built_.view.partition_count; ++partition) {
    BuildPartition(partition);
  }
  members_digest_ = DigestOfMembers();
  NoteDigest();
}

void ViewBuilder::Update(const PartitionSet& changed) {
  changed.ForEach([this](PartitionId partition) { BuildPartition(partition); });
  NoteDigest();
}

// ---- Members ----------------------------------------------------------------------------------

void ViewBuilder::NoteMembers() {
  ClusterView& view = built_.view;
  view.replicas = state_.replicas;
  view.self = kNoMember;
  view.members.clear();
  view.leaving.clear();
  view.drained.clear();
  holdings_.clear();
  for (const auto& [id, member] : state_.members) {
    if (id == state_.self) view.self = static_cast<MemberIndex>(view.members.size());
    view.members.push_back(member);
    holdings_.push_back(HoldingsOf(state_, member));
    view.leaving.push_back(holdings_.back() != nullptr && holdings_.back()->leaving);
    const auto entry = state_.ring.find(id);
    view.drained.push_back(entry != state_.ring.end() && entry->second.drained);
  }
}

void ViewBuilder::NoteRing() {
  ClusterView& view = built_.view;
  view.on_ring.assign(view.members.size(), false);
  ring_index_.clear();
  zone_.clear();
  std::map<std::string, std::uint16_t> zones;
  for (const RingMember& member : placement_.members) {
    const MemberIndex index = Find(member.id);
    ring_index_.push_back(index);
    if (index != kNoMember) view.on_ring[index] = true;
    const auto zone = zones.emplace(member.zone, static_cast<std::uint16_t>(zones.size())).first;
    zone_.push_back(zone->second);
  }
  some_stay_ = std::any_of(ring_index_.begin(), ring_index_.end(), [&](MemberIndex member) {
    return Serves(member) && view.stays(member);
  });
  live_members_ = 0;
  std::vector<bool> lives(zones.size(), false);
  for (std::size_t ring = 0; ring < ring_index_.size(); ++ring) {
    if (!MayHold(ring_index_[ring])) continue;
    ++live_members_;
    lives[zone_[ring]] = true;
  }
  live_zones_ = static_cast<std::size_t>(std::count(lives.begin(), lives.end(), true));
  others_.clear();
  for (MemberIndex member = 0; member < view.members.size(); ++member) {
    if (!view.on_ring[member] && Serves(member)) others_.push_back(member);
  }
}

bool ViewBuilder::Serves(MemberIndex member) const {
  return member != kNoMember && built_.view.members[member].serving();
}

// Of a ring member: what is about to stop is given nothing to hold.
bool ViewBuilder::MayHold(MemberIndex member) const {
  return Serves(member) && (!some_stay_ || built_.view.stays(member));
}

// Members are sorted by id.
MemberIndex ViewBuilder::Find(const NodeId& id) const {
  const std::vector<MemberInfo>& members = built_.view.members;
  const auto found =
      std::lower_bound(members.begin(), members.end(), id,
                       [](const MemberInfo& member, const NodeId& key) { return member.id < key; });
  if (found == members.end() || found->id != id) return kNoMember;
  return static_cast<MemberIndex>(found - members.begin());
}

// ---- One partition ----------------------------------------------------------------------------

bool ViewBuilder::IsComplete(MemberIndex member, PartitionId partition) const {
  if (member == built_.view.self) return local_[partition].complete;
  return holdings_[member] != nullptr && holdings_[member]->complete.Has(partition);
}

bool ViewBuilder::Claims(MemberIndex member, PartitionId partition) const {
  const LocalKnowledge& local = local_[partition];
  if (member == built_.view.self) return local.owns;
  if (local.owns && built_.view.members[member].id == local.taken_from) return false;  // an echo
  return holdings_[member] != nullptr && holdings_[member]->owned.Has(partition);
}

void ViewBuilder::BuildPartition(PartitionId partition) {
  ClusterView& view = built_.view;
  view.complete[partition].clear();
  built_.claimant[partition] = kNoMember;
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
    if (IsComplete(member, partition)) view.complete[partition].push_back(member);
    if (!Claims(member, partition)) continue;
    if (claimant == kNoMember) claimant = member;
    MemberIndex& other = built_.claimant[partition];
    if (other == kNoMember && member != view.self) other = member;
  }
  view.owner[partition] = Owner(partition, claimant);
  partitions_digest_ -= digests_[partition];
  digests_[partition] = DigestOf(partition);
  partitions_digest_ += digests_[partition];
}

// The first serving members of the list, but none of a zone that was taken as long as there are
// others: in rounds through the zones. The list itself does so, but for its dead.
void ViewBuilder::ChooseHolders(PartitionId partition) {
  MemberList& holders = built_.view.holders[partition];
  holders.clear();
  const std::size_t wanted = std::min<std::size_t>(live_members_, built_.view.replicas);
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

bool ViewBuilder::InRound(std::uint16_t zone) const {
  return std::find(round_.begin(), round_.end(), zone) != round_.end();
}

// Adds a serving ring member to the ranks and the holders, of a zone that is not in the round if
// that is asked for; which one, a hash decides. There must be one.
void ViewBuilder::Lengthen(PartitionId partition, bool of_another_zone) {
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
  built_.view.holders[partition].push_back(ring_index_[best]);
}

MemberIndex ViewBuilder::Owner(PartitionId partition, MemberIndex claimant) const {
  const ClusterView& view = built_.view;
  const LocalKnowledge& local = local_[partition];
  if (local.granted_to) {
    const MemberIndex granted = Find(*local.granted_to);
    if (Serves(granted)) return granted;
  }
  if (claimant != kNoMember) return claimant;
  if (local.last_owner) {
    const MemberIndex last = Find(*local.last_owner);
    if (last != view.self && Serves(last)) return last;
  }
  return view.complete[partition].empty() ? kNoMember : view.complete[partition].front();
}

// ---- The digest: of the members, and the sum of those of the partitions -----------------------

std::uint64_t ViewBuilder::DigestOfMembers() const {
  const ClusterView& view = built_.view;
  std::string bytes;
  bytes.reserve(view.members.size() * 128);
  for (std::size_t i = 0; i < view.members.size(); ++i) {
    const MemberInfo& member = view.members[i];
    bytes.append(member.id.raw()).append(member.name).append(member.host).append(member.zone);
    for (std::uint64_t port : {member.port, member.resp_port, member.resp_cluster_port,
                               member.memcached_port, member.http_port}) {
      AppendValue(port, bytes);
    }
    AppendValue(std::uint64_t{member.weight}, bytes);
    AppendValue(member.incarnation, bytes);
    AppendValue(member.epoch, bytes);
    AppendValue(static_cast<std::uint64_t>(member.state) << 3 | (view.drained[i] ? 4 : 0) |
                    (view.leaving[i] ? 2 : 0) | (view.on_ring[i] ? 1 : 0),
                bytes);
  }
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::uint64_t ViewBuilder::DigestOf(PartitionId partition) {
  const ClusterView& view = built_.view;
  bytes_.clear();
  AppendValue(view.owner[partition], bytes_);
  for (const MemberIndex member : view.holders[partition]) AppendValue(member, bytes_);
  AppendValue(kNoMember, bytes_);
  for (const MemberIndex member : view.complete[partition]) AppendValue(member, bytes_);
  return XXH3_64bits_withSeed(bytes_.data(), bytes_.size(), partition);
}

void ViewBuilder::NoteDigest() {
  const std::uint64_t both[] = {members_digest_, partitions_digest_};
  const std::uint64_t digest = XXH3_64bits(both, sizeof both);
  built_.view.digest = digest == 0 ? 1 : digest;
}

// -----------------------------------------------------------------------------------------------

std::vector<RingMember> RingMembersOf(const ClusterState& state) {
  std::vector<RingMember> members;
  for (const auto& [id, entry] : state.ring) {
    if (!entry.removed) members.push_back({id, entry.zone, std::max(entry.weight, 1U)});
  }
  return members;
}

BuiltView BuildView(const ClusterState& state, const Placement& placement,
                    const std::vector<LocalKnowledge>& local) {
  ViewBuilder builder(state, placement, local);
  builder.Rebuild();
  return builder.built();
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
