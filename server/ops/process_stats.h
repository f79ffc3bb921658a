// What the operating system says of this process.
#pragma once

#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/statistic.h"

namespace gyre {

struct ProcessStats {
  std::uint64_t started_ms = 0;
  std::uint64_t resident_bytes = 0;
  std::uint64_t cpu_ns = 0;
  std::uint64_t pauses = 0;  // PauseDetector::Pauses
  std::uint64_t reserve_used = 0;
  std::uint64_t log_lines_dropped = 0;
  std::uint64_t open_files = 0;
  std::uint64_t open_files_max = 0;
  std::uint64_t virtual_bytes = 0;

  static constexpr Statistic<ProcessStats> kStatistics[] = {
      {&ProcessStats::started_ms,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kMilliseconds,
        .name = "gyre_start_time_seconds",
        .help = "Start of the process, unix time."}},
      {&ProcessStats::resident_bytes,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kBytes,
        .name = "gyre_resident_bytes",
        .help = "Resident memory of the process."}},
      {&ProcessStats::cpu_ns,
       {.unit = StatUnit::kNanoseconds,
        .name = "gyre_cpu_seconds_total",
        .help = "CPU time of the process, user and system."}},
      {&ProcessStats::pauses,
       {.name = "gyre_process_pauses_total",
        .help = "Times that the process did not run for 1.5 s or longer (stopped, suspended, "
                "starved); writes that waited meanwhile were refused, reads answered by who owned "
                "the key by then."}},
      {&ProcessStats::reserve_used,
       {.name = "gyre_memory_reserve_used_total",
        .help = "Times that the system had no memory left, and a reserve of 8 MiB kept the node "
                "going; requests were refused meanwhile."}},
      {&ProcessStats::log_lines_dropped,
       {.name = "gyre_log_lines_dropped_total",
        .help = "Lines of the log that were lost because their output did not take them."}},
      {&ProcessStats::open_files,
       {.kind = StatKind::kGauge, .name = "gyre_open_files", .help = "Open file descriptors."}},
      {&ProcessStats::open_files_max,
       {.kind = StatKind::kGauge,
        .name = "process_max_fds",
        .help = "Maximum number of open file descriptors."}},
      {&ProcessStats::virtual_bytes,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kBytes,
        .name = "process_virtual_memory_bytes",
        .help = "Virtual memory size in bytes."}},
  };
};
static_assert(AllDescribed<ProcessStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

// All but `pauses`. Counts the open files one by one.
ProcessStats ReadProcessStats();

std::size_t ResidentBytes();
// Of the machine.
std::size_t SystemBytes();
// `who`: RUSAGE_SELF, RUSAGE_CHILDREN.
rusage UsageOf(int who);
// "12.000345".
std::string SecondsText(const timeval& time);

}  // namespace gyre
