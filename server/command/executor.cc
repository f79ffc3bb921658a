#include "command/executor.h"

#include <algorithm>

#include "command/command_table.h"
#include "command/fold_writer.h"
#include "command/keyed_call.h"
#include "protocol/handler.h"

namespace gyre {
namespace {

// A scratch buffer that grew beyond this for one large value gives its memory back.
constexpr std::size_t kScratchKeptBytes = 64 * 1024;

// The shards of several keys, locked in the order of their indices, so that two loops never wait
// for each other. The analysis of lock discipline does not see through the loop.
class ShardLocks {
 public:
  // `indices` is memory to use again.
  ShardLocks(Engine& engine, const std::vector<Key>& keys,
             std::vector<std::uint32_t>& indices) GYRE_NO_THREAD_SAFETY_ANALYSIS
      : engine_(engine),
        indices_(indices) {
    indices_.clear();
    for (const Key& key : keys) indices_.push_back(key.partition % engine.shard_count());
    if (keys.size() > 1) {
      std::sort(indices_.begin(), indices_.end());
      indices_.erase(std::unique(indices_.begin(), indices_.end()), indices_.end());
    }
    for (const std::uint32_t index : indices_) engine.shard(index).mutex().Lock();
  }
  ~ShardLocks() GYRE_NO_THREAD_SAFETY_ANALYSIS {
    for (const std::uint32_t index : indices_) engine_.shard(index).mutex().Unlock();
  }
  ShardLocks(const ShardLocks&) = delete;
  ShardLocks& operator=(const ShardLocks&) = delete;

