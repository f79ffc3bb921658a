// The STATUS document for people. Nodes of other releases may tell more or less: what is there is
// shown, what is missing is left out, and nothing that a node sends makes it fail.
#pragma once

#include <ostream>

#include "client/shell/printer.h"

namespace gyre::client {

// Scalars as `name: value`; lists of objects ("nodes", "members", ...) as tables of their scalar
// members; nested objects as a titled block. Numbers named *_bytes and *_ratio are made readable.
void PrintStatus(const Json& status, std::ostream& out);

}  // namespace gyre::client
