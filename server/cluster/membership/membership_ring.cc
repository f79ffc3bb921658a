// This node's own entries, and who leaves the ring.
#include <algorithm>
#include <bitset>
#include <string>
#include <utility>

#include "membership/membership_impl.h"
#include "proto/limits.h"

namespace gyre {
namespace {

// Members that hear of a stop directly.
constexpr std::size_t kGoodbyeFanout = 8;
// The others should hear soon who orders writes now. A move changes claims hundreds of times.
constexpr Duration kClaimGossipGap = std::chrono::milliseconds(20);

}  // namespace

void Membership::Impl::SetHoldings(PartitionSet complete, PartitionSet owned,
                                   RestoredCopies restored) {
  complete.Resize(state.partition_count);
  owned.Resize(state.partition_count);
  if (restored.as_of == 0) restored.partitions = {};
  Holdings& known = known_holdings[state.self];
  if (known.incarnation == epoch && known.complete == complete && known.owned == owned &&
      known.restored == restored) {
    return;
  }
  const bool claims_change = known.owned != owned;
  known.complete = std::move(complete);
  known.owned = std::move(owned);
  known.restored = std::move(restored);
  TellHoldings();
  if (claims_change) gossip_at = std::min(gossip_at, std::max(now, gossiped_at + kClaimGossipGap));
}

// This node's holdings, as they are now.
void Membership::Impl::TellHoldings() {
  Holdings& known = known_holdings[state.self];
  known.revision = known.incarnation == epoch ? known.revision + 1 : 1;
  known.incarnation = epoch;
  known.leaving = leaving;
  known.proof = Sign(Said::kHoldings, WordsOf(state.self, known));
  Changed(state.self);
  ExportHoldings(state.self);
  wire::Broadcast broadcast;
  ToWire(state.self, known, *broadcast.mutable_holdings());
  Queue(BroadcastQueue::Kind::kHoldings, state.self, broadcast);
}

void Membership::Impl::Leave() {
  if (std::exchange(leaving, true)) return;
  Holdings& known = known_holdings[state.self];
  if (known.incarnation != epoch) known = {};  // of an earlier life
  known.complete.Resize(state.partition_count);
  known.owned.Resize(state.partition_count);
  TellHoldings();
  gossip_at = std::min(gossip_at, now);
}

// A member that any word of it outdates.
void Membership::Impl::Remember(const RememberedMember& member) {
  const NodeId& id = member.entry.id;
  state.ring[id] = member.entry;
  digest_stale.push_back(id);
  if (id == state.self) {
    wants_ring = !member.entry.removed;
    return;
  }
  MemberInfo info;
  info.id = id;
  info.name = member.name;
  info.host = member.host;
  info.port = member.port;
  info.zone = member.entry.zone;
  info.weight = member.entry.weight;
  info.state = MemberState::kDead;
  if (!state.members.emplace(id, info).second) return;
  NoteAddress(info, true);
  probe_list.Add(id, prng);
  Peer& peer = peers[id];
  peer.epoch = 1;  // it lives as far as it knows itself
  peer.taken_over = AddressOf(info) == AddressOf(self());
}

bool Membership::Impl::IsWholeRing() const {
  return OnRing(state.self) &&
         std::none_of(state.ring.begin(), state.ring.end(), [this](auto& entry) {
           return !entry.second.removed && entry.first != state.self;
         });
}

bool Membership::Impl::OnRing(const NodeId& id) const {
  const auto entry = state.ring.find(id);
  return entry != state.ring.end() && !entry->second.removed;
}

void Membership::Impl::JoinRing() {
  const auto known = state.ring.find(state.self);
  if (known != state.ring.end() && known->second.drained) {
    ring_full = false;
    return;
  }
  wants_ring = true;
  RingEntry entry{.id = state.self, .zone = self().zone, .weight = self().weight};
  entry.version_node = state.self.bytes[0];
  if (known != state.ring.end()) {
    const RingEntry& before = known->second;
    if (!before.removed && before.zone == entry.zone && before.weight == entry.weight) return;
    entry.revision = before.revision;
    entry.version_node = before.version_node;
  }
  const std::optional<std::uint8_t> version_node = FreeVersionNode(entry.version_node);
  if (!version_node) {
    if (std::exchange(ring_full, true)) return;
    return Log(LogLevel::kWarn,
               "the ring has as many nodes as it can have: this node waits until another leaves "
               "(gyre drain, gyre remove)",
               {{"nodes", kRingNodesMax}});
  }
  ring_full = false;
  entry.version_node = *version_node;
  Enter(std::move(entry));
}

std::optional<std::uint8_t> Membership::Impl::FreeVersionNode(std::uint8_t wanted) const {
  std::bitset<kRingNodesMax> taken;
  std::bitset<kRingNodesMax>
      known;  // those of nodes that left, too: what they stamped is still there
  for (const auto& [id, entry] : state.ring) {
    if (id == state.self) continue;
    known.set(entry.version_node);
    if (!entry.removed) taken.set(entry.version_node);
  }
  for (const std::bitset<kRingNodesMax>& avoided : {known, taken}) {
    for (std::uint32_t step = 0; step < kRingNodesMax; ++step) {
      const auto each = static_cast<std::uint8_t>(wanted + step);
      if (!avoided.test(each)) return each;
    }
  }
  return std::nullopt;
}

void Membership::Impl::SettleVersionNode() {
  const auto me = state.ring.find(state.self);
  if (me == state.ring.end() || me->second.removed || stopping) return;
  const bool yields = std::any_of(state.ring.begin(), me, [&](const auto& each) {
    return !each.second.removed && each.second.version_node == me->second.version_node;
  });
  if (!yields) return;
  // Any, for others may yield at the same time.
  const auto wanted = static_cast<std::uint8_t>(prng.Below(kRingNodesMax));
  const std::optional<std::uint8_t> free = FreeVersionNode(wanted);
  if (!free) {
    // Two rings have met that are too large together.
    LeaveRing(state.self, /*evicted=*/true);
    return JoinRing();
  }
  RingEntry entry = me->second;
  entry.version_node = *free;
  Enter(std::move(entry));
}

void Membership::Impl::LeaveRing(const NodeId& id, bool evicted) {
  if (id == state.self) wants_ring = false;
  const auto known = state.ring.find(id);
  if (known == state.ring.end() || known->second.removed) return;
  RingEntry entry = known->second;
  entry.removed = true;
  entry.evicted = evicted;
  Enter(std::move(entry));
}

void Membership::Impl::Drain(const NodeId& id) {
  if (id == state.self) wants_ring = false;
  const auto known = state.ring.find(id);
  const auto member = state.members.find(id);
  RingEntry entry;
  if (known != state.ring.end()) {
    entry = known->second;
  } else if (member != state.members.end()) {
    // It may be about to join.
    entry = {.id = id, .zone = member->second.zone, .weight = member->second.weight};
  } else {
    return;
  }
  if (entry.drained) return;
  entry.removed = entry.drained = true;
  entry.evicted = false;
  Enter(std::move(entry));
}

// As if it had been evicted: then it takes its place again whether it heard of the drain or not.
void Membership::Impl::Undrain(const NodeId& id) {
  const auto known = state.ring.find(id);
  if (known == state.ring.end() || !known->second.drained) return;
  RingEntry entry = known->second;
  entry.drained = false;
  entry.evicted = true;
  Enter(std::move(entry));
  if (id == state.self) JoinRing();
}

void Membership::Impl::SetRebalance(const RebalanceChange& change) {
  RebalanceSetting next = state.rebalance;
  if (change.paused) next.paused = *change.paused;
  if (change.own_limits) {
    next.bytes_per_second.reset();
  } else if (change.bytes_per_second) {
    next.bytes_per_second = std::min(*change.bytes_per_second, kCounterMax);
  }
  ++next.revision;
  next.by = state.self;
  next.proof = Sign(Said::kRebalance, WordsOf(next));
  MergeRebalance(next);
}

void Membership::Impl::Stop() {
  if (stopping) return;
  stopping = true;
  probe.reset();
  syncs.clear();
  self().state = MemberState::kStopped;
  serving_count.reset();
  RaiseIncarnation(self().incarnation);
  for (const NodeId& id : RandomPeers(kGoodbyeFanout, state.self)) TellSelf(id);
}

// More than half of the ring: a minority evicts nobody.
bool Membership::Impl::SeesRingMajority() const {
  std::size_t ring_size = 0;
  std::size_t in_view = 0;
  for (const auto& [id, entry] : state.ring) {
    if (entry.removed) continue;
    ++ring_size;
    const auto member = state.members.find(id);
    if (member != state.members.end() && member->second.serving()) ++in_view;
  }
  return 2 * in_view > ring_size;
}

Duration Membership::Impl::EvictAfter(const Peer& peer) const {
  return peer.taken_over ? std::min(kTakeoverGrace, options.evict_after) : options.evict_after;
}

std::vector<DeadMember> Membership::Impl::DeadMembers() const {
  std::vector<DeadMember> dead;
  const bool evicts = SeesRingMajority() && !stopping;
  for (const auto& [id, peer] : peers) {
    if (state.members.at(id).state != MemberState::kDead) continue;
    DeadMember one{.id = id, .since = now - peer.since, .evict_in = {}};
    const auto entry = state.ring.find(id);
    if (evicts && entry != state.ring.end() && !entry->second.removed) {
      one.evict_in = std::max(Duration{}, EvictAfter(peer) - one.since);
    }
    dead.push_back(one);
  }
  return dead;
}

void Membership::Impl::Evict() {
  if (ServingCount() == state.members.size()) return;  // nobody is dead
  std::vector<NodeId> overdue;
  for (const auto& [id, entry] : state.ring) {
    const auto member = state.members.find(id);
    if (entry.removed || member == state.members.end()) continue;
    if (member->second.state != MemberState::kDead) continue;
    const Peer& peer = peers.at(id);
    if (now - peer.since >= EvictAfter(peer)) overdue.push_back(id);
  }
  if (!SeesRingMajority()) {
    // After a stop of the whole ring each node is waited for from when most of it is back.
    for (auto& [id, peer] : peers) {
      if (!Met(id)) peer.since = now;
    }
    return;
  }
  if (stopping) return;
  for (const NodeId& id : overdue) {
    ++stats.evictions;
    Log(LogLevel::kWarn, "dead member evicted from the ring", Describe(id));
    LeaveRing(id, /*evicted=*/true);
  }
}

}  // namespace gyre
