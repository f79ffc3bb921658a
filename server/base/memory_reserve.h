// Address space that is kept for the moment when the system has none left (ulimit -v, strict
// overcommit, a full cgroup that refuses).
//
// What clients want in large blocks is asked for in a way that may fail, and fails their request.
// What is small and cannot fail (gossip, replication, the log, a timer) would end the process. For
// it the reserve is given back to the system, once, and taken again as soon as there is room.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gyre {

class MemoryReserve {
 public:
  // Address space alone: not resident until somebody else uses it.
  static constexpr std::size_t kBytes = std::size_t{8} << 20;

  // From now on an allocation that finds nothing uses it up before it throws bad_alloc. Once, at
  // start.
  static void Install();
  // Any thread. Gives it back to the system; false where that was done before.
  static bool Use();
  // Any thread, now and then, and before a large block is asked for: takes it again if it was used
  // up. False: there is still no room.
  static bool Renew();
  // Any thread. How often it was used up.
  static std::uint64_t used();
};

}  // namespace gyre
