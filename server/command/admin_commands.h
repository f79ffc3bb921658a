// This node: INFO, CONFIG, COMMAND, WAIT; the operator's STATUS, DRAIN, REMOVE.
#pragma once

#include <span>

#include "command/command.h"

namespace gyre {

std::span<const Binding> AdminCommands();

}  // namespace gyre
