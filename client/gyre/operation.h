// A call under way, as the Async forms of client.h return it.
//
//   auto operation = client.GetAsync("key");                  // goes on by itself
//   auto record = operation.Get();                            // waits for it
//   client.GetAsync("key").Then([](auto record) { ... });     // or is told
//   auto record = co_await client.GetAsync("key");            // or is resumed, in a coroutine
//
// Included by gyre/client.h; needs C++20 and the standard library alone (not even <coroutine>).
#pragma once

#include <chrono>
#include <concepts>
#include <memory>
#include <utility>

#include "gyre/result.h"

namespace gyre::client {

using Milliseconds = std::chrono::milliseconds;

template <typename Outcome>
class OperationState;  // inside the library

// `Outcome` is what the blocking form returns: a Result<T>, or a std::vector<Result<T>> of a batch.
//
// The outcome is taken once, by Get, Then or co_await; afterwards, and once it was moved from, an
// operation may only be assigned to or destroyed. One that is destroyed earlier does not end the
// call: it goes on, and its outcome is dropped. An operation may outlive its client, which ends it.
// It belongs to one thread at a time.
template <typename Outcome>
class [[nodiscard]] Operation {
 public:
  // Run with the outcome, once.
  struct Waiter {
    virtual ~Waiter() = default;
    virtual void Run(Outcome outcome) = 0;
  };

  // Only the library makes them.
  explicit Operation(std::shared_ptr<OperationState<Outcome>> state) : state_(std::move(state)) {}
  Operation(Operation&&) noexcept = default;
  Operation& operator=(Operation&&) noexcept = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  ~Operation() = default;

  // Waits until the call is complete, by its deadline at the latest. kNotAllowed where that would
  // be for ever: on the client's own I/O thread (in a callback), and in a forked child, for what is
  // not complete yet; the call itself goes on.
  Outcome Get();

  // Waits for at most so long, and not at all where Get would not. True: complete, Get is immediate.
  bool WaitFor(Milliseconds most) const;

  // Calls `done` with the outcome, once: on the I/O thread, or here and now if the call is complete.
  // `done` may be move-only, is destroyed after its call, and must neither throw nor take long.
  template <std::invocable<Outcome> Done>
  void Then(Done done) {
    struct Holder final : Waiter {
      explicit Holder(Done held_done) : held(std::move(held_done)) {}
      void Run(Outcome outcome) override { held(std::move(outcome)); }
      Done held;
    };
    RunWhenComplete(std::make_unique<Holder>(std::move(done)));
  }

  // For co_await. The coroutine goes on on the I/O thread, as a callback does; or, if the call is
  // complete, without a pause. It may not be destroyed while it waits.
  bool await_ready() const { return WaitFor(Milliseconds{0}); }
  template <typename Coroutine>
  bool await_suspend(Coroutine coroutine) {
    return ResumeWhenComplete([](void* at) { Coroutine::from_address(at).resume(); },
                              coroutine.address());
  }
  Outcome await_resume() { return Get(); }

 private:
  void RunWhenComplete(std::unique_ptr<Waiter> waiter);
  // False: the call is complete, nothing will be resumed.
  bool ResumeWhenComplete(void (*resume)(void*), void* coroutine);

  std::shared_ptr<OperationState<Outcome>> state_;
};

}  // namespace gyre::client
