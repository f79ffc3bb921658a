// What a process finds around it that changes how it is configured: its environment, and what the
// control group that it is in may have of the machine. Tests make theirs.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

namespace gyre {

struct Surroundings {
  // The value of an environment variable; null: there is none.
  std::function<const char*(const char* name)> variable = [](const char*) { return nullptr; };
  // Memory that the control group may use, in bytes; 0: no limit.
  std::size_t memory_limit_bytes = 0;
};

// Those of this process.
Surroundings FindSurroundings();

// The least limit of memory on the way from this process's control group (cgroup v1 or v2) to the
// topmost that it sees, in bytes; 0: none, or none below what the machine has. `root`: where /proc
// stands; mount points are below it. Blocks on files that the kernel makes up.
std::size_t ControlGroupMemoryLimit(const std::string& root = "");

}  // namespace gyre
