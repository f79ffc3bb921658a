// Who gets the writes of a partition: decided by Ownership, noted in the ReplicationTable, followed by
// the Replicator of each loop.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "proto/limits.h"
#include "proto/node_id.h"

namespace gyre {

// Who gets the mutations of one partition: the first RF serving members and whoever else is
// complete, without this node. An entry is guarded by the mutex of the partition's shard, like the
// partition's role.
struct ReplicaSet {
  // How this owner knows whether a target is complete. Gossip lags, so from the moment a target
  // begins to pull here, or missed a write, only its settlement (Handover) makes it complete again.
  enum class Standing : std::uint8_t {
    kGossip,   // as its holdings say
    kPulling,  // it pulls from this node: incomplete, whatever gossip says
    kLagging,  // a write for it was dropped: incomplete until it has pulled again
    kSettled,  // settled with this owner: complete, whatever gossip says
  };
  struct Target {
    NodeId node;
    std::uint64_t epoch = 0;  // of the node, to which `standing` belongs; 0: not known
    Standing standing = Standing::kGossip;
    bool complete = false;
    // kPulling: the table's revision when that began. What was sent later and is refused shows that
    // it has given the copy up.
    std::uint64_t pulling_since = 0;
    // kLagging: it said that it has nothing of the partition, so it can bring nothing back.
    bool absent = false;
    // kPulling, and kLagging since: it wants the writes alone, and asks for nothing that would tell it
    // that it missed some.
    bool writes_only = false;
  };
  std::array<Target, kReplicasMax> targets;
  std::uint8_t count = 0;
  // Writes were executed that no term has. The next one goes on after nothing that is known.
  bool unordered = false;
  bool has_taken =
      false;  // something is to be ordered before all else (ReplicationTable::NoteTaken)
  std::uint64_t term = 0;  // in which this node orders the writes; 0: none is open
  // All whom the ring gives the partition serve, and are this node or targets; and what the copies had of
  // an owner before that died was compared.
  bool all_serve = false;

  // All of them have it, or nothing of it.
  bool IsWhole() const {
    return all_serve &&
           std::all_of(targets.begin(), targets.begin() + count,
                       [](const Target& target) { return target.complete || target.absent; });
  }
  void CloseTerm() { term = 0; }
  void NoteUnordered() {
    term = 0;
    unordered = true;
  }
};

// Nodes that pull a partition from its owner are targets of every write from their first question
// on. All of it under the mutex of the partition's shard.

inline ReplicaSet::Target* FindTarget(ReplicaSet& set, const NodeId& node) {
  for (std::uint8_t i = 0; i < set.count; ++i) {
    if (set.targets[i].node == node) return &set.targets[i];
  }
  return nullptr;
}

// From here on every write of the partition goes to `node`; the caller raises the table's `revision`.
// False: there are too many targets already.
inline bool AddPuller(ReplicaSet& set, const NodeId& node, std::uint64_t epoch,
                      std::uint64_t revision, bool writes_only = false) {
  ReplicaSet::Target* target = FindTarget(set, node);
  if (target == nullptr) {
    if (set.count == set.targets.size()) return false;
    target = &set.targets[set.count++];
  }
  *target = {node, epoch, ReplicaSet::Standing::kPulling, false, revision};
  target->writes_only = writes_only;
  return true;
}

// Still a puller: not removed as dead, nor behind since a write for it was dropped.
inline bool IsPuller(ReplicaSet& set, const NodeId& node) {
  const ReplicaSet::Target* target = FindTarget(set, node);
  return target != nullptr && target->standing == ReplicaSet::Standing::kPulling;
}

}  // namespace gyre
