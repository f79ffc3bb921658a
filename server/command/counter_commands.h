// INCR and its kin: numbers.
#pragma once

#include <span>

#include "command/command.h"

namespace gyre {

std::span<const Binding> CounterCommands();

}  // namespace gyre
