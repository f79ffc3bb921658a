// What an Operation shares with the requests that it stands for.
//
//   requests --Set(index, result)--> outcome_, left_ --the last one--> complete_ --> Get, Then, co_await
//
// Each result is written by whoever ends its request, without a lock, into a place of its own;
// counting down publishes it. The lock is only between the last of them and the one who waits.
#pragma once

#include <algorithm>
#include <atomic>
#include <cassert>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "client/fork_count.h"
#include "common/mutex.h"
#include "gyre/client.h"

namespace gyre::client {

// How results make up an outcome: one is it, many stand in a row.
template <typename Outcome>
struct OutcomeShape;

template <typename T>
struct OutcomeShape<Result<T>> {
  using Element = Result<T>;
  static Result<T> Filled(std::size_t /*count*/, const Error& error) { return error; }
  static Result<T>& At(Result<T>& outcome, std::size_t /*index*/) { return outcome; }
};

template <typename T>
struct OutcomeShape<std::vector<Result<T>>> {
  using Element = Result<T>;
  static std::vector<Result<T>> Filled(std::size_t count, const Error& error) {
    return std::vector<Result<T>>(count, Result<T>(error));
  }
  static Result<T>& At(std::vector<Result<T>>& outcome, std::size_t index) {
    return outcome[index];
  }
};

template <typename Outcome>
class OperationState {
 public:
  using Shape = OutcomeShape<Outcome>;
  using Waiter = typename Operation<Outcome>::Waiter;

  // Complete once `count` results are set; `io_thread` sets them, or the creator.
  OperationState(std::size_t count, std::thread::id io_thread)
      : count_(count),
        io_thread_(io_thread),
        outcome_(Shape::Filled(count, Error{})),
        left_(count),
        complete_(count == 0) {}
  // Complete: all have failed.
  OperationState(std::size_t count, const Error& error)
      : count_(count), outcome_(Shape::Filled(count, error)), left_(0), complete_(true) {}
  virtual ~OperationState() = default;
  OperationState(const OperationState&) = delete;
  OperationState& operator=(const OperationState&) = delete;

  // Each index once. Any thread, which must hold a share of this.
  void Set(std::size_t index, typename Shape::Element result) {
    Shape::At(outcome_, index) = std::move(result);
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) Complete();
  }

  // ---- The Operation's side: one thread ---------------------------------------------------------

  Outcome Get() {
    if (!complete()) {
      if (auto error = WouldWaitForEver()) return Shape::Filled(count_, *error);
      MutexLock lock(mutex_);
      while (!complete()) changed_.Wait(mutex_);
    }
    return std::move(outcome_);
  }

  bool WaitFor(Milliseconds most) {
    if (complete() || most <= Milliseconds{0} || WouldWaitForEver()) return complete();
    const auto until = std::chrono::steady_clock::now() + std::min(most, kWaitMax);
    MutexLock lock(mutex_);
    while (!complete()) {
      if (!changed_.WaitUntil(mutex_, until)) break;
    }
    return complete();
  }

  void RunWhenComplete(std::unique_ptr<Waiter> waiter) {
    if (!complete()) {
      // A lock that was held when a child was forked off is held in it for ever.
      if (Forked()) return waiter->Run(Shape::Filled(count_, InForkedChild()));
      MutexLock lock(mutex_);
      if (!complete()) {
        waiter_ = std::move(waiter);
        return;
      }
    }
    waiter->Run(std::move(outcome_));
  }

  bool ResumeWhenComplete(void (*resume)(void*), void* coroutine) {
    if (complete() || Forked()) return false;  // what Get makes of it, the coroutine gets
    MutexLock lock(mutex_);
    if (complete()) return false;
    resume_ = resume;
    coroutine_ = coroutine;
    return true;
  }

 private:
  // So that no sum with the time overflows.
  static constexpr Milliseconds kWaitMax = std::chrono::hours(24 * 24);

  bool complete() const { return complete_.load(std::memory_order_acquire); }
  bool Forked() const { return fork_count_ != ForkCount(); }

  static Error InForkedChild() {
    return {ErrorCode::kNotAllowed,
            "the call belongs to the parent process, which alone will see its end: call Connect "
            "again behind fork()"};
  }
  std::optional<Error> WouldWaitForEver() const {
    if (Forked()) return InForkedChild();
    if (std::this_thread::get_id() != io_thread_) return {};
    return Error{ErrorCode::kNotAllowed,
                 "waiting inside a callback would wait for itself: use Then or co_await"};
  }

  void Complete() {
    std::unique_ptr<Waiter> waiter;
    void (*resume)(void*) = nullptr;
    void* coroutine = nullptr;
    {
      MutexLock lock(mutex_);
      complete_.store(true, std::memory_order_release);
      waiter = std::move(waiter_);
      resume = resume_;
      coroutine = coroutine_;
    }
    changed_.NotifyAll();
    // Without the lock: both may do anything, such as destroy the Operation.
    if (waiter != nullptr) return waiter->Run(std::move(outcome_));
    if (resume != nullptr) resume(coroutine);
  }

  // Immutable after construction.
  const std::size_t count_;
  const std::thread::id io_thread_;
  const std::uint32_t fork_count_ = ForkCount();

  // Written by those who set results, until complete; then the Operation's.
  Outcome outcome_;
  std::atomic<std::size_t> left_;
  std::atomic<bool> complete_;  // changes under the mutex

  Mutex mutex_;
  Condition changed_;
  std::unique_ptr<Waiter> waiter_ GYRE_GUARDED_BY(mutex_);
  void (*resume_)(void*) GYRE_GUARDED_BY(mutex_) = nullptr;
  void* coroutine_ GYRE_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace gyre::client
