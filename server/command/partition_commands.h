// What nodes ask each other about whole partitions, so that any node can answer for the cluster:
// "gyre.count", "gyre.counts", "gyre.sample", "gyre.scan", "gyre.flush", "gyre.flush.since". Their
// keys are partition
// numbers; the router brings them to the owners, as any keyed command, and they never fan out
// again.
#pragma once

#include <cstddef>
#include <span>

#include "command/command.h"

namespace gyre {

std::span<const Binding> PartitionCommands();

// Records that one gyre.scan visits at most.
inline constexpr std::size_t kScanVisitsMax = 10'000;

}  // namespace gyre
