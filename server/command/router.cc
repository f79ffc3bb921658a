#include "command/router.h"

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

#include "command/arguments.h"
#include "command/command_table.h"
#include "command/messages.h"
#include "command/recording_slot.h"
#include "proto/limits.h"
#include "proto/slot.h"
#include "protocol/native_codec.h"

namespace gyre {
namespace {

// More keys than this in one command do not hold their shards all at once; they run one by one.
constexpr std::size_t kTogetherMax = 1024;
// How much longer than the owner we wait, so that its own verdict on the deadline reaches us.
constexpr Duration kReplyGrace = std::chrono::milliseconds(50);
constexpr std::uint8_t kImpatientForwardsMax = 8;
// A forwarded read is given up and sent again after so long, then after twice as long, and so on.
constexpr Duration kReadPatience = std::chrono::milliseconds(250);

bool SamePartition(const std::vector<Key>& keys) {
  return std::all_of(keys.begin(), keys.end(),
                     [&](const Key& key) { return key.partition == keys.front().partition; });
}

// Whether the command runs on all its keys in one step where they are all here.
bool RunsTogether(const Command& command, const std::vector<Key>& keys) {
  return command.fold == Fold::kNone || command.fold == Fold::kAtomic || SamePartition(keys) ||
         (keys.size() <= kTogetherMax && !command.Is(kSlow));
}

bool HasOneKey(const Command& command, const Request& request) {
  return command.fold == Fold::kNone ||
         request.args.size() == std::size_t{command.keys.first} + command.keys.step;
}

Origin AsReplica(Origin origin) {
  origin.replica_reads = true;
  return origin;
}

Origin OriginOf(const Session& session) {
  return {.cluster_port = session.cluster_port, .replica_reads = session.read_from_replicas};
}

}  // namespace

Router::Router(const Services& services, const DispatcherOptions& options)
    : services_(services), options_(options), executor_(services_), prefetcher_(services_.engine) {}

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

bool Router::Route(const Command& command, const Request& request, const Key* key, Session& session,
                   Responder& responder) {
  // What one key's handler says is the whole reply, or the one element of it.
  const bool says_the_whole =
      command.fold == Fold::kNone || command.fold == Fold::kSum || command.fold == Fold::kArray;
  return says_the_whole && HasOneKey(command, request)
             ? RouteOne(command, request, key, session, responder)
             : RouteFolded(command, request, key, session, responder);
}

bool Router::RouteOne(const Command& command, const Request& request, const Key* known,
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

  const Origin origin = OriginOf(session);
  Road road = Road::kWait;
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
    road = RoadFor(key.partition, done.role, request, origin);
  } else if (request.no_forward && services_.leases == nullptr) {
    road = Road::kNotOwner;
  }

  if (road == Road::kMoved || road == Road::kNotOwner) {
    responder.writer().Fail(Refusal(road, key));
    return true;
  }
  const auto errand = std::make_shared<Errand>(command, OwnedRequest(request), origin,
                                               DeadlineOf(request), responder.Defer());
  if (!Follow(road, errand, key)) Wait(key.partition, errand);
  return false;
}