 private:
  Engine& engine_;
  std::vector<std::uint32_t>& indices_;
};

// The copies that a write needs can be had soon.
bool MayWait(const Error& lack) { return lack.code == ErrorCode::kUnavailable; }

}  // namespace

Executor::Executor(const Services& services)
    : services_(services),
      lookups_(CommandTable::Get().commands().size()),
      scratch_(ClientMemory::AccountOf(services.client_memory, ClientMemory::Kind::kBuffers)) {}

void Executor::CountLookup(const Command& command, Sought sought) {
  LookupCounters& counters = lookups_[command.index];
  switch (sought) {
    case Sought::kNothing:
      return;
    case Sought::kFound:
      return counters.found.Add(1);
    case Sought::kMissing:
      return counters.missing.Add(1);
    case Sought::kMismatched:
      return counters.mismatched.Add(1);
  }
}

Executor::Execution Executor::Run(const Command& command, Arguments args, std::size_t key_index,
                                  const Key& key, const Origin& origin, std::uint32_t acks,
                                  UnixMillis now, ReplyWriter& reply, Says says) {
  Shard& shard = services_.engine.ShardOf(key.partition);
  MutexLock lock(shard.mutex());
  const Role role = shard.info(key.partition).role;
  if (!MayExecute(role, command, origin)) [[unlikely]] {
    return {.role = role};
  }
  // A replica's reads need none: they may be stale.
  const bool leased = services_.leases != nullptr && role == Role::kOwner;
  const TimePoint from = leased ? services_.leases->Now() : TimePoint{};
  if (leased && !MayAct(shard, key.partition, from, now)) return {.role = role};
  if ((command.Is(kWrite) || origin.waited) && !services_.replication.self_fence.Holds())
      [[unlikely]] {
    return {.role = role};
  }
  if (command.Is(kWrite)) {
    if (const Status enough = services_.replicator.Check(key.partition, acks); !enough) {
      if (MayWait(enough.error())) return {.role = role};
      reply.Fail(enough.error());
      return {.executed = true, .failed = true};
    }
  }
  error_.reset();
  const bool is_list = says == Says::kReply && command.fold == Fold::kArray;
  if (is_list) reply.BeginList(ListShape::kArray, 1);
  Execution done = RunLocked(command, args, key_index, key, shard, now, reply);
  if (is_list) reply.EndList();
  if (leased) Overran(command, key.partition, from, done);
  return done;
}

bool Executor::MayAct(Shard& shard, PartitionId partition, TimePoint at, UnixMillis now) {
  const UnixMillis stamp = std::max(now, shard.clock_millis() + 1);
  if (services_.leases->Holds(partition, at) && services_.leases->MayStamp(stamp)) return true;
  services_.leases->CountRefusal();
  return false;
}

bool Executor::Overran(const Command& command, PartitionId partition, TimePoint from,
                       Execution& done) {
  if (services_.leases->HeldSince(partition, from, services_.leases->Now())) return false;
  services_.leases->CountOverrun();
  done.failed = done.overrun = true;
  if (command.Is(kWrite)) {
    error_ = {ErrorCode::kUnknownOutcome,
              "the command was executed here, but this node no longer heard from a majority of the "
              "ring: read the key back before you repeat it"};
  } else {
    error_ = {ErrorCode::kUnavailable,
              "this node was stopped and lost its majority of the ring while it answered; nothing "
              "was written, try again"};
  }
  return true;
}

Executor::Execution Executor::RunLocked(const Command& command, Arguments args,
                                        std::size_t key_index, const Key& key, Shard& shard,
                                        UnixMillis now, ReplyWriter& reply) {
  KeyedCall call{.args = args,
                 .key_index = key_index,
                 .key = key,
                 .shard = shard,
                 .reply = reply,
                 .now = now,
                 .scratch = scratch_,
                 .value_bytes_max = services_.engine.options().value_bytes_max};
  scratch_.Clear();  // where the last one found no memory
  command.keyed(call);
  CountLookup(command, call.sought);

  Execution outcome{.executed = true, .failed = call.error.has_value()};
  if (call.mutated) {
    outcome.ticket = services_.replicator.Submit(key.partition, call.mutated);
  } else if (call.removed != 0) {
    outcome.ticket = services_.replicator.SubmitRemoval(key, call.removed);
  } else if (call.flushed != 0) {
    outcome.ticket = services_.replicator.SubmitFlush(key.partition, call.flushed);
  }
  if (call.error) [[unlikely]] {
    if (!error_) error_ = std::move(call.error);
  }
  if (scratch_.capacity() > kScratchKeptBytes) {
    scratch_.Release();
  } else {
    scratch_.Clear();
  }
  return outcome;
}

Executor::Execution Executor::RunTogether(const Command& command, Arguments args,
                                          const std::vector<Key>& keys, const Origin& origin,
                                          std::uint32_t acks, UnixMillis now, ReplyWriter& reply,
                                          Tickets& tickets) GYRE_NO_THREAD_SAFETY_ANALYSIS {
  Engine& engine = services_.engine;
  const ShardLocks locks(engine, keys, locked_);
  error_.reset();
  for (const Key& key : keys) {
    const Role role = engine.ShardOf(key.partition).info(key.partition).role;
    if (!MayExecute(role, command, origin)) return {.role = role};
  }
  const TimePoint from = services_.leases != nullptr ? services_.leases->Now() : TimePoint{};
  for (const Key& key : keys) {
    if (services_.leases == nullptr) break;
    Shard& shard = engine.ShardOf(key.partition);
    const Role role = shard.info(key.partition).role;
    if (role == Role::kOwner && !MayAct(shard, key.partition, from, now)) return {.role = role};
  }
  if ((command.Is(kWrite) || origin.waited) && !services_.replication.self_fence.Holds()) {
    return {.role = Role::kOwner};
  }
  if (command.Is(kWrite)) {
    for (const Key& key : keys) {
      if (const Status enough = services_.replicator.Check(key.partition, acks); !enough) {
        if (MayWait(enough.error())) return {.role = Role::kOwner};
        error_ = enough.error();
        reply.Fail(enough.error());
        return {.executed = true, .failed = true};
      }
    }
  }
  Execution all{.executed = true};
  if (command.fold == Fold::kAtomic && AnyExists(keys, now)) {
    reply.Integer(0);
    OverranAny(command, keys, from, all);
    return all;
  }

  FoldWriter fold;
  const bool is_list = command.fold == Fold::kArray;
  const bool says_itself = is_list || command.fold == Fold::kConcat;
  ReplyWriter& out = says_itself ? reply : static_cast<ReplyWriter&>(fold);
  const bool divisible = is_list && command.Is(kReadOnly);
  const std::size_t whole_max = reply.output_bytes() + kReplyWholeBytes;
  if (is_list) reply.BeginList(ListShape::kArray, keys.size());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::size_t key_index = command.keys.first + i * command.keys.step;
    const Key& key = keys[i];
    const Execution one =
        RunLocked(command, args, key_index, key, engine.ShardOf(key.partition), now, out);
    all.failed = all.failed || one.failed;
    if (divisible && reply.output_bytes() > whole_max && keys.size() > 1) {
      return {.executed = true, .large = true};
    }
    if (one.ticket != 0) {
      tickets.push_back(one.ticket);
      all.ticket = one.ticket;
    }
  }
  if (is_list) reply.EndList();
  if (!says_itself) fold.Say(command.fold, reply);
  OverranAny(command, keys, from, all);
  return all;
}

void Executor::OverranAny(const Command& command, const std::vector<Key>& keys, TimePoint from,
                          Execution& done) GYRE_NO_THREAD_SAFETY_ANALYSIS {
  if (services_.leases == nullptr) return;
  for (const Key& key : keys) {
    const bool owner =
        services_.engine.ShardOf(key.partition).info(key.partition).role == Role::kOwner;
    if (owner && Overran(command, key.partition, from, done)) return;
  }
}

bool Executor::AnyExists(const std::vector<Key>& keys,
                         UnixMillis now) GYRE_NO_THREAD_SAFETY_ANALYSIS {
  for (const Key& key : keys) {
    if (services_.engine.ShardOf(key.partition).Find(key, now, Purpose::kWrite)) {
      return true;
    }
  }
  return false;
}

}  // namespace gyre
