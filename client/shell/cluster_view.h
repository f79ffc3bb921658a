// The screens of `gyre status` and `gyre ring`. Pure: from the picture of the cluster to lines.
#pragma once

#include <ostream>

#include "client/shell/screen.h"
#include "proto/cluster_status.h"

namespace gyre::client {

// One line that answers, what is wrong and what to do, then one line a node.
void PrintClusterStatus(const ClusterStatus& status, const Verdict& verdict, const Screen& screen,
                        std::ostream& out);

// Who owns and holds how much, as bars, and what is on its way.
void PrintRing(const ClusterStatus& status, const Screen& screen, std::ostream& out);

}  // namespace gyre::client
