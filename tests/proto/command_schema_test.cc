#include "proto/command_schema.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>
#include <vector>

#include "proto/upper_case.h"
#include "proto/word.h"

namespace gyre {
namespace {

using Words = std::vector<std::string_view>;
using Harm = Repeat::Harm;

const CommandRow& RowOf(const Words& args) {
  const CommandRow* const row = FindRequestRow(args);
  EXPECT_NE(row, nullptr) << args.front();
  return row == nullptr ? CommandRows().front() : *row;
}

// ---- Each row is sound --------------------------------------------------------------------------

int ArgumentsMin(const CommandRow& row) { return std::abs(row.arity); }

TEST(CommandRowTest, NamesAreUniqueAndInLowerCase) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789._-|";
  std::set<std::string_view> names;
  for (const CommandRow& row : CommandRows()) {
    SCOPED_TRACE(row.name);
    EXPECT_TRUE(names.insert(row.name).second) << "twice";
    EXPECT_FALSE(row.name.empty());
    EXPECT_EQ(row.name.find_first_not_of(kAllowed), std::string_view::npos);
    EXPECT_LE(std::count(row.name.begin(), row.name.end(), '|'), 1);
    EXPECT_GE(ArgumentsMin(row), row.IsSubcommand() ? 2 : 1) << "the name is an argument";
  }
}

TEST(CommandRowTest, TheArityMakesSureOfTheKeys) {
  for (const CommandRow& row : CommandRows()) {
    SCOPED_TRACE(row.name);
    const auto [first, last, step] = row.keys;
    EXPECT_EQ(row.fold != Fold::kNone, last < 0) << "folded over all the rest";
    if (first == 0) {
      EXPECT_EQ(last, 0);
      EXPECT_EQ(step, 0);
    } else if (last > 0) {
      EXPECT_EQ(last, first) << "one key, or all the rest";
      EXPECT_EQ(step, 1);
      EXPECT_GT(ArgumentsMin(row), first);
    } else {
      EXPECT_EQ(last, -1);
      EXPECT_GT(step, 0);
      EXPECT_EQ(row.arity, -(first + step)) << "any number, but one at least";
    }
  }
}

TEST(CommandRowTest, ChangesOneThingAtMost) {
  for (const CommandRow& row : CommandRows()) {
    SCOPED_TRACE(row.name);
    EXPECT_LE(row.Is(kReadOnly) + row.Is(kWrite) + row.Is(kInquiry), 1);
    EXPECT_TRUE(row.keys.first == 0 || row.Is(kReadOnly) || row.Is(kWrite)) << "it has a key";
    EXPECT_TRUE(!row.Is(kDenyOom) || row.Is(kWrite));
  }
}

TEST(CommandRowTest, RepeatGoesWithWhatItChanges) {
  for (const CommandRow& row : CommandRows()) {
    SCOPED_TRACE(row.name);
    const Repeat& repeat = row.repeat;
    EXPECT_TRUE(!row.ChangesNothing() || repeat.harm == Harm::kNever);
    EXPECT_EQ(repeat.harm == Harm::kWithOption, !repeat.options.empty());
    if (repeat.harm != Harm::kWithOption) continue;
    EXPECT_TRUE(row.Is(kWrite));
    EXPECT_LT(row.arity, 0) << "room for options";
    EXPECT_GT(repeat.first_option, row.keys.first);
    for (std::string_view options = repeat.options; !options.empty();) {
      const std::string_view option = TakeWord(options);
      EXPECT_FALSE(option.empty()) << "one blank between two";
      EXPECT_EQ(option, UpperCase(option));
    }
  }
}

TEST(CommandRowTest, IsHiddenFromThoseWhoMayNotSayIt) {
  for (const CommandRow& row : CommandRows()) {
    SCOPED_TRACE(row.name);
    EXPECT_TRUE(!row.Is(kInternal) || row.Is(kHidden));
    EXPECT_TRUE(!row.Is(kPartitionKeys) || row.Is(kInternal));
  }
}

TEST(CommandRowTest, IsDocumented) {
  for (const CommandRow& row : CommandRows()) {
    SCOPED_TRACE(row.name);
    EXPECT_FALSE(row.docs.group.empty());
    EXPECT_FALSE(row.docs.since.empty());
    EXPECT_FALSE(row.docs.summary.empty());
    EXPECT_EQ(row.docs.categories & (kAclRead | kAclWrite | kAclAdmin | kAclFast | kAclSlow), 0U)
        << "the flags imply them";
    EXPECT_TRUE(row.docs.arguments.empty() || row.IsSubcommand()) << "only HELP shows them";
    if (row.Is(kHidden)) continue;
    EXPECT_EQ(!row.docs.key_access.empty(), row.keys.first != 0)
        << "COMMAND says what becomes of keys";
  }
}

TEST(CommandRowTest, SubcommandsStandBehindTheirContainer) {
  const auto rows = CommandRows();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].IsSubcommand()) continue;
    const auto subcommands = rows.subspan(i + 1, CountSubcommandRows(static_cast<RowIndex>(i)));
    for (const CommandRow& subcommand : subcommands) {
      EXPECT_TRUE(subcommand.name.starts_with(std::string(rows[i].name) + "|")) << subcommand.name;
      EXPECT_EQ(subcommand.Is(kNativeOnly), rows[i].Is(kNativeOnly)) << subcommand.name;
      EXPECT_EQ(subcommand.Is(kHidden), rows[i].Is(kHidden)) << subcommand.name;
    }
    if (subcommands.empty()) continue;
    EXPECT_LT(rows[i].arity, 0) << rows[i].name;
    EXPECT_EQ(rows[i].keys.first, 0) << "a container has no key: " << rows[i].name;
    EXPECT_EQ(subcommands.back().name, std::string(rows[i].name) + "|help");
  }
}

