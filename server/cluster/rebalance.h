// The operator's word on rebalancing, which holds for the whole cluster (gyre rebalance).
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "proto/node_id.h"

namespace gyre {

// What the operator wants of rebalancing, the same on all nodes: a last-writer-wins register.
struct RebalanceSetting {
  std::uint64_t revision = 0;  // 0: nobody ever said anything
  NodeId by;
  bool paused = false;
  std::optional<std::uint64_t>
      bytes_per_second;  // none: each node's own --rebalance-limit; 0: no limit
  std::string proof;     // of `by`

  // The higher one wins.
  friend auto operator<=>(const RebalanceSetting&, const RebalanceSetting&) = default;
};

// A change of it: what is not named stays.
struct RebalanceChange {
  std::optional<bool> paused;
  std::optional<std::uint64_t> bytes_per_second;
  bool own_limits = false;  // no common one any more: each node's own --rebalance-limit
};

}  // namespace gyre
