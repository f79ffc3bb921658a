// What COMMAND INFO says of Redis's commands beyond their rows: the words by which its clients and
// proxies choose a node, a connection or a user for them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "command/command.h"

namespace gyre {

// Words are separated by blanks.
struct CommandDetails {
  std::string_view name;  // "get", "client|list"
  std::int16_t arity;
  std::string_view flags;
  std::string_view categories;  // of ACLs
  std::string_view tips;
  std::string_view key_access;  // "RW access update"
  KeyPositions keys;
};

// A container's subcommands stand behind it.
std::span<const CommandDetails> AllCommandDetails();
// In lower case. Null for our own commands.
const CommandDetails* FindCommandDetails(std::string_view name);

}  // namespace gyre
