#include "ops/open_files.h"

#include <sys/resource.h>

#include <algorithm>
#include <limits>

namespace gyre {
namespace {

// The admin, gossip and background threads, the log, and the connections of an operator.
constexpr std::size_t kFilesOfANode = 128;
// A loop's own files, its listening sockets, and a link to each peer of a large cluster.
constexpr std::size_t kFilesOfAWorker = 64;

}  // namespace

std::size_t RaiseOpenFilesLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (limit.rlim_cur != limit.rlim_max) {
    const rlimit raised{limit.rlim_max, limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  return limit.rlim_cur == RLIM_INFINITY ? std::numeric_limits<std::size_t>::max() : limit.rlim_cur;
}

std::size_t ConnectionsWithin(std::size_t open_files, std::uint32_t threads, std::size_t wanted) {
  const std::size_t own = kFilesOfANode + kFilesOfAWorker * threads;
  return std::min(wanted, open_files - std::min(own, open_files / 2));
}

}  // namespace gyre
