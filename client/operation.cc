// The face of OperationState, for the outcomes that the calls of Client have.
#include "gyre/operation.h"

#include <cassert>

#include "client/operation_state.h"

namespace gyre::client {

// Each keeps the state alive to its end, whatever the one who completes it does with the Operation.

template <typename Outcome>
Outcome Operation<Outcome>::Get() {
  assert(state_ != nullptr);
  const auto state = std::move(state_);
  return state->Get();
}

template <typename Outcome>
bool Operation<Outcome>::WaitFor(Milliseconds most) const {
  assert(state_ != nullptr);
  return state_->WaitFor(most);
}

template <typename Outcome>
void Operation<Outcome>::RunWhenComplete(std::unique_ptr<Waiter> waiter) {
  assert(state_ != nullptr);
  const auto state = std::move(state_);
  state->RunWhenComplete(std::move(waiter));
}

template <typename Outcome>
bool Operation<Outcome>::ResumeWhenComplete(void (*resume)(void*), void* coroutine) {
  assert(state_ != nullptr);
  const auto state = state_;
  return state->ResumeWhenComplete(resume, coroutine);
}

template class Operation<Result<std::optional<Record>>>;
template class Operation<Result<bool>>;
template class Operation<Result<std::int64_t>>;
template class Operation<Result<TimeToLive>>;
template class Operation<Result<Value>>;
template class Operation<Result<RingInfo>>;
template class Operation<std::vector<Result<std::optional<Record>>>>;
template class Operation<std::vector<Result<bool>>>;
template class Operation<std::vector<Result<Value>>>;

}  // namespace gyre::client
