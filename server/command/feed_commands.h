// FEED: the changes of this node's partitions, as they come.
#pragma once

#include <span>

#include "command/command.h"

namespace gyre {

std::span<const Binding> FeedCommands();

}  // namespace gyre
