// --consistency majority: a death counts for this node only once a majority of the ring knows of
// it. Pure.
//
// An owner that stops waiting for a dead replica, and an heir that takes over from a dead owner,
// act on a death. Gossip tells of it at different times at different places. Until a majority is
// known to know (lease.h, 4), the member is therefore shown to Ownership as it was before, as a
// suspect with all that it held: the owner goes on waiting for it, nobody takes its place. In the
// minority nobody ever counts as dead.
//
// A life that the member itself ended (a restart, an acknowledged death: a new epoch; SIGTERM)
// needs no such care: it says itself what it still has.
#pragma once

#include <cstdint>
#include <map>

#include "membership/state.h"

namespace gyre {

class DeathFences {
 public:
  // What Ownership may know: `state`, the members whose deaths are not confirmed as they were.
  const ClusterState& Present(const ClusterState& state, const std::map<NodeId, MemberLife>& lives);
  // As it was presented last.
  const ClusterState& presented() const { return presented_; }
  // Those deaths, and the epochs that they end.
  const std::map<NodeId, std::uint64_t>& unconfirmed() const { return unconfirmed_; }
  // A majority knows of these. True if that is news: the state must be presented anew.
  bool Confirm(const std::map<NodeId, std::uint64_t>& deaths);

 private:
  ClusterState presented_;
  std::map<NodeId, std::uint64_t> unconfirmed_;
  std::map<NodeId, std::uint64_t> confirmed_;
};

}  // namespace gyre
