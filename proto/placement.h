// Where each partition lives: a pure function. The same members give the same map on every node and
// in every client, so no map is ever negotiated.
//
// Theory
//   1. Rendezvous hashing with stratified scores. Each member draws, from a hash of its id, a
//      random order of the partitions, the ones it likes best first. Its s-th partition gets the
//      score -ln(1 - (s + u) / P) / weight, u a hashed fraction: an exponential deviate of rate
//      `weight`, so that the member with the lowest score of a partition wins it with probability
//      weight / total weight (Thaler and Ravishankar, 1998). Scores of two members never depend on
//      each other, so by itself this moves nothing but what a new member wins. An order instead of
//      P independent draws halves the variance of the loads.
//   2. Bounded loads (Mirrokni, Thorup, Zadimoghaddam, 2016, arXiv:1608.01350). A member keeps the
//      partitions with its best scores, up to its bound; each of the others goes to its next best
//      member with room. One such pass for each of the first `replica_count` places. A pass takes
//      members of zones that the partition does not have yet, as long as there are any. The bound
//      is loose, so that a join or a leave moves hardly a copy that it need not.
//   3. Owners are balanced strictly by the order within the set of holders (owner_balance.h), which
//      moves no copy. Without a second holder the pass itself is strict.
//
// Only integers: a floating-point library may differ between two machines.
//
// Figures (bench/placement_bench.cc, tests/proto/placement_test.cc): see "What it achieves" in
// proto/README.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "proto/node_id.h"
#include "proto/slot.h"

namespace gyre {

// Length of a preference list at most. With this many of its best placed members dead at once, a
// partition waits for the ring to change; full lists of 1,000 members would cost more than
// everything else.
inline constexpr std::size_t kPreferenceMax = 16;
// A weight beyond counts as this much.
inline constexpr std::uint32_t kWeightMax = 1024;

// A node that holds a place on the ring.
struct RingMember {
  NodeId id;
  std::string zone;
  std::uint32_t weight = 1;  // share of the partitions, in proportion; 0 counts as 1

  friend bool operator==(const RingMember&, const RingMember&) = default;
};

// For each partition its preference list: indices into `members`, best first, min(members,
// kPreferenceMax) of them. The list goes through the zones: no zone comes back within the first
// `replica_count` entries as long as there are zones left, and likewise for what follows.
struct Placement {
  std::vector<RingMember> members;                     // sorted by id
  std::vector<std::vector<std::uint16_t>> preference;  // [partition] -> member indices
};

// `members` in any order, unique ids, at most kMembersMax. `replica_count` in [1, kReplicasMax],
// `partition_count` a power of two up to kSlotCount. Deterministic, no clock, no randomness.
// Without members, every list is empty. Balance of first places: max / mean (weighted) <= 1.05
// wherever whole partitions allow it. O(members + partitions * kPreferenceMax) draws, plus a sort
// of each list.
Placement ComputePlacement(std::vector<RingMember> members, std::uint32_t replica_count,
                           std::uint32_t partition_count);

}  // namespace gyre
