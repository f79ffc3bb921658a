// Which runs of slots each node owns, as Redis's cluster clients want it.
#pragma once

#include <vector>

#include "cluster/view.h"

namespace gyre {

struct SlotRange {
  Slot first = 0;
  Slot last = 0;  // inclusive
  MemberIndex owner = kNoMember;

  friend bool operator==(const SlotRange&, const SlotRange&) = default;
};

// Consecutive partitions of one owner make one range; those without an owner make none. In slot
// order.
std::vector<SlotRange> SlotRangesOf(const ClusterView& view);

}  // namespace gyre
