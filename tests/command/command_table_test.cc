#include "command/command_table.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace gyre {
namespace {

TEST(CommandTableTest, FindsEachRowInAnyCase) {
  const CommandTable& table = CommandTable::Get();
  for (const Command& command : table.commands()) {
    EXPECT_EQ(table.Find(command.name), &command) << command.name;
    std::string upper(command.name);
    for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    EXPECT_EQ(table.Find(upper), &command) << upper;
  }
}

TEST(CommandTableTest, FindsNothingElse) {
  const CommandTable& table = CommandTable::Get();
  // "mc\x0eget" differs from "mc.get" in bit 5 only.
  for (const char* name : {"", "g", "ge", "gett", "mc.", "mc\x0eget", "gyre", "getgetgetgetget",
                           "averylongnamethatisnocommand"}) {
    EXPECT_EQ(table.Find(name), nullptr) << name;
  }
  for (const Command& command : table.commands()) {
    EXPECT_EQ(table.Find(std::string(command.name) + "x"), nullptr);
    EXPECT_EQ(table.Find(std::string(command.name) + '\0'), nullptr) << command.name;
  }
}

TEST(CommandTableTest, RowsMakeSense) {
  std::set<std::string_view> names;
  for (const Command& command : CommandTable::Get().commands()) {
    SCOPED_TRACE(command.name);
    EXPECT_TRUE(names.insert(command.name).second) << "twice";
    EXPECT_LE(command.name.size(), CommandTable::kNameBytesMax);
    EXPECT_NE(command.keyed == nullptr, command.plain == nullptr) << "one kind of handler";
    EXPECT_EQ(command.keyed != nullptr, command.keys.first > 0) << "keyed commands have keys";
    EXPECT_FALSE(command.summary.empty());
    EXPECT_FALSE(command.Is(kRepeatable) && !command.Is(kWrite));
    EXPECT_FALSE(command.Is(kInternal) && !command.Is(kHidden));
    if (command.keyed == nullptr) continue;
    EXPECT_NE(command.Is(kReadOnly), command.Is(kWrite));
    // The arity makes sure that the first key is there.
    EXPECT_GT(std::abs(command.arity), command.keys.first);
    EXPECT_EQ(command.fold != Fold::kNone, command.keys.last == -1) << "folded over all the rest";
  }
}

}  // namespace
}  // namespace gyre
