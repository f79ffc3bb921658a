// How fast the link of an address is, as the system tells.
#pragma once

#include <cstdint>
#include <string>

namespace gyre {

// Bytes a second, each way, of the interface that has the numeric address `host`; 0: not known (a
// name, an address of no interface, loopback, or an interface that does not tell: many virtual ones).
// `root`: where /sys stands. Blocks on files that the kernel makes up.
std::uint64_t LinkBytesPerSecond(const std::string& host, const std::string& root = "");

// Of the text in an interface's file `speed`: megabits a second.
std::uint64_t BytesOfLinkSpeed(const std::string& text);

}  // namespace gyre
