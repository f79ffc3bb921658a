#include "command/key_stream.h"

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "command/command_keys.h"

namespace gyre {

struct KeyStreams::Stream {
  PendingCommandPtr pending;
  std::size_t key_count;
  std::size_t next = 0;
  bool begun = false;
  bool asking = false;
  std::optional<Reply> answer;  // of another node, to `next`
  ClientMemoryCharge answer_bytes;
  std::size_t refused_bytes = 0;  // of an answer for which there was no room
};

bool KeyStreams::Start(const PendingCommandPtr& pending, std::size_t key_count) {
  const auto stream =
      std::make_shared<Stream>(Stream{.pending = pending,
                                      .key_count = key_count,
                                      .answer_bytes = ClientMemoryCharge(context_.gathered())});
  return pending->reply.Stream([this, alive = context_.alive(), stream] {
    if (alive.expired()) {
      stream->pending->reply.FinishWithError({ErrorCode::kClosed, "this node is stopping"});
      return true;
    }
    return context_.RunTurn([&] { return WritePiece(stream); });
  });
}

bool KeyStreams::WritePiece(const std::shared_ptr<Stream>& stream) {
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
    const Result<Key> key = KeyOf(context_.services().engine, command, request.args[key_index]);
    if (!key) {
      pending.reply.FinishWithError(key.error());
      return true;
    }
    Executor::Execution done{.result = Executor::Result::kRefused};
    if (!waiting_.Blocks(key->partition)) {
      const TransactionStep element{command, request.args, {&*key, 1}, key_index, /*is_part=*/true};
      done = executor_.Run({element, pending.origin, context_.AcksOf(request), context_.now()},
                           writer);
    }
    if (done.refused()) {
      AskForKey(stream);
      return !stream->asking;
    }
    if (done.failed()) {
      pending.reply.FinishWithError(executor_.error());
      return true;
    }
  }
  writer.EndList();
  pending.reply.Finish();
  return true;
}

void KeyStreams::AskForKey(const std::shared_ptr<Stream>& stream) {
  PendingCommand& pending = *stream->pending;
  const std::vector<std::string_view> args =
      pending.ArgsAt({static_cast<std::uint32_t>(stream->next)});
  stream->asking = true;
  ask_(args, context_.DeadlineOf(*pending.request), [stream](Reply reply) {
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
