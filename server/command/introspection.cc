#include "command/introspection.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "command/arguments.h"
#include "command/binding.h"
#include "command/command_table.h"
#include "command/glob.h"
#include "command/messages.h"
#include "command/subcommands.h"
#include "proto/word.h"

namespace gyre {
namespace introspection {
namespace {

// What Redis's clients may see: not the names by which memcached clients, operators and nodes call.
bool IsVisible(const CommandRow& row) { return !row.Is(kHidden) && !row.Is(kNativeOnly); }

// Commands, without their subcommands.
std::vector<const Command*> VisibleCommands() {
  std::vector<const Command*> visible;
  for (const Command& command : CommandTable::Get().commands()) {
    if (IsVisible(command) && !command.IsSubcommand()) visible.push_back(&command);
  }
  return visible;
}

const Command* FindVisible(std::string_view name) {
  const Command* command = CommandTable::Get().Find(name);
  return command == nullptr || !IsVisible(*command) ? nullptr : command;
}

// "config|get" as well.
const Command* FindVisibleWithSubcommands(std::string_view name) {
  const std::size_t bar = name.find('|');
  const Command* command = FindVisible(name.substr(0, bar));
  if (command == nullptr || bar == std::string_view::npos) return command;
  return CommandTable::Get().FindSubcommand(*command, name.substr(bar + 1));
}

// ---- COMMAND INFO -------------------------------------------------------------------------------

using Words = std::vector<std::string_view>;

Words SplitWords(std::string_view text) {
  Words words;
  while (!text.empty()) words.push_back(TakeWord(text));
  return words;
}

struct NamedBit {
  std::uint32_t bit;
  std::string_view word;
};

constexpr NamedBit kFlagWords[] = {
    {kWrite, "write"},          {kReadOnly, "readonly"}, {kDenyOom, "denyoom"},
    {kAdministrative, "admin"}, {kNoScript, "noscript"}, {kLoading, "loading"},
    {kStale, "stale"},          {kFast, "fast"},         {kNoAuth, "no_auth"},
    {kAllowBusy, "allow_busy"},
};
constexpr NamedBit kCategoryWords[] = {
    {kAclKeyspace, "@keyspace"}, {kAclRead, "@read"},           {kAclWrite, "@write"},
    {kAclString, "@string"},     {kAclAdmin, "@admin"},         {kAclFast, "@fast"},
    {kAclSlow, "@slow"},         {kAclDangerous, "@dangerous"}, {kAclConnection, "@connection"},
};

Words WordsOf(std::uint32_t bits, std::span<const NamedBit> names) {
  Words words;
  for (const auto& [bit, word] : names) {
    if ((bits & bit) != 0) words.push_back(word);
  }
  return words;
}

void SayStatuses(ReplyWriter& reply, const Words& words) {
  reply.BeginList(ListShape::kSet, words.size());
  for (const std::string_view word : words) reply.Text(word);
  reply.EndList();
}

void SayTips(ReplyWriter& reply, const Words& words) {
  reply.BeginList(ListShape::kSet, words.size());
  for (const std::string_view word : words) reply.Bulk(word);
  reply.EndList();
}

// Where the keys stand and what becomes of them: a map of maps.
void SayKeySpecification(ReplyWriter& reply, const CommandRow& row) {
  reply.BeginList(ListShape::kMap, 3);
  reply.Bulk("flags");
  SayStatuses(reply, SplitWords(row.docs.key_access));
  reply.Bulk("begin_search");
  reply.BeginList(ListShape::kMap, 2);
  reply.Bulk("type");
  reply.Bulk("index");
  reply.Bulk("spec");
  reply.BeginList(ListShape::kMap, 1);
  reply.Bulk("index");
  reply.Integer(row.keys.first);
  reply.EndList();
  reply.EndList();
  reply.Bulk("find_keys");
  reply.BeginList(ListShape::kMap, 2);
  reply.Bulk("type");
  reply.Bulk("range");
  reply.Bulk("spec");
  reply.BeginList(ListShape::kMap, 3);
  reply.Bulk("lastkey");
  reply.Integer(row.keys.last < 0 ? row.keys.last : 0);  // else from the first key
  reply.Bulk("keystep");
  reply.Integer(row.keys.step);
  reply.Bulk("limit");
  reply.Integer(0);
  reply.EndList();
  reply.EndList();
  reply.EndList();
}

// name, arity, flags, first key, last key, step, ACL categories, tips, key specifications,
// subcommands
void SayCommand(ReplyWriter& reply, const Command& command) {
  reply.BeginList(ListShape::kArray, 10);
  reply.Bulk(command.name);
  reply.Integer(command.arity);
  SayStatuses(reply, WordsOf(command.flags, kFlagWords));
  reply.Integer(command.keys.first);
  reply.Integer(command.keys.last);
  reply.Integer(command.keys.step);
  SayStatuses(reply, WordsOf(AclCategoriesOf(command), kCategoryWords));
  SayTips(reply, SplitWords(command.docs.tips));
  const bool has_keys = command.keys.first != 0;
  reply.BeginList(ListShape::kSet, has_keys ? 1 : 0);
  if (has_keys) SayKeySpecification(reply, command);
  reply.EndList();
  std::span<const Command> subcommands;
  if (!command.IsSubcommand()) subcommands = CommandTable::Get().SubcommandsOf(command);
  // Redis has an array of them where there are any.
  reply.BeginList(subcommands.empty() ? ListShape::kSet : ListShape::kArray, subcommands.size());
  for (const Command& subcommand : subcommands) SayCommand(reply, subcommand);
  reply.EndList();
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
    const Command* const command = FindVisibleWithSubcommands(call.arg(i));
    command == nullptr ? call.reply().Null() : SayCommand(call.reply(), *command);
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
  reply.Bulk(command.docs.summary);
  reply.Bulk("since");
  reply.Bulk(command.docs.since);
  reply.Bulk("group");
  reply.Bulk(command.docs.group);
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
  if (const Command* subcommand = CommandTable::Get().FindSubcommand(*command, call.arg(3))) {
    command = subcommand;
  }
  const KeyPositions& positions = command->keys;
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

// COMMAND alone is COMMAND INFO.
void Describe(PlainCall& call) {
  call.argument_count() == 1 ? SayCommands(call.reply()) : RunSubcommand(call);
}

// clang-format off
constexpr Binding kBindings[] = {
    Bind("command", Describe),
    Bind("command|count", Count),
    Bind("command|info", Info),
    Bind("command|list", List),
    Bind("command|docs", Docs),
    Bind("command|getkeys", GetKeys),
    Bind("command|help", SayHelp),
};
// clang-format on

}  // namespace
}  // namespace introspection

std::span<const Binding> IntrospectionCommands() { return introspection::kBindings; }

}  // namespace gyre
