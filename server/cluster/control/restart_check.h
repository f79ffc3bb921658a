// Whether a node may be stopped for a moment without a key lost or a write refused: what a script
// asks before it restarts one. Pure, from one node's view.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cluster/view.h"

namespace gyre {

struct RestartCheck {
  std::vector<std::string> reasons;  // against it, each a sentence; none: safe

  bool safe() const { return reasons.empty(); }
};

// Of `node`, a member of `view`, while writes wait for `write_acks` copies. `majority`: --consistency
// majority.
RestartCheck CheckRestart(const ClusterView& view, MemberIndex node, std::uint32_t write_acks,
                          bool majority);

}  // namespace gyre
