// `gyre stat`: a line of figures of the whole ring each second, for a terminal that is left open and
// for scripts.
#pragma once

#include "client/shell/top.h"

namespace gyre::client {

struct StatArguments : Arguments {
  double interval = 1;
  std::uint64_t count = 0;  // lines; 0: until it is stopped
};

// What two samples differ in, and what there is now. `keys`: of the ring, each once.
Json StatJson(const TopSample& before, const TopSample& now, std::optional<std::uint64_t> keys);
// The same as a line, below this one.
std::string StatHeader();
std::string StatLine(const Json& stat);

int Stat(const ShellContext& shell, const StatArguments& arguments);

}  // namespace gyre::client
