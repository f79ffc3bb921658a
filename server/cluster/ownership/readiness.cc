#include "ownership/readiness.h"

#include "proto/limits.h"

namespace gyre {

std::string WaitsFor(const Readiness& readiness) {
  const auto of = [](std::uint64_t part, std::uint64_t all) {
    return std::to_string(part) + " of " + std::to_string(all);
  };
  if (readiness.drained) return "drained: this node stays off the ring until gyre undrain";
  if (readiness.ring_full) {
    return "the ring has " + std::to_string(kRingNodesMax) +
           " nodes, the most that it can have: this node waits until another leaves";
  }
  if (!readiness.ring_is_back && readiness.ring > 0) {
    return "waiting for the ring: " + of(readiness.back, readiness.ring) +
           " nodes are back, most of them are needed";
  }
  if (!readiness.joined) return "not yet in the cluster";
  if (readiness.settings_unknown) return "the settings of the ring are not known here yet";
  if (readiness.unowned > 0) {
    return std::to_string(readiness.unowned) + " partitions have no owner yet";
  }
  if (readiness.lacking > 0) {
    return of(readiness.lacking, readiness.given) + " partitions are to be filled" +
           (readiness.moves_paused ? " (moves are paused: gyre rebalance resume)" : "");
  }
  return "";
}

}  // namespace gyre
