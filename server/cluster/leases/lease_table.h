// What this node's leases (lease.h) allow its loops to do: one entry for each partition, written by
// the control thread, read by all without a lock.
//
// Whoever executes a command asks twice: before it, and after it. A process can be stopped between
// any two instructions, so only what is found valid *afterwards* happened under the lease. An entry
// therefore also says since when the lease holds without a gap: one that ran out and was gained
// anew, with another owner in between, does not cover what began before.
//
// Each entry is two words. The writer sets `since` before `until`; a reader loads `until` first, so
// that a new `until` is never judged by an old `since`.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "base/clock.h"
#include "proto/slot.h"

namespace gyre {

class LeaseTable {
 public:
  // `clock` must be read afresh each time: the cached time of a loop is that of before a SIGSTOP.
  explicit LeaseTable(std::uint32_t partition_count, std::function<TimePoint()> clock = SteadyNow)
      : clock_(std::move(clock)), entries_(partition_count) {}

  // ---- The control thread ----
  // The lease holds from `start` until `until`. It never gets shorter by this.
  void Extend(PartitionId partition, TimePoint start, TimePoint until) {
    Entry& entry = entries_[partition];
    const Duration::rep before = entry.until.load(std::memory_order_relaxed);
    const Duration::rep from = start.time_since_epoch().count();
    if (from >= before) entry.since.store(from, std::memory_order_release);
    const Duration::rep to = until.time_since_epoch().count();
    if (to > before) entry.until.store(to, std::memory_order_release);
  }
  void Revoke(PartitionId partition) {
    entries_[partition].until.store(kNever, std::memory_order_release);
  }
  // No version beyond this millisecond may be stamped under the leases.
  void LimitStamps(UnixMillis limit) { stamp_limit_.store(limit, std::memory_order_release); }

  // ---- Any thread ----
  TimePoint Now() const { return clock_(); }
  bool Holds(PartitionId partition, TimePoint now) const {
    return now.time_since_epoch().count() <
           entries_[partition].until.load(std::memory_order_acquire);
  }
  // Without a gap since `from`.
  bool HeldSince(PartitionId partition, TimePoint from, TimePoint now) const {
    const Entry& entry = entries_[partition];
    const Duration::rep until = entry.until.load(std::memory_order_acquire);
    const Duration::rep since = entry.since.load(std::memory_order_acquire);
    return now.time_since_epoch().count() < until && since <= from.time_since_epoch().count();
  }
  bool MayStamp(UnixMillis stamp) const {
    return stamp <= stamp_limit_.load(std::memory_order_acquire);
  }
  // When the lease ends; the distant past if there is none.
  TimePoint Until(PartitionId partition) const {
    return TimePoint(Duration(entries_[partition].until.load(std::memory_order_acquire)));
  }

  // Commands that found no lease, and those that lost it while they ran.
  void CountRefusal() { refusals_.fetch_add(1, std::memory_order_relaxed); }
  void CountOverrun() { overruns_.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t refusals() const { return refusals_.load(std::memory_order_relaxed); }
  std::uint64_t overruns() const { return overruns_.load(std::memory_order_relaxed); }

 private:
  static constexpr Duration::rep kNever = std::numeric_limits<Duration::rep>::min();
  struct Entry {
    std::atomic<Duration::rep> since{0};
    std::atomic<Duration::rep> until{kNever};
  };

  const std::function<TimePoint()> clock_;
  std::vector<Entry> entries_;  // [partition]
  std::atomic<UnixMillis> stamp_limit_{0};
  std::atomic<std::uint64_t> refusals_{0}, overruns_{0};
};

}  // namespace gyre
