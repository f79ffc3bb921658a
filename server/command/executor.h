// Runs transactions: under the locks of their shards it checks whether this node may act for their
// keys, calls the handlers, and hands what they left to the replicator. It is the one place where
// that is done, and where it is decided what came of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "command/command.h"
#include "command/command_counts.h"
#include "command/hot_keys.h"
#include "command/key_claims.h"
#include "command/keyed_call.h"
#include "command/services.h"
#include "command/transaction.h"
#include "protocol/handler.h"
#include "protocol/reply.h"

namespace gyre {

class Executor {
 public:
  // What came of a transaction.
  enum class Result : std::uint8_t {
    kRefused,  // it did not begin: `role` says whether to ask another, or, as an owner, again soon
    kClaimed,  // nor here: another has claimed one of its keys
    kLacking,  // nor here, the copies cannot be had; said as the reply, as is error()
    kDone,     // the reply is said
    kFailed,   // the reply is said, and is an error: error()
    kVoid,     // what was said must not be let go; the reply is error()
    kLarge,    // likewise; the reply is to be read in pieces
  };
  struct Execution {
    Result result = Result::kDone;
    Role role = Role::kAbsent;      // of the partition for which it was refused
    PartitionId partition = 0;      // likewise
    Replicator::Ticket ticket = 0;  // the newest of those of its writes

    bool refused() const { return result == Result::kRefused || result == Result::kClaimed; }
    bool failed() const {
      return result == Result::kFailed || result == Result::kVoid || result == Result::kLacking;
    }
  };

  // Counts in `tallies`, which outlive it, what handlers found.
  Executor(const Services& services, CommandTallies& tallies);

  // Runs the transaction as one step; not at all if this node may not answer for one of its keys, or
  // if one is claimed by another. The reply of several commands is the list of theirs. A reply of
  // values that outgrows kReplyWholeBytes is given up as large, where its writer can do better.
  Execution Run(const Transaction& transaction, ReplyWriter& reply);

  // Likewise, in place of running it: adds `wanted`, which are on its keys, to `claims`, whose holder
  // is the transaction's. Where that is refused some may have been added.
  Execution TakeClaims(const Transaction& transaction, std::span<const Claim> wanted,
                       KeyClaims& claims);
  // Likewise: whether any of its keys is there.
  Execution LookForAny(const Transaction& transaction, bool& found);

  // What the latest Run means for the reply, but where it was refused or is large: `defer` gives the
  // slot if the reply must be replaced, or wait for its acks. False: it may leave as it is.
  template <typename Defer>
  bool Conclude(const Execution& done, std::uint32_t acks, Defer&& defer) {
    if (done.result == Result::kVoid) [[unlikely]] {
      defer().FinishWithError(error());
      return true;
    }
    if (done.ticket == 0 || acks <= 1) return false;
    Settle(acks, defer());
    return true;
  }

  // Of the latest Run that failed.
  const Error& error() const { return *error_; }
  // Of the writes of the latest Run, where it has a ticket: one for each partition.
  const std::vector<Replicator::Ticket>& tickets() const { return tickets_; }

  // The newest write that was made for a request whose session may be gone (WAIT); `ticket` 0: none.
  void NotePending(Replicator::Ticket ticket) {
    if (ticket != 0) newest_pending_ticket_ = ticket;
  }
  Replicator::Ticket newest_pending_ticket() const { return newest_pending_ticket_; }

  const HotKeys& hot_keys() const { return hot_keys_; }

 private:
  // Does `work` as a step of the transaction, if it is admitted.
  template <typename Work>
  Execution Within(const Transaction& transaction, Work&& work);
  template <typename Work>
  Execution Ask(const Transaction& transaction, Work&& work);
  // `only`: the shard of the only key; null where there are several.
  // The guards, in this order: role and claims of each key, the lease, this node itself, the copies.
  Execution Admit(const Transaction& transaction, const WriteFence::Turn& turn, Shard* only);
  // Whether `check(key, shard)` says yes to all keys.
  template <typename Check>
  bool All(const Transaction& transaction, Shard* only, Check&& check);
  bool MayAct(const Transaction& transaction, const WriteFence::Turn& turn, const Key& key,
              Shard& shard, Execution& refused);
  bool HasCopies(const Transaction& transaction, const Key& key, Execution& refused);
  bool MayUse(const Transaction& transaction, const Key& key, const Shard& shard, Role role) const;
  bool AnyExists(std::span<const Key> keys, UnixMillis now);
  // False: the lease did not hold all the time.
  bool Held(const WriteFence::Turn& turn, std::span<const Key> keys);
  void Void(const Transaction& transaction, Execution& done);

  // The handlers.
  void RunSteps(const Transaction& transaction, Shard* only, ReplyWriter& reply, Execution& done);
  Result RunOnKeys(const TransactionStep& step, UnixMillis now, ReplyWriter& reply);
  // False: the reply is an error.
  bool RunHandler(const TransactionStep& step, std::size_t index, Shard& shard, UnixMillis now,
                  ReplyWriter& reply);
  void CountLookup(const Command& command, Sought sought);

  // What they left.
  Replicator::Ticket Submit();
  Replicator::Ticket SubmitGroups();
  std::size_t ReadAgain(std::span<Effect> group);
  // Ends `reply` once all that was written has its acks.
  void Settle(std::uint32_t acks, PendingReply reply);

  Shard& ShardOf(const Key& key) { return services_.engine.ShardOf(key.partition); }

  const Services& services_;
  const WriteFence& fence_;
  CommandTallies& tallies_;
  HotKeys hot_keys_;
  std::optional<Error> error_;
  std::vector<Replicator::Ticket> tickets_;
  Replicator::Ticket newest_pending_ticket_ = 0;

  // Memory to use again.
  Buffer scratch_;
  std::vector<Effect> effects_;        // of the transaction that runs; between two there are none
  std::vector<std::uint32_t> locked_;  // indices of the shards that it holds
};

}  // namespace gyre
