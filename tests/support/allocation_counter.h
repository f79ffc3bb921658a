// Counts what a test program allocates, to show that a steady state allocates nothing. Linking this
// library replaces the program's operator new; a file of its own, so that no compiler inlines half
// of a pair.
#pragma once

#include <cstdint>

namespace gyre::test {

// How often operator new was called since the program began, by all threads.
std::uint64_t AllocationCount();

}  // namespace gyre::test
