// What the operating system says of this process.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>

namespace gyre {

inline std::size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

// `who`: RUSAGE_SELF, RUSAGE_CHILDREN.
inline rusage UsageOf(int who) {
  rusage usage{};
  ::getrusage(who, &usage);
  return usage;
}

}  // namespace gyre
