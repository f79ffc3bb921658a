#include "base/clock.h"

namespace gyre {

TimePoint SteadyNow() { return std::chrono::steady_clock::now(); }

UnixMillis UnixNow() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace gyre
