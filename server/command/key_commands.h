// Keys: existence, expiry, removal.
#pragma once

#include <span>

#include "command/command.h"

namespace gyre {

std::span<const Command> KeyCommands();

}  // namespace gyre
