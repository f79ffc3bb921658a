// What an operator asks for: a node emptied and taken from the ring until it is undrained, or a dead
// one removed from it.
//
// A drain ends by the word of the node itself. Gossip may not have heard yet what that one holds,
// above all of one that was just started, and the operator's next step is to switch it off.
#include <algorithm>
#include <utility>

#include "control/coordinator.h"

namespace gyre {
void Coordinator::Drain(const NodeId& id, std::function<void(Status)> done) {
  Work();
  const ClusterView& view = ownership_.view();
  const MemberIndex member = view.Find(id);
  if (member == kNoMember) {
    return done(Fail(ErrorCode::kInvalidArgument, "no such node: gyre status lists them"));
  }
  const auto serving_ring =
      std::count_if(view.members.begin(), view.members.end(), [&view](const MemberInfo& each) {
        return each.serving() && view.on_ring[view.Find(each.id)];
      });
  if (view.on_ring[member] && view.members[member].serving() && serving_ring <= 1) {
    return done(Fail(ErrorCode::kNotAllowed,
                     "it is the last node of the ring: stop it instead, or join another first"));
  }
  if (!view.members[member].serving()) {
    return done(
        Fail(ErrorCode::kNotAllowed, "the node is down: gyre remove takes it off the ring"));
  }
  drains_.push_back({id, std::move(done)});
  parts_.perform(parts_.membership.Drain(now(), id));
}

void Coordinator::Undrain(const NodeId& id, const std::function<void(Status)>& done) {
  const auto& ring = parts_.membership.state().ring;
  const auto entry = ring.find(id);
  if (entry == ring.end() || !entry->second.drained) {
    return done(Fail(ErrorCode::kNotAllowed, "the node is not drained: see gyre status"));
  }
  parts_.perform(parts_.membership.Undrain(now(), id));
  Work();
  done({});
}

void Coordinator::CheckDrains() {
  const ClusterView& view = ownership_.view();
  std::set<NodeId> pending;
  for (const DrainWait& drain : drains_) pending.insert(drain.id);
  for (const NodeId& id : pending) {
    const MemberIndex member = view.Find(id);
    if (member == kNoMember || !view.members[member].serving()) {
      EndDrains(id, Fail(ErrorCode::kUnavailable, "the node went down while it was drained"));
    } else if (id == self_) {
      if (IsDrained()) EndDrains(id, {});
    } else if (!view.on_ring[member] && !HoldsByGossip(member)) {
      AskDrained(id);
    }
  }
}

bool Coordinator::HoldsByGossip(MemberIndex member) const {
  const auto& complete = ownership_.view().complete;
  return std::any_of(complete.begin(), complete.end(),
                     [member](const MemberList& holders) { return holders.Has(member); });
}

void Coordinator::AskDrained(const NodeId& id) {
  if (!drains_asked_.insert(id).second) return;
  wire::PeerRequest request;
  request.mutable_drained();
  Call(id, request, kCallTimeout, [this, id](const wire::PeerReply* reply) {
    drains_asked_.erase(id);
    if (reply != nullptr && reply->drained().drained()) EndDrains(id, {});
  });
}

bool Coordinator::IsDrained() const {
  const ClusterView& view = ownership_.view();
  const MemberIndex self = view.Find(self_);
  return (self == kNoMember || !view.on_ring[self]) && ownership_.holds_nothing();
}

void Coordinator::OnDrained(const ControlPort::Done& done) const {
  wire::PeerReply reply;
  reply.mutable_drained()->set_drained(IsDrained());
  done(reply.SerializeAsString());
}

void Coordinator::EndDrains(const NodeId& id, const Status& status) {
  std::vector<std::function<void(Status)>> ended;
  std::erase_if(drains_, [&](DrainWait& drain) {
    if (drain.id != id) return false;
    ended.push_back(std::move(drain.done));
    return true;
  });
  for (auto& done : ended) done(status);
}

void Coordinator::Remove(const NodeId& id, const std::function<void(Status)>& done) {
  Work();
  const ClusterView& view = ownership_.view();
  const MemberIndex member = view.Find(id);
  if (member == kNoMember || !view.on_ring[member]) {
    return done(Fail(ErrorCode::kInvalidArgument, "no such node on the ring: see gyre ring"));
  }
  // As gossip has it: it is the operator who confirms that death here.
  const auto& known = parts_.membership.state().members;
  if (const auto info = known.find(id); info != known.end() && info->second.serving()) {
    return done(Fail(ErrorCode::kNotAllowed, "the node is alive: gyre drain empties it first"));
  }
  parts_.perform(parts_.membership.LeaveRing(now(), id));
  Work();
  // The operator says that it is gone for good: no majority of the ring with it is asked for.
  if (leases_) leases_->SettleRing(lease_table_->Now());
  done({});
}

}  // namespace gyre
