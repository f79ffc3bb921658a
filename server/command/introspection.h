// COMMAND: the table described in Redis's words.
#pragma once

#include "command/plain_call.h"

namespace gyre {

void DescribeCommands(PlainCall& call);

}  // namespace gyre
