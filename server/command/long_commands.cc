#include "command/long_commands.h"

#include <algorithm>
#include <new>
#include <string>
#include <utility>

#include "command/command_keys.h"
#include "command/fold_writer.h"
#include "command/key_claims.h"
#include "command/messages.h"

namespace gyre {
namespace {

// After a step that must not end the command, but could not be taken just now.
constexpr Duration kStepAgain = std::chrono::milliseconds(5);

ClaimMode ModeOf(const Command& command) {
  return command.Is(kReadOnly) ? ClaimMode::kShared : ClaimMode::kExclusive;
}

}  // namespace

struct LongCommands::Run {
  enum class Phase : std::uint8_t { kClaiming, kLooking, kRunning, kEnding };

  Run(const Services& services, PendingCommandPtr the_command, const std::vector<Key>& its_keys)
      : pending(std::move(the_command)),
        keys(its_keys),
        wanted(KeyClaims::Needed(services.engine, keys)),
        claims(services.engine, services.replication, ModeOf(pending->command)),
        replies(pending->command.fold) {}

  // Those of the next step.
  std::span<const Key> NextKeys() const {
    return std::span(keys).subspan(next, std::min(kTogetherMax, keys.size() - next));
  }
  // So many are done. True at the end of the phase.
  bool Pass(std::size_t count, std::size_t of) {
    next += count;
    if (next < of) return false;
    next = 0;
    return true;
  }
  // The next step begins at args[...] of the command.
  std::size_t NextArgument() const {
    return pending->command.keys.first + next * pending->command.keys.step;
  }

