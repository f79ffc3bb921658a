// Emptying the whole cluster.
#pragma once

#include "command/plain_call.h"

namespace gyre {

// Voids every record of every partition and answers OK once all owners have done so, or with the
// first error.
void FlushCluster(PlainCall& call);
// Likewise, later: nobody waits for it.
void FlushClusterSilently(Router& router);

}  // namespace gyre
