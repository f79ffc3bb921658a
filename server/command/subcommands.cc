#include "command/subcommands.h"

#include <string>

#include "command/arguments.h"
#include "command/command_table.h"
#include "command/messages.h"

namespace gyre {

const Command* FindSubcommand(PlainCall& call) {
  const Command* const subcommand = CommandTable::Get().FindSubcommand(call.command, call.arg(1));
  if (subcommand == nullptr) {
    call.Fail(UnknownSubcommand(ToUpper(call.command.name), call.arg(1)));
    return nullptr;
  }
  if (!subcommand->AcceptsCount(call.argument_count())) {
    call.Fail(WrongArgumentCount(subcommand->name));
    return nullptr;
  }
  return subcommand;
}

void RunSubcommand(PlainCall& call) {
  const Command* const subcommand = FindSubcommand(call);
  if (subcommand == nullptr) return;
  if (subcommand->plain != nullptr) return subcommand->plain(call);
  call.failed = call.router.Run(*subcommand, call.request, nullptr, call.session, call.responder);
}

// Lines of text, in the form that redis-cli's users know.
void SayHelp(PlainCall& call) {
  const std::span<const Command> subcommands = CommandTable::Get().SubcommandsOf(call.command);
  ReplyWriter& reply = call.reply();
  reply.BeginList(ListShape::kArray, 1 + 2 * subcommands.size());
  reply.Text(ToUpper(call.command.name) +
             " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
  for (const Command& subcommand : subcommands) {
    std::string usage = ToUpper(subcommand.name.substr(call.command.name.size() + 1));
    if (!subcommand.docs.arguments.empty()) usage.append(" ").append(subcommand.docs.arguments);
    reply.Text(usage);
    reply.Text("    " + std::string(subcommand.docs.summary));
  }
  reply.EndList();
}

}  // namespace gyre
