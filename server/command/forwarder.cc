#include "command/forwarder.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "proto/limits.h"
#include "protocol/native_codec.h"

namespace gyre {
namespace {

// How much longer than the owner we wait, so that its own verdict on the deadline reaches us.
constexpr Duration kReplyGrace = std::chrono::milliseconds(50);

}  // namespace

void Forwarder::Forward(const PendingCommandPtr& pending, const MemberInfo& to,
                        PartitionId partition) {
  const Duration left = pending->deadline - context_.services().steady_now();
  const auto left_ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
  if (left_ms <= 0) return pending->Fail(context_.WhyLate(partition));

  const PendingCommand::Try attempt = pending->BeginTry(to);
  std::string payload = pending->Encode(attempt, static_cast<std::uint32_t>(left_ms));
  const Duration patience = std::min(left + kReplyGrace, pending->Patience());
  counters_[&RouterStats::forwarded].Add(1);
  // Without us the pending command's slot answers when its last handle goes.
  context_.services().transport.Call(
      to.id, FrameType::kRequest, std::move(payload), patience,
      context_.AsTurn([this, pending, partition, attempt](const Result<std::string_view>& wire) {
        OnAnswer(pending, partition, attempt, wire);
      }));
}

void Forwarder::OnAnswer(const PendingCommandPtr& pending, PartitionId partition,
                         const PendingCommand::Try& attempt, const Result<std::string_view>& wire) {
  if (!wire) return OnLost(pending, partition, attempt, wire.error());
  Result<Reply> reply = DecodeReply(*wire, nullptr, TreeBytesMax());
  if (!reply && reply.error().code == ErrorCode::kTooLarge) return pending->Fail(reply.error());
  if (!reply) return OnLost(pending, partition, attempt, reply.error());
  if (reply->kind == Reply::Kind::kError && IsRefusal(reply->error)) {
    pending->OnRefused(attempt, reply->error);
    return TryLater(pending, partition);
  }
  if (reply->kind == Reply::Kind::kError) {
    return pending->Fail(Error{reply->error, std::move(reply->bytes)});
  }
  pending->reply.FinishWith([&reply](ReplyWriter& writer) {
    writer.MarkStaleRing();
    Replay(*reply, writer);
  });
}

void Forwarder::OnLost(const PendingCommandPtr& pending, PartitionId partition,
                       const PendingCommand::Try& attempt, const Error& error) {
  if (pending->OnLost(attempt, error, context_.services().steady_now())) {
    TryLater(pending, partition);
  }
}

void Forwarder::TryLater(const PendingCommandPtr& pending, PartitionId partition) {
  counters_[&RouterStats::retried].Add(1);
  waiting_.Wait(partition, pending);
}

void Forwarder::AskNode(const NodeId& node, Arguments args, TimePoint deadline,
                        std::function<void(Reply)> done) {
  const Duration left = std::max(deadline - context_.services().steady_now(), Duration(1));
  OwnedRequest request(Request{}, args);
  request->hops = kForwardHopsMax;  // this node and no other
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count();
  request->deadline_ms = static_cast<std::uint32_t>(std::max<std::int64_t>(ms, 1));
  context_.services().transport.Call(
      node, FrameType::kRequest, EncodeRequest(*request), left + kReplyGrace,
      context_.AsTurn([this, done = std::move(done)](const Result<std::string_view>& wire) {
        Result<Reply> reply =
            wire ? DecodeReply(*wire, nullptr, TreeBytesMax()) : tl::unexpected(wire.error());
        done(reply ? std::move(*reply) : ReplyOf(reply.error()));
      }));
}

// What the tree of another node's reply may take, which is more than its bytes: not charged, for it
// is gone, or gathered, by the end of the turn.
std::size_t Forwarder::TreeBytesMax() const {
  const ClientMemory* const memory = context_.services().client_memory;
  return memory == nullptr
             ? std::numeric_limits<std::size_t>::max()
             : memory->limit_of_large() - std::min(memory->used(), memory->limit_of_large());
}

}  // namespace gyre
