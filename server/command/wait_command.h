// WAIT: how many other nodes have the connection's writes.
#pragma once

#include "command/plain_call.h"

namespace gyre {

// WAIT copies timeout_ms
void WaitForCopies(PlainCall& call);
// gyre.wait copies timeout_ms: likewise for what came in over a peer's connection; null if nothing
// did.
void WaitForCopiesOfPeer(PlainCall& call);

}  // namespace gyre
