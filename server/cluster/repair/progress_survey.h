// How far all nodes have come with filling: asks each member that serves, over the links of one
// loop.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cluster/transport.h"
#include "cluster/view.h"
#include "proto_gen/cluster.pb.h"
#include "repair/progress.h"

namespace gyre {

struct NodeProgress {
  NodeId id;
  std::string name;
  bool answered = false;  // in time; else `progress` is empty
  TransferProgress progress;
};

void ToWire(const TransferProgress& progress, wire::ProgressReply& message);
TransferProgress FromWire(const wire::ProgressReply& message);

// `done` comes once, on the loop of `transport`, later or from within the call, with the serving
// ones of `members` in their order; `own` is the answer of `self`. Nobody is waited for longer than
// a second.
void AskProgress(Transport& transport, const std::map<NodeId, MemberInfo>& members,
                 const NodeId& self, const TransferProgress& own,
                 std::function<void(std::vector<NodeProgress>)> done);

}  // namespace gyre
