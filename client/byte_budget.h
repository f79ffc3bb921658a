// Bounds the bytes of requests in flight. Thread-safe.
#pragma once

#include <chrono>
#include <cstddef>

#include "common/mutex.h"

namespace gyre::client {

class ByteBudget {
 public:
  explicit ByteBudget(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  // Takes for as many of `count` requests as have room, from the first one on, and says how many
  // these are; `bytes_of(index)` is what each takes. A single request over the whole budget passes
  // when nothing else is in flight, or it could never be sent.
  template <typename BytesOf>
  std::size_t Take(std::size_t count, BytesOf&& bytes_of) {
    MutexLock lock(mutex_);
    return TakeWhatFits(count, bytes_of);
  }
  // The same, but waits until there is room for at least the first. 0: there was none until
  // `deadline`.
  template <typename BytesOf>
  std::size_t TakeBy(std::chrono::steady_clock::time_point deadline, std::size_t count,
                     BytesOf&& bytes_of) {
    MutexLock lock(mutex_);
    std::size_t taken = TakeWhatFits(count, bytes_of);
    bool in_time = true;
    while (taken == 0 && in_time) {
      ++waiting_;
      in_time = room_.WaitUntil(mutex_, deadline);
      --waiting_;
      taken = TakeWhatFits(count, bytes_of);
    }
    return taken;
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
  template <typename BytesOf>
  std::size_t TakeWhatFits(std::size_t count, BytesOf& bytes_of) GYRE_REQUIRES(mutex_) {
    std::size_t taken = 0;
    for (; taken < count; ++taken) {
      const std::size_t bytes = bytes_of(taken);
      if (used_ != 0 && (bytes > bytes_max_ || used_ > bytes_max_ - bytes)) break;
      used_ += bytes;
    }
    return taken;
  }

  const std::size_t bytes_max_;
  mutable Mutex mutex_;
  Condition room_;
  std::size_t used_ GYRE_GUARDED_BY(mutex_) = 0;
  std::size_t waiting_ GYRE_GUARDED_BY(mutex_) = 0;
};

}  // namespace gyre::client
