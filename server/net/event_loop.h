// One libuv loop with one thread: what every socket, timer and posted task of a worker runs on.
//
// libuv calls back from within its poll phase, so an iteration, seen from here, is:
//
//   poll (sleeps; callbacks of sockets and Post) -> check -> closed handles -> timers -> prepare ...
//
// `check` is the moment when all that was ready has been read. There the EndOfPoll tasks run: what
// came over several sockets is worked on together. `prepare` is the last moment before the loop
// sleeps. There the EndOfIteration tasks run: what was gathered during the iteration (replies that
// became ready, frames for peers) leaves in one write each.
//
// Time is read once an iteration, by whoever asks first. From that moment to `prepare` counts as
// busy; a busy time is how long other clients of this loop had to wait.
#pragma once

#include <uv.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/duration_histogram.h"
#include "common/mutex.h"
#include "net/handle.h"
#include "net/intrusive_list.h"
#include "proto/result.h"

namespace gyre {

class EndOfIteration;
class IterationObserver;

class EventLoop {
 public:
  static Result<std::unique_ptr<EventLoop>> Create();
  // After Run returned, or if it never ran. Everything built on the loop must be gone by then;
  // handles that are still closing are finished here.
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // Runs callbacks on the calling thread until Stop. Once in the life of a loop.
  void Run();
  // Any thread. Tasks posted before it still run, later ones are dropped; then Run returns.
  void Stop();
  // Any thread. Runs `task` on the loop, soon, in the order of the posts, never from within the
  // call. After Stop, `task` is destroyed unrun.
  void Post(std::function<void()> task);

  // The time of this iteration. Loop thread only (or before Run).
  TimePoint now() {
    if (!awake_) WakeUp();
    return now_;
  }
  // The time now, where that of the iteration may be too old. Read again only if there was another
  // call before.
  TimePoint exact_now() {
    if (awake_) return SteadyNow();
    WakeUp();
    return now_;
  }
  UnixMillis unix_now() {
    if (!awake_) WakeUp();
    return unix_now_;
  }

  uv_loop_t* raw() { return &loop_; }

  // Busy time of iterations. Any thread.
  DurationHistogram::Snapshot busy() const { return busy_.Read(); }
  // Requests that were executed in it, as its servers tell. Any thread; told on the loop's.
  std::uint64_t requests() const { return requests_.load(std::memory_order_relaxed); }
  void NoteRequests(std::uint64_t count) {
    requests_.store(requests() + count, std::memory_order_relaxed);
  }

 private:
  friend class EndOfIteration;
  friend class EndOfPoll;
  friend class IterationObserver;

  EventLoop() = default;
  Status Init();
  void WakeUp();
  void OnPosted();
  void OnPrepare();
  static void RunAll(IntrusiveList<EndOfIteration>& tasks);

  // Loop thread only.
  uv_loop_t loop_{};
  uv_async_t posted_signal_{};
  uv_check_t check_{};
  uv_prepare_t prepare_{};
  bool open_ = false;
  bool awake_ = false;  // now_ is of this iteration
  TimePoint now_{};
  UnixMillis unix_now_ = 0;
  IntrusiveList<EndOfIteration> end_of_poll_;
  IntrusiveList<EndOfIteration> end_of_iteration_;
  IntrusiveList<IterationObserver> observers_;
  std::vector<std::function<void()>>
      running_;  // kept, so that Post's steady state does not allocate

  // Any thread.
  DurationHistogram busy_;
  std::atomic<std::uint64_t> requests_ = 0;
  Mutex mutex_;
  std::vector<std::function<void()>> posted_ GYRE_GUARDED_BY(mutex_);
  bool stopping_ GYRE_GUARDED_BY(mutex_) = false;
};

// `done`, for another thread to call: it runs on `loop`, of which the caller is the thread, and is
// destroyed there too, whichever copy of the result goes last. (What a callback holds, a reply slot
// say, belongs to its thread.) After the loop's Stop it is destroyed uncalled.
template <typename... Args>
std::function<void(Args...)> ReturnTo(EventLoop& loop, std::function<void(Args...)> done) {
  using Done = std::function<void(Args...)>;
  const auto destroy_on_loop = [&loop](Done* last) {
    loop.Post([owned = std::shared_ptr<Done>(last)] {});
  };
  std::shared_ptr<Done> kept(new Done(std::move(done)), destroy_on_loop);
  return [&loop, kept = std::move(kept)](Args... args) {
    loop.Post([kept, args...] { (*kept)(args...); });
  };
}

// Work that is due once before the loop sleeps. Loop thread; the loop outlives it. Its task must
// not destroy it.
class EndOfIteration : public IntrusiveListNode<EndOfIteration> {
 public:
  EndOfIteration(EventLoop& loop, std::function<void()> task)
      : EndOfIteration(loop.end_of_iteration_, std::move(task)) {}
  ~EndOfIteration() { Cancel(); }
  EndOfIteration(const EndOfIteration&) = delete;
  EndOfIteration& operator=(const EndOfIteration&) = delete;

  // Runs the task once before the loop sleeps next; calls before that add nothing.
  void Schedule() {
    if (!linked()) scheduled_.PushBack(*this);
  }
  void Cancel() {
    if (linked()) Unlink();
  }

 protected:
  EndOfIteration(IntrusiveList<EndOfIteration>& scheduled, std::function<void()> task)
      : scheduled_(scheduled), task_(std::move(task)) {}

 private:
  friend class EventLoop;
  IntrusiveList<EndOfIteration>& scheduled_;
  std::function<void()> task_;
};

// Likewise, sooner: once the callbacks of what is ready now have run.
class EndOfPoll final : public EndOfIteration {
 public:
  EndOfPoll(EventLoop& loop, std::function<void()> task)
      : EndOfIteration(loop.end_of_poll_, std::move(task)) {}
};

// Is told when each iteration was over, after the EndOfIteration tasks: a time that is read anyway.
// Loop thread; the loop outlives it.
class IterationObserver : public IntrusiveListNode<IterationObserver> {
 public:
  IterationObserver(EventLoop& loop, std::function<void(TimePoint)> task) : task_(std::move(task)) {
    loop.observers_.PushBack(*this);
  }
  ~IterationObserver() { Unlink(); }
  IterationObserver(const IterationObserver&) = delete;
  IterationObserver& operator=(const IterationObserver&) = delete;

 private:
  friend class EventLoop;
  std::function<void(TimePoint)> task_;
};

// A timer. Loop thread; the loop outlives it. May be started, stopped and destroyed from its own
// task.
class Timer {
 public:
  explicit Timer(EventLoop& loop);
  ~Timer() = default;  // stops
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Runs `task` after `delay`, then, if `repeat` is not zero, every `repeat`. Replaces what was
  // started before. Resolution: 1 ms, rounded up.
  void Start(Duration delay, Duration repeat, std::function<void()> task);
  void Stop();
  bool active() const;

 private:
  struct State {
    EventLoop* loop = nullptr;
    uv_timer_t handle{};
    std::function<void()> task;
  };
  static void OnTimer(uv_timer_t* handle);

  HandlePtr<State> state_;
};

}  // namespace gyre
