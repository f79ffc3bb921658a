// Commands with subcommands (CLIENT, CONFIG, CLUSTER, COMMAND).
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
};

// Runs the subcommand that the first argument names, or answers with Redis's error.
void RunSubcommand(PlainCall& call, std::span<const Subcommand> subcommands);

}  // namespace gyre
