// The memcached protocol's commands (names "mc.*", arguments as in protocol/memcached_command.h).
#pragma once

#include <span>

#include "command/command.h"

namespace gyre {

std::span<const Binding> MemcachedCommands();

}  // namespace gyre
