#include "client/shell/words.h"

#include <gtest/gtest.h>

namespace gyre::client {
namespace {

using Words = std::vector<std::string>;

Words TextsOf(const std::vector<Word>& split) {
  Words texts;
  for (const Word& word : split) texts.push_back(word.text);
  return texts;
}

TEST(SplitWordsTest, Table) {
  const std::pair<const char*, Words> table[] = {
      {"", {}},
      {"   \t ", {}},
      {"get k", {"get", "k"}},
      {"  get   k  ", {"get", "k"}},
      {R"(set k "a b")", {"set", "k", "a b"}},
      {R"(set k 'a "b"')", {"set", "k", "a \"b\""}},
      {R"(set k "a\n\t\r\"\\")", {"set", "k", "a\n\t\r\"\\"}},
      {R"("\x41\x0a\xzz")", {std::string("A\nxzz")}},
      {R"('it\'s' '\n')", {"it's", "\\n"}},
      {R"(set "" '')", {"set", "", ""}},
      {R"(k"ey one")", {"key one"}},
  };
  for (const auto& [line, words] : table) {
    const auto split = SplitWords(line);
    ASSERT_TRUE(split) << line;
    EXPECT_EQ(TextsOf(*split), words) << line;
  }
  for (const char* bad : {R"("open)", "'open", R"("a"b)", R"("ends with \)"}) {
    EXPECT_FALSE(SplitWords(bad)) << bad;
  }
}

TEST(SplitWordsTest, WhatIsQuotedSplitsBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  const auto words = SplitWords("set " + Quote(all));
  ASSERT_TRUE(words);
  EXPECT_EQ(words->at(1).text, all);
}

TEST(SplitWordsTest, KnowsWhatWasQuoted) {
  const auto words = SplitWords(R"(set "--ttl" '-x' --nx)");
  ASSERT_TRUE(words);
  EXPECT_EQ(*words, (std::vector<Word>{{"set"}, {"--ttl", true}, {"-x", true}, {"--nx"}}));
}

TEST(NearMatchesTest, AWordOfAMegabyteIsNoMistypedName) {
  EXPECT_EQ(NearMatches(std::string(1 << 20, 'g'), {"get"}), Words{});
}

TEST(NearMatchesTest, Table) {
  const Words known = {"get", "set", "del", "mget", "status", "locate", "expire", "exists"};
  EXPECT_EQ(NearMatches("gte", known), Words{"get"});
  EXPECT_EQ(NearMatches("statsu", known), Words{"status"});
  EXPECT_EQ(NearMatches("stat", known), Words{"status"});
  EXPECT_EQ(NearMatches("exipre", known), Words{"expire"});
  EXPECT_EQ(NearMatches("ex", known), (Words{"expire", "exists"}));
  EXPECT_EQ(NearMatches("xyzzy", known), Words{});
  EXPECT_EQ(NearMatches("", known), Words{});
}

TEST(QuoteTest, Table) {
  EXPECT_EQ(Quote("plain text"), "\"plain text\"");
  EXPECT_EQ(Quote(std::string("\0\x7f\xff", 3)), R"("\x00\x7f\xff")");
  EXPECT_EQ(Quote("\"\\\n"), R"("\"\\\n")");
  EXPECT_EQ(Quote("gr\u00fc\u00dfe \u65e5\u672c"), "\"gr\u00fc\u00dfe \u65e5\u672c\"");
  EXPECT_EQ(Quote("\u009b1m"), R"("\xc2\x9b1m")");  // a control sequence to some terminals
}

TEST(OpenQuoteTest, AsSplitWordsSeesIt) {
  for (const char* open : {"set k 'one", "\"", "get \"a\\\"", "set k 'a\\' b", "x\ny 'z"}) {
    EXPECT_TRUE(HasOpenQuote(open)) << open;
    EXPECT_FALSE(SplitWords(open)) << open;
  }
  for (const char* closed : {"", "set k 'one'", "get \"a\\\"b\"", "# it's a comment", "  #'"}) {
    EXPECT_FALSE(HasOpenQuote(closed)) << closed;
  }
}

TEST(SplitPipeTest, Table) {
  const auto cut = SplitPipe("keys a* | sort | uniq");
  ASSERT_TRUE(cut);
  EXPECT_EQ(cut->command, "keys a* ");
  EXPECT_EQ(cut->program, " sort | uniq");
  for (const char* none : {"", "set k '|' ", "set k \"a | b\"", "get a|b", "keys |", "keys | ",
                           "| sort", "set k 'open | x"}) {
    EXPECT_FALSE(SplitPipe(none)) << none;
  }
}

TEST(AsWordTest, SplitWordsGivesItBack) {
  for (const std::string word : {"plain", "gr\u00fc\u00dfe", "a b", "", "-x", "#", "|", "it's",
                                 "a\"b", "a\\nb", "a\nb", "\xff"}) {
    const auto words = SplitWords("get " + AsWord(word));
    ASSERT_TRUE(words) << word;
    ASSERT_EQ(words->size(), 2u) << word;
    EXPECT_EQ((*words)[1].text, word);
  }
  EXPECT_EQ(AsWord("plain:1"), "plain:1");
}

TEST(ReadableTest, Table) {
  for (const char* plain : {"v", "a b", "gr\u00fc\u00dfe", "[1,2]", "-5", "it's \"so\""}) {
    EXPECT_EQ(Readable(plain), plain);
  }
  for (const char* odd : {"", " a", "a ", "(nil)", "\"a\"", "a\nb", "\x1b[2J", "\xff", "a\tb"}) {
    EXPECT_EQ(Readable(odd), Quote(odd));
  }
}

TEST(Utf8Test, Table) {
  for (const char* good : {"", "ascii", "\u00e9", "\u20ac", "\U0001F600", "\xed\x9f\xbf"}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
  }
  for (const char* bad : {"\xff", "\xc3", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\x80",
                          "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xe2\x28\xa1"}) {
    EXPECT_FALSE(IsUtf8(bad)) << Quote(bad);
  }
}

TEST(Base64Test, TheVectorsOfRfc4648) {
  const std::pair<const char*, const char*> table[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : table) EXPECT_EQ(Base64(bytes), text);
}

}  // namespace
}  // namespace gyre::client
