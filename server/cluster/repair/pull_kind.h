// What a pull is for, which decides whether an operator's pause and limit hold it up.
//
// A *repair* brings back a copy that is lacking: without it, fewer nodes that serve have the
// partition whole than there should be (--replicas, or all of a smaller ring). After a death, for a
// replica that missed writes, and where a second node joins the first.
// Anything else is a *move*: the data is safe where it is and only goes to a better place. A join,
// a drain, a node that comes back to its place, a change of weight.
//
// The kind is a matter of the present view: when the node that a move comes from was the second to
// last copy and dies, the move is a repair from then on.
#pragma once

#include <algorithm>
#include <cstddef>

#include "cluster/view.h"

namespace gyre {

// Copies that each partition should have: `replicas`, or all of fewer serving ring members. Nodes
// that are leaving do not count: what they have is lacking in a moment.
inline std::size_t CopiesWanted(const ClusterView& view) {
  std::size_t ring = 0;
  for (MemberIndex i = 0; i < view.members.size(); ++i) {
    if (view.on_ring[i] && view.stays(i)) ++ring;
  }
  return std::min<std::size_t>(view.replicas, ring);
}

// Whether the partition has fewer than `wanted` whole copies on nodes other than this one.
inline bool LacksCopies(const ClusterView& view, PartitionId partition, std::size_t wanted) {
  const MemberList& complete = view.complete[partition];
  const auto others = std::count_if(complete.begin(), complete.end(), [&view](MemberIndex each) {
    return each != view.self && view.stays(each);
  });
  return static_cast<std::size_t>(others) < wanted;
}

}  // namespace gyre
