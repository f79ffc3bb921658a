// The key space of the whole cluster: KEYS SCAN RANDOMKEY DBSIZE FLUSHALL.
#pragma once

#include <span>

#include "command/command.h"

namespace gyre {

std::span<const Binding> ScanCommands();

}  // namespace gyre
