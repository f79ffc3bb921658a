// How many connections the operating system lets a node have: each of them is an open file.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gyre {

// Raises the process's soft limit of open files to the hard one; returns what it is then.
std::size_t RaiseOpenFilesLimit();

// How many of `wanted` client connections fit below a limit of `open_files`, beside what a node of
// so many workers opens for itself: loops, listening sockets, links to its peers. Of a limit too
// small for both, clients get half.
std::size_t ConnectionsWithin(std::size_t open_files, std::uint32_t threads, std::size_t wanted);

}  // namespace gyre
