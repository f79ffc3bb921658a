// The one way in which handlers store: stamped, and remembered for the replicas.
#pragma once

#include <cstdint>
#include <string_view>

#include "command/command.h"

namespace gyre {

// Stores `value` under the call's key. False if that failed: then the error is the reply.
inline bool StoreValue(KeyedCall& call, std::string_view value, UnixMillis expiry_ms,
                       std::uint32_t flags = 0) {
  Result<Record> stored =
      call.shard.Store(call.key, value, expiry_ms, flags, call.shard.NextVersion(call.now));
  if (!stored) [[unlikely]] {
    call.Fail(stored.error());
    return false;
  }
  call.mutated = *stored;
  return true;
}

// Removes the call's key; whether it was there.
inline bool RemoveKey(KeyedCall& call) {
  const Shard::Removed removed =
      call.shard.Remove(call.key, call.shard.NextVersion(call.now), call.now);
  call.mutated = removed.tombstone;
  return removed.existed;
}

}  // namespace gyre
