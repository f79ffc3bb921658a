// How rebalancing stands, as JSON: what /status says of this node and REBALANCE of all.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "cluster/view.h"
#include "repair/progress_survey.h"

namespace gyre {

nlohmann::ordered_json ProgressJson(const TransferProgress& progress);

// {"paused", "limit_bytes_per_second", the sum of all nodes, "leaving": [nodes that are being
// drained], "nodes": [each]}. `view` may be null. The pause and the limit are those of the node
// that answers, which is the one called `self`.
nlohmann::ordered_json RebalanceStatusJson(const std::vector<NodeProgress>& nodes,
                                           const NodeId& self, const ClusterView* view);

}  // namespace gyre
