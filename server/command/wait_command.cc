// A connection's writes may have gone to several nodes: those that this node owns have a ticket of
// its replicator; those that it forwarded have one at their owners, where they came in over this
// loop's link. Commands on one link are executed in order, so asking over the same link
// ("gyre.wait") covers them. The answer is the least of all.

#include "command/wait_command.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "command/arguments.h"
#include "command/messages.h"

namespace gyre {
namespace {

struct Wanted {
  std::uint32_t copies = 0;
  Duration timeout{};
};

std::optional<Wanted> ReadWanted(PlainCall& call) {
  const std::optional<std::int64_t> copies = ParseInteger(call.arg(1));
  const std::optional<std::int64_t> timeout_ms = ParseInteger(call.arg(2));
  if (!copies) {
    call.Fail(NotAnInteger());
    return std::nullopt;
  }
  constexpr std::int64_t kTimeoutMax = std::int64_t{1000} * 60 * 60 * 24;
  if (!timeout_ms || *timeout_ms > kTimeoutMax) {
    call.Fail(ErrorCode::kInvalidArgument, "timeout is not an integer or out of range");
    return std::nullopt;
  }
  if (*timeout_ms < 0) {
    call.Fail(ErrorCode::kInvalidArgument, "timeout is negative");
    return std::nullopt;
  }
  Wanted wanted{
      .copies = static_cast<std::uint32_t>(std::clamp<std::int64_t>(*copies, 0, kMembersMax)),
      .timeout = std::chrono::milliseconds(*timeout_ms)};
  if (*timeout_ms == 0) wanted.timeout = call.context().options().default_deadline;
  return wanted;
}

Replicator::Ticket NewestTicket(PlainCall& call) {
  return std::max(call.session.last_write_ticket, call.router.newest_pending_ticket());
}

// The least of several counts that arrive one by one.
class LeastCount {
 public:
  LeastCount(std::int64_t unwritten, std::size_t parts, PendingReply pending)
      : least_(unwritten), open_(parts), pending_(std::move(pending)) {}

  void Add(std::optional<std::int64_t> count) {
    if (count) least_ = std::min(least_, *count);
    if (--open_ > 0) return;
    pending_.writer().Integer(least_);
    pending_.Finish();
  }

 private:
  std::int64_t least_;
  std::size_t open_;
  PendingReply pending_;
};

}  // namespace

void WaitForCopies(PlainCall& call) {
  const std::optional<Wanted> wanted = ReadWanted(call);
  if (!wanted) return;
  std::vector<NodeId> others;
  std::int64_t copies_at_best = 0;
  if (const ClusterView* view = call.context().view()) {
    for (std::size_t i = 0; i < view->members.size(); ++i) {
      if (i != view->self && view->members[i].serving()) others.push_back(view->members[i].id);
    }
    copies_at_best = std::min<std::int64_t>(static_cast<std::int64_t>(others.size()),
                                            static_cast<std::int64_t>(view->replicas) - 1);
  }
  const auto least =
      std::make_shared<LeastCount>(copies_at_best, others.size() + 1, call.responder.Defer());
  const TimePoint deadline = call.services().steady_now() + wanted->timeout;
  const std::string copies(call.arg(1));
  const std::string timeout = std::to_string(
      std::chrono::duration_cast<std::chrono::milliseconds>(wanted->timeout).count());
  const std::vector<std::string_view> args = {"gyre.wait", copies, timeout};
  for (const NodeId& node : others) {
    call.router.AskNode(node, args, deadline, [least](const Reply& reply) {
      // No answer: nothing can be said for what that node may have taken.
      const bool unwritten = reply.kind == Reply::Kind::kNull;
      least->Add(unwritten ? std::nullopt : std::optional<std::int64_t>(reply.integer));
    });
  }
  const Replicator::Ticket ticket = NewestTicket(call);
  if (ticket == 0) return least->Add(std::nullopt);
  call.services().replicator.AwaitAll(ticket, wanted->copies, wanted->timeout,
                                      [least](std::uint32_t count) { least->Add(count); });
}

void WaitForCopiesOfPeer(PlainCall& call) {
  const std::optional<Wanted> wanted = ReadWanted(call);
  if (!wanted) return;
  const Replicator::Ticket ticket = NewestTicket(call);
  if (ticket == 0) return call.reply().Null();
  call.services().replicator.AwaitAll(
      ticket, wanted->copies, wanted->timeout,
      [pending = call.responder.Defer()](std::uint32_t count) mutable {
        pending.writer().Integer(count);
        pending.Finish();
      });
}

}  // namespace gyre
