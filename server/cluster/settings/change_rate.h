// How many changes are taken: a bucket of `burst`, which fills by `per_second`.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/clock.h"

namespace gyre {

// One thread.
class ChangeRate {
 public:
  ChangeRate(double burst, double per_second)
      : burst_(burst), per_second_(per_second), left_(burst) {}

  // Whether `count` more are taken now; those that are not cost nothing.
  bool Take(TimePoint now, double count = 1) {
    if (now > filled_at_) {
      const double seconds = std::chrono::duration<double>(now - filled_at_).count();
      left_ = std::min(burst_, left_ + seconds * per_second_);
      filled_at_ = now;
    }
    if (left_ < count) return false;
    left_ -= count;
    return true;
  }

 private:
  const double burst_;
  const double per_second_;
  double left_;
  TimePoint filled_at_{};
};

}  // namespace gyre
