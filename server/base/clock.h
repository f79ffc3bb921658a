// Time. Decisions take `now` as an argument; only shells read a clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace gyre {

// Monotonic time, for intervals: probes, suspicion, deadlines. Nanoseconds since an arbitrary
// start.
using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// Wall-clock time, for what leaves the process: expiry and versions. Unix milliseconds; never
// compared with a TimePoint.
using UnixMillis = std::int64_t;

inline constexpr UnixMillis kNeverExpires = 0;

TimePoint SteadyNow();
UnixMillis UnixNow();

}  // namespace gyre
