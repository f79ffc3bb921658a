// Large replies of many values: read in pieces, as the client takes them, so that they are never
// here as a whole. Each piece is a step of its own. A key that another node has by then is asked for
// there.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>

#include "command/command_context.h"
#include "command/executor.h"
#include "command/pending_command.h"
#include "command/retry_queue.h"
#include "protocol/reply.h"

namespace gyre {

class KeyStreams {
 public:
  // As Router::Ask.
  using Ask = std::function<void(Arguments args, TimePoint deadline, std::function<void(Reply)>)>;

  // All outlive it.
  KeyStreams(CommandContext& context, Executor& executor, const RetryQueue& waiting, Ask ask)
      : context_(context), executor_(executor), waiting_(waiting), ask_(std::move(ask)) {}
  KeyStreams(const KeyStreams&) = delete;
  KeyStreams& operator=(const KeyStreams&) = delete;

  // Answers a command of values (Fold::kArray) that has so many keys. False, and nothing is begun,
  // where the reply must leave as a whole.
  bool Start(const PendingCommandPtr& pending, std::size_t key_count);

 private:
  struct Stream;

  bool WritePiece(const std::shared_ptr<Stream>& stream);
  void AskForKey(const std::shared_ptr<Stream>& stream);

  CommandContext& context_;
  Executor& executor_;
  const RetryQueue& waiting_;
  const Ask ask_;
};

}  // namespace gyre
