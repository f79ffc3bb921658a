// Large replies of many values: read in pieces, as the client takes them, so that they are never
// here as a whole. Each piece is a step of its own. A key that another node has by then is asked for
// there.
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "command/recording_slot.h"
#include "command/router.h"

namespace gyre {

struct Router::KeyStream {
  PendingCommandPtr pending;
  std::size_t key_count;
  std::size_t next = 0;
  bool begun = false;
  bool asking = false;
  std::optional<Reply> answer;  // of another node, to `next`
  ClientMemoryCharge answer_bytes;
  std::size_t refused_bytes = 0;  // of an answer for which there was no room
};

// False, and nothing is begun, where the reply must leave as a whole.
bool Router::StreamKeys(const PendingCommandPtr& pending, std::size_t key_count) {
  const auto stream = std::make_shared<KeyStream>(KeyStream{
      .pending = pending, .key_count = key_count, .answer_bytes = ClientMemoryCharge(gathered())});
  return pending->reply.Stream([this, alive = std::weak_ptr<Token>(alive_), stream] {
    if (alive.expired()) {
      stream->pending->reply.FinishWithError({ErrorCode::kClosed, "this node is stopping"});
      return true;
    }
    now_ = 0;
    const bool goes_on = StreamPiece(stream);
    EndTurn();
    return goes_on;
  });
}

bool Router::StreamPiece(const std::shared_ptr<KeyStream>& stream) {
  PendingCommand& pending = *stream->pending;
  const Command& command = pending.command;
  const Request& request = *pending.request;
  ReplyWriter& writer = pending.reply.writer();
  if (!std::exchange(stream->begun, true)) {
    writer.BeginList(ListShape::kArray, stream->key_count);
  }
  if (stream->refused_bytes != 0) throw ClientMemoryFull(std::exchange(stream->refused_bytes, 0));
  if (stream->answer) {
    Replay(*stream->answer, writer);
    stream->answer.reset();
    stream->answer_bytes.Set(0);
    ++stream->next;
  }
  const std::size_t full = writer.output_bytes() + kReplyPieceBytes;
  for (; stream->next < stream->key_count; ++stream->next) {
    if (writer.output_bytes() >= full) return true;
    const std::size_t key_index = command.keys.first + stream->next * command.keys.step;
    const Result<Key> key = KeyOf(command, request.args[key_index]);
    if (!key) {
      pending.reply.FinishWithError(key.error());
      return true;
    }
    Executor::Execution done;
    if (!waiting_.Blocks(key->partition)) {
      done = executor_.Run(command, request.args, key_index, *key, pending.origin, AcksOf(request),
                           now(), writer, Executor::Says::kElement);
    }
    if (!done.executed) {
      AskForKey(stream);
      return !stream->asking;
    }
    if (done.failed) {
      pending.reply.FinishWithError(executor_.first_error());
      return true;
    }
  }
  writer.EndList();
  pending.reply.Finish();
  return true;
}

void Router::AskForKey(const std::shared_ptr<KeyStream>& stream) {
  PendingCommand& pending = *stream->pending;
  const std::vector<std::string_view>& all = pending.request->args;
  const std::size_t first = pending.command.keys.first;
  std::vector<std::string_view> args(all.begin(), all.begin() + first);
  args.push_back(all[first + stream->next * pending.command.keys.step]);
  stream->asking = true;
  Ask(args, DeadlineOf(*pending.request), [stream](Reply reply) {
    stream->asking = false;
    PendingReply& whole = stream->pending->reply;
    if (reply.kind == Reply::Kind::kError) {
      return whole.FinishWithError({reply.error, reply.bytes});
    }
    if (reply.kind != Reply::Kind::kList || reply.elements.size() != 1) {
      return whole.FinishWithError(
          {ErrorCode::kInternal, "a node answered a part of the command in an unexpected form"});
    }
    Reply& element = reply.elements.front();
    const std::size_t bytes = element.key.size() + element.bytes.size();
    if (stream->answer_bytes.Set(bytes)) {
      stream->answer = std::move(element);
    } else {
      stream->refused_bytes = bytes;  // it is asked for again
    }
    whole.Continue();
  });
}

}  // namespace gyre
