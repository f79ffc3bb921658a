// The connection: greeting, name, database, CLIENT.
#pragma once

#include <span>

#include "command/command.h"

namespace gyre {

std::span<const Binding> ConnectionCommands();

}  // namespace gyre
