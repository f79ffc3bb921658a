// Where each partition lives: a pure function. The same members give the same map on every node and in every
// client, so no map is ever negotiated.
//
// Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, 2016, arXiv:1608.01350).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "proto/node_id.h"
#include "proto/slot.h"

namespace gyre {

// A node that holds a place on the ring.
struct RingMember {
  NodeId id;
  std::string zone;
  std::uint32_t weight = 1;  // share of the partitions, in proportion

  friend bool operator==(const RingMember&, const RingMember&) = default;
};

// For each partition the whole preference list: indices into `members`, best first. The first replica-factor
// entries are in different zones as long as there are zones left.
struct Placement {
  std::vector<RingMember> members;  // sorted by id
  std::vector<std::vector<std::uint16_t>> preference;  // [partition] -> member indices, all of them
};

// `members` in any order, unique ids, weights >= 1. Deterministic, no clock, no randomness.
// Balance of first places: max / mean (weighted) <= 1.05. A join or leave moves <= 1.25 x the ideal share.
Placement ComputePlacement(std::vector<RingMember> members, std::uint32_t replica_count,
                           std::uint32_t partition_count);

}  // namespace gyre
