// What the client must know of a request to route and retry it, by the schema of the commands
// (proto/command_schema.h): where its first key stands, and what a second execution would do. A
// command that is not there, as it is a newer node's, has no key and counts as kWrite, the safe side.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace gyre::client {

enum class Effect {
  kRead,             // changes nothing: may be asked of several nodes at once
  kIdempotentWrite,  // done twice, it leaves the state of having done it once
  kWrite,            // done twice is wrong
};

struct CommandTraits {
  std::size_t key_index = 0;  // into the arguments, the name being 0; 0: the command has no key
  Effect effect = Effect::kWrite;
  bool subscribes = false;  // not for a connection that others share
};

// `args[0]` is the name, in any case.
CommandTraits TraitsOf(std::span<const std::string_view> args);

}  // namespace gyre::client
