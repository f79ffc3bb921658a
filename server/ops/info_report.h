// INFO. A figure that has no true meaning here is left out, so that nobody
// builds an alarm on it.
#pragma once

#include <sys/resource.h>

#include <cstdint>
#include <string_view>

#include "base/client_memory.h"
#include "base/clock.h"
#include "command/admin.h"
#include "ops/config.h"
#include "ops/identity.h"
#include "ops/snapshot_stats.h"
#include "ops/stats_history.h"

namespace gyre {

// A node at one moment: what INFO and memcached's stats (memcached_report.h) are worded from.
struct InfoSource {
  const Config& config;
  const Identity& identity;
  const SnapshotStats& snapshot;

  UnixMillis now = 0;
  UnixMillis started = 0;
  std::uint64_t clients = 0;  // connected
  NodeFigures figures;        // since CONFIG RESETSTAT
  TrafficRates rates;
  std::uint64_t used_bytes_peak = 0;
  ClientMemoryStats client_memory;
  std::uint64_t resident_bytes = 0;
  std::uint64_t system_bytes = 0;
  rusage usage{};
  rusage usage_of_children{};

  std::int64_t uptime_seconds() const { return (now - started) / 1000; }
};

// As NodeReport::Info says (command/admin.h), of one section.
Fields InfoFields(const InfoSource& node, std::string_view section);

}  // namespace gyre
