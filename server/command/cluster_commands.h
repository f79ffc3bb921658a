// The ring: CLUSTER for Redis's clients, RING and LOCATE for ours.
#pragma once

#include <span>

#include "command/command.h"

namespace gyre {

std::span<const Binding> ClusterCommands();

}  // namespace gyre
