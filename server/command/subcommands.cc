#include "command/subcommands.h"

#include "command/arguments.h"
#include "command/messages.h"

namespace gyre {

void RunSubcommand(PlainCall& call, std::span<const Subcommand> subcommands) {
  for (const Subcommand& subcommand : subcommands) {
    if (!IsWord(call.arg(1), subcommand.word)) continue;
    const auto count = static_cast<std::ptrdiff_t>(call.argument_count());
    const bool fits =
        subcommand.arity >= 0 ? count == subcommand.arity : count >= -subcommand.arity;
    if (fits) return subcommand.handler(call);
    return call.Fail(
        WrongArgumentCount(std::string(call.command.name) + "|" + ToLower(subcommand.word)));
  }
  call.Fail(UnknownSubcommand(ToUpper(call.command.name), call.arg(1)));
}

}  // namespace gyre
