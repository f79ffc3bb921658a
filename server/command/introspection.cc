#include "command/introspection.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "command/arguments.h"
#include "command/command_details.h"
#include "command/command_table.h"
#include "command/glob.h"
#include "command/messages.h"
#include "command/subcommands.h"

namespace gyre {
namespace introspection {
namespace {

// What Redis's clients may see: not the names by which memcached clients, operators and nodes call.
bool IsVisible(const Command& command) { return !command.Is(kHidden) && !command.Is(kNativeOnly); }

std::vector<const Command*> VisibleCommands() {
  std::vector<const Command*> visible;
  for (const Command& command : CommandTable::Get().commands()) {
    if (IsVisible(command)) visible.push_back(&command);
  }
  return visible;
}

const Command* FindVisible(std::string_view name) {
  const Command* command = CommandTable::Get().Find(name);
  return command == nullptr || !IsVisible(*command) ? nullptr : command;
}

// Words separated by blanks.
std::vector<std::string_view> WordsOf(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

void SayStatuses(ReplyWriter& reply, std::string_view text) {
  const std::vector<std::string_view> words = WordsOf(text);
  reply.BeginList(ListShape::kSet, words.size());
  for (const std::string_view word : words) reply.Text(word);
  reply.EndList();
}

void SayTips(ReplyWriter& reply, std::string_view text) {
  const std::vector<std::string_view> words = WordsOf(text);
  reply.BeginList(ListShape::kSet, words.size());
  for (const std::string_view word : words) reply.Bulk(word);
  reply.EndList();
}

// Where the keys stand and what becomes of them: a map of maps.
void SayKeySpecification(ReplyWriter& reply, const CommandDetails& details) {
  reply.BeginList(ListShape::kMap, 3);
  reply.Bulk("flags");
  SayStatuses(reply, details.key_access);
  reply.Bulk("begin_search");
  reply.BeginList(ListShape::kMap, 2);
  reply.Bulk("type");
  reply.Bulk("index");
  reply.Bulk("spec");
  reply.BeginList(ListShape::kMap, 1);
  reply.Bulk("index");
  reply.Integer(details.keys.first);
  reply.EndList();
  reply.EndList();
  reply.Bulk("find_keys");
  reply.BeginList(ListShape::kMap, 2);
  reply.Bulk("type");
  reply.Bulk("range");
  reply.Bulk("spec");
  reply.BeginList(ListShape::kMap, 3);
  reply.Bulk("lastkey");
  reply.Integer(details.keys.last < 0 ? details.keys.last : 0);  // else from the first key
  reply.Bulk("keystep");
  reply.Integer(details.keys.step);
  reply.Bulk("limit");
  reply.Integer(0);
  reply.EndList();
  reply.EndList();
  reply.EndList();
}

std::vector<const CommandDetails*> SubcommandsOf(std::string_view container) {
  const std::string prefix = std::string(container) + "|";
  std::vector<const CommandDetails*> found;
  for (const CommandDetails& details : AllCommandDetails()) {
    if (details.name.starts_with(prefix)) found.push_back(&details);
  }
  return found;
}

// name, arity, flags, first key, last key, step, ACL categories, tips, key specifications,
// subcommands
void SayDetails(ReplyWriter& reply, const CommandDetails& details) {
  reply.BeginList(ListShape::kArray, 10);
  reply.Bulk(details.name);
  reply.Integer(details.arity);
  SayStatuses(reply, details.flags);
  reply.Integer(details.keys.first);
  reply.Integer(details.keys.last);
  reply.Integer(details.keys.step);
  SayStatuses(reply, details.categories);
  SayTips(reply, details.tips);
  const bool has_keys = details.keys.first != 0;
  reply.BeginList(ListShape::kSet, has_keys ? 1 : 0);
  if (has_keys) SayKeySpecification(reply, details);
  reply.EndList();
  const std::vector<const CommandDetails*> subcommands = SubcommandsOf(details.name);
  // Redis has an array of them where there are any.
  reply.BeginList(subcommands.empty() ? ListShape::kSet : ListShape::kArray, subcommands.size());
  for (const CommandDetails* subcommand : subcommands) SayDetails(reply, *subcommand);
  reply.EndList();
  reply.EndList();
}

void SayCommand(ReplyWriter& reply, const Command& command) {
  if (const CommandDetails* details = FindCommandDetails(command.name)) {
    return SayDetails(reply, *details);
  }
  SayDetails(reply, {.name = command.name,
                     .arity = command.arity,
                     .flags = command.Is(kStale) ? "loading stale" : "",
                     .categories = "@slow",
                     .keys = command.keys});
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
    if (command != nullptr) {
      SayCommand(call.reply(), *command);
    } else if (const CommandDetails* details = FindCommandDetails(ToLower(call.arg(i)))) {
      SayDetails(call.reply(), *details);
    } else {
      call.reply().Null();
    }
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
  const Result<Glob> glob = Glob::Parse(pattern, true);
  if (!glob) return call.Fail(glob.error());
  std::vector<const Command*> commands = VisibleCommands();
  std::erase_if(commands, [&](const Command* command) { return !glob->Matches(command->name); });
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
  KeyPositions positions = command->keys;
  if (const CommandDetails* details =
          FindCommandDetails(std::string(command->name) + "|" + ToLower(call.arg(3)))) {
    positions = details->keys;
  }
  if (positions.first == 0) {
    return call.Fail(ErrorCode::kInvalidArgument, "The command has no key arguments");
  }
  if (!command->AcceptsCount(count) || count <= positions.first) {
    return call.Fail(ErrorCode::kInvalidArgument,
                     "Invalid number of arguments specified for command");
  }
  const std::size_t last = positions.last < 0 ? count + positions.last : positions.last;
  std::vector<std::string_view> keys;
  for (std::size_t i = positions.first; i <= last; i += positions.step) {
    keys.push_back(call.arg(2 + i));
  }
  call.reply().BeginList(ListShape::kArray, keys.size());
  for (const std::string_view key : keys) call.reply().Bulk(key);
  call.reply().EndList();
}

}  // namespace

void Describe(PlainCall& call) {
  static constexpr Subcommand kSubcommands[] = {
      {"COUNT", 2, Count, "", "How many commands there are."},
      {"INFO", -2, Info, "[<command>...]", "Flags and keys of the commands, or of all."},
      {"LIST", -2, List, "[FILTERBY PATTERN <pattern>]", "The names of the commands."},
      {"DOCS", -2, Docs, "[<command>...]", "What the commands do."},
      {"GETKEYS", -4, GetKeys, "<command> <argument>...", "The keys of a whole command."},
  };
  if (call.argument_count() == 1) return SayCommands(call.reply());
  RunSubcommand(call, kSubcommands);
}

}  // namespace introspection

void DescribeCommands(PlainCall& call) { introspection::Describe(call); }

}  // namespace gyre
