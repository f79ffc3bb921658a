// Containers: commands with subcommands (CLIENT, CONFIG, CLUSTER, COMMAND, OBJECT). A subcommand has a
// row behind its container's, and a handler of its own. A plain one is called with the container's
// call.
#pragma once

#include "command/plain_call.h"

namespace gyre {

// The handler of a container: runs the subcommand that the first argument names.
void RunSubcommand(PlainCall& call);

// The handler of each HELP: the subcommands of its container.
void SayHelp(PlainCall& call);

// The subcommand that the first argument names. Null where there is none, or its arguments are too
// many or too few: then the call is answered.
const Command* FindSubcommand(PlainCall& call);

}  // namespace gyre
