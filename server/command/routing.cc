#include "command/routing.h"

#include "proto/limits.h"

namespace gyre {

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

}  // namespace gyre