  const PendingCommandPtr pending;
  const std::vector<Key> keys;
  const std::vector<Claim> wanted;
  KeyClaims claims;
  std::uint32_t deaths = 0;  // how often this node had been declared dead when it began
  Phase phase = Phase::kClaiming;
  std::size_t next = 0;  // in `wanted` or `keys`
  FoldWriter replies;
  bool key_exists = false;  // so nothing is to be written
  bool written = false;     // something was
  std::size_t open = 1;     // writes that wait for their copies, and the end of the command
};

Executor::Execution LongCommands::Start(const PendingCommandPtr& pending,
                                        const std::vector<Key>& keys) {
  const auto run = std::make_shared<Run>(context_.services(), pending, keys);
  run->deaths = context_.deaths();
  const Executor::Execution done = ClaimKeys(*run);
  if (done.result == Executor::Result::kLacking) Fail(*run, executor_.error());
  if (done.result == Executor::Result::kDone) GoOn(run);
  return done;
}

void LongCommands::GoOn(const std::shared_ptr<Run>& run) {
  context_.NextTurn([this, run] { Step(run); });
}

void LongCommands::Step(const std::shared_ptr<Run>& run) {
  PendingCommand& pending = *run->pending;
  const bool is_late = context_.services().steady_now() >= pending.deadline;
  if (is_late && !run->written) return Fail(*run, context_.WhyLate(run->keys.front().partition));
  // Others may have had its keys since it began.
  if (run->deaths != context_.deaths()) {
    return OnRefused(run, {Executor::Result::kRefused, Role::kAbsent, run->keys.front().partition});
  }
  Executor::Execution done;
  try {
    done = TakeStep(*run);
  } catch (const std::bad_alloc&) {
    return Fail(*run, ReplyTooLarge());
  }
  switch (done.result) {
    case Executor::Result::kRefused:
    case Executor::Result::kClaimed:
      return OnRefused(run, done);
    case Executor::Result::kLacking:
    case Executor::Result::kVoid:
      return Fail(*run, executor_.error());
    case Executor::Result::kDone:
    case Executor::Result::kFailed:  // `replies` has it; the other keys are written all the same
    case Executor::Result::kLarge:
      break;
  }
  if (done.ticket != 0) AwaitCopies(run);
  run->phase == Run::Phase::kEnding ? End(*run) : GoOn(run);
}

Executor::Execution LongCommands::TakeStep(Run& run) {
  switch (run.phase) {
    case Run::Phase::kClaiming:
      return ClaimKeys(run);
    case Run::Phase::kLooking:
      return LookForKeys(run);
    case Run::Phase::kRunning:
    case Run::Phase::kEnding:
      break;
  }
  return RunOnKeys(run);
}

// ---- The three kinds of steps -------------------------------------------------------------------

Executor::Execution LongCommands::ClaimKeys(Run& run) {
  const PendingCommand& pending = *run.pending;
  const std::span<const Claim> wanted =
      std::span(run.wanted).subspan(run.next, std::min(kTogetherMax, run.wanted.size() - run.next));
  std::vector<Key> keys;  // what a claim says of them
  keys.reserve(wanted.size());
  for (const Claim& claim : wanted) {
    keys.push_back({.bytes = claim.key, .partition = claim.partition});
  }
  const TransactionStep step{pending.command, pending.request->args, keys, 0};
  Transaction transaction(step, pending.origin, context_.AcksOf(*pending.request), context_.now());
  transaction.holder = run.claims.holder();
  const Executor::Execution done = executor_.TakeClaims(transaction, wanted, run.claims);
  if (done.result == Executor::Result::kDone && run.Pass(wanted.size(), run.wanted.size())) {
    run.phase = pending.command.fold == Fold::kAtomic ? Run::Phase::kLooking : Run::Phase::kRunning;
  }
  return done;
}

Executor::Execution LongCommands::LookForKeys(Run& run) {
  const PendingCommand& pending = *run.pending;
  const std::span<const Key> keys = run.NextKeys();
  const TransactionStep step{pending.command, pending.request->args, keys, run.NextArgument()};
  Transaction transaction(step, pending.origin, context_.AcksOf(*pending.request), context_.now());
  transaction.holder = run.claims.holder();
  const Executor::Execution done = executor_.LookForAny(transaction, run.key_exists);
  if (done.result != Executor::Result::kDone) return done;
  if (run.key_exists) {
    run.phase = Run::Phase::kEnding;
  } else if (run.Pass(keys.size(), run.keys.size())) {
    run.phase = Run::Phase::kRunning;
  }
  return done;
}

Executor::Execution LongCommands::RunOnKeys(Run& run) {
  const PendingCommand& pending = *run.pending;
  const std::span<const Key> keys = run.NextKeys();
  const TransactionStep step{pending.command, pending.request->args, keys, run.NextArgument(),
                             /*is_part=*/true};
  Transaction transaction(step, pending.origin, context_.AcksOf(*pending.request), context_.now());
  transaction.holder = run.claims.holder();
  run.written = run.written || pending.command.Is(kWrite);
  const Executor::Execution done = executor_.Run(transaction, run.replies);
  if (done.refused() || done.result == Executor::Result::kLacking) {
    run.written = run.next > 0 && pending.command.Is(kWrite);
    return done;
  }
  executor_.NotePending(done.ticket);
  if (run.Pass(keys.size(), run.keys.size())) run.phase = Run::Phase::kEnding;
  return done;
}

// ---- How it ends --------------------------------------------------------------------------------

void LongCommands::OnRefused(const std::shared_ptr<Run>& run, const Executor::Execution& refused) {
  if (!run->written) {
    run->claims.GiveBack();
    if (refused.result == Executor::Result::kRefused) {
      return waiting_.Wait(refused.partition, run->pending);
    }
    waiting_.WaitForClaims(run->keys, run->pending, std::nullopt);
    return;
  }
  const bool is_owner = refused.role == Role::kOwner || refused.role == Role::kHandingOver;
  const bool is_late = context_.services().steady_now() >= run->pending->deadline;
  if (is_owner && !is_late) return context_.Later(kStepAgain, [this, run] { Step(run); });
  Fail(*run, is_late ? context_.WhyLate(refused.partition) : NotOwnerError());
}

void LongCommands::Fail(Run& run, const Error& error) {
  run.claims.GiveBack();
  if (!run.written || error.code == ErrorCode::kUnknownOutcome) return run.pending->Fail(error);
  run.pending->Fail(PartlyWritten(error));
}

// Each step's at once: the replicator does not remember for ever what is not waited for.
void LongCommands::AwaitCopies(const std::shared_ptr<Run>& run) {
  const std::uint32_t acks = context_.AcksOf(*run->pending->request);
  if (acks <= 1) return;
  for (const Replicator::Ticket ticket : std::vector(executor_.tickets())) {
    ++run->open;
    context_.services().replicator.Await(ticket, acks, [run](const Status& status) {
      if (!status) run->pending->Fail(status.error());
      if (--run->open == 0) run->pending->reply.Finish();
    });
  }
}

void LongCommands::End(Run& run) {
  run.claims.GiveBack();
  PendingCommand& pending = *run.pending;
  if (run.replies.error() && pending.maybe_applied()) return pending.Fail(*run.replies.error());
  if (!pending.reply.finished()) {  // else copies could not be had
    ReplyWriter& writer = pending.reply.writer();
    run.key_exists ? writer.Integer(0) : run.replies.Say(writer);
  }
  if (--run.open == 0) pending.reply.Finish();
}

}  // namespace gyre
