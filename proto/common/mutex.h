// A mutex and a condition variable that Clang's thread-safety analysis understands, so that a
// missing lock does not compile (https://clang.llvm.org/docs/ThreadSafetyAnalysis.html). Elsewhere
// the annotations vanish.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define GYRE_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define GYRE_THREAD_ANNOTATION(x)
#endif

#define GYRE_CAPABILITY(x) GYRE_THREAD_ANNOTATION(capability(x))
#define GYRE_SCOPED_CAPABILITY GYRE_THREAD_ANNOTATION(scoped_lockable)
#define GYRE_GUARDED_BY(x) GYRE_THREAD_ANNOTATION(guarded_by(x))
#define GYRE_REQUIRES(...) GYRE_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define GYRE_ACQUIRE(...) GYRE_THREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define GYRE_RELEASE(...) GYRE_THREAD_ANNOTATION(release_capability(__VA_ARGS__))
#define GYRE_RETURN_CAPABILITY(x) GYRE_THREAD_ANNOTATION(lock_returned(x))
#define GYRE_NO_THREAD_SAFETY_ANALYSIS GYRE_THREAD_ANNOTATION(no_thread_safety_analysis)

namespace gyre {

class GYRE_CAPABILITY("mutex") Mutex {
 public:
  void Lock() GYRE_ACQUIRE() { mutex_.lock(); }
  void Unlock() GYRE_RELEASE() { mutex_.unlock(); }

 private:
  friend class Condition;
  std::mutex mutex_;
};

class GYRE_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) GYRE_ACQUIRE(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() GYRE_RELEASE() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class Condition {
 public:
  void NotifyAll() { condition_.notify_all(); }
  // Waits once; the caller checks what it waits for in a loop.
  void Wait(Mutex& mutex) GYRE_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    condition_.wait(lock);
    lock.release();
  }
  // The same, at most until `deadline`. False: the time is up.
  bool WaitUntil(Mutex& mutex, std::chrono::steady_clock::time_point deadline)
      GYRE_REQUIRES(mutex) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const bool in_time = condition_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    lock.release();
    return in_time;
  }

 private:
  std::condition_variable condition_;
};

}  // namespace gyre
