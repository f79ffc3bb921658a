// GET, SET and their kin: whole values.
#pragma once

#include <span>

#include "command/command.h"

namespace gyre {

std::span<const Binding> StringCommands();

}  // namespace gyre
