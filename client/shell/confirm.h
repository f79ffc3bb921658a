// Nothing is removed by mistake: a person at a terminal types the cluster's name first.
#pragma once

#include <string>

#include "client/shell/tool.h"

namespace gyre::client {

// As the nodes are configured; else the address that the user named.
std::string ClusterName(const ShellContext& shell);

// Asks with "`consequence` of cluster NAME. Type the cluster's name: ". False, once that is said:
// the answer is not the name. True where nobody can be asked: who may go on then is the caller's to
// say.
bool Confirm(const ShellContext& shell, const std::string& consequence);

}  // namespace gyre::client
