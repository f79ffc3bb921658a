#include "ops/process_stats.h"

#include <dirent.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "base/clock.h"
#include "base/log.h"
#include "base/memory_reserve.h"

namespace gyre {
namespace {

// When the program was loaded.
const UnixMillis kLoadedMs = UnixNow();

std::uint64_t Nanoseconds(const timeval& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(time.tv_usec) * 1'000;
}

std::uint64_t CountOpenFiles() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  std::uint64_t entries = 0;
  while (readdir(directory) != nullptr) ++entries;  // NOLINT(concurrency-mt-unsafe): own DIR
  closedir(directory);
  constexpr std::uint64_t kOthers = 3;  // ".", ".." and the directory itself
  return entries < kOthers ? 0 : entries - kOthers;
}

std::size_t PageBytes() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }

struct MemoryUse {
  std::size_t total = 0;
  std::size_t resident = 0;
};

MemoryUse ReadMemoryUse() {
  std::ifstream file("/proc/self/statm");
  MemoryUse pages;
  file >> pages.total >> pages.resident;
  return {pages.total * PageBytes(), pages.resident * PageBytes()};
}

std::uint64_t OpenFilesMax() {
  rlimit limit{};
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

}  // namespace

ProcessStats ReadProcessStats() {
  const rusage usage = UsageOf(RUSAGE_SELF);
  ProcessStats stats;
  stats.started_ms = static_cast<std::uint64_t>(kLoadedMs);
  const MemoryUse memory = ReadMemoryUse();
  stats.resident_bytes = memory.resident;
  stats.virtual_bytes = memory.total;
  stats.cpu_ns = Nanoseconds(usage.ru_utime) + Nanoseconds(usage.ru_stime);
  stats.reserve_used = MemoryReserve::used();
  stats.log_lines_dropped = DroppedLogLines();
  stats.open_files = CountOpenFiles();
  stats.open_files_max = OpenFilesMax();
  return stats;
}

std::size_t ResidentBytes() { return ReadMemoryUse().resident; }

std::size_t SystemBytes() {
  return static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * PageBytes();
}

rusage UsageOf(int who) {
  rusage usage{};
  getrusage(who, &usage);
  return usage;
}

std::string SecondsText(const timeval& time) {
  char text[48];
  std::snprintf(text, sizeof text, "%lld.%06ld", static_cast<long long>(time.tv_sec),
                static_cast<long>(time.tv_usec));
  return text;
}

}  // namespace gyre
