// What a keyed handler works with. It writes exactly one reply: to `reply`, or with `Fail`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/clock.h"
#include "command/command.h"
#include "protocol/reply.h"
#include "replication/effect.h"
#include "storage/shard.h"

namespace gyre {

// What a keyed command found, for its statistics.
enum class Sought : std::uint8_t {
  kNothing,     // it looked for nothing
  kFound,       // a live record
  kMissing,     // none
  kMismatched,  // a record that somebody had changed (cas)
};

// Exists only while the executor holds the shard's mutex: so the members that need it take it as
// held, and a handler, which is called through a pointer, need not say so.
struct KeyedCall {
  Arguments args;         // the whole request, name included
  std::size_t key_index;  // args[key_index] is this call's key
  const Key& key;
  Shard& shard;
  ReplyWriter& reply;
  UnixMillis now;
  Buffer& scratch;  // empty; for values that are put together (they must not lie in the arena)
  std::size_t value_bytes_max;
  // What changes is added here, behind what the transaction's handlers before this one changed.
  std::vector<Effect>& effects;

  std::optional<Error> error;  // the reply, if it is one
  Sought sought = Sought::kNothing;

  std::string_view arg(std::size_t index) const { return args[index]; }

  // The live record, or empty. Valid until the next change.
  RecordView Find(Purpose purpose) GYRE_NO_THREAD_SAFETY_ANALYSIS {
    const RecordView record = shard.Find(key, now, purpose);
    sought = record ? Sought::kFound : Sought::kMissing;
    return record;
  }
  // For its value; as what a change depends on; to say something about the key.
  RecordView Find() { return Find(Purpose::kRead); }
  RecordView FindToChange() { return Find(Purpose::kWrite); }
  RecordView Inspect() { return Find(Purpose::kInspect); }

  // Stores `value`. False if that failed: then the error is the reply.
  bool Store(std::string_view value, UnixMillis expiry_ms,
             std::uint32_t flags = 0) GYRE_NO_THREAD_SAFETY_ANALYSIS {
    const Version version = shard.NextVersion(now);
    return Keep(shard.Store(key, value, expiry_ms, flags, version), version);
  }

  // Gives the record, which is there, a new expiry; one that has passed removes it. Likewise.
  bool SetExpiry(UnixMillis expiry_ms) GYRE_NO_THREAD_SAFETY_ANALYSIS {
    const Version version = shard.NextVersion(now);
    return Keep(shard.SetExpiry(key, expiry_ms, version, now), version);
  }

  // Whether the key was there. Replicas are told in any case: they may have what was evicted here.
  bool Remove() GYRE_NO_THREAD_SAFETY_ANALYSIS {
    const Version version = shard.NextVersion(now);
    const bool existed = shard.Remove(key, version, now);
    effects.push_back(Effect::Remove(key, version));
    sought = existed ? Sought::kFound : Sought::kMissing;
    return existed;
  }

  // Empties the partition.
  void Flush() GYRE_NO_THREAD_SAFETY_ANALYSIS {
    const Version version = shard.NextVersion(now);
    shard.Flush(key.partition, version);
    effects.push_back(Effect::Flush(key, version));
  }

  // The record as the latest change left it, which is this call's; empty where that removed it.
  const RecordView& changed() const { return effects.back().record; }

  void Fail(ErrorCode code, std::string message) { Fail(Error{code, std::move(message)}); }
  void Fail(Error why) {
    reply.Fail(why);
    error = std::move(why);
  }

 private:
  bool Keep(const Result<RecordView>& changed, Version version) {
    if (!changed) [[unlikely]] {
      Fail(changed.error());
      return false;
    }
    const Effect::Kind kind = *changed ? Effect::Kind::kPut : Effect::Kind::kRemove;
    effects.push_back({kind, version, &key, *changed});
    return true;
  }
};

}  // namespace gyre
