// `gyre advise`: how many nodes the ring needs, and why, as the node that is asked has watched it.
#pragma once

#include <ostream>

#include "client/shell/command_line.h"
#include "client/shell/screen.h"

namespace gyre::client {

// kExitDone where the ring has what it needs; kExitRefused where another number is advised, or nothing
// can be said.
int Advise(const ShellContext& shell, const Arguments& arguments);

// What ADVISE says, for people: one line that answers, what each signal says, what stands against it,
// and what other numbers of nodes would give. What is missing is left out.
void PrintAdvice(const Json& advice, const Screen& screen, std::ostream& out);

}  // namespace gyre::client
