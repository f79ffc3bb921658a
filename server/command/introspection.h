// COMMAND: the rows of the schema in Redis's words.
#pragma once

#include <span>

#include "command/command.h"

namespace gyre {

std::span<const Binding> IntrospectionCommands();

}  // namespace gyre