bool Router::RouteFolded(const Command& command, const Request& request, const Key* known,
                         Session& session, Responder& responder) {
  const Origin origin = OriginOf(session);
  if (known != nullptr) {
    keys_.assign(1, *known);
  } else if (const Status read = ReadKeys(command, request.args, origin, keys_); !read) {
    responder.writer().Fail(read.error());
    return true;
  }
  Role role = Role::kAbsent;
  if (RunsTogether(command, keys_) && !Blocked(keys_, std::nullopt)) {
    if (!command.Is(kPartitionKeys)) prefetcher_.Run(keys_);
    const Executor::Execution done = TryHere(command, request, origin, keys_, responder.writer());
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
    responder.writer().Fail(Refusal(Road::kNotOwner, keys_.front()));
    return true;
  }
  Resume(std::make_shared<Errand>(command, OwnedRequest(request), origin, DeadlineOf(request),
                                  responder.Defer()));
  return false;
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

Road Router::RoadFor(PartitionId partition, Role role, const Request& request,
                     const Origin& origin) {
  RoadFacts facts{.role = role, .no_forward = request.no_forward, .hops = request.hops};
  if (const ClusterView* known = view()) {
    facts.owner = known->owner[partition];
    facts.self = known->self;
    facts.redirects = origin.cluster_port && facts.owner != kNoMember &&
                      known->members[facts.owner].resp_cluster_port != 0;
  }
  return ChooseRoad(facts);
}

bool Router::StandsIn(const Command& command, PartitionId partition, Role role) {
  if (role != Role::kReplica || !command.Is(kReadOnly)) return false;
  const ClusterView* known = view();
  return known != nullptr && AnswererOf(command, partition) == known->self;
}

MemberIndex Router::AnswererOf(const Command& command, PartitionId partition) {
  const ClusterView* known = view();
  if (known == nullptr) return kNoMember;
  const MemberIndex owner = known->owner[partition];
  if (!options_.replicas_stand_in || !command.Is(kReadOnly) || owner == kNoMember ||
      owner == known->self || known->members[owner].state != MemberState::kSuspect) {
    return owner;
  }
  const std::vector<MemberIndex>& complete = known->complete[partition];
  if (std::find(complete.begin(), complete.end(), known->self) != complete.end()) {
    return known->self;
  }
  const auto alive = std::find_if(complete.begin(), complete.end(), [known](MemberIndex member) {
    return known->members[member].state == MemberState::kAlive;
  });
  return alive == complete.end() ? owner : *alive;
}

Error Router::Refusal(Road road, const Key& key) {
  if (road == Road::kMoved) {
    ++stats_.moved;
    const MemberInfo& owner = view()->members[view()->owner[key.partition]];
    return {ErrorCode::kMoved, std::to_string(SlotOf(key.bytes)) + " " + owner.host + ":" +
                                   std::to_string(owner.resp_cluster_port)};
  }
  return {ErrorCode::kNotOwner, "this node does not own the key; fetch the ring again (RING)"};
}

bool Router::Blocked(const std::vector<Key>& keys, std::optional<PartitionId> line) const {
  if (waiting_.empty()) return false;
  return std::any_of(keys.begin(), keys.end(), [&](const Key& key) {
    return key.partition != line && waiting_.Blocks(key.partition);
  });
}

// ---- Deferred ---------------------------------------------------------------------------------

void Router::Resume(const ErrandPtr& errand) {
  std::vector<Key> keys;
  const Request& request = *errand->request;
  if (const Status read = ReadKeys(errand->command, request.args, errand->origin, keys); !read) {
    return errand->reply.FinishWithError(read.error());
  }
  if (!TryErrand(errand, keys, std::nullopt)) Wait(keys.front().partition, errand);
}

bool Router::TryErrand(const ErrandPtr& errand, const std::vector<Key>& keys,
                       std::optional<PartitionId> line) {
  const Command& command = errand->command;
  const Request& request = *errand->request;
  const bool blocked = Blocked(keys, line);
  if (blocked && SamePartition(keys)) return false;

  Role role = Role::kAbsent;
  if (!blocked && RunsTogether(command, keys)) {
    const Executor::Execution done =
        TryHere(command, request, errand->origin, keys, errand->reply.writer());
    if (done.executed) {
      if (done.ticket != 0) newest_errand_ticket_ = done.ticket;
      if (done.failed && (command.fold == Fold::kArray || done.overrun)) {
        FinishFailed(*errand, executor_.first_error());
        return true;
      }
      SettleAll(tickets_, AcksOf(request), errand->reply);
      return true;
    }
    role = done.role;
  }
  if (SamePartition(keys)) {
    return Follow(RoadFor(keys.front().partition, role, request, errand->origin), errand,
                  keys.front());
  }
  if (command.fold == Fold::kAtomic) {
    const Result<Road> road = AtomicRoadFor(keys, request, errand->origin);
    if (road) return Follow(*road, errand, keys.front());
    errand->reply.FinishWithError(road.error());
    return true;
  }
  Scatter(errand, keys);
  return true;
}

Result<Road> Router::AtomicRoadFor(const std::vector<Key>& keys, const Request& request,
                                   const Origin& origin) {
  const ClusterView* known = view();
  if (known == nullptr) return Road::kWait;
  const MemberIndex owner = known->owner[keys.front().partition];
  for (const Key& key : keys) {
    if (known->owner[key.partition] == kNoMember) return Road::kWait;
    if (known->owner[key.partition] == owner) continue;
    return Fail(ErrorCode::kCrossSlot,
                "the keys belong to different nodes; give them the same {hash tag}, as in "
                "user:{42}:name and user:{42}:mail");
  }
  return RoadFor(keys.front().partition, Role::kAbsent, request, origin);
}

bool Router::Follow(Road road, const ErrandPtr& errand, const Key& key) {
  switch (road) {
    case Road::kWait:
      return false;
    case Road::kForward:
      Forward(errand, AnswererOf(errand->command, key.partition), key.partition);
      return true;
    case Road::kMoved:
    case Road::kNotOwner:
      FinishFailed(*errand, Refusal(road, key));
      return true;
  }
  return false;
}

void Router::Wait(PartitionId partition, const ErrandPtr& errand) {
  bool first = false;
  if (const Status queued = waiting_.Push(partition, errand, &first); !queued) {
    return FinishFailed(*errand, queued.error());
  }
  ++stats_.waited;
  if (first) ScheduleLook(partition);
}

void Router::ScheduleLook(PartitionId partition) {
  Later(waiting_.NextDelay(partition, services_.steady_now()),
        [this, partition] { LookAgain(partition); });
}

void Router::LookAgain(PartitionId partition) {
  for (const ErrandPtr& expired : waiting_.TakeExpired(partition, services_.steady_now())) {
    FinishFailed(*expired, DeadlineError(partition));
  }
  std::vector<Key> keys;
  while (const ErrandPtr errand = waiting_.Front(partition)) {
    // It was read before, so it can be read again.
    const Status read = ReadKeys(errand->command, errand->request->args, errand->origin, keys);
    if (read && !TryErrand(errand, keys, partition)) return ScheduleLook(partition);
    waiting_.PopFront(partition);
  }
}

void Router::Forward(const ErrandPtr& errand, MemberIndex owner, PartitionId partition) {
  const Duration left = errand->deadline - services_.steady_now();
  const auto left_ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
  if (left_ms <= 0) return FinishFailed(*errand, DeadlineError(partition));

  Request& request = *errand->request;
  const std::uint32_t told_deadline_ms = request.deadline_ms;
  ++request.hops;
  request.deadline_ms = static_cast<std::uint32_t>(left_ms);
  std::string payload = EncodeRequest(request);
  --request.hops;
  request.deadline_ms = told_deadline_ms;

  Duration patience = left + kReplyGrace;
  if (errand->command.Is(kReadOnly) && !errand->command.Is(kSlow)) {
    patience = std::min(patience, kReadPatience * (1U << errand->impatient_forwards));
  }
  ++stats_.forwarded;
  services_.transport.Call(view()->members[owner].id, FrameType::kRequest, std::move(payload),
                           patience,
                           [this, alive = std::weak_ptr<Token>(alive_), errand,
                            partition](const Result<std::string_view>& wire) {
                             // Without us the errand's slot answers when its last handle goes.
                             if (alive.expired()) return;
                             now_ = 0;
                             OnForwarded(errand, partition, wire);
                             EndTurn();
                           });
}

void Router::OnForwarded(const ErrandPtr& errand, PartitionId partition,
                         const Result<std::string_view>& wire) {
  if (!wire) return OnLost(errand, partition, wire.error());
  Result<Reply> reply = DecodeReply(*wire, nullptr);
  if (!reply) return OnLost(errand, partition, reply.error());
  if (reply->kind == Reply::Kind::kError) {
    switch (reply->error) {
      case ErrorCode::kNotOwner:
      case ErrorCode::kUnavailable:
      case ErrorCode::kClosed:  // nothing was written: whoever owns it now will take it
        ++stats_.retried;
        return Wait(partition, errand);
      default:
        return FinishFailed(*errand, Error{reply->error, std::move(reply->bytes)});
    }
  }
  errand->reply.writer().MarkStaleRing();
  Play(*reply, errand->reply.writer());
  errand->reply.Finish();
}

void Router::OnLost(const ErrandPtr& errand, PartitionId partition, const Error& error) {
  if (error.code != ErrorCode::kUnavailable) {
    if (!MayRepeat(errand->command, *errand->request)) {
      return errand->reply.FinishWithError(
          {ErrorCode::kUnknownOutcome,
           "the link to the key's owner failed before it answered; the command may or may not "
           "have been executed: read the key before you repeat it"});
    }
    errand->maybe_applied = errand->maybe_applied || errand->command.Is(kWrite);
    if (errand->impatient_forwards < kImpatientForwardsMax) ++errand->impatient_forwards;
  }
  ++stats_.retried;
  Wait(partition, errand);
}

void Router::FinishFailed(const Errand& errand, const Error& error) {
  PendingReply reply = errand.reply;
  const bool claims_no_write = error.code == ErrorCode::kTimeout ||
                               error.code == ErrorCode::kUnavailable ||
                               error.code == ErrorCode::kNotOwner;
  if (!errand.maybe_applied || !claims_no_write) return reply.FinishWithError(error);
  reply.FinishWithError({ErrorCode::kUnknownOutcome,
                         "the key's owner was lost while it had the command, which may have been "
                         "executed; then: " +
                             error.message});
}

Error Router::DeadlineError(PartitionId partition) {
  const ClusterView* known = view();
  if (known == nullptr || known->owner[partition] == kNoMember) {
    return {ErrorCode::kUnavailable,
            "no live node has the key's partition; see the ring with: gyre status"};
  }
  LeaseTable* const leases = services_.leases;
  if (leases != nullptr && known->owner[partition] == known->self &&
      !leases->Holds(partition, leases->Now())) {
    return {ErrorCode::kUnavailable,
            "this node does not see a majority of the ring: it owns the key, but may not act for "
            "it (--consistency majority); nothing was written, see the ring with: gyre status"};
  }
  return {ErrorCode::kTimeout,
          "the key's owner did not take the command before its deadline; nothing was written, try "
          "again"};
}

void Router::Settle(Replicator::Ticket ticket, std::uint32_t acks, PendingReply reply) {
  services_.replicator.Await(ticket, acks, [reply](const Status& status) mutable {
    status ? reply.Finish() : reply.FinishWithError(status.error());
  });
}

void Router::SettleAll(const Executor::Tickets& tickets, std::uint32_t acks, PendingReply reply) {
  if (tickets.empty() || acks <= 1) return reply.Finish();
  if (tickets.size() == 1) return Settle(tickets.front(), acks, std::move(reply));
  auto open = std::make_shared<std::size_t>(tickets.size());
  // Await may answer from within, and a reply may bring the next command: `tickets` is read first.
  for (const Replicator::Ticket ticket : Executor::Tickets(tickets)) {
    services_.replicator.Await(ticket, acks, [open, reply](const Status& status) mutable {
      if (!status) reply.FinishWithError(status.error());
      if (--*open == 0) reply.Finish();
    });
  }
}

void Router::Answer(Arguments args, TimePoint deadline, PendingReply reply) {
  const Command* command = CommandTable::Get().Find(args.front());
  assert(command != nullptr && command->keyed != nullptr);
  Resume(std::make_shared<Errand>(*command, OwnedRequest(Request{}, args), Origin{}, deadline,
                                  std::move(reply)));
}

void Router::Ask(Arguments args, TimePoint deadline, std::function<void(Reply)> done) {
  Answer(args, deadline, RecordingSlot::Make(std::move(done)));
}

void Router::AskNode(const NodeId& node, Arguments args, TimePoint deadline,
                     std::function<void(Reply)> done) {
  const Duration left = std::max(deadline - services_.steady_now(), Duration(1));
  OwnedRequest request(Request{}, args);
  request->hops = kForwardHopsMax;  // this node and no other
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
  request->deadline_ms = static_cast<std::uint32_t>(std::max<std::int64_t>(ms, 1));
  services_.transport.Call(node, FrameType::kRequest, EncodeRequest(*request), left + kReplyGrace,
                           [this, alive = std::weak_ptr<Token>(alive_),
                            done = std::move(done)](Result<std::string_view> wire) {
                             if (alive.expired()) return;
                             now_ = 0;
                             Result<Reply> reply = wire ? DecodeReply(*wire, nullptr)
                                                        : tl::unexpected(std::move(wire.error()));
                             if (!reply) {
                               Reply failure;
                               failure.kind = Reply::Kind::kError;
                               failure.error = reply.error().code;
                               failure.bytes = std::move(reply.error().message);
                               reply = std::move(failure);
                             }
                             done(std::move(*reply));
                             EndTurn();
                           });
}

}  // namespace gyre
