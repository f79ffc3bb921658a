// ClusterState -> ClusterView: what gossip says, what this node knows better about itself, and the
// placement, as the one immutable picture that all loops work with. Pure.
#pragma once

#include <vector>

#include "cluster/view.h"
#include "membership/state.h"
#include "proto/placement.h"

namespace gyre {

// The ring members of `state`, as placement takes them.
std::vector<RingMember> RingMembersOf(const ClusterState& state);

// What this node knows of one partition at first hand. It goes before gossip, which lags.
struct LocalKnowledge {
  bool complete = false;  // whole here
  bool owns = false;      // this node orders its writes
  // This node let `granted_to` order the writes, whose holdings may not say so yet.
  bool granted = false;
  NodeId granted_to;
  // While this node owns it: who handed it over because it stops. What that one still claims is not
  // believed.
  NodeId taken_from;
  // Who was last seen to own it. As long as it serves, its silence is a gap in gossip, not a
  // vacancy.
  bool has_last_owner = false;
  NodeId last_owner;
};

struct BuiltView {
  ClusterView view;
  // [partition] the best-placed serving member, besides this node, that says itself that it owns
  // it; kNoMember if nobody does. (The view's owner may be a guess.)
  std::vector<MemberIndex> claimant;
};

// `placement` belongs to the ring of `state`; `local` has an entry for each partition.
BuiltView BuildView(const ClusterState& state, const Placement& placement,
                    const std::vector<LocalKnowledge>& local);

// Whether `a` stands before `b` in the partition's preference list. Who is not on the ring stands
// behind all who are; of two such the lower id is better.
bool BetterPlaced(const Placement& placement, PartitionId partition, const NodeId& a,
                  const NodeId& b);

}  // namespace gyre
