// Asks the cluster how it is: one node for the ring, and each node for itself.
#pragma once

#include <string>
#include <vector>

#include "client/shell/tool.h"
#include "proto/cluster_status.h"

namespace gyre::client {

// A document that a node answers; its words, if it is none.
Result<Json> ReadDocument(Result<Value> reply);

struct ClusterPicture {
  Json asked;                 // the STATUS of the node that is connected to, with all moves
  ClusterStatus status;       //
  std::vector<Json> answers;  // as status.nodes: their own STATUS; null where there is none
};

// Blocks for a second more at most than the node that is connected to takes.
Result<ClusterPicture> AskCluster(const ShellContext& shell);

// Runs a command at each node that serves, all at once. As `nodes`; null where there is no answer.
std::vector<std::optional<Value>> AskEach(const ShellContext& shell,
                                          const std::vector<NodeStatus>& nodes,
                                          const std::vector<std::string>& command);

}  // namespace gyre::client
