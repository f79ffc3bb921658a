// What the shell shows behind a line and what the Tab key offers.
#include "client/shell/hint.h"

#include <gmock/gmock.h>

namespace gyre::client {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Words = std::vector<std::string>;

TEST(SplitSyntaxTest, BracketsAreOnePart) {
  EXPECT_THAT(SplitSyntax("KEY VALUE [EX seconds|PX ms] ..."),
              ElementsAre("KEY", "VALUE", "[EX seconds|PX ms]", "..."));
  EXPECT_THAT(SplitSyntax("[CURSOR [MATCH pattern]]"), ElementsAre("[CURSOR [MATCH pattern]]"));
  EXPECT_THAT(SplitSyntax(""), IsEmpty());
}

TEST(ArgumentsLeftTest, Table) {
  constexpr const char* kSet = "KEY VALUE [EX seconds|PX ms] [NX|XX] [GET ...]";
  struct Case {
    const char* arguments;
    Words typed;
    const char* left;
  };
  const Case table[] = {{kSet, {}, kSet},
                        {kSet, {"k"}, "VALUE [EX seconds|PX ms] [NX|XX] [GET ...]"},
                        {kSet, {"k", "v"}, "[EX seconds|PX ms] [NX|XX] [GET ...]"},
                        {kSet, {"k", "v", "px", "9"}, "[NX|XX] [GET ...]"},
                        {kSet, {"k", "v", "NX"}, "[EX seconds|PX ms] [GET ...]"},
                        {kSet, {"nx", "ex"}, "[EX seconds|PX ms] [NX|XX] [GET ...]"},
                        {"KEY [DELTA]", {"k"}, "[DELTA]"},
                        {"KEY [DELTA]", {"k", "5"}, ""},
                        {"KEY ...", {"a", "b", "c"}, "..."},
                        {"KEY VALUE ...", {"a"}, "VALUE ..."},
                        {"", {"more"}, ""}};
  for (const Case& row : table) {
    EXPECT_EQ(ArgumentsLeft(row.arguments, row.typed), row.left)
        << row.arguments << ", " << row.typed.size() << " typed";
  }
}

TEST(HintTest, Table) {
  const CommandLine commands;
  const std::pair<const char*, const char*> table[] = {
      {"", ""},
      {"ge", ""},
      {"get", " KEY"},
      {"GET ", "KEY"},
      {"get k", ""},
      {"  getrange k", " START END"},
      {"getrange k 0 ", "END"},
      {"set 'a b", " VALUE [EX seconds|PX ms|KEEPTTL] [NX|XX] [GET ...]"},
      {"getrange \"a b\" 0", " END"},
      {"getrange --raw k", " START END"},
      {"cluster keyslot", " <key>"},
      {"config set ", "<name> <value>..."},
      {"nosuchcommand ", ""}};
  for (const auto& [line, hint] : table) EXPECT_EQ(HintFor(commands, line), hint) << line;
}

class CompleteTest : public testing::Test {
 protected:
  Completion After(std::string_view line) {
    asked_.clear();
    return Complete(commands_, line, [this](const std::string& prefix) {
      asked_.push_back(prefix);
      return FoundKeys{{prefix + "1", prefix + " 2"}, prefix == "many"};
    });
  }

  CommandLine commands_;
  Words asked_;
};

TEST_F(CompleteTest, CommandsOptionsAndSubcommands) {
  EXPECT_THAT(After("getr").candidates, ElementsAre("getrange"));
  EXPECT_THAT(After("GETR").candidates, ElementsAre("GETRANGE"));
  EXPECT_THAT(After("set k v --if").candidates, ElementsAre("--if-version"));
  EXPECT_THAT(After("config re").candidates, ElementsAre("resetstat", "rewrite"));
  EXPECT_THAT(After("config un").candidates, ElementsAre("unset"));
  EXPECT_THAT(After("config get --ri").candidates, ElementsAre("--ring"));
  EXPECT_THAT(After("help restart").candidates, ElementsAre("restart-check"));
  EXPECT_THAT(After("nosuch ").candidates, IsEmpty());
  EXPECT_THAT(asked_, IsEmpty());
}

TEST_F(CompleteTest, KeysWhereKeysStand) {
  EXPECT_THAT(After("get us").candidates, ElementsAre("\"us 2\"", "us1")) << "quoted where it must";
  EXPECT_THAT(asked_, ElementsAre("us"));
  EXPECT_THAT(After("del a b ").candidates, SizeIs(2));
  EXPECT_THAT(After("mset a 1 b").candidates, SizeIs(2));
  EXPECT_THAT(After("locate k").candidates, SizeIs(2));
  EXPECT_THAT(After("object encoding k").candidates, SizeIs(2));
  EXPECT_TRUE(After("get many").more);
  for (const char* no_key : {"set k v", "mset a 1", "ping k", "object enc", "get 'k"}) {
    After(no_key);
    EXPECT_THAT(asked_, IsEmpty()) << no_key;
  }
}

TEST(CommonPrefixTest, Table) {
  EXPECT_EQ(CommonPrefix({}), "");
  EXPECT_EQ(CommonPrefix({"pexpire", "pexpireat"}), "pexpire");
  EXPECT_EQ(CommonPrefix({"a", "b"}), "");
  EXPECT_EQ(CommonPrefix({"gr\u00fc", "gr\u00f6"}), "gr") << "no half of a character";
}

TEST(InColumnsTest, OneLineWhereItFits) {
  EXPECT_EQ(InColumns({"a", "bb", "c"}, 80), "a  bb  c\n");
  EXPECT_EQ(InColumns({"aaa", "b", "ccc", "d", "e"}, 10), "aaa  b\nccc  d\ne\n");
  EXPECT_EQ(InColumns({"wider than it all"}, 10), "wider than it all\n");
}

}  // namespace
}  // namespace gyre::client
