// Where a Prometheus finds the nodes of a ring (http_sd): the page /sd.
#pragma once

#include <string>

#include "cluster/view.h"

namespace gyre {

// A list of {"targets": [...], "labels": {"__meta_gyre_...": ...}}, one for each node that holds a
// place on the ring or serves, and has an HTTP port. Nodes that are down are among them as long as
// their place is kept: whoever does not answer is to be missed.
std::string ScrapeTargetsJson(const ClusterView& view, const std::string& cluster);

}  // namespace gyre
