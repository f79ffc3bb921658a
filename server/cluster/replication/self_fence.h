// Whether an owner may still order writes, with --consistency available: a guard against acting on
// what it believed before it was stopped (SIGSTOP, a suspended virtual machine, a starved one) or
// cut off.
//
// A node that others do not hear is declared dead after 2 s at the earliest, and then another
// owner orders the writes of its partitions. An old owner that goes on unknowingly would answer
// INCR from a stale value and stamp the result with a newer version. So it orders writes only while
// the newest of its own pings that was answered was *sent* less than kFor ago, or it knows of no
// other serving member. The first answer after a pause also says that this node was declared dead,
// if it was, and that is acted on before the answer counts. Cut off, its writes wait until it hears
// somebody, or until it has declared the others dead: then it goes on alone, as `available`
// promises.
//
// An acknowledgement is released under the same condition, and only if this node was not declared
// dead since the write: else its outcome is unknown.
//
// This is not the lease of --consistency majority: one answer suffices, so two sides of a network
// partition both go on. In the moment between an old owner's waking and the answer of somebody who
// knows of its death it may still order a write; an owner refuses mutations of its partitions from
// others (peer_service.cc), so that write gets no acknowledgement and ends as an unknown outcome.
// (Stamping a new owner's versions ahead of the wall clock would let them win over what such a
// write leaves behind, but also over acknowledged writes of the other side of a partition.)
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <utility>

#include "base/clock.h"

namespace gyre {

class SelfFence {
 public:
  static constexpr Duration kFor = std::chrono::milliseconds(1500);

  // `clock` is read anew at each question: the time that a loop caches is that of before a SIGSTOP.
  explicit SelfFence(std::function<TimePoint()> clock = SteadyNow) : clock_(std::move(clock)) {}

  // Control thread. `confirmed_at` as Membership has it.
  void Confirm(TimePoint confirmed_at) {
    const bool alone = confirmed_at == TimePoint::max();
    const Duration::rep until = alone ? kAlways : (confirmed_at + kFor).time_since_epoch().count();
    until_.store(until, std::memory_order_release);
  }

  // Control thread: others declared this node dead.
  void Overrule() { overruled_.fetch_add(1, std::memory_order_release); }

  // Any thread. How often it was declared dead.
  std::uint32_t overruled() const { return overruled_.load(std::memory_order_acquire); }
  bool Holds() const {
    const Duration::rep until = until_.load(std::memory_order_acquire);
    return until == kAlways || clock_().time_since_epoch().count() < until;
  }

 private:
  static constexpr Duration::rep kAlways = std::numeric_limits<Duration::rep>::max();

  const std::function<TimePoint()> clock_;
  std::atomic<Duration::rep> until_{kAlways};
  std::atomic<std::uint32_t> overruled_{0};
};

}  // namespace gyre
