// Parts of values.
#pragma once

#include <span>

#include "command/command.h"

namespace gyre {

std::span<const Binding> RangeCommands();

}  // namespace gyre
