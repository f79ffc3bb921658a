// The latest advice on the number of nodes, for whoever asks.
#pragma once

#include <utility>

#include "common/mutex.h"
#include "proto/scaling_advisor.h"

namespace gyre {

// Thread-safe.
class PublishedAdvice {
 public:
  void Publish(Advice advice) {
    MutexLock lock(mutex_);
    advice_ = std::move(advice);
  }
  // Of no nodes, before the first.
  Advice Read() const {
    MutexLock lock(mutex_);
    return advice_;
  }

 private:
  mutable Mutex mutex_;
  Advice advice_ GYRE_GUARDED_BY(mutex_);
};

}  // namespace gyre
