// How a node stops (coordinator_stop.cc).
#pragma once

#include "base/clock.h"

namespace gyre {

struct StopOptions {
  // --stop-timeout: the end comes in this time, whatever others do.
  Duration timeout = std::chrono::seconds(25);
  bool snapshot = false;  // --snapshot-on-exit: what only this node has is not lost
};

}  // namespace gyre
