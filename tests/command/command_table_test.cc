#include "command/command_table.h"

#include <gtest/gtest.h>

#include <string>

namespace gyre {
namespace {

TEST(CommandTableTest, FindsEachCommand) {
  const CommandTable& table = CommandTable::Get();
  for (const Command& command : table.commands()) {
    if (command.IsSubcommand()) continue;
    EXPECT_EQ(table.Find(command.name), &command) << command.name;
    for (const Command& subcommand : table.SubcommandsOf(command)) {
      const std::string_view word = subcommand.name.substr(command.name.size() + 1);
      EXPECT_EQ(table.FindSubcommand(command, word), &subcommand) << subcommand.name;
    }
  }
  EXPECT_EQ(table.Find("nothing"), nullptr);
  EXPECT_EQ(table.Find("object|encoding"), nullptr);
  EXPECT_EQ(table.FindSubcommand(*table.Find("object"), "nothing"), nullptr);
  EXPECT_TRUE(table.SubcommandsOf(*table.Find("get")).empty());
}

TEST(CommandTableTest, EachRowHasAHandlerOfItsKind) {
  const std::span<const Command> commands = CommandTable::Get().commands();
  ASSERT_EQ(commands.size(), CommandRows().size());
  for (std::size_t i = 0; i < commands.size(); ++i) {
    const Command& command = commands[i];
    EXPECT_EQ(command.name, CommandRows()[i].name);
    EXPECT_EQ(command.index, i) << command.name;
    EXPECT_NE(command.keyed == nullptr, command.plain == nullptr)
        << "bind a handler to the row of " << command.name;
    EXPECT_EQ(command.keyed != nullptr, command.keys.first > 0)
        << "keyed commands have keys: " << command.name;
  }
}

}  // namespace
}  // namespace gyre