// ---- Finding them -------------------------------------------------------------------------------

TEST(CommandSchemaTest, FindsEachRowInAnyCase) {
  const auto rows = CommandRows();
  RowIndex command = kNoRow;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::string_view name = rows[i].name;
    if (!rows[i].IsSubcommand()) {
      command = static_cast<RowIndex>(i);
      EXPECT_EQ(FindCommandRow(name), i) << name;
      EXPECT_EQ(FindCommandRow(UpperCase(name)), i) << name;
    } else {
      const std::string_view word = name.substr(name.find('|') + 1);
      EXPECT_EQ(FindSubcommandRow(command, word), i) << name;
      EXPECT_EQ(FindSubcommandRow(command, UpperCase(word)), i) << name;
      EXPECT_EQ(FindCommandRow(name), kNoRow) << "as Redis: 'config|get' is no command";
    }
  }
}

TEST(CommandSchemaTest, FindsNothingElse) {
  for (const char* name : {"", "g", "ge", "gett", "mc.", "gyre", "getgetgetgetget", "object|",
                           "averylongnamethatisnocommand"}) {
    EXPECT_EQ(FindCommandRow(name), kNoRow) << name;
  }
  const RowIndex object = FindCommandRow("object");
  for (const char* word : {"", "encodin", "encodings", "id", "object|encoding"}) {
    EXPECT_EQ(FindSubcommandRow(object, word), kNoRow) << word;
  }
  EXPECT_EQ(FindSubcommandRow(FindCommandRow("get"), "help"), kNoRow);
}

TEST(CommandSchemaTest, FindsTheRowOfARequest) {
  struct Case {
    Words args;
    std::string_view expected;  // empty: none
  };
  const Case cases[] = {
      {{"GET", "k"}, "get"},          {{"Object", "Encoding", "k"}, "object|encoding"},
      {{"OBJECT"}, "object"},         {{"OBJECT", "GET", "k"}, ""},
      {{"rebalance"}, "rebalance"},   {{"REBALANCE", "PAUSE"}, "rebalance|pause"},
      {{"GET", "help"}, "get"},       {{"NOTHING", "k"}, ""},
      {{"object|encoding", "k"}, ""}, {{}, ""},
  };
  for (const Case& c : cases) {
    const CommandRow* const row = FindRequestRow(c.args);
    EXPECT_EQ(row == nullptr ? "" : row->name, c.expected);
  }
}

// ---- What doing it twice means ------------------------------------------------------------------

TEST(MayRepeatTest, Table) {
  struct Case {
    Words args;
    bool expected;
  };
  const Case cases[] = {
      {{"get", "k"}, true},
      {{"set", "k", "v"}, true},
      {{"set", "k", "NX"}, true},
      {{"set", "NX", "v"}, true},
      {{"set", "k", "v", "EX", "10"}, true},
      {{"set", "k", "v", "KEEPTTL"}, true},
      {{"set", "k", "v", "ex", "10", "nx"}, false},
      {{"set", "k", "v", "XX"}, false},
      {{"set", "k", "v", "Get"}, false},
      {{"set", "k", "v", "GETS"}, true},
      {{"set"}, true},
      {{"setex", "k", "10", "NX"}, true},
      {{"setrange", "k", "0", "NX"}, true},
      {{"mset", "a", "1", "b", "NX"}, true},
      {{"msetnx", "a", "1"}, false},
      {{"setnx", "k", "v"}, false},
      {{"del", "k"}, true},
      {{"incr", "k"}, false},
      {{"append", "k", "v"}, false},
      {{"getset", "k", "v"}, false},
      {{"getdel", "k"}, false},
      {{"getex", "k", "EX", "10"}, true},
      {{"expire", "k", "10"}, true},
      {{"expire", "k", "10", "NX"}, false},
      {{"expire", "k", "10", "GT"}, false},
      {{"pexpire", "k", "10", "xx"}, false},
      {{"expireat", "k", "10", "lt"}, false},
      {{"pexpireat", "k", "10"}, true},
      {{"persist", "k"}, true},
      {{"mc.set", "k", "0", "0", "v"}, true},
      {{"mc.cas", "k", "0", "0", "7", "v"}, false},
      {{"mc.incr", "k", "1"}, false},
      {{"gyre.flush", "1"}, true},
      {{"config", "set", "a", "1"}, true},
      {{"undrain", "n1"}, false},
      {{"wait", "1", "100"}, false},
      {{"client", "setname", "me"}, false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(MayRepeat(RowOf(c.args), c.args), c.expected) << c.args[0] << ' ' << c.args.back();
  }
}

}  // namespace
}  // namespace gyre
