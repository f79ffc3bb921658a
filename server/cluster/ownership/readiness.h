// Whether a node has whole what the ring gives it, for /ready.
#pragma once

#include <cstdint>
#include <string>

namespace gyre {

// As of a moment. The default is a node that has just started.
struct Readiness {
  bool joined = false;  // it knows its ring as it is now and has its place, or waits no more
  bool ring_is_back =
      false;                // the ring that it remembers is there again (OwnershipOptions.returns)
  std::uint64_t ring = 0;   // members of the ring
  std::uint64_t back = 0;   // of them, those that serve
  std::uint64_t given = 0;  // partitions that this node should hold
  std::uint64_t lacking = 0;      // of them, those that are not whole here
  std::uint64_t unowned = 0;      // partitions that nobody orders the writes of
  bool drained = false;           // off the ring until gyre undrain
  bool settings_unknown = false;  // the ring's: no other node told them in this life
  bool ring_full = false;         // off the ring until another leaves it
  bool moves_paused = false;      // gyre rebalance pause
};

// What is waited for, with how far it is; empty: nothing.
std::string WaitsFor(const Readiness& readiness);

}  // namespace gyre
