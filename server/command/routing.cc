#include "command/routing.h"

#include <algorithm>
#include <string>

#include "proto/limits.h"
#include "proto/slot.h"

namespace gyre {
namespace {

Error NoOwnerError() {
  return {ErrorCode::kUnavailable,
          "no live node has the key's partition; see the ring with: gyre status"};
}

}  // namespace

Route ChooseRoute(const RouteFacts& facts) {
  // It would have been executed here, but for the lease (--consistency majority).
  if (facts.role == Role::kOwner) return Route::kWait;
  if (facts.no_forward) return Route::kNotOwner;
  if (facts.owner == kNoMember) return Route::kWait;
  // The view names this node, but it does not have (or no longer has) the role: one of the two is
  // about to change.
  if (facts.owner == facts.self) return Route::kWait;
  // Once its last writes are settled, the view will name the new owner.
  if (facts.role == Role::kHandingOver) return Route::kWait;
  if (facts.redirects) return Route::kMoved;
  if (facts.hops >= kForwardHopsMax) return Route::kNotOwner;
  return Route::kForward;
}

Route RouteFor(const ClusterView* view, PartitionId partition, Role role, const Request& request,
               const Origin& origin) {
  RouteFacts facts{.role = role, .no_forward = request.no_forward, .hops = request.hops};
  if (view != nullptr) {
    facts.owner = view->owner[partition];
    facts.self = view->self;
    facts.redirects = origin.cluster_port && facts.owner != kNoMember &&
                      view->members[facts.owner].resp_cluster_port != 0;
  }
  return ChooseRoute(facts);
}

Result<Route> AtomicRouteFor(const ClusterView* view, const std::vector<Key>& keys,
                             const Request& request, const Origin& origin) {
  if (view == nullptr) return Route::kWait;
  const MemberIndex owner = view->owner[keys.front().partition];
  for (const Key& key : keys) {
    if (view->owner[key.partition] == kNoMember) return Route::kWait;
    if (view->owner[key.partition] == owner) continue;
    return Fail(ErrorCode::kCrossSlot,
                "the keys belong to different nodes; give them the same {hash tag}, as in "
                "user:{42}:name and user:{42}:mail");
  }
  return RouteFor(view, keys.front().partition, Role::kAbsent, request, origin);
}

MemberIndex AnswererOf(const ClusterView& view, const Command& command, PartitionId partition,
                       bool stand_in) {
  const MemberIndex owner = view.owner[partition];
  if (!stand_in || !command.Is(kReadOnly) || owner == kNoMember || owner == view.self ||
      view.members[owner].state != MemberState::kSuspect) {
    return owner;
  }
  const MemberList& complete = view.complete[partition];
  if (complete.Has(view.self)) return view.self;
  const auto alive = std::find_if(complete.begin(), complete.end(), [&view](MemberIndex member) {
    return view.members[member].state == MemberState::kAlive;
  });
  return alive == complete.end() ? owner : *alive;
}

bool StandsIn(const ClusterView* view, const Command& command, PartitionId partition, Role role,
              bool stand_in) {
  return role == Role::kReplica && command.Is(kReadOnly) && view != nullptr &&
         AnswererOf(*view, command, partition, stand_in) == view->self;
}

Error DeadlineError(const ClusterView* view, PartitionId partition, bool has_lease) {
  if (view == nullptr || view->owner[partition] == kNoMember) {
    return NoOwnerError();
  }
  if (view->owner[partition] == view->self && !has_lease) {
    return {ErrorCode::kUnavailable,
            "this node does not see a majority of the ring: it owns the key, but may not act for "
            "it (--consistency majority); nothing was written, see the ring with: gyre status"};
  }
  return {ErrorCode::kTimeout,
          "the key's owner did not take the command before its deadline; nothing was written, try "
          "again"};
}

Error NotOwnerError() {
  return {ErrorCode::kNotOwner, "this node does not own the key; fetch the ring again (RING)"};
}

Error Refusal(const ClusterView* view, Route route, const Key& key) {
  if (route == Route::kMoved) {
    const MemberIndex owner = view == nullptr ? kNoMember : view->owner[key.partition];
    if (owner == kNoMember) return NoOwnerError();
    const MemberInfo& member = view->members[owner];
    if (member.resp_cluster_port != 0) {
      return {ErrorCode::kMoved, std::to_string(SlotOf(key.bytes)) + " " + member.host + ":" +
                                     std::to_string(member.resp_cluster_port)};
    }
  }
  return NotOwnerError();
}

}  // namespace gyre
