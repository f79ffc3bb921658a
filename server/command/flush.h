// Emptying the whole cluster.
#pragma once

#include "command/plain_call.h"

namespace gyre {

// Voids every record of every partition and answers OK once all owners have done so, or with the
// first error.
void FlushCluster(PlainCall& call);
// Voids those partitions that were not emptied since `since` (a pending flush is replaced by one
// that came after it was ordered). Nobody waits for it.
void FlushClusterUnlessSince(Router& router, UnixMillis since);

}  // namespace gyre
