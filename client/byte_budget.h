// Bounds the bytes of requests in flight. Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>

#include "client/sync.h"

namespace gyre::client {

class ByteBudget {
 public:
  explicit ByteBudget(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  // False: no room. A single request over the whole budget passes when nothing else is in flight,
  // or it could never be sent.
  bool TryTake(std::size_t bytes) {
    MutexLock lock(mutex_);
    return TakeIfRoom(bytes);
  }
  // Waits for room. False: there was none until `deadline`.
  bool TakeBy(std::size_t bytes, std::chrono::steady_clock::time_point deadline) {
    MutexLock lock(mutex_);
    while (!TakeIfRoom(bytes)) {
      ++waiting_;
      const bool in_time = room_.WaitUntil(mutex_, deadline);
      --waiting_;
      if (!in_time) return TakeIfRoom(bytes);
    }
    return true;
  }
  void Give(std::size_t bytes) {
    MutexLock lock(mutex_);
    used_ -= bytes;
    if (waiting_ > 0) room_.NotifyAll();
  }
  std::size_t used() const {
    MutexLock lock(mutex_);
    return used_;
  }

 private:
  bool TakeIfRoom(std::size_t bytes) GYRE_CLIENT_ANNOTATION(requires_capability(mutex_)) {
    if (used_ != 0 && (bytes > bytes_max_ || used_ > bytes_max_ - bytes)) return false;
    used_ += bytes;
    return true;
  }

  const std::size_t bytes_max_;
  mutable Mutex mutex_;
  Condition room_;
  std::size_t used_ GYRE_CLIENT_GUARDED_BY(mutex_) = 0;
  std::size_t waiting_ GYRE_CLIENT_GUARDED_BY(mutex_) = 0;
};

}  // namespace gyre::client
