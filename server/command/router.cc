#include "command/router.h"

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

#include "command/arguments.h"
#include "command/command_table.h"
#include "command/messages.h"
#include "proto/slot.h"

namespace gyre {
namespace {

// Keys of one command that must be one step (MSETNX).
constexpr std::size_t kAtomicKeysMax = 16 * 1024;
// What steps of long commands may take of a turn of the loop; at least one is run.
constexpr Duration kStepsTurnMax = std::chrono::milliseconds(2);

bool HasOneKey(const Command& command, const Request& request) {
  return command.fold == Fold::kNone ||
         request.args.size() == std::size_t{command.keys.first} + command.keys.step;
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

bool Router::SamePartition(const std::vector<Key>& keys) {
  return std::all_of(keys.begin(), keys.end(),
                     [&](const Key& key) { return key.partition == keys.front().partition; });
}

bool Router::RunsTogether(const Command& command, const std::vector<Key>& keys) {
  return command.fold == Fold::kNone || command.fold == Fold::kAtomic ||
         keys.size() <= kTogetherMax;
}

Router::Router(const Services& services, const DispatcherOptions& options)
    : services_(services),
      options_(options),
      share_(std::make_shared<ClientMemoryShare>(
          ClientMemory::AccountOf(services.client_memory, ClientMemory::Kind::kRequests))),
      executor_(services_),
      prefetcher_(services_.engine) {}

void Router::LoadView() {
  // The revision first: a view published in between is loaded again next time.
  view_revision_ = services_.views.revision();
  view_ = services_.views.Load();
}

void Router::EndTurn() {
  services_.replicator.Flush();
  now_ = 0;
}

TimePoint Router::DeadlineOf(const Request& request) const {
  const Duration patience = request.deadline_ms != 0
                                ? Duration(std::chrono::milliseconds(request.deadline_ms))
                                : options_.default_deadline;
  return services_.steady_now() + patience;
}

void Router::Later(Duration delay, std::function<void()> work) {
  services_.transport.After(delay,
                            [this, alive = std::weak_ptr<Token>(alive_), work = std::move(work)] {
                              if (alive.expired()) return;
                              now_ = 0;
                              work();
                              EndTurn();
                            });
}

void Router::NextTurn(std::function<void()> step) {
  steps_.push_back(std::move(step));
  if (steps_.size() == 1 && !runs_steps_) Later(Duration(0), [this] { RunSteps(); });
}

void Router::RunSteps() {
  runs_steps_ = true;
  const TimePoint end = SteadyNow() + kStepsTurnMax;  // the loop's own time stands still in a turn
  do {
    const std::function<void()> step = std::move(steps_.front());
    steps_.pop_front();
    step();
  } while (!steps_.empty() && SteadyNow() < end);
  runs_steps_ = false;
  if (!steps_.empty()) Later(Duration(0), [this] { RunSteps(); });
}

// ---- Keys -------------------------------------------------------------------------------------

Result<Key> Router::KeyOf(const Command& command, std::string_view argument) const {
  if (!command.Is(kPartitionKeys)) return services_.engine.KeyOf(argument);
  const auto partition = ParseUnsigned(argument);
  if (!partition || *partition >= services_.engine.options().partition_count) {
    return Fail(ErrorCode::kInvalidArgument, "no such partition");
  }
  return Key{.bytes = argument, .partition = static_cast<PartitionId>(*partition)};
}

Status Router::ReadKeys(const Command& command, Arguments args, const Origin& origin,
                        std::vector<Key>& keys) const {
  keys.clear();
  const std::size_t first = command.keys.first;
  const std::size_t step = command.keys.step;
  const std::size_t end = command.fold == Fold::kNone ? first + 1 : args.size();
  if (args.size() <= first || (end - first) % step != 0) {
    return tl::unexpected(WrongArgumentCount(command.name));
  }
  for (std::size_t i = first; i < end; i += step) {
    Result<Key> key = KeyOf(command, args[i]);
    if (!key) return tl::unexpected(std::move(key.error()));
    keys.push_back(*key);
  }
  if (origin.cluster_port && keys.size() > 1 && !command.Is(kPartitionKeys)) {
    const Slot slot = SlotOf(keys.front().bytes);
    for (const Key& key : keys) {
      if (SlotOf(key.bytes) == slot) continue;
      return Fail(ErrorCode::kCrossSlot, "Keys in request don't hash to the same slot");
    }
  }
  return {};
}

// ---- At once ----------------------------------------------------------------------------------

std::optional<Key> Router::OnlyKey(const Command* command, const Request& request) const {
  if (command == nullptr || command->keyed == nullptr || command->Is(kPartitionKeys)) {
    return std::nullopt;
  }
  if (request.args.size() <= command->keys.first || !HasOneKey(*command, request)) {
    return std::nullopt;
  }
  return services_.engine.KeyOf(request.args[command->keys.first]);
}

bool Router::Run(const Command& command, const Request& request, const Key* key, Session& session,
                 Responder& responder) {
  // What one key's handler says is the whole reply, or the one element of it.
  const bool says_the_whole =
      command.fold == Fold::kNone || command.fold == Fold::kSum || command.fold == Fold::kArray;
  return says_the_whole && HasOneKey(command, request)
             ? RunOne(command, request, key, session, responder)
             : RunFolded(command, request, key, session, responder);
}

bool Router::RunOne(const Command& command, const Request& request, const Key* known,
                    Session& session, Responder& responder) {
  const std::size_t key_index = command.keys.first;
  Key key;
  if (known != nullptr) {
    key = *known;
  } else if (!command.Is(kPartitionKeys)) [[likely]] {
    key = services_.engine.KeyOf(request.args[key_index]);
  } else if (Result<Key> partition = KeyOf(command, request.args[key_index])) {
    key = *partition;
  } else {
    responder.writer().Fail(partition.error());
    return true;
  }

  const Origin origin = OriginOf(session, request);
  Route route = Route::kWait;
  if (!waiting_.Blocks(key.partition)) [[likely]] {
    const std::uint32_t acks = AcksOf(request);
    Executor::Execution done = executor_.Run(command, request.args, key_index, key, origin, acks,
                                             now(), responder.writer(), Executor::Says::kReply);
    if (!done.executed && StandsIn(command, key.partition, done.role)) [[unlikely]] {
      done = executor_.Run(command, request.args, key_index, key, AsReplica(origin), acks, now(),
                           responder.writer(), Executor::Says::kReply);
    }
    if (done.executed) [[likely]] {
      if (done.failed && (command.fold == Fold::kArray || done.overrun)) [[unlikely]] {
        responder.Defer().FinishWithError(executor_.first_error());
      } else if (done.ticket != 0) {
        session.last_write_ticket = done.ticket;
        if (acks > 1) Settle(done.ticket, acks, responder.Defer());
      }
      return done.failed;
    }
    route = RouteFor(key.partition, done.role, request, origin);
  } else if (request.no_forward && services_.leases == nullptr) {
    route = Route::kNotOwner;
  }

  if (route == Route::kMoved || route == Route::kNotOwner) {
    responder.writer().Fail(Refusal(route, key));
    return true;
  }
  // Before the reply is deferred: where there is no room, the request is not begun.
  PendingCommand::Charge charge(share_, command, request.args);
  const auto pending =
      std::make_shared<PendingCommand>(std::move(charge), command, OwnedRequest(request), origin,
                                       DeadlineOf(request), responder.Defer());
  if (!Follow(route, pending, key)) Wait(key.partition, pending);
  return false;
}

bool Router::RunFolded(const Command& command, const Request& request, const Key* known,
                       Session& session, Responder& responder) {
  const Origin origin = OriginOf(session, request);
  const auto begin_pending = [&] {
    // Before the reply is deferred: where there is no room, the request is not begun.
    PendingCommand::Charge charge(share_, command, request.args);
    Resume(std::make_shared<PendingCommand>(std::move(charge), command, OwnedRequest(request),
                                            origin, DeadlineOf(request), responder.Defer()));
    return false;
  };
  // Such a command takes several turns, in which what follows it must not overtake it.
  const auto begin_long_pending = [&] {
    begin_pending();
    responder.HoldLaterRequests();
    return false;
  };
  // On the cluster port all its keys are looked at first, for they must be of one slot.
  if (NeedsChunks(command, request.args) && !origin.cluster_port) return begin_long_pending();
  // Neither do very many keys of values stay in `keys_`.
  const bool reads_many =
      command.fold == Fold::kArray &&
      request.args.size() > command.keys.first + kTogetherMax * command.keys.step;
  if (reads_many && !origin.cluster_port && !request.no_forward) return begin_long_pending();
  if (known != nullptr) {
    keys_.assign(1, *known);
  } else if (const Status read = ReadKeys(command, request.args, origin, keys_); !read) {
    responder.writer().Fail(read.error());
    return true;
  }
  const bool many = keys_.size() > kTogetherMax;
  if (many && command.fold == Fold::kAtomic && keys_.size() > kAtomicKeysMax) {
    responder.writer().Fail({ErrorCode::kTooLarge, "too many keys for one step: at most " +
                                                       std::to_string(kAtomicKeysMax)});
    return true;
  }
  Role role = Role::kAbsent;
  if (RunsTogether(command, keys_) && !Blocked(keys_, std::nullopt)) {
    if (!command.Is(kPartitionKeys)) prefetcher_.Run(keys_);
    const Executor::Execution done = TryHere(command, request, origin, keys_, responder.writer());
    if (done.large) {
      PendingCommand::Charge charge(share_, command, request.args);
      const auto pending =
          std::make_shared<PendingCommand>(std::move(charge), command, OwnedRequest(request),
                                           origin, DeadlineOf(request), responder.DeferAnew());
      responder.HoldLaterRequests();
      if (!StreamKeys(pending, keys_.size())) pending->reply.FinishWithError(ReplyTooLarge());
      return false;
    }
    if (done.executed) {
      if (done.failed && (command.fold == Fold::kArray || done.overrun)) {
        responder.Defer().FinishWithError(executor_.first_error());
      } else if (done.ticket != 0) {
        session.last_write_ticket = done.ticket;
        const std::uint32_t acks = AcksOf(request);
        if (acks > 1) SettleAll(tickets_, acks, responder.Defer());
      }
      return done.failed;
    }
    role = done.role;
  }
  if (request.no_forward && role != Role::kOwner) {
    responder.writer().Fail(Refusal(Route::kNotOwner, keys_.front()));
    return true;
  }
  return many ? begin_long_pending() : begin_pending();
}

Executor::Execution Router::TryHere(const Command& command, const Request& request,
                                    const Origin& origin, const std::vector<Key>& keys,
                                    ReplyWriter& reply) {
  const Executor::Execution done = RunHere(command, request, origin, keys, reply);
  if (done.executed || !SamePartition(keys)) return done;
  if (!StandsIn(command, keys.front().partition, done.role)) return done;
  return RunHere(command, request, AsReplica(origin), keys, reply);
}

Executor::Execution Router::RunHere(const Command& command, const Request& request,
                                    const Origin& origin, const std::vector<Key>& keys,
                                    ReplyWriter& reply) {
  tickets_.clear();
  const std::uint32_t acks = AcksOf(request);
  if (command.fold == Fold::kNone) {
    const Executor::Execution one =
        executor_.Run(command, request.args, command.keys.first, keys.front(), origin, acks, now(),
                      reply, Executor::Says::kReply);
    if (one.ticket != 0) tickets_.push_back(one.ticket);
    return one;
  }
  return executor_.RunTogether(command, request.args, keys, origin, acks, now(), reply, tickets_);
}

Route Router::RouteFor(PartitionId partition, Role role, const Request& request,
                       const Origin& origin) {
  RouteFacts facts{.role = role, .no_forward = request.no_forward, .hops = request.hops};
  if (const ClusterView* known = view()) {
    facts.owner = known->owner[partition];
    facts.self = known->self;
    facts.redirects = origin.cluster_port && facts.owner != kNoMember &&
                      known->members[facts.owner].resp_cluster_port != 0;
  }
  return ChooseRoute(facts);
}

bool Router::StandsIn(const Command& command, PartitionId partition, Role role) {
  if (role != Role::kReplica || !command.Is(kReadOnly)) return false;
  const ClusterView* known = view();
  return known != nullptr && AnswererOf(*known, command, partition) == known->self;
}

MemberIndex Router::AnswererOf(const ClusterView& known, const Command& command,
                               PartitionId partition) const {
  const MemberIndex owner = known.owner[partition];
  if (!options_.replicas_stand_in || !command.Is(kReadOnly) || owner == kNoMember ||
      owner == known.self || known.members[owner].state != MemberState::kSuspect) {
    return owner;
  }
  const std::vector<MemberIndex>& complete = known.complete[partition];
  if (std::find(complete.begin(), complete.end(), known.self) != complete.end()) {
    return known.self;
  }
  const auto alive = std::find_if(complete.begin(), complete.end(), [&known](MemberIndex member) {
    return known.members[member].state == MemberState::kAlive;
  });
  return alive == complete.end() ? owner : *alive;
}

Error Router::Refusal(Route route, const Key& key) {
  if (route == Route::kMoved) {
    const ClusterView* known = view();  // may be newer than the one that the route was chosen by
    const MemberIndex owner = known == nullptr ? kNoMember : known->owner[key.partition];
    if (owner == kNoMember) return DeadlineError(key.partition);
    const MemberInfo& member = known->members[owner];
    if (member.resp_cluster_port != 0) {
      ++stats_.moved;
      return {ErrorCode::kMoved, std::to_string(SlotOf(key.bytes)) + " " + member.host + ":" +
                                     std::to_string(member.resp_cluster_port)};
    }
  }
  return {ErrorCode::kNotOwner, "this node does not own the key; fetch the ring again (RING)"};
}

bool Router::Blocked(const std::vector<Key>& keys, std::optional<PartitionId> line) const {
  if (waiting_.empty()) return false;
  return std::any_of(keys.begin(), keys.end(), [&](const Key& key) {
    return key.partition != line && waiting_.Blocks(key.partition);
  });
}

}  // namespace gyre
