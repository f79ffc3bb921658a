// Whether this process did not run for so long that others may have gone on without it: SIGSTOP, a
// suspended virtual machine, a starved one.
//
// What clients sent meanwhile waited in the kernel, and its age is not known. A write among it, for
// which the client has long given up, must not be carried out now: another node may have taken the
// key over and acknowledged newer writes, over which this one would win (connection.h).
//
// A timer beats while the process runs. Whichever thread wakes first finds the last beat too old;
// the next beat counts the pause. Both give the same number.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace gyre {

class PauseDetector {
 public:
  // Nobody takes over from a node sooner (self_fence.h).
  static constexpr Duration kPaused = std::chrono::milliseconds(1500);

  // One thread, several times within kPaused.
  void Beat(TimePoint now) {
    const Duration::rep time = now.time_since_epoch().count();
    if (Paused(time)) pauses_.fetch_add(1, std::memory_order_relaxed);
    beat_.store(time, std::memory_order_release);
  }

  // Any thread; `now` is read anew, not what a loop caches. How often the process paused so far.
  std::uint32_t Pauses(TimePoint now) const {
    // In this order: a pause that is counted meanwhile is seen once, or twice for a moment, but
    // never missed.
    const bool uncounted = Paused(now.time_since_epoch().count());
    return pauses_.load(std::memory_order_acquire) + (uncounted ? 1 : 0);
  }

 private:
  bool Paused(Duration::rep now) const {
    const Duration::rep beat = beat_.load(std::memory_order_acquire);
    return beat != 0 && now - beat >= kPaused.count();
  }

  std::atomic<Duration::rep> beat_{0};  // 0: none yet
  std::atomic<std::uint32_t> pauses_{0};
};

}  // namespace gyre
