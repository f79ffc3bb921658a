#include "ops/surroundings.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string_view>
#include <vector>

#include "ops/process_stats.h"

namespace gyre {
namespace {

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

// Where a hierarchy of control groups is seen, and how it words a limit of memory.
struct Hierarchy {
  std::string path;         // of this process's group, from the hierarchy's root
  std::string mount_root;   // the group that is mounted
  std::string mount_point;  // where
  const char* limit_file = nullptr;
};

bool HasWord(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (list.substr(0, comma) == word) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// Lines are "4:memory:/a/b" where version 1 has the controller, "0::/a/b" in version 2. Both are there
// on machines that use both: then memory is with the one that names it.
bool FindPath(const std::string& root, bool version_1, std::string& path) {
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (version_1 ? !HasWord(controllers, "memory") : !controllers.empty()) continue;
    path = line.substr(second + 1);
    return true;
  }
  return false;
}

// A line is "ID PARENT DEVICE ROOT POINT OPTIONS ... - TYPE SOURCE OPTIONS" (proc(5)).
bool FindMount(const std::string& root, bool version_1, Hierarchy& hierarchy) {
  std::ifstream mounts(root + "/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    std::istringstream behind(line.substr(dash + 3));
    std::string type;
    std::string source;
    std::string options;
    behind >> type >> source >> options;
    if (version_1 ? type != "cgroup" || !HasWord(options, "memory") : type != "cgroup2") continue;
    std::istringstream before(line);
    std::string skipped;
    before >> skipped >> skipped >> skipped >> hierarchy.mount_root >> hierarchy.mount_point;
    return true;
  }
  return false;
}

// "max", and what is no number, is no limit.
std::size_t ReadLimit(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  file >> text;
  std::size_t limit = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  const bool number = error == std::errc() && end == text.data() + text.size() && !text.empty();
  return number ? limit : kNoLimit;
}

// The least on the way up: a group cannot have more than the one that it is in.
std::size_t LeastLimit(const std::string& root, const Hierarchy& hierarchy) {
  std::string below = hierarchy.path;
  const std::string& top = hierarchy.mount_root;
  // In a container the process's path may be that of the machine, of which only a part is mounted.
  if (top != "/") below = below.starts_with(top) ? below.substr(top.size()) : "";
  if (below == "/" || below.find("/..") != std::string::npos) below.clear();
  const std::string mounted = root + hierarchy.mount_point;
  std::size_t least = kNoLimit;
  while (true) {
    least = std::min(least, ReadLimit(mounted + below + '/' + hierarchy.limit_file));
    if (below.empty()) return least;
    below.resize(below.rfind('/') == std::string::npos ? 0 : below.rfind('/'));
  }
}

}  // namespace

std::size_t ControlGroupMemoryLimit(const std::string& root) {
  for (const bool version_1 : {true, false}) {
    Hierarchy hierarchy{.limit_file = version_1 ? "memory.limit_in_bytes" : "memory.max"};
    if (!FindPath(root, version_1, hierarchy.path)) continue;
    if (!FindMount(root, version_1, hierarchy)) continue;
    const std::size_t least = LeastLimit(root, hierarchy);
    // Version 1 says "none" by a number that no machine has.
    return least < SystemBytes() ? least : 0;
  }
  return 0;
}

Surroundings FindSurroundings() {
  // Read once, before there are other threads.
  return {.variable = [](const char* name) { return std::getenv(name); },
          .memory_limit_bytes = ControlGroupMemoryLimit()};
}

}  // namespace gyre
