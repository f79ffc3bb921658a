#include "net/event_loop.h"

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

namespace gyre {

Result<std::unique_ptr<EventLoop>> EventLoop::Create() {
  std::unique_ptr<EventLoop> loop(new EventLoop);
  if (Status status = loop->Init(); !status) return tl::unexpected(status.error());
  return loop;
}

Status EventLoop::Init() {
  if (const int error = uv_loop_init(&loop_); error != 0) {
    return Fail(ErrorCode::kIo, std::string("cannot create an event loop: ") + uv_strerror(error) +
                                    ": raise the limit of open files (ulimit -n)");
  }
  open_ = true;
  loop_.data = this;
  // Neither can fail but for the signal's file, of which the loop has one already.
  if (const int error = uv_async_init(
          &loop_, &posted_signal_,
          [](uv_async_t* handle) { static_cast<EventLoop*>(handle->loop->data)->OnPosted(); });
      error != 0) {
    uv_loop_close(&loop_);
    open_ = false;
    return Fail(ErrorCode::kIo, std::string("cannot create an event loop: ") + uv_strerror(error) +
                                    ": raise the limit of open files (ulimit -n)");
  }
  uv_check_init(&loop_, &check_);
  uv_check_start(&check_, [](uv_check_t* handle) {
    RunAll(static_cast<EventLoop*>(handle->loop->data)->end_of_poll_);
  });
  uv_prepare_init(&loop_, &prepare_);
  uv_prepare_start(&prepare_, [](uv_prepare_t* handle) {
    static_cast<EventLoop*>(handle->loop->data)->OnPrepare();
  });
  return {};
}

EventLoop::~EventLoop() {
  if (!open_) return;
  uv_close(reinterpret_cast<uv_handle_t*>(&posted_signal_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&check_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&prepare_), nullptr);
  uv_run(&loop_, UV_RUN_DEFAULT);  // ends once every closing handle has had its close callback
  [[maybe_unused]] const int busy = uv_loop_close(&loop_);
  assert(busy == 0 && "a handle outlived its loop");
}

void EventLoop::Run() {
  uv_run(&loop_, UV_RUN_DEFAULT);
  // The last iteration's gathered output still leaves.
  OnPrepare();
  // What was posted too late goes unrun, outside the lock: a task's destructor may do anything.
  std::vector<std::function<void()>> late;
  {
    MutexLock lock(mutex_);
    late.swap(posted_);
  }
}

void EventLoop::Stop() {
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
  }
  uv_async_send(&posted_signal_);
}

void EventLoop::Post(std::function<void()> task) {
  {
    MutexLock lock(mutex_);
    if (stopping_) return;
    posted_.push_back(std::move(task));
    if (posted_.size() > 1) return;  // the signal is already on its way
  }
  uv_async_send(&posted_signal_);
}

void EventLoop::OnPosted() {
  if (!awake_) WakeUp();
  bool stop = false;
  {
    MutexLock lock(mutex_);
    running_.swap(posted_);
    stop = stopping_;
  }
  for (std::function<void()>& task : running_) {
    task();
    task = nullptr;  // releases what it holds before the next one runs
  }
  running_.clear();
  if (stop) uv_stop(&loop_);
}

void EventLoop::WakeUp() {
  now_ = SteadyNow();
  unix_now_ = UnixNow();
  awake_ = true;
}

void EventLoop::OnPrepare() {
  RunAll(end_of_poll_);  // what was scheduled by other callbacks does not wait for a poll
  RunAll(end_of_iteration_);
  if (!awake_) return;
  const TimePoint end = SteadyNow();
  busy_.Record(end - now_);
  observers_.ForEach([end](IterationObserver& observer) { observer.task_(end); });
  awake_ = false;
}

void EventLoop::RunAll(IntrusiveList<EndOfIteration>& tasks) {
  // A task may schedule another one (a reply that becomes ready while frames are flushed); those
  // run, too.
  while (!tasks.empty()) tasks.PopFront().task_();
}

Timer::Timer(EventLoop& loop) : state_(new State) {
  state_->loop = &loop;
  state_->handle.data = state_.get();
  uv_timer_init(loop.raw(), &state_->handle);
}

void Timer::Start(Duration delay, Duration repeat, std::function<void()> task) {
  const auto millis = [](Duration duration) {
    const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(duration);
    return static_cast<std::uint64_t>(std::max<std::int64_t>(rounded.count(), 0));
  };
  state_->task = std::move(task);
  uv_timer_start(&state_->handle, OnTimer, millis(delay), millis(repeat));
}

void Timer::Stop() {
  uv_timer_stop(&state_->handle);
  state_->task = nullptr;
}

bool Timer::active() const {
  return uv_is_active(reinterpret_cast<const uv_handle_t*>(&state_->handle)) != 0;
}

void Timer::OnTimer(uv_timer_t* handle) {
  // `state` lives until the close callback, which comes later even if the task destroys the timer.
  State* state = static_cast<State*>(handle->data);
  state->loop->now();
  // The task is moved out, so that it may replace itself (Start) or drop itself (Stop).
  std::function<void()> task = std::move(state->task);
  state->task = nullptr;
  task();
  auto* generic = reinterpret_cast<uv_handle_t*>(handle);
  const bool repeats = uv_is_active(generic) != 0 && uv_is_closing(generic) == 0;
  if (repeats && !state->task) state->task = std::move(task);
}

}  // namespace gyre
