// Commands that cannot be answered at once (errands): they wait for an owner, go to another node,
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

void Router::Resume(const ErrandPtr& errand) {
  if (NeedsChunks(errand->command, errand->request->args)) return BeginChunks(errand);
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
    Executor::Execution done;
    try {
      done = TryHere(command, request, errand->origin, keys, errand->reply.writer());
    } catch (const std::bad_alloc&) {
      errand->reply.FinishWithError(ReplyTooLarge());
      return true;
    }
    if (done.large) {
      if (!StreamKeys(errand, keys.size())) errand->reply.FinishWithError(ReplyTooLarge());
      return true;
    }
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
  if (SamePartition(keys) && RunsTogether(command, keys)) {
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
    case Road::kForward: {
      const ClusterView* known = view();  // may be newer than the one that the road was chosen by
      if (known == nullptr) return false;
      const MemberIndex to = AnswererOf(*known, errand->command, key.partition);
      if (to == kNoMember || to == known->self) return false;
      Forward(errand, known->members[to].id, key.partition);
      return true;
    }
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

void Router::Forward(const ErrandPtr& errand, NodeId to, PartitionId partition) {
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
  if (errand->command.Is(kReadOnly)) {
    patience = std::min(patience, kReadPatience * (1U << errand->impatient_forwards));
  }
  ++stats_.forwarded;
  services_.transport.Call(to, FrameType::kRequest, std::move(payload), patience,
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
  Result<Reply> reply = DecodeReply(*wire, nullptr, TreeBytesMax());
  if (!reply && reply.error().code == ErrorCode::kTooLarge) {
    return errand->reply.FinishWithError(reply.error());
  }
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
  errand->reply.FinishWith([&reply](ReplyWriter& writer) {
    writer.MarkStaleRing();
    Play(*reply, writer);
  });
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
    Errand::Charge charge(share_, *command, args);
    Resume(std::make_shared<Errand>(std::move(charge), *command, OwnedRequest(Request{}, args),
                                    Origin{}, deadline, reply));
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
