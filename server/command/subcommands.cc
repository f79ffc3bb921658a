#include "command/subcommands.h"

#include <string>

#include "command/arguments.h"
#include "command/messages.h"

namespace gyre {
namespace {

bool Fits(std::int16_t arity, std::size_t argument_count) {
  const auto count = static_cast<std::ptrdiff_t>(argument_count);
  return arity >= 0 ? count == arity : count >= -arity;
}

// Lines of text, in the form that redis-cli's users know.
void SayHelp(PlainCall& call, std::span<const Subcommand> subcommands) {
  ReplyWriter& reply = call.reply();
  reply.BeginList(ListShape::kArray, 1 + 2 * subcommands.size() + 2);
  reply.Text(ToUpper(call.command.name) +
             " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
  for (const Subcommand& subcommand : subcommands) {
    std::string usage(subcommand.word);
    if (!subcommand.arguments.empty()) usage.append(" ").append(subcommand.arguments);
    reply.Text(usage);
    reply.Text("    " + std::string(subcommand.help));
  }
  reply.Text("HELP");
  reply.Text("    Prints this help.");
  reply.EndList();
}

}  // namespace

const Subcommand* FindSubcommand(PlainCall& call, std::span<const Subcommand> subcommands) {
  const auto fail_count = [&](std::string_view word) {
    call.Fail(WrongArgumentCount(std::string(call.command.name) + "|" + ToLower(word)));
    return nullptr;
  };
  for (const Subcommand& subcommand : subcommands) {
    if (!IsWord(call.arg(1), subcommand.word)) continue;
    if (Fits(subcommand.arity, call.argument_count())) return &subcommand;
    return fail_count(subcommand.word);
  }
  if (IsWord(call.arg(1), "HELP")) {
    if (call.argument_count() != 2) return fail_count("HELP");
    SayHelp(call, subcommands);
    return nullptr;
  }
  call.Fail(UnknownSubcommand(ToUpper(call.command.name), call.arg(1)));
  return nullptr;
}

void RunSubcommand(PlainCall& call, std::span<const Subcommand> subcommands) {
  if (const Subcommand* subcommand = FindSubcommand(call, subcommands)) subcommand->handler(call);
}

}  // namespace gyre
