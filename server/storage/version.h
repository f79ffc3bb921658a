// A version orders all writes of one record, on all nodes: a hybrid logical clock (Kulkarni et al.,
// 2014).
//
//   63              20 19       8 7      0
//   | unix ms (44 bit) | count(12) | node(8) |
//
// It grows with the wall clock, never runs backwards, and is ahead of every version seen. The node
// byte makes two nodes that stamp in the same millisecond differ: the ring gives each of its nodes
// one of its own (membership/membership.h). 44 bits of milliseconds last until the year 2527.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace gyre {

using Version = std::uint64_t;

inline constexpr int kVersionCountBits = 12;
inline constexpr int kVersionNodeBits = 8;

inline UnixMillis MillisOf(Version version) {
  return static_cast<UnixMillis>(version >> (kVersionCountBits + kVersionNodeBits));
}

// Not thread-safe: one in each shard, under its lock.
class VersionClock {
 public:
  explicit VersionClock(std::uint8_t node) : node_(node) {}

  // Higher than every version returned or observed before. Where one millisecond brings more writes
  // than the count holds, it carries into the milliseconds: the clock runs ahead of the wall, which
  // is harmless.
  Version Next(UnixMillis now) {
    const Version wall = static_cast<Version>(now) << kVersionCountBits;
    last_ = std::max(last_ + 1, wall);
    return (last_ << kVersionNodeBits) | node_;
  }

  // For the versions from now on; they still grow, so that none comes twice.
  void set_node(std::uint8_t node) { node_ = node; }

  // No version that was returned is higher; each that will be is.
  Version newest() const { return (last_ << kVersionNodeBits) | node_; }
  // Of the newest version returned or observed; the next is of this one or a later.
  UnixMillis millis() const { return static_cast<UnixMillis>(last_ >> kVersionCountBits); }
  // Higher than every version of `millis` and before from now on.
  void PassMillis(UnixMillis millis) {
    last_ = std::max(last_, static_cast<Version>(millis + 1) << kVersionCountBits);
  }

  void Observe(Version seen) { last_ = std::max(last_, seen >> kVersionNodeBits); }

 private:
  Version last_ = 0;  // ms and count
  std::uint8_t node_;
};

}  // namespace gyre
