#include "command/executor.h"

#include <algorithm>
#include <memory>
#include <tuple>
#include <utility>

#include "command/fold_writer.h"
#include "command/messages.h"

namespace gyre {
namespace {

// Inlining is asked for where a GET or a SET would pay for a call: all that they need of the executor
// is one function, `Run`.

// A scratch buffer that grew beyond this for one large value gives its memory back.
constexpr std::size_t kScratchKeptBytes = 64 * 1024;

// The shards of a transaction's keys, locked in the order of their indices, so that two loops never
// wait for each other. The analysis of lock discipline does not see through it.
class ShardLocks {
 public:
  // `indices` is memory to use again.
  [[gnu::always_inline]] ShardLocks(Engine& engine, std::span<const Key> keys,
                                    std::vector<std::uint32_t>& indices)
      GYRE_NO_THREAD_SAFETY_ANALYSIS : engine_(engine),
                                       indices_(indices) {
    if (keys.size() == 1) [[likely]] {
      only_ = &engine.ShardOf(keys.front().partition);
      only_->mutex().Lock();
    } else {
      LockAll(keys);
    }
  }
  [[gnu::always_inline]] ~ShardLocks() GYRE_NO_THREAD_SAFETY_ANALYSIS {
    only_ != nullptr ? only_->mutex().Unlock() : UnlockAll();
  }
  ShardLocks(const ShardLocks&) = delete;
  ShardLocks& operator=(const ShardLocks&) = delete;

  // The shard of the only key; null: there are several.
  Shard* only() const { return only_; }

 private:
  [[gnu::noinline]] void LockAll(std::span<const Key> keys) GYRE_NO_THREAD_SAFETY_ANALYSIS {
    indices_.clear();
    for (const Key& key : keys) {
      const std::uint32_t index = key.partition & (engine_.shard_count() - 1);
      if (indices_.empty() || indices_.back() != index) indices_.push_back(index);
    }
    std::sort(indices_.begin(), indices_.end());
    indices_.erase(std::unique(indices_.begin(), indices_.end()), indices_.end());
    for (const std::uint32_t index : indices_) engine_.shard(index).mutex().Lock();
  }
  [[gnu::noinline]] void UnlockAll() GYRE_NO_THREAD_SAFETY_ANALYSIS {
    for (const std::uint32_t index : indices_) engine_.shard(index).mutex().Unlock();
  }

