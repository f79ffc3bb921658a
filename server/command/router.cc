#include "command/router.h"

#include <cassert>
#include <new>
#include <string>
#include <utility>

#include "command/command_keys.h"
#include "command/command_table.h"
#include "command/recording_slot.h"

namespace gyre {
namespace {

// Values of very many keys. (Where the keys must be of one slot, or all here, that is seen first.)
bool ReadsMany(const Command& command, const Request& request, const Origin& origin) {
  return command.fold == Fold::kArray && HasManyKeys(command, request.args) &&
         !origin.cluster_port && !request.no_forward;
}

Origin AsReplica(Origin origin) {
  origin.replica_reads = true;
  return origin;
}

Origin OriginOf(const Session& session, const Request& request) {
  return {.cluster_port = session.cluster_port,
          .replica_reads = session.read_from_replicas,
          .waited = request.waited};
}

}  // namespace

Router::Router(const Services& services, const DispatcherOptions& options, CommandTallies& tallies)
    : context_(services, options),
      executor_(context_.services(), tallies),
      prefetcher_(services.engine, services.replication),
      waiting_(context_, counters_,
               [this](const PendingCommandPtr& pending, PartitionId line) {
                 std::vector<Key> keys;
                 // It was read before, so it can be read again.
                 const Status read = ReadKeys(context_.services().engine, pending->command,
                                              pending->request->args, pending->origin, keys);
                 return !read || TryPending(pending, keys, line);
               }),
      long_(context_, executor_, waiting_),
      forwarder_(context_, waiting_, counters_),
      streams_(context_, executor_, waiting_,
               [this](Arguments args, TimePoint deadline, std::function<void(Reply)> done) {
                 Ask(args, deadline, std::move(done));
               }),
      scatter_(context_, waiting_, forwarder_, streams_, counters_,
               [this](const PendingCommandPtr& part) { Resume(part); }),
      share_(std::make_shared<ClientMemoryShare>(
          ClientMemory::AccountOf(services.client_memory, ClientMemory::Kind::kRequests))) {}

// ---- At once ----------------------------------------------------------------------------------

bool Router::Run(const Command& command, const Request& request, const Key* key, Session& session,
                 Responder& responder) {
  return HasOneKey(command, request) ? RunOne(command, request, key, session, responder)
                                     : RunFolded(command, request, key, session, responder);
}

[[gnu::always_inline]] inline Executor::Execution Router::TryHere(const TransactionStep& command,
                                                                  const Request& request,
                                                                  const Origin& origin,
                                                                  ReplyWriter& reply) {
  const Executor::Execution done =
      executor_.Run({command, origin, context_.AcksOf(request), context_.now()}, reply);
  return done.result == Executor::Result::kRefused
             ? TryAsReplica(done, command, request, origin, reply)
             : done;
}

bool Router::RunOne(const Command& command, const Request& request, const Key* known,
                    Session& session, Responder& responder) {
  const Services& services = context_.services();
  const std::size_t key_index = command.keys.first;
  Key key;
  if (known != nullptr) {
    key = *known;
  } else if (!command.Is(kPartitionKeys)) [[likely]] {
    key = services.engine.KeyOf(request.args[key_index]);
  } else if (Result<Key> partition = KeyOf(services.engine, command, request.args[key_index])) {
    key = *partition;
  } else {
    responder.writer().Fail(partition.error());
    return true;
  }

  const Origin origin = OriginOf(session, request);
  Route route = Route::kWait;
  if (!waiting_.Blocks(key.partition)) [[likely]] {
    const Executor::Execution done =
        TryHere({command, request.args, {&key, 1}, key_index}, request, origin, responder.writer());
    if (done.result == Executor::Result::kDone && done.ticket == 0) [[likely]]
      return false;
    if (!done.refused()) return End(done, request, session, responder);
    if (done.result == Executor::Result::kClaimed) {
      PendingCommand::Charge charge = ChargeFor(command, request.args);
      waiting_.WaitForClaims(
          {&key, 1}, MakePending(std::move(charge), command, request, origin, responder.Defer()),
          std::nullopt);
      return false;
    }
    route = RouteFor(context_.view(), key.partition, done.role, request, origin);
  } else if (request.no_forward && !services.replication.fence.uses_leases()) {
    route = Route::kNotOwner;
  }

  return TakeElsewhere(route, command, request, origin, key, responder);
}

bool Router::End(const Executor::Execution& done, const Request& request, Session& session,
                 Responder& responder) {
  if (done.ticket != 0) session.last_write_ticket = done.ticket;
  executor_.Conclude(done, context_.AcksOf(request), [&responder] { return responder.Defer(); });
  return done.failed();
}

bool Router::TakeElsewhere(Route route, const Command& command, const Request& request,
                           const Origin& origin, const Key& key, Responder& responder) {
  if (route == Route::kMoved || route == Route::kNotOwner) {
    responder.writer().Fail(Refuse(route, key));
    return true;
  }
  PendingCommand::Charge charge = ChargeFor(command, request.args);
  const PendingCommandPtr pending =
      MakePending(std::move(charge), command, request, origin, responder.Defer());
  if (!Follow(route, pending, key)) waiting_.Wait(key.partition, pending);
  return false;
}

bool Router::RunFolded(const Command& command, const Request& request, const Key* known,
                       Session& session, Responder& responder) {
  const Origin origin = OriginOf(session, request);
  // A command that takes several turns must not be overtaken by what follows it.
  const auto begin_pending = [&](bool takes_long) {
    PendingCommand::Charge charge = ChargeFor(command, request.args);
    Resume(MakePending(std::move(charge), command, request, origin, responder.Defer()));
    if (takes_long) responder.HoldLaterRequests();
    return false;
  };
  // On the cluster port all its keys are looked at first, for they must be of one slot.
  const bool takes_steps =
      NeedsChunks(command, request.args) || GoesInSteps(command, CountKeys(command, request.args));
  if (takes_steps && !origin.cluster_port) return begin_pending(true);
  // Neither do very many keys of values stay in `keys_`.
  if (ReadsMany(command, request, origin)) return begin_pending(true);
  if (known != nullptr) {
    keys_.assign(1, *known);
  } else if (const Status read =
                 ReadKeys(context_.services().engine, command, request.args, origin, keys_);
             !read) {
    responder.writer().Fail(read.error());
    return true;
  }
  const bool many = keys_.size() > kTogetherMax;
  if (command.fold == Fold::kAtomic && keys_.size() > kTransactionKeysMax) {
    responder.writer().Fail({ErrorCode::kTooLarge, "too many keys for one step: at most " +
                                                       std::to_string(kTransactionKeysMax)});
    return true;
  }
  Role role = Role::kAbsent;
  if (!many && waiting_.ObstacleOf(keys_, nullptr) == RetryQueue::Obstacle::kNone) {
    if (!command.Is(kPartitionKeys)) prefetcher_.Run(keys_);
    const Executor::Execution done = TryHere({command, request.args, keys_, command.keys.first},
                                             request, origin, responder.writer());
    if (done.result == Executor::Result::kLarge) {
      PendingCommand::Charge charge = ChargeFor(command, request.args);
      const PendingCommandPtr pending =
          MakePending(std::move(charge), command, request, origin, responder.DeferAnew());
      responder.HoldLaterRequests();
      if (!streams_.Start(pending, keys_.size())) pending->reply.FinishWithError(ReplyTooLarge());
      return false;
    }
    if (!done.refused()) return End(done, request, session, responder);
    role = done.role;
  }
  if (request.no_forward && role != Role::kOwner) {
    responder.writer().Fail(NotOwnerError());
    return true;
  }
  return begin_pending(many);
}

Executor::Execution Router::TryAsReplica(const Executor::Execution& refused,
                                         const TransactionStep& command, const Request& request,
                                         const Origin& origin, ReplyWriter& reply) {
  if (!SamePartition(command.keys) ||
      !StandsIn(context_.view(), command.command, command.keys.front().partition, refused.role,
                context_.options().replicas_stand_in)) {
    return refused;
  }
  const Origin as_replica = AsReplica(origin);
  return executor_.Run({command, as_replica, context_.AcksOf(request), context_.now()}, reply);
}

Error Router::Refuse(Route route, const Key& key) {
  // The view may be newer than the one that the route was chosen by.
  Error error = Refusal(context_.view(), route, key);
  if (error.code == ErrorCode::kMoved) counters_[&RouterStats::moved].Add(1);
  return error;
}

// ---- Later --------------------------------------------------------------------------------------

PendingCommandPtr Router::MakePending(PendingCommand::Charge charge, const Command& command,
                                      const Request& request, const Origin& origin,
                                      PendingReply reply) {
  Origin known = origin;
  known.deaths = context_.deaths();
  return std::make_shared<PendingCommand>(std::move(charge), command, OwnedRequest(request), known,
                                          context_.DeadlineOf(request), std::move(reply));
}

void Router::Answer(Arguments args, TimePoint deadline, PendingReply reply) {
  const Command* command = CommandTable::Get().Find(args.front());
  assert(command != nullptr && command->keyed != nullptr);
  try {
    PendingCommand::Charge charge = ChargeFor(*command, args);
    Resume(std::make_shared<PendingCommand>(std::move(charge), *command,
                                            OwnedRequest(Request{}, args),
                                            Origin{.deaths = context_.deaths()}, deadline, reply));
  } catch (const std::bad_alloc&) {
    reply.FinishWithError(ReplyTooLarge());
  }
}

void Router::Ask(Arguments args, TimePoint deadline, std::function<void(Reply)> done) {
  Answer(args, deadline, RecordingSlot::Make(std::move(done), context_.gathered()));
}

void Router::Resume(const PendingCommandPtr& pending) {
  if (NeedsChunks(pending->command, pending->request->args)) return scatter_.InChunks(pending);
  if (ReadsMany(pending->command, *pending->request, pending->origin)) {
    return scatter_.ByOwnerInSteps(pending);
  }
  std::vector<Key> keys;
  if (const Status read = ReadKeys(context_.services().engine, pending->command,
                                   pending->request->args, pending->origin, keys);
      !read) {
    return pending->reply.FinishWithError(read.error());
  }
  TryPending(pending, keys, std::nullopt);
}

bool Router::TryPending(const PendingCommandPtr& pending, const std::vector<Key>& keys,
                        std::optional<PartitionId> line) {
  const Command& command = pending->command;
  const Request& request = *pending->request;
  const bool one_partition = SamePartition(keys);
  const bool in_steps = GoesInSteps(command, keys.size());
  const bool together = in_steps || RunsTogether(command, keys.size());
  const RetryQueue::Obstacle obstacle = waiting_.ObstacleOf(keys, pending.get());
  const PartitionId partition = keys.front().partition;
  if (obstacle == RetryQueue::Obstacle::kClaims) {
    return waiting_.WaitForClaims(keys, pending, line);
  }
  const bool blocked = obstacle != RetryQueue::Obstacle::kNone;
  if (blocked && one_partition) return WaitFor(partition, pending, line);
  if (pending->Outlived(context_.deaths())) {
    pending->Fail(NotOwnerError());
    return true;
  }
  if (pending->lost()) {
    const PendingCommand::Standing standing =
        pending->Reconsider(context_.view(), context_.services().steady_now());
    if (standing == PendingCommand::Standing::kMustWait) {
      return WaitFor(line.value_or(partition), pending, line);
    }
    if (standing == PendingCommand::Standing::kFailed) return true;
  }

  Role role = Role::kAbsent;
  if (!blocked && together) {
    Executor::Execution done;
    try {
      done = in_steps ? long_.Start(pending, keys)
                      : TryHere({command, request.args, keys, command.keys.first}, request,
                                pending->origin, pending->reply.writer());
    } catch (const std::bad_alloc&) {
      pending->Fail(ReplyTooLarge());
      return true;
    }
    if (done.result == Executor::Result::kLarge) {
      if (!streams_.Start(pending, keys.size())) pending->reply.FinishWithError(ReplyTooLarge());
      return true;
    }
    if (!done.refused()) {
      if (!in_steps) End(done, pending);
      return true;
    }
    if (done.result == Executor::Result::kClaimed) {
      return waiting_.WaitForClaims(keys, pending, line);
    }
    role = done.role;
  }
  if (one_partition && together) {
    const Route route = RouteFor(context_.view(), partition, role, request, pending->origin);
    return Follow(route, pending, keys.front()) || WaitFor(partition, pending, line);
  }
  if (command.fold == Fold::kAtomic) {
    const Result<Route> route = AtomicRouteFor(context_.view(), keys, request, pending->origin);
    if (route) return Follow(*route, pending, keys.front()) || WaitFor(partition, pending, line);
    pending->Fail(route.error());
    return true;
  }
  in_steps ? scatter_.InChunks(pending) : scatter_.ByOwner(pending, keys);
  return true;
}

bool Router::WaitFor(PartitionId partition, const PendingCommandPtr& pending,
                     std::optional<PartitionId> line) {
  if (line == partition) return false;
  waiting_.Wait(partition, pending);
  return true;
}

void Router::End(const Executor::Execution& done, const PendingCommandPtr& pending) {
  executor_.NotePending(done.ticket);
  // What an error says of this try says nothing of one before.
  if (done.failed() && pending->maybe_applied()) return pending->Fail(executor_.error());
  const bool is_told = executor_.Conclude(done, context_.AcksOf(*pending->request),
                                          [&pending] { return pending->reply; });
  if (!is_told) pending->reply.Finish();
}

bool Router::Follow(Route route, const PendingCommandPtr& pending, const Key& key) {
  switch (route) {
    case Route::kWait:
      return false;
    case Route::kForward: {
      const ClusterView* known = context_.view();  // may be newer than that of the route
      if (known == nullptr) return false;
      const MemberIndex to =
          AnswererOf(*known, pending->command, key.partition, context_.options().replicas_stand_in);
      if (to == kNoMember || to == known->self) return false;
      forwarder_.Forward(pending, known->members[to], key.partition);
      return true;
    }
    case Route::kMoved:
    case Route::kNotOwner:
      pending->Fail(Refuse(route, key));
      return true;
  }
  return false;
}

}  // namespace gyre
