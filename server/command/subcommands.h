// Commands with subcommands (CLIENT, CONFIG, CLUSTER, COMMAND, OBJECT).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "command/plain_call.h"

namespace gyre {

struct Subcommand {
  std::string_view word;  // upper case
  std::int16_t arity;     // as Command::arity, container and subcommand included
  PlainHandler handler;
  std::string_view arguments;  // as HELP shows them; empty: none
  std::string_view help;       // one line
};

// The subcommand that the first argument names. Null where there is none, or it is HELP, or its
// arguments are too many or too few: then the call is answered.
const Subcommand* FindSubcommand(PlainCall& call, std::span<const Subcommand> subcommands);

// Runs it.
void RunSubcommand(PlainCall& call, std::span<const Subcommand> subcommands);

}  // namespace gyre