  Engine& engine_;
  Shard* only_ = nullptr;
  std::vector<std::uint32_t>& indices_;
};

// The earliest time that the next version may have.
UnixMillis NextStamp(Shard& shard, UnixMillis now) GYRE_REQUIRES(shard.mutex()) {
  return std::max(now, shard.clock_millis() + 1);
}

}  // namespace

Executor::Executor(const Services& services, CommandTallies& tallies)
    : services_(services),
      fence_(services.replication.fence),
      tallies_(tallies),
      // Any: each loop and each life of a node samples in another rhythm.
      hot_keys_(static_cast<std::uint64_t>(services.steady_now().time_since_epoch().count())),
      scratch_(ClientMemory::AccountOf(services.client_memory, ClientMemory::Kind::kBuffers)) {}

// ---- Guards -------------------------------------------------------------------------------------

template <typename Check>
[[gnu::always_inline]] inline bool Executor::All(const Transaction& transaction, Shard* only,
                                                 Check&& check) {
  if (only != nullptr) [[likely]]
    return check(transaction.keys.front(), *only);
  return std::all_of(transaction.keys.begin(), transaction.keys.end(),
                     [&](const Key& key) { return check(key, ShardOf(key)); });
}

[[gnu::always_inline]] inline bool Executor::MayAct(
    const Transaction& transaction, const WriteFence::Turn& turn, const Key& key, Shard& shard,
    Execution& refused) GYRE_NO_THREAD_SAFETY_ANALYSIS {
  const PartitionInfo& info = shard.info(key.partition);
  const bool may_execute = MayExecute(info.role, transaction.only_reads(), transaction.origin);
  if (!may_execute || info.claimed) [[unlikely]] {
    if (!MayUse(transaction, key, shard, info.role)) {
      refused = {may_execute ? Result::kClaimed : Result::kRefused, info.role, key.partition};
      return false;
    }
  }
  if (turn.leased && info.role != Role::kReplica &&
      !fence_.MayAct(turn, key.partition, NextStamp(shard, transaction.now))) {
    refused = {Result::kRefused, info.role, key.partition};
    return false;
  }
  return true;
}

[[gnu::always_inline]] inline bool Executor::HasCopies(const Transaction& transaction,
                                                       const Key& key, Execution& refused) {
  Status enough = services_.replicator.Check(key.partition, transaction.acks);
  if (enough) [[likely]]
    return true;
  // The copies can be had soon, or not.
  refused = {Result::kRefused, Role::kOwner, key.partition};
  if (enough.error().code != ErrorCode::kUnavailable) {
    error_ = std::move(enough.error());
    refused.result = Result::kLacking;
  }
  return false;
}

[[gnu::always_inline]] inline Executor::Execution Executor::Admit(
    const Transaction& transaction, const WriteFence::Turn& turn,
    Shard* only) GYRE_NO_THREAD_SAFETY_ANALYSIS {
  Execution refused;
  const auto may_act = [&](const Key& key, Shard& shard) __attribute__((always_inline)) {
    return MayAct(transaction, turn, key, shard, refused);
  };
  if (!All(transaction, only, may_act)) return refused;
  if ((transaction.writes() || transaction.origin.waited) && !fence_.MayOrder()) [[unlikely]] {
    const Key& first = transaction.keys.front();
    return {Result::kRefused, ShardOf(first).info(first.partition).role, first.partition};
  }
  if (!transaction.writes()) return {};
  const auto has_copies = [&](const Key& key, Shard&) __attribute__((always_inline)) {
    return HasCopies(transaction, key, refused);
  };
  if (!All(transaction, only, has_copies)) return refused;
  return {};
}

// Where the role or a claim speaks against it.
bool Executor::MayUse(const Transaction& transaction, const Key& key, const Shard& shard,
                      Role role) const GYRE_NO_THREAD_SAFETY_ANALYSIS {
  const bool whole = transaction.steps.front().command.Is(kPartitionKeys);
  // Who counts or walks the keys of partitions never saw them at one moment.
  if (whole && transaction.only_reads() && role == Role::kOwner) return true;
  const Claim wanted = whole ? Claim::OfPartition(key.partition) : Claim::OfKey(key);
  if (!MayExecute(role, transaction.only_reads(), transaction.origin)) {
    // A handover waits for who has claimed its keys to write them (key_claims.h).
    return role == Role::kHandingOver && shard.claims().Holds(wanted, transaction.holder);
  }
  return shard.claims().Admits(
      wanted, transaction.only_reads() ? ClaimMode::kShared : ClaimMode::kExclusive,
      transaction.holder);
}

bool Executor::Held(const WriteFence::Turn& turn,
                    std::span<const Key> keys) GYRE_NO_THREAD_SAFETY_ANALYSIS {
  return std::all_of(keys.begin(), keys.end(), [&](const Key& key) GYRE_NO_THREAD_SAFETY_ANALYSIS {
    return ShardOf(key).info(key.partition).role == Role::kReplica ||
           fence_.Held(turn, key.partition);
  });
}

void Executor::Void(const Transaction& transaction, Execution& done) {
  done.result = Result::kVoid;
  if (transaction.writes()) {
    error_ = {ErrorCode::kUnknownOutcome,
              "the command was executed here, but this node no longer heard from a majority of the "
              "ring: read the key back before you repeat it"};
  } else {
    error_ = {ErrorCode::kUnavailable,
              "this node was stopped and lost its majority of the ring while it answered; nothing "
              "was written, try again"};
  }
}

// ---- Handlers -----------------------------------------------------------------------------------

[[gnu::always_inline]] inline void Executor::CountLookup(const Command& command, Sought sought) {
  CommandTally& tally = tallies_[command.index];
  switch (sought) {
    case Sought::kNothing:
      return;
    case Sought::kFound:
      return tally[&CommandCounts::found].Add(1);
    case Sought::kMissing:
      return tally[&CommandCounts::missing].Add(1);
    case Sought::kMismatched:
      return tally[&CommandCounts::mismatched].Add(1);
  }
}

[[gnu::always_inline]] inline bool Executor::RunHandler(const TransactionStep& step,
                                                        std::size_t index, Shard& shard,
                                                        UnixMillis now, ReplyWriter& reply) {
  const Command& command = step.command;
  const Key& key = step.keys[index];
  KeyedCall call{.args = step.args,
                 .key_index = step.first_key + index * command.keys.step,
                 .key = key,
                 .shard = shard,
                 .reply = reply,
                 .now = now,
                 .scratch = scratch_,
                 .value_bytes_max = services_.engine.options().value_bytes_max,
                 .effects = effects_};
  scratch_.Clear();  // where the last one found no memory
  command.keyed(call);
  CountLookup(command, call.sought);
  if (!command.Is(kPartitionKeys)) [[likely]]
    hot_keys_.Saw(key, now);
  if (scratch_.capacity() > kScratchKeptBytes) {
    scratch_.Release();
  } else {
    scratch_.Clear();
  }
  if (!call.error) [[likely]]
    return true;
  if (!error_) error_ = std::move(call.error);
  return false;
}

bool Executor::AnyExists(std::span<const Key> keys, UnixMillis now) {
  return std::any_of(keys.begin(), keys.end(), [&](const Key& key) GYRE_NO_THREAD_SAFETY_ANALYSIS {
    return static_cast<bool>(ShardOf(key).Find(key, now, Purpose::kWrite));
  });
}

[[gnu::noinline]] Executor::Result Executor::RunOnKeys(const TransactionStep& step, UnixMillis now,
                                                       ReplyWriter& reply) {
  const Command& command = step.command;
  const bool is_list = command.fold == Fold::kArray && !step.is_part;
  const bool says_itself = is_list || step.SaysTheWhole();
  if (command.fold == Fold::kAtomic && !step.is_part && AnyExists(step.keys, now)) {
    reply.Integer(0);
    return Result::kDone;
  }
  FoldWriter fold(command.fold);
  ReplyWriter& out = says_itself ? reply : static_cast<ReplyWriter&>(fold);
  const bool divisible = is_list && command.Is(kReadOnly) && step.keys.size() > 1;
  const std::size_t whole_max = divisible ? reply.output_bytes() + kReplyWholeBytes : 0;
  const std::size_t effects_before = effects_.size();
  bool failed = false;
  if (is_list) reply.BeginList(ListShape::kArray, step.keys.size());
  for (std::size_t i = 0; i < step.keys.size(); ++i) {
    failed = !RunHandler(step, i, ShardOf(step.keys[i]), now, out) || failed;
    if (divisible && reply.output_bytes() > whole_max) return Result::kLarge;
  }
  if (is_list) reply.EndList();
  if (failed && !says_itself && effects_.size() > effects_before) {
    error_ = PartlyWritten(*error_);
    reply.Fail(*error_);
  } else if (!says_itself) {
    fold.Say(reply);
  }
  if (!failed) return Result::kDone;
  return is_list ? Result::kVoid : Result::kFailed;
}

[[gnu::always_inline]] inline void Executor::RunSteps(const Transaction& transaction, Shard* only,
                                                      ReplyWriter& reply, Execution& done) {
  const TransactionStep& first = transaction.steps.front();
  if (only != nullptr && first.command.fold != Fold::kAtomic) [[likely]] {
    const bool is_list = first.command.fold == Fold::kArray && !first.is_part;
    if (is_list) reply.BeginList(ListShape::kArray, 1);
    if (!RunHandler(first, 0, *only, transaction.now, reply)) {
      done.result = is_list ? Result::kVoid : Result::kFailed;
    }
    if (is_list) reply.EndList();
    return;
  }
  if (transaction.steps.size() == 1) {
    done.result = RunOnKeys(first, transaction.now, reply);
    return;
  }
  reply.BeginList(ListShape::kArray, transaction.steps.size());
  for (const TransactionStep& step : transaction.steps) {
    // One that fails is an element; the others run all the same.
    RunOnKeys(step, transaction.now, reply);
  }
  reply.EndList();
}

// ---- Effects ------------------------------------------------------------------------------------

[[gnu::always_inline]] inline Replicator::Ticket Executor::Submit() {
  if (effects_.empty()) return 0;
  if (effects_.size() > 1) [[unlikely]]
    return SubmitGroups();
  const Replicator::Ticket ticket =
      services_.replicator.Submit(effects_.front().key->partition, {effects_.data(), 1});
  effects_.clear();
  if (ticket != 0) tickets_.assign(1, ticket);
  return ticket;
}

// A group for each partition.
Replicator::Ticket Executor::SubmitGroups() {
  // Versions of a partition grow, so those of a group stay in their order. (A stable sort would allocate.)
  std::sort(effects_.begin(), effects_.end(), [](const Effect& a, const Effect& b) {
    return std::tie(a.key->partition, a.version) < std::tie(b.key->partition, b.version);
  });
  tickets_.clear();
  for (std::size_t begin = 0, end = 0; begin < effects_.size(); begin = end) {
    const PartitionId partition = effects_[begin].key->partition;
    while (end < effects_.size() && effects_[end].key->partition == partition) ++end;
    const std::span<Effect> group = std::span(effects_).subspan(begin, end - begin);
    const Replicator::Ticket ticket =
        services_.replicator.Submit(partition, group.first(ReadAgain(group)));
    if (ticket != 0) tickets_.push_back(ticket);
  }
  effects_.clear();
  return tickets_.empty() ? 0 : tickets_.back();
}

// A record may have moved since, or have changed once more, or be evicted, for what the transaction
// stored after it. What was changed once more the later effect tells. What was pushed out is gone on
// all copies: none may keep what was there before. Returns how many effects are left of the group.
std::size_t Executor::ReadAgain(std::span<Effect> group) GYRE_NO_THREAD_SAFETY_ANALYSIS {
  std::size_t kept = 0;
  for (Effect& effect : group) {
    if (effect.kind == Effect::Kind::kPut) {
      const RecordView record = ShardOf(*effect.key).Peek(*effect.key);
      if (record && record.version() != effect.version) continue;
      effect =
          record ? Effect::Put(*effect.key, record) : Effect::Remove(*effect.key, effect.version);
    }
    group[kept++] = effect;
  }
  return kept;
}

void Executor::Settle(std::uint32_t acks, PendingReply reply) {
  if (tickets_.size() == 1) {
    return services_.replicator.Await(
        tickets_.front(), acks, [reply = std::move(reply)](const Status& status) mutable {
          status ? reply.Finish() : reply.FinishWithError(status.error());
        });
  }
  auto open = std::make_shared<std::size_t>(tickets_.size());
  // Await may answer from within, and a reply may bring the next command: `tickets_` is read first.
  for (const Replicator::Ticket ticket : std::vector(tickets_)) {
    services_.replicator.Await(ticket, acks, [open, reply](const Status& status) mutable {
      if (!status) reply.FinishWithError(status.error());
      if (--*open == 0) reply.Finish();
    });
  }
}

// ---- All of it ----------------------------------------------------------------------------------

template <typename Work>
[[gnu::always_inline]] inline Executor::Execution Executor::Within(const Transaction& transaction,
                                                                   Work&& work) {
  const ShardLocks locks(services_.engine, transaction.keys, locked_);
  error_.reset();
  const WriteFence::Turn turn = fence_.Begin();
  Execution done = Admit(transaction, turn, locks.only());
  if (done.result != Result::kDone) [[unlikely]]
    return done;
  work(done, locks.only());
  if (turn.leased && !Held(turn, transaction.keys)) Void(transaction, done);
  return done;
}

Executor::Execution Executor::Run(const Transaction& transaction, ReplyWriter& reply) {
  const Execution done = Within(transaction, [&](Execution& execution, Shard* only) {
    try {
      RunSteps(transaction, only, reply, execution);
    } catch (...) {
      Submit();  // what was changed before there was no more memory
      throw;
    }
    execution.ticket = Submit();
  });
  if (done.result == Result::kLacking) [[unlikely]]
    reply.Fail(error());
  return done;
}

// Nothing is written, so a lease that ran out is one that was not there.
template <typename Work>
Executor::Execution Executor::Ask(const Transaction& transaction, Work&& work) {
  const Execution done = Within(transaction, work);
  if (done.result != Result::kVoid) return done;
  return {Result::kRefused, Role::kOwner, transaction.keys.front().partition};
}

Executor::Execution Executor::TakeClaims(const Transaction& transaction,
                                         std::span<const Claim> wanted, KeyClaims& claims) {
  return Ask(transaction, [&](Execution& done, Shard*) {
    for (const Claim& claim : wanted) {
      if (claims.Take(claim)) continue;
      done = {Result::kClaimed, Role::kOwner, claim.partition};
      return;
    }
  });
}

Executor::Execution Executor::LookForAny(const Transaction& transaction, bool& found) {
  return Ask(transaction,
             [&](Execution&, Shard*) { found = AnyExists(transaction.keys, transaction.now); });
}

}  // namespace gyre
