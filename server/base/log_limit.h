// Says how often something may be logged that a stranger can cause at will.
#pragma once

#include "base/clock.h"

namespace gyre {

// One thread.
class LogLimit {
 public:
  static constexpr Duration kInterval = std::chrono::seconds(10);

  // True at most once in kInterval.
  bool Admits(TimePoint now) {
    if (logged_ && now - last_ < kInterval) return false;
    logged_ = true;
    last_ = now;
    return true;
  }

 private:
  bool logged_ = false;
  TimePoint last_{};
};

}  // namespace gyre
