// The replicated state that gossip carries, as the membership machine keeps it and the ownership
// machine reads it.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/clock.h"
#include "cluster/member.h"
#include "cluster/rebalance.h"
#include "proto/node_id.h"
#include "proto/partition_set.h"
#include "proto/slot.h"

namespace gyre {

// What a node has from a snapshot and has not yet settled with anybody. Of a node that leaves: also
// what it will be back with.
struct RestoredCopies {
  PartitionSet partitions;  // of no partitions: none
  UnixMillis as_of = 0;     // all of them were whole then or later; 0: there are none

  friend bool operator==(const RestoredCopies&, const RestoredCopies&) = default;
};

// What one node says that it has: the higher (incarnation, revision) wins.
struct Holdings {
  std::uint64_t incarnation = 0;
  std::uint64_t revision = 0;
  PartitionSet complete;  // whole here
  PartitionSet owned;     // this node orders their writes
  RestoredCopies restored;
  bool leaving = false;  // it is about to stop: others should have what it has
  std::string proof;     // of the node (signer.h)

  friend bool operator==(const Holdings&, const Holdings&) = default;
};

// One entry of the ring: a last-writer-wins register. The higher revision wins; at equal revisions
// `removed`.
struct RingEntry {
  NodeId id;
  std::string zone;
  std::uint32_t weight = 1;
  std::uint64_t revision = 0;
  bool removed = false;
  bool evicted = false;  // removed because it was dead: it takes its place again if it comes back
  std::string proof;     // of the node; without it, others say so
  bool drained = false;  // removed by the operator: restarted or not, it stays off until undrained
  std::uint8_t version_node = 0;  // its byte in the versions that it stamps (storage/version.h)

  friend bool operator==(const RingEntry&, const RingEntry&) = default;
};

// The life of a member's copies (Member.epoch in cluster.proto), and the highest incarnation with
// which it was declared dead: at least the epoch means that it died, or does not know yet.
struct MemberLife {
  std::uint64_t epoch = 0;
  std::uint64_t dead_incarnation = 0;
};

struct ClusterState {
  NodeId self;
  std::uint32_t partition_count = kPartitionCountDefault;
  std::uint32_t replicas = 2;
  std::map<NodeId, MemberInfo> members;  // this node included
  std::map<NodeId, RingEntry> ring;      // removed ones included
  std::map<NodeId, Holdings>
      holdings;  // of members whose incarnation it matches; others count as empty
  RebalanceSetting rebalance;
  std::uint64_t digest = 0;  // of all of it, the same on every node that has the same state
};

}  // namespace gyre
