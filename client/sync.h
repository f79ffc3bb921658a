// A mutex and a condition variable that Clang's thread-safety analysis understands, so that a
// missing lock does not compile (https://clang.llvm.org/docs/ThreadSafetyAnalysis.html). Elsewhere
// the annotations vanish.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define GYRE_CLIENT_ANNOTATION(x) __attribute__((x))
#else
#define GYRE_CLIENT_ANNOTATION(x)
#endif

#define GYRE_CLIENT_GUARDED_BY(x) GYRE_CLIENT_ANNOTATION(guarded_by(x))

namespace gyre::client {

class GYRE_CLIENT_ANNOTATION(capability("mutex")) Mutex {
 public:
  void Lock() GYRE_CLIENT_ANNOTATION(acquire_capability()) { mutex_.lock(); }
  void Unlock() GYRE_CLIENT_ANNOTATION(release_capability()) { mutex_.unlock(); }

 private:
  friend class Condition;
  std::mutex mutex_;
};

class GYRE_CLIENT_ANNOTATION(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) GYRE_CLIENT_ANNOTATION(acquire_capability(mutex))
      : mutex_(mutex) {
    mutex_.Lock();
  }
  ~MutexLock() GYRE_CLIENT_ANNOTATION(release_capability()) { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

class Condition {
 public:
  void NotifyAll() { condition_.notify_all(); }
  // Waits once, at most until `deadline`; the caller checks what it waits for in a loop. False: the
  // time is up.
  bool WaitUntil(Mutex& mutex, std::chrono::steady_clock::time_point deadline)
      GYRE_CLIENT_ANNOTATION(requires_capability(mutex)) {
    std::unique_lock<std::mutex> lock(mutex.mutex_, std::adopt_lock);
    const bool in_time = condition_.wait_until(lock, deadline) == std::cv_status::no_timeout;
    lock.release();
    return in_time;
  }

 private:
  std::condition_variable condition_;
};

}  // namespace gyre::client
