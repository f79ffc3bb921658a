#include "command/introspection.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "command/arguments.h"
#include "command/command_table.h"
#include "command/glob.h"
#include "command/messages.h"
#include "command/subcommands.h"

namespace gyre {
namespace {

// What Redis's clients may see: not the names by which memcached clients and nodes call.
std::vector<const Command*> VisibleCommands() {
  std::vector<const Command*> visible;
  for (const Command& command : CommandTable::Get().commands()) {
    if (!command.Is(kHidden)) visible.push_back(&command);
  }
  return visible;
}

const Command* FindVisible(std::string_view name) {
  const Command* command = CommandTable::Get().Find(name);
  return command == nullptr || command->Is(kHidden) ? nullptr : command;
}

void SayWords(ReplyWriter& reply, const std::vector<std::string_view>& words) {
  reply.BeginList(ListShape::kSet, words.size());
  for (const std::string_view word : words) reply.Text(word);
  reply.EndList();
}

void SayEmptyLists(ReplyWriter& reply, int count) {
  for (int i = 0; i < count; ++i) {
    reply.BeginList(ListShape::kArray, 0);
    reply.EndList();
  }
}

std::vector<std::string_view> FlagWords(const Command& command) {
  std::vector<std::string_view> words;
  if (command.Is(kWrite)) words.push_back("write");
  if (command.Is(kReadOnly)) words.push_back("readonly");
  if (command.Is(kFast)) words.push_back("fast");
  if (command.Is(kAdministrative)) words.push_back("admin");
  if (command.Is(kStale)) {
    words.push_back("loading");
    words.push_back("stale");
  }
  return words;
}

// name, arity, flags, first key, last key, step, ACL categories, tips, key specifications,
// subcommands
void SayCommand(ReplyWriter& reply, const Command& command) {
  reply.BeginList(ListShape::kArray, 10);
  reply.Bulk(command.name);
  reply.Integer(command.arity);
  SayWords(reply, FlagWords(command));
  reply.Integer(command.keys.first);
  reply.Integer(command.keys.last);
  reply.Integer(command.keys.step);
  SayWords(reply, {command.Is(kWrite) ? "@write" : "@read", command.Is(kFast) ? "@fast" : "@slow"});
  SayEmptyLists(reply, 3);
  reply.EndList();
}

void SayCommands(ReplyWriter& reply) {
  const std::vector<const Command*> commands = VisibleCommands();
  reply.BeginList(ListShape::kArray, commands.size());
  for (const Command* command : commands) SayCommand(reply, *command);
  reply.EndList();
}

void Count(PlainCall& call) {
  call.reply().Integer(static_cast<std::int64_t>(VisibleCommands().size()));
}

void Info(PlainCall& call) {
  if (call.argument_count() == 2) return SayCommands(call.reply());
  call.reply().BeginList(ListShape::kArray, call.argument_count() - 2);
  for (std::size_t i = 2; i < call.argument_count(); ++i) {
    const Command* command = FindVisible(call.arg(i));
    command != nullptr ? SayCommand(call.reply(), *command) : call.reply().Null();
  }
  call.reply().EndList();
}

// COMMAND LIST [FILTERBY PATTERN pattern]
void List(PlainCall& call) {
  std::string_view pattern = "*";
  if (call.argument_count() == 5 && IsWord(call.arg(2), "FILTERBY") &&
      IsWord(call.arg(3), "PATTERN")) {
    pattern = call.arg(4);
  } else if (call.argument_count() != 2) {
    return call.Fail(SyntaxError());
  }
  std::vector<const Command*> commands = VisibleCommands();
  std::erase_if(commands,
                [&](const Command* command) { return !GlobMatches(pattern, command->name, true); });
  call.reply().BeginList(ListShape::kArray, commands.size());
  for (const Command* command : commands) call.reply().Bulk(command->name);
  call.reply().EndList();
}

void SayDocs(ReplyWriter& reply, const Command& command) {
  reply.Bulk(command.name);
  reply.BeginList(ListShape::kMap, 3);
  reply.Bulk("summary");
  reply.Bulk(command.summary);
  reply.Bulk("since");
  reply.Bulk(command.since);
  reply.Bulk("group");
  reply.Bulk(command.group);
  reply.EndList();
}

void Docs(PlainCall& call) {
  std::vector<const Command*> commands;
  for (std::size_t i = 2; i < call.argument_count(); ++i) {
    if (const Command* command = FindVisible(call.arg(i))) commands.push_back(command);
  }
  if (call.argument_count() == 2) commands = VisibleCommands();
  call.reply().BeginList(ListShape::kMap, commands.size());
  for (const Command* command : commands) SayDocs(call.reply(), *command);
  call.reply().EndList();
}

// COMMAND GETKEYS command argument...
void GetKeys(PlainCall& call) {
  const Command* command = FindVisible(call.arg(2));
  const std::size_t count = call.argument_count() - 2;
  if (command == nullptr) {
    return call.Fail(ErrorCode::kInvalidArgument, "Invalid command specified");
  }
  if (command->keys.first == 0) {
    return call.Fail(ErrorCode::kInvalidArgument, "The command has no key arguments");
  }
  if (!command->AcceptsCount(count)) {
    return call.Fail(ErrorCode::kInvalidArgument,
                     "Invalid number of arguments specified for command");
  }
  const std::size_t last = command->keys.last < 0 ? count + command->keys.last : command->keys.last;
  std::vector<std::string_view> keys;
  for (std::size_t i = command->keys.first; i <= last; i += command->keys.step) {
    keys.push_back(call.arg(2 + i));
  }
  call.reply().BeginList(ListShape::kArray, keys.size());
  for (const std::string_view key : keys) call.reply().Bulk(key);
  call.reply().EndList();
}

}  // namespace

void DescribeCommands(PlainCall& call) {
  static constexpr Subcommand kSubcommands[] = {
      {"COUNT", 2, Count}, {"INFO", -2, Info},       {"LIST", -2, List},
      {"DOCS", -2, Docs},  {"GETKEYS", -3, GetKeys},
  };
  if (call.argument_count() == 1) return SayCommands(call.reply());
  RunSubcommand(call, kSubcommands);
}

}  // namespace gyre
