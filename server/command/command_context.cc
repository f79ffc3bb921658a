#include "command/command_context.h"

#include "command/routing.h"

namespace gyre {
namespace {

// What steps of long commands may take of a turn of the loop; at least one is run.
constexpr Duration kStepsTurnMax = std::chrono::milliseconds(2);

}  // namespace

TimePoint CommandContext::DeadlineOf(const Request& request) const {
  const Duration patience = request.deadline_ms != 0
                                ? Duration(std::chrono::milliseconds(request.deadline_ms))
                                : options_.default_deadline;
  return services_.steady_now() + patience;
}

void CommandContext::LoadView() {
  // The revision first: a view published in between is loaded again next time.
  view_revision_ = services_.views.revision();
  view_ = services_.views.Load();
}

Error CommandContext::WhyLate(PartitionId partition) {
  return DeadlineError(view(), partition, services_.replication.fence.HasLease(partition));
}

void CommandContext::EndTurn() {
  services_.replicator.Flush();
  now_ = 0;
}

void CommandContext::Later(Duration delay, std::function<void()> work) {
  services_.transport.After(delay, AsTurn(std::move(work)));
}

void CommandContext::NextTurn(std::function<void()> step) {
  steps_.push_back(std::move(step));
  if (steps_.size() == 1 && !runs_steps_) Later(Duration(0), [this] { RunSteps(); });
}

void CommandContext::RunSteps() {
  runs_steps_ = true;
  const TimePoint end = SteadyNow() + kStepsTurnMax;  // the loop's own time stands still in a turn
  do {
    const std::function<void()> step = std::move(steps_.front());
    steps_.pop_front();
    step();
  } while (!steps_.empty() && SteadyNow() < end);
  runs_steps_ = false;
  if (!steps_.empty()) Later(Duration(0), [this] { RunSteps(); });
}

}  // namespace gyre
