// What the client must know of a command to route and retry it: where its first key stands, and
// what a second execution would do. A command that is not in the table has no key and counts as
// kWrite, the safe side.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace gyre::client {

enum class Effect {
  kRead,             // changes nothing: may be asked of several nodes at once
  kIdempotentWrite,  // done twice, it leaves the state of having done it once
  kWrite,            // done twice is wrong
};

struct CommandTraits {
  std::size_t key_index = 0;  // into the arguments, the name being 0; 0: the command has no key
  Effect effect = Effect::kWrite;
};

// `args[0]` is the name, in any case; `args` is not empty.
CommandTraits TraitsOf(const std::vector<std::string>& args);

}  // namespace gyre::client
