// Who of a partition's holders comes first: the second step of placement.h.
//
// Theory
//   The holders of all partitions form a graph whose edges are partitions; to name the owners is to
//   orient the edges. Where a member owns more than its bound, it lets another holder go first.
//   That is a handover, and ships no data: so the owners can be balanced strictly, while the sets
//   of holders, whose changes do ship data, are bounded loosely and hardly move.
//
//   1. Of all partitions of overloaded members, those are turned first whose other holder has less
//      than its fair share, then those that turn at the lowest price (how much worse the other
//      holder likes it, and how full it is). Both change little when a member comes or goes, hence
//      so does what is turned.
//   2. A member that is still overloaded, since all the others it shares partitions with are full,
//      turns a chain: the shortest one that ends at a member with room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "proto/slot.h"

namespace gyre {

struct OwnerBounds {
  std::vector<std::uint32_t> most;  // [member] partitions that it may own
  std::vector<std::uint32_t> fair;  // [member] its share of them
};

// Turns the first `replicas` entries of each list so that members come first within their bounds,
// as far as the sets allow it. `reluctance(partition, member)` in [0, 2^32): how little the member
// likes the partition, one unit of 2^16 being what members mind on average.
void BalanceOwners(std::size_t replicas, const OwnerBounds& bounds,
                   const std::function<std::uint64_t(PartitionId, std::uint16_t)>& reluctance,
                   std::vector<std::vector<std::uint16_t>>& lists);

}  // namespace gyre
