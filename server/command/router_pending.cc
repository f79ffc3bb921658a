// Commands that cannot be answered at once (pending commands): they wait for an owner, go to another node,
// or wait for copies.
#include <algorithm>
#include <cassert>
#include <limits>
#include <new>
#include <string>
#include <utility>

#include "command/command_table.h"
#include "command/recording_slot.h"
#include "command/router.h"
#include "protocol/native_codec.h"

namespace gyre {
namespace {

// How much longer than the owner we wait, so that its own verdict on the deadline reaches us.
constexpr Duration kReplyGrace = std::chrono::milliseconds(50);
constexpr std::uint8_t kImpatientForwardsMax = 8;
// A forwarded read is given up and sent again after so long, then after twice as long, and so on.
constexpr Duration kReadPatience = std::chrono::milliseconds(250);

}  // namespace

void Router::Resume(const PendingCommandPtr& pending) {
  if (NeedsChunks(pending->command, pending->request->args)) return BeginChunks(pending);
  std::vector<Key> keys;
  const Request& request = *pending->request;
  if (const Status read = ReadKeys(pending->command, request.args, pending->origin, keys); !read) {
    return pending->reply.FinishWithError(read.error());
  }
  if (!TryPending(pending, keys, std::nullopt)) Wait(keys.front().partition, pending);
}

bool Router::TryPending(const PendingCommandPtr& pending, const std::vector<Key>& keys,
                        std::optional<PartitionId> line) {
  const Command& command = pending->command;
  const Request& request = *pending->request;
  const bool blocked = Blocked(keys, line);
  if (blocked && SamePartition(keys)) return false;

  Role role = Role::kAbsent;
  if (!blocked && RunsTogether(command, keys)) {
    Executor::Execution done;
    try {
      done = TryHere(command, request, pending->origin, keys, pending->reply.writer());
    } catch (const std::bad_alloc&) {
      pending->reply.FinishWithError(ReplyTooLarge());
      return true;
    }
    if (done.large) {
      if (!StreamKeys(pending, keys.size())) pending->reply.FinishWithError(ReplyTooLarge());
      return true;
    }
    if (done.executed) {
      if (done.ticket != 0) newest_pending_ticket_ = done.ticket;
      if (done.failed && (command.fold == Fold::kArray || done.overrun)) {
        FinishFailed(*pending, executor_.first_error());
        return true;
      }
      SettleAll(tickets_, AcksOf(request), pending->reply);
      return true;
    }
    role = done.role;
  }
  if (SamePartition(keys) && RunsTogether(command, keys)) {
    return Follow(RouteFor(keys.front().partition, role, request, pending->origin), pending,
                  keys.front());
  }
  if (command.fold == Fold::kAtomic) {
    const Result<Route> route = AtomicRouteFor(keys, request, pending->origin);
    if (route) return Follow(*route, pending, keys.front());
    pending->reply.FinishWithError(route.error());
    return true;
  }
  Scatter(pending, keys);
  return true;
}

Result<Route> Router::AtomicRouteFor(const std::vector<Key>& keys, const Request& request,
                                     const Origin& origin) {
  const ClusterView* known = view();
  if (known == nullptr) return Route::kWait;
  const MemberIndex owner = known->owner[keys.front().partition];
  for (const Key& key : keys) {
    if (known->owner[key.partition] == kNoMember) return Route::kWait;
    if (known->owner[key.partition] == owner) continue;
    return Fail(ErrorCode::kCrossSlot,
                "the keys belong to different nodes; give them the same {hash tag}, as in "
                "user:{42}:name and user:{42}:mail");
  }
  return RouteFor(keys.front().partition, Role::kAbsent, request, origin);
}

bool Router::Follow(Route route, const PendingCommandPtr& pending, const Key& key) {
  switch (route) {
    case Route::kWait:
      return false;
    case Route::kForward: {
      const ClusterView* known = view();  // may be newer than the one that the route was chosen by
      if (known == nullptr) return false;
      const MemberIndex to = AnswererOf(*known, pending->command, key.partition);
      if (to == kNoMember || to == known->self) return false;
      Forward(pending, known->members[to].id, key.partition);
      return true;
    }
    case Route::kMoved:
    case Route::kNotOwner:
      FinishFailed(*pending, Refusal(route, key));
      return true;
  }
  return false;
}

void Router::Wait(PartitionId partition, const PendingCommandPtr& pending) {
  bool first = false;
  if (const Status queued = waiting_.Push(partition, pending, &first); !queued) {
    return FinishFailed(*pending, queued.error());
  }
  ++stats_.waited;
  if (first) ScheduleLook(partition);
}

void Router::ScheduleLook(PartitionId partition) {
  Later(waiting_.NextDelay(partition, services_.steady_now()),
        [this, partition] { LookAgain(partition); });
}

void Router::LookAgain(PartitionId partition) {
  for (const PendingCommandPtr& expired : waiting_.TakeExpired(partition, services_.steady_now())) {
    FinishFailed(*expired, DeadlineError(partition));
  }
  std::vector<Key> keys;
  while (const PendingCommandPtr pending = waiting_.Front(partition)) {
    // It was read before, so it can be read again.
    const Status read = ReadKeys(pending->command, pending->request->args, pending->origin, keys);
    if (read && !TryPending(pending, keys, partition)) return ScheduleLook(partition);
    waiting_.PopFront(partition);
  }
}

void Router::Forward(const PendingCommandPtr& pending, NodeId to, PartitionId partition) {
  const Duration left = pending->deadline - services_.steady_now();
  const auto left_ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
  if (left_ms <= 0) return FinishFailed(*pending, DeadlineError(partition));

  Request& request = *pending->request;
  const std::uint32_t told_deadline_ms = request.deadline_ms;
  ++request.hops;
  request.deadline_ms = static_cast<std::uint32_t>(left_ms);
  std::string payload = EncodeRequest(request);
  --request.hops;
  request.deadline_ms = told_deadline_ms;

  Duration patience = left + kReplyGrace;
  if (pending->command.Is(kReadOnly)) {
    patience = std::min(patience, kReadPatience * (1U << pending->impatient_forwards));
  }
  ++stats_.forwarded;
  services_.transport.Call(to, FrameType::kRequest, std::move(payload), patience,
                           [this, alive = std::weak_ptr<Token>(alive_), pending,
                            partition](const Result<std::string_view>& wire) {
                             // Without us the pending command's slot answers when its last handle goes.
                             if (alive.expired()) return;
                             now_ = 0;
                             OnForwarded(pending, partition, wire);
                             EndTurn();
                           });
}

void Router::OnForwarded(const PendingCommandPtr& pending, PartitionId partition,
                         const Result<std::string_view>& wire) {
  if (!wire) return OnLost(pending, partition, wire.error());
  Result<Reply> reply = DecodeReply(*wire, nullptr, TreeBytesMax());
  if (!reply && reply.error().code == ErrorCode::kTooLarge) {
    return pending->reply.FinishWithError(reply.error());
  }
  if (!reply) return OnLost(pending, partition, reply.error());
  if (reply->kind == Reply::Kind::kError) {
    switch (reply->error) {
      case ErrorCode::kNotOwner:
      case ErrorCode::kUnavailable:
      case ErrorCode::kClosed:  // nothing was written: whoever owns it now will take it
        ++stats_.retried;
        return Wait(partition, pending);
      default:
        return FinishFailed(*pending, Error{reply->error, std::move(reply->bytes)});
    }
  }
  pending->reply.FinishWith([&reply](ReplyWriter& writer) {
    writer.MarkStaleRing();
    Replay(*reply, writer);
  });
}

void Router::OnLost(const PendingCommandPtr& pending, PartitionId partition, const Error& error) {
  if (error.code != ErrorCode::kUnavailable) {
    if (!MayRepeat(pending->command, pending->request->args)) {
      return pending->reply.FinishWithError(
          {ErrorCode::kUnknownOutcome,
           "the link to the key's owner failed before it answered; the command may or may not "
           "have been executed: read the key before you repeat it"});
    }
    pending->maybe_applied = pending->maybe_applied || pending->command.Is(kWrite);
    if (pending->impatient_forwards < kImpatientForwardsMax) ++pending->impatient_forwards;
  }
  ++stats_.retried;
  Wait(partition, pending);
}

void Router::FinishFailed(const PendingCommand& pending, const Error& error) {
  PendingReply reply = pending.reply;
  const bool claims_no_write = error.code == ErrorCode::kTimeout ||
                               error.code == ErrorCode::kUnavailable ||
                               error.code == ErrorCode::kNotOwner;
  if (!pending.maybe_applied || !claims_no_write) return reply.FinishWithError(error);
  reply.FinishWithError({ErrorCode::kUnknownOutcome,
                         "the key's owner was lost while it had the command, which may have been "
                         "executed; then: " +
                             error.message});
}

// What the tree of another node's reply may take, which is more than its bytes: not charged, for it
// is gone, or gathered, by the end of the turn.
std::size_t Router::TreeBytesMax() const {
  const ClientMemory* const memory = services_.client_memory;
  return memory == nullptr
             ? std::numeric_limits<std::size_t>::max()
             : memory->limit_of_large() - std::min(memory->used(), memory->limit_of_large());
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
  try {
    PendingCommand::Charge charge(share_, *command, args);
    Resume(std::make_shared<PendingCommand>(
        std::move(charge), *command, OwnedRequest(Request{}, args), Origin{}, deadline, reply));
  } catch (const std::bad_alloc&) {
    reply.FinishWithError(ReplyTooLarge());
  }
}

void Router::Ask(Arguments args, TimePoint deadline, std::function<void(Reply)> done) {
  Answer(args, deadline, RecordingSlot::Make(std::move(done), gathered()));
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
                             Result<Reply> reply = wire
                                                       ? DecodeReply(*wire, nullptr, TreeBytesMax())
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
