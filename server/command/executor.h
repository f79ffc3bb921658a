// Runs keyed handlers under the locks of their shards, and is the one place where what they changed
// goes to the replicator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/counter.h"
#include "command/command.h"
#include "command/keyed_call.h"
#include "command/routing.h"
#include "command/services.h"
#include "protocol/reply.h"

namespace gyre {

// What the keyed handlers of one command found, at this node. Written by its loop, read by any.
struct LookupCounters {
  Counter found;
  Counter missing;
  Counter mismatched;
};

class Executor {
 public:
  struct Execution {
    bool executed = false;  // false: `role` says why not; nothing was read, changed or written
    bool failed = false;    // the reply is an error
    bool large = false;     // the reply is to be read in pieces; what was written is void
    bool overrun = false;   // its lease ran out: the reply is void, first_error() is the answer
    Role role = Role::kAbsent;
    Replicator::Ticket ticket = 0;  // of the write, if there was one
  };
  // What was written, for each partition separately.
  using Tickets = std::vector<Replicator::Ticket>;

  explicit Executor(const Services& services);

  // What is said for one key of a command that may have several.
  enum class Says : std::uint8_t {
    kElement,  // its part of the reply
    kReply,    // all of it: there is no other key
  };

  // Looks at the partition's role and runs the command on args[key_index], in one critical section.
  // `acks` as in Replicator::Check.
  Execution Run(const Command& command, Arguments args, std::size_t key_index, const Key& key,
                const Origin& origin, std::uint32_t acks, UnixMillis now, ReplyWriter& reply,
                Says says);

  // Runs a folded command on all its keys with all their shards locked, so that it is one step as
  // on a single server; not executed if this node may not answer for one of them. `keys[i]` stands
  // at args[first + i * step]; at least one, and for kConcat exactly one. Tickets of the writes are
  // appended to `tickets`. A reply of values that outgrows kReplyWholeBytes is given up as large,
  // where its writer can do better.
  Execution RunTogether(const Command& command, Arguments args, const std::vector<Key>& keys,
                        const Origin& origin, std::uint32_t acks, UnixMillis now,
                        ReplyWriter& reply, Tickets& tickets);

  // Of the latest Run or RunTogether that failed, if it knows why (a list's does), or was overrun.
  const Error& first_error() const { return *error_; }

  // Any thread. By Command::index.
  const LookupCounters& lookups(std::size_t index) const { return lookups_[index]; }

 private:
  // Requires the shard's mutex.
  Execution RunLocked(const Command& command, Arguments args, std::size_t key_index, const Key& key,
                      Shard& shard, UnixMillis now, ReplyWriter& reply);

  bool AnyExists(const std::vector<Key>& keys, UnixMillis now);
  // --consistency majority. Whether this node may act for the partition at `at`; before the
  // command. Requires the shard's mutex.
  bool MayAct(Shard& shard, PartitionId partition, TimePoint at,
              UnixMillis now) GYRE_NO_THREAD_SAFETY_ANALYSIS;
  // After it: whether what happened since `from` was under the lease. If not, `done` says so.
  bool Overran(const Command& command, PartitionId partition, TimePoint from, Execution& done);
  void OverranAny(const Command& command, const std::vector<Key>& keys, TimePoint from,
                  Execution& done);

  void CountLookup(const Command& command, Sought sought);

  const Services& services_;
  std::vector<LookupCounters> lookups_;
  Buffer scratch_;
  std::optional<Error> error_;
  std::vector<std::uint32_t> locked_;  // indices of the shards that RunTogether holds
};

}  // namespace gyre
