// `gyre rebalance`: how the moving of data stands, and the operator's word on it.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>

#include "client/shell/command_line.h"

namespace gyre::client {

// Nothing; "pause"; "resume"; or "limit" and bytes a second, or "default".
struct RebalanceArguments : Arguments {};

int Rebalance(const ShellContext& shell, const RebalanceArguments& arguments);

// What REBALANCE says; nothing where the node does not know the command or cannot be reached.
Json AskRebalance(Client& client);
// "42.0% done, 61 partitions, 12.5 MiB left, 80.0 MiB/s, 3 s to go", or why it stands still.
std::string RebalanceProgress(const Json& progress);
// For people: one line, what leaves the ring, and a table of the nodes.
void PrintRebalance(const Json& status, std::ostream& out);

}  // namespace gyre::client
