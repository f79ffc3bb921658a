// `gyre restart-check`: whether a node may be restarted now.
#pragma once

#include "client/shell/command_line.h"

namespace gyre::client {

// Of the node that the only word names: kExitDone where it is safe, else kExitRefused with the
// reasons.
int RestartCheck(const ShellContext& shell, const Arguments& arguments);

}  // namespace gyre::client
