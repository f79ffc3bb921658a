// Nodes that pull a partition from its owner: from their first question on they are targets of
// every write. All of it under the mutex of the partition's shard.
#pragma once

#include "cluster/replicator.h"

namespace gyre {

inline ReplicaSet::Target* FindTarget(ReplicaSet& set, const NodeId& node) {
  for (std::uint8_t i = 0; i < set.count; ++i) {
    if (set.targets[i].node == node) return &set.targets[i];
  }
  return nullptr;
}

// From here on every write of the partition goes to `node`; the caller raises the table's `revision`.
// False: there are too many targets already.
inline bool AddPuller(ReplicaSet& set, const NodeId& node, std::uint64_t epoch,
                      std::uint64_t revision) {
  ReplicaSet::Target* target = FindTarget(set, node);
  if (target == nullptr) {
    if (set.count == set.targets.size()) return false;
    target = &set.targets[set.count++];
  }
  *target = {node, epoch, ReplicaSet::Standing::kPulling, false, revision};
  return true;
}

// Still a puller: not removed as dead, nor behind since a write for it was dropped.
inline bool IsPuller(ReplicaSet& set, const NodeId& node) {
  const ReplicaSet::Target* target = FindTarget(set, node);
  return target != nullptr && target->standing == ReplicaSet::Standing::kPulling;
}

}  // namespace gyre
