// --snapshot-on-exit in the simulator: the bytes that production writes to a file.
#pragma once

#include <string>

#include "membership/state.h"
#include "storage/engine.h"

namespace gyre::sim {

std::string TakeSnapshot(Engine& engine, const NodeId& id, UnixMillis now);

// Into an empty engine; what ownership must know of it. Bytes that were not whole would end the
// run.
RestoredCopies LoadSnapshot(Engine& engine, const NodeId& id, UnixMillis now,
                            const std::string& bytes);

}  // namespace gyre::sim
