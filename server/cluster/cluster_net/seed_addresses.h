// A seed that is a name of several nodes: a headless service, a DNS record of all of them.
#pragma once

#include <vector>

#include "membership/membership.h"
#include "net/socket_address.h"

namespace gyre {

// The addresses behind a name, `found`, at which a node that others reach at `own` may meet others.
// Each once and in one order, whatever the order of the answer: who tries them in turn tries all.
// Those of `own`'s family alone, where there are some: a node that has one family would wait for
// itself at the other.
std::vector<Address> SeedAddresses(const std::vector<SocketAddress>& found, const Address& own);

}  // namespace gyre
