// What a copy does with a write of its owner, whichever form it comes in.
#pragma once

#include "storage/engine.h"

namespace gyre {

// An owner takes no other's word: whoever sends it writes was the owner once and does not know yet that
// it is no longer (self_fence.h).
inline bool RefusesWrites(Role role) {
  return role == Role::kAbsent || role == Role::kOwner || role == Role::kRecovering;
}

// Whether another node than the one that stamped the mutation has stamped a newer state of its record.
// One owner's writes may overtake each other, and each of them was done; but where two nodes order
// writes at a time, the older was not.
inline bool IsOverruled(Shard& shard, const Key& key, Version version)
    GYRE_REQUIRES(shard.mutex()) {
  constexpr Version kNodeMask = (Version{1} << kVersionNodeBits) - 1;
  const RecordView record = shard.Peek(key);
  return record && record.version() > version && ((record.version() ^ version) & kNodeMask) != 0;
}

// False: it found no room, or a newer state of another node.
inline bool ApplyWrite(Shard& shard, Engine& engine, const Mutation& mutation, UnixMillis now)
    GYRE_REQUIRES(shard.mutex()) {
  const Result<bool> applied = shard.Apply(mutation, now);
  if (!applied) return false;
  return *applied || !IsOverruled(shard, engine.KeyOf(mutation.key), mutation.version);
}

}  // namespace gyre
