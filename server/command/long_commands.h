// Commands of more keys than one step may take (kTogetherMax), all of them here: carried out in
// steps, and one step for others all the same, because they claim their keys first
// (storage/claims.h). Whoever wants one of these meanwhile waits in the retry queue, nobody on a
// mutex.
//
//   claim the keys ---> MSETNX: is one there? ---> run on the keys ---> give the claims back, answer
//
// each in steps of kTogetherMax keys (CommandContext::NextTurn). Until the first key is written
// nothing is: where a claim cannot be had, or this node may no longer act for the keys, the claims
// are given back, and the command waits to be tried anew as a whole. Once a key is written it goes
// on to its end, also beyond its deadline; only the loss of a partition, unplanned, ends it, as an
// unknown outcome.
#pragma once

#include <memory>
#include <vector>

#include "command/command_context.h"
#include "command/executor.h"
#include "command/pending_command.h"
#include "command/retry_queue.h"

namespace gyre {

class LongCommands {
 public:
  // All outlive it.
  LongCommands(CommandContext& context, Executor& executor, RetryQueue& waiting)
      : context_(context), executor_(executor), waiting_(waiting) {}
  LongCommands(const LongCommands&) = delete;
  LongCommands& operator=(const LongCommands&) = delete;

  // Begins a command (GoesInSteps) with these keys, whose bytes are its own. If that is refused,
  // nothing is begun; else it will be answered.
  Executor::Execution Start(const PendingCommandPtr& pending, const std::vector<Key>& keys);

 private:
  struct Run;

  void Step(const std::shared_ptr<Run>& run);
  Executor::Execution TakeStep(Run& run);
  Executor::Execution ClaimKeys(Run& run);
  Executor::Execution LookForKeys(Run& run);
  Executor::Execution RunOnKeys(Run& run);
  void GoOn(const std::shared_ptr<Run>& run);
  void OnRefused(const std::shared_ptr<Run>& run, const Executor::Execution& refused);
  void Fail(Run& run, const Error& error);
  void AwaitCopies(const std::shared_ptr<Run>& run);
  void End(Run& run);

  CommandContext& context_;
  Executor& executor_;
  RetryQueue& waiting_;
};

}  // namespace gyre
