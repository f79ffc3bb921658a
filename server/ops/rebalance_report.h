// How rebalancing stands, as JSON: what /status says of this node and REBALANCE of all.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cluster/view.h"
#include "repair/progress_survey.h"

namespace gyre {

// On one line; what is no UTF-8 is replaced.
std::string JsonText(const nlohmann::ordered_json& json);

// 16 hexadecimal digits: as a number it would not fit what reads JSON.
std::string DigestText(std::uint64_t digest);

nlohmann::ordered_json ProgressJson(const TransferProgress& progress);

// {"paused", "limit_bytes_per_second", the sum of all nodes, "leaving": [nodes that are being
// drained], "nodes": [each]}. `view` may be null. The pause and the limit are those of the node
// that answers, which is the one called `self`.
std::string RebalanceStatusJson(const std::vector<NodeProgress>& nodes, const NodeId& self,
                                const ClusterView* view);

}  // namespace gyre
