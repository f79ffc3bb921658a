// The whole ring as one node sees it, with the verdict of `gyre status`: JSON for /ui/ring.json.
#pragma once

#include <map>
#include <string>

#include "base/clock.h"
#include "proto/cluster_status.h"

namespace gyre {

// What a node said of itself, and when.
struct NodeAnswer {
  std::string page;   // OwnStatusJson (status_report.h); empty: it never answered
  Duration age{};     // of that page; 0: it is new
  std::string error;  // why there is no newer one; empty where there is, or nobody can say
};

struct RingStatusSource {
  std::string asked;                          // StatusJson of the node that was asked
  std::string moves;                          // RebalanceStatusJson of all nodes
  std::map<std::string, NodeAnswer> answers;  // [id, as text] of each node
};

// The picture on which the verdict rests.
ClusterStatus RingStatusOf(const RingStatusSource& source);

// ops/README.md names the members. What is missing in an answer, or makes no sense, is null.
std::string RingStatusJson(const RingStatusSource& source);

}  // namespace gyre
