// Brings pending commands to other nodes, and their answers back. What a lost answer means is said in
// pending_command.h; what is to be sent again waits in the RetryQueue.
#pragma once

#include <functional>

#include "base/tally.h"
#include "command/command_context.h"
#include "command/command_counts.h"
#include "command/pending_command.h"
#include "command/retry_queue.h"

namespace gyre {

class Forwarder {
 public:
  // All outlive it.
  Forwarder(CommandContext& context, RetryQueue& waiting, Tally<RouterStats>& counters)
      : context_(context), waiting_(waiting), counters_(counters) {}
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  // Sends the command to `to`, which may answer for `partition`: its answer is the reply, but for a
  // refusal or a loss after which the command may be sent again.
  void Forward(const PendingCommandPtr& pending, const MemberInfo& to, PartitionId partition);
  // Sends a command to one node, once. A failure to reach it comes as a Reply of kError.
  void AskNode(const NodeId& node, Arguments args, TimePoint deadline,
               std::function<void(Reply)> done);

 private:
  void OnAnswer(const PendingCommandPtr& pending, PartitionId partition,
                const PendingCommand::Try& attempt, const Result<std::string_view>& wire);
  void OnLost(const PendingCommandPtr& pending, PartitionId partition,
              const PendingCommand::Try& attempt, const Error& error);
  void TryLater(const PendingCommandPtr& pending, PartitionId partition);
  std::size_t TreeBytesMax() const;

  CommandContext& context_;
  RetryQueue& waiting_;
  Tally<RouterStats>& counters_;
};

}  // namespace gyre
