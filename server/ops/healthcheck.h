// gyred --healthcheck: what a container runs to learn whether its node is ready, where there is no
// shell and no curl.
#pragma once

#include "base/clock.h"
#include "ops/config.h"
#include "proto/result.h"

namespace gyre {

// Asks /ready of the node that runs with `config`, on this machine. Blocks, for a few times `patience`
// at most. An error says why the node is not ready, or what was wrong with asking.
Status AskReady(const Config& config, Duration patience);

}  // namespace gyre
