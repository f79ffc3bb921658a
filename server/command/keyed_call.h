// What a keyed handler works with. It writes exactly one reply: to `reply`, or with `Fail`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/buffer.h"
#include "base/clock.h"
#include "command/command.h"
#include "protocol/reply.h"
#include "storage/shard.h"

namespace gyre {

// Exists only while the executor holds the shard's mutex: so the members that need it take it as
// held, and a handler, which is called through a pointer, need not say so.
struct KeyedCall {
  Arguments args;         // the whole request, name included
  std::size_t key_index;  // args[key_index] is this call's key
  Key key;
  Shard& shard;
  ReplyWriter& reply;
  UnixMillis now;
  Buffer& scratch;  // empty; for values that are put together (they must not lie in the arena)
  std::size_t value_bytes_max;

  // What changed, for the replicas: the record's new state, or the version up to which the
  // partition was emptied. Both empty where nothing did.
  Record mutated;
  Version flushed = 0;
  std::optional<Error> error;  // the reply, if it is one

  std::string_view arg(std::size_t index) const { return args[index]; }

  // The live record, or empty. Valid until the next change.
  Record Find() GYRE_NO_THREAD_SAFETY_ANALYSIS { return shard.Find(key, now); }

  // Stores `value`. False if that failed: then the error is the reply.
  bool Store(std::string_view value, UnixMillis expiry_ms,
             std::uint32_t flags = 0) GYRE_NO_THREAD_SAFETY_ANALYSIS {
    return Keep(shard.Store(key, value, expiry_ms, flags, shard.NextVersion(now)));
  }

  // Gives the record, which is there, a new expiry, and leaves it in `mutated`: as a tombstone, or
  // empty, if the expiry has passed. Likewise.
  bool SetExpiry(UnixMillis expiry_ms) GYRE_NO_THREAD_SAFETY_ANALYSIS {
    return Keep(shard.SetExpiry(key, expiry_ms, shard.NextVersion(now), now));
  }

  // Whether the key was there.
  bool Remove() GYRE_NO_THREAD_SAFETY_ANALYSIS {
    const Shard::Removed removed = shard.Remove(key, shard.NextVersion(now), now);
    mutated = removed.tombstone;
    return removed.existed;
  }

  void Fail(ErrorCode code, std::string message) { Fail(Error{code, std::move(message)}); }
  void Fail(Error why) {
    reply.Fail(why);
    error = std::move(why);
  }

 private:
  bool Keep(const Result<Record>& changed) {
    if (!changed) [[unlikely]] {
      Fail(changed.error());
      return false;
    }
    mutated = *changed;
    return true;
  }
};

}  // namespace gyre
