// What one owner carries out as one step: one command or several, under the locks of their keys'
// shards. Several are of one partition, so that what they leave is one group on every copy; one
// command may have keys of several partitions, and leaves a group on each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/clock.h"
#include "command/command.h"
#include "command/routing.h"
#include "storage/claims.h"
#include "storage/key.h"

namespace gyre {

// Keys of a transaction. More are divided, or refused.
inline constexpr std::size_t kTransactionKeysMax = 16 * 1024;

// One command of a transaction.
struct TransactionStep {
  const Command& command;
  Arguments args;
  // keys[i] stands at args[first_key + i * command.keys.step]. At least one.
  std::span<const Key> keys;
  std::size_t first_key;
  // The handlers' replies, one for each key, are said as they are: it is a part of a command, which
  // somebody else puts together.
  bool is_part = false;

  // Whether what the handlers say is the reply: of one key, but for lists and MSETNX, or of a part.
  bool SaysTheWhole() const {
    if (command.fold == Fold::kNone) [[likely]]
      return true;
    const bool is_put_together = command.fold == Fold::kArray || command.fold == Fold::kAtomic;
    return is_part || (keys.size() == 1 && !is_put_together);
  }
};

struct Transaction {
  // Of one command, which outlives it.
  Transaction(const TransactionStep& only, const Origin& from, std::uint32_t copies,
              UnixMillis time)
      : steps(&only, 1),
        keys(only.keys),
        origin(from),
        acks(copies),
        now(time),
        any_flags(only.command.flags),
        all_flags(only.command.flags) {}
  // Of several: `all` are the keys of all of them, and of one partition.
  Transaction(std::span<const TransactionStep> commands, std::span<const Key> all,
              const Origin& from, std::uint32_t copies, UnixMillis time)
      : steps(commands), keys(all), origin(from), acks(copies), now(time) {
    for (const TransactionStep& step : steps) {
      any_flags |= step.command.flags;
      all_flags &= step.command.flags;
    }
  }

  bool writes() const { return (any_flags & kWrite) != 0; }
  bool only_reads() const { return (all_flags & kReadOnly) != 0; }

  std::span<const TransactionStep> steps;
  std::span<const Key> keys;
  const Origin& origin;
  std::uint32_t acks;  // as in Replicator::Check
  UnixMillis now;
  ClaimHolder holder = kNoHolder;  // its own claims do not hold it off
  std::uint32_t any_flags = 0;     // of its commands
  std::uint32_t all_flags = ~0U;
};

}  // namespace gyre
