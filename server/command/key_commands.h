// Keys: existence, expiry, removal.
#pragma once

#include <span>

#include "command/command.h"

namespace gyre {

std::span<const Binding> KeyCommands();

}  // namespace gyre
