// This node's own entries, and who leaves the ring.
#include <algorithm>
#include <string>
#include <utility>

#include "cluster/membership_impl.h"

namespace gyre {
namespace {

// Members that hear of a stop directly.
constexpr std::size_t kGoodbyeFanout = 8;
// The others should hear soon who orders writes now. A move changes claims hundreds of times.
constexpr Duration kClaimGossipGap = std::chrono::milliseconds(20);

}  // namespace

void Membership::Impl::SetHoldings(PartitionSet complete, PartitionSet owned,
                                   RestoredCopies restored) {
  complete.resize(state.partition_count);
  owned.resize(state.partition_count);
  if (restored.as_of == 0) restored.partitions.clear();
  Holdings& known = known_holdings[state.self];
  if (known.incarnation == epoch && known.complete == complete && known.owned == owned &&
      known.restored == restored) {
    return;
  }
  const bool claims_change = known.owned != owned;
  known.revision = known.incarnation == epoch ? known.revision + 1 : 1;
  known.incarnation = epoch;
  known.complete = std::move(complete);
  known.owned = std::move(owned);
  known.restored = std::move(restored);
  Changed(state.self);
  ExportHoldings(state.self);
  wire::Broadcast broadcast;
  ToWire(state.self, known, *broadcast.mutable_holdings());
  Queue(BroadcastQueue::Kind::kHoldings, state.self, broadcast);
  if (claims_change) gossip_at = std::min(gossip_at, std::max(now, gossiped_at + kClaimGossipGap));
}

bool Membership::Impl::OnRing(const NodeId& id) const {
  const auto entry = state.ring.find(id);
  return entry != state.ring.end() && !entry->second.removed;
}

void Membership::Impl::JoinRing() {
  wants_ring = true;
  const auto known = state.ring.find(state.self);
  RingEntry entry{state.self, self().zone, self().weight};
  if (known != state.ring.end()) {
    const RingEntry& before = known->second;
    if (!before.removed && before.zone == entry.zone && before.weight == entry.weight) return;
    entry.revision = before.revision;
  }
  ++entry.revision;
  MergeRing(entry);
}

void Membership::Impl::LeaveRing(const NodeId& id, bool evicted) {
  if (id == state.self) wants_ring = false;
  const auto known = state.ring.find(id);
  if (known == state.ring.end() || known->second.removed) return;
  RingEntry entry = known->second;
  ++entry.revision;
  entry.removed = true;
  entry.evicted = evicted;
  MergeRing(entry);
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

void Membership::Impl::Evict() {
  if (ServingCount() == state.members.size()) return;  // nobody is dead
  std::size_t ring_size = 0;
  std::size_t in_view = 0;
  std::vector<NodeId> overdue;
  for (const auto& [id, entry] : state.ring) {
    if (entry.removed) continue;
    ++ring_size;
    const auto member = state.members.find(id);
    if (member == state.members.end()) continue;
    if (member->second.serving()) ++in_view;
    if (member->second.state != MemberState::kDead) continue;
    const Peer& peer = peers.at(id);
    const Duration allowed =
        peer.taken_over ? std::min(kTakeoverGrace, options.evict_after) : options.evict_after;
    if (now - peer.since >= allowed) overdue.push_back(id);
  }
  if (stopping || 2 * in_view <= ring_size) return;
  for (const NodeId& id : overdue) {
    ++stats.evictions;
    Log(true, "dead member evicted from the ring " + Describe(id));
    LeaveRing(id, /*evicted=*/true);
  }
}

}  // namespace gyre
