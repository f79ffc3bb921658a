// The key space of the whole cluster: KEYS SCAN RANDOMKEY DBSIZE FLUSHALL.
#pragma once

#include <span>

#include "command/command.h"
#include "command/plain_call.h"

namespace gyre {

std::span<const Binding> ScanCommands();

// Voids every record of every partition and answers OK once all owners have done so, or with the
// first error.
void FlushCluster(PlainCall& call);
// Voids those partitions that were not emptied since `since` (a pending flush is replaced by one
// that came after it was ordered). Nobody waits for it.
void FlushClusterUnlessSince(Router& router, UnixMillis since);

}  // namespace gyre
