// Taking a node from the ring: `gyre drain` (a live one, emptied first, until `gyre undrain`) and
// `gyre remove` (a dead one).
#pragma once

#include "client/shell/command_line.h"

namespace gyre::client {

struct LeaveArguments : Arguments {
  int timeout_seconds = 3600;
  bool yes = false;  // nobody is asked
};

// The node's answer comes when it is empty, which may take minutes; meanwhile the ring is watched,
// and each change of what the node still holds is a line on `err`.
int Drain(const ShellContext& shell, const LeaveArguments& arguments);
int Remove(const ShellContext& shell, const LeaveArguments& arguments);
int Undrain(const ShellContext& shell, const Arguments& arguments);

// The node that `wanted` names by name, id or address; null if there is none.
const NodeInfo* FindNode(const RingInfo& ring, const std::string& wanted);
// Its nodes as people expect them; the ring has them by id.
std::vector<NodeInfo> ByName(const RingInfo& ring);
Error NoSuchNode(const RingInfo& ring, const std::string& wanted);

}  // namespace gyre::client
