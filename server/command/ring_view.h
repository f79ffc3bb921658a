// The ring as our client library reads it.
#pragma once

#include <string>

#include "cluster/view.h"

namespace gyre {

// An encoded wire::RingView (cluster.proto): the nodes that are on the ring or hold something, and
// for each partition the owner and further holders, those that have it whole first.
std::string EncodeRingView(const ClusterView& view);

}  // namespace gyre
