// Tells a forked child from its parent: threads and the state of an event loop do not cross fork().
#pragma once

#include <cstdint>

namespace gyre::client {

// How many forks lie between the first process and this one, counted from the first call on. Costs
// one load; any thread.
std::uint32_t ForkCount();

}  // namespace gyre::client
