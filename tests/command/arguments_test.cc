#include "command/arguments.h"

#include <gtest/gtest.h>

#include <limits>

#include "command/glob.h"

namespace gyre {
namespace {

TEST(ParseIntegerTest, Table) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  const std::pair<const char*, std::optional<std::int64_t>> cases[] = {
      {"0", 0},
      {"42", 42},
      {"-1", -1},
      {"9223372036854775807", kMax},
      {"-9223372036854775808", kMin},
      {"9223372036854775808", std::nullopt},
      {"", std::nullopt},
      {"-", std::nullopt},
      {"-0", std::nullopt},
      {"+1", std::nullopt},
      {"01", std::nullopt},
      {" 1", std::nullopt},
      {"1 ", std::nullopt},
      {"1.0", std::nullopt},
      {"0x1", std::nullopt},
      {"00", std::nullopt},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(ParseInteger(text), expected) << text;
}

TEST(ParseLenientUnsignedTest, Table) {
  EXPECT_EQ(ParseLenientUnsigned("007"), 7U);
  EXPECT_EQ(ParseLenientUnsigned("5  "), 5U);
  EXPECT_EQ(ParseLenientUnsigned("18446744073709551615"), 18446744073709551615ULL);
  for (const char* bad : {"", " ", "-1", "18446744073709551616", "1x", " 1"}) {
    EXPECT_FALSE(ParseLenientUnsigned(bad)) << bad;
  }
}

TEST(ParseFloatTest, Table) {
  EXPECT_EQ(ParseFloat("1.5"), 1.5L);
  EXPECT_EQ(ParseFloat("+1"), 1.0L);
  EXPECT_EQ(ParseFloat("-3e2"), -300.0L);
  EXPECT_EQ(ParseFloat("0x10"), 16.0L);
  for (const char* bad : {"", " 1", "1 ", "x", "1e99999", "nan", "1.2.3"}) {
    EXPECT_FALSE(ParseFloat(bad)) << bad;
  }
  EXPECT_FALSE(ParseFloat(std::string(1000, '1')));
}

TEST(FormatFloatTest, Table) {
  EXPECT_EQ(FormatFloat(3.0L), "3");
  EXPECT_EQ(FormatFloat(-0.0L), "0");
  EXPECT_EQ(FormatFloat(10.5L), "10.5");
  EXPECT_EQ(FormatFloat(100.0L), "100");
  EXPECT_EQ(FormatFloat(std::numeric_limits<long double>::max()).size(), 4933U);
}

TEST(ParseMemcachedExpiryTest, Table) {
  constexpr UnixMillis kNow = 1'700'000'000'000;
  const std::pair<const char*, std::optional<UnixMillis>> cases[] = {
      {"0", kNeverExpires},
      {"1", kNow + 1000},
      {"2592000", kNow + 2'592'000'000},
      {"2592001", 2'592'001'000},
      {"1800000000", 1'800'000'000'000},
      {"-1", kLongExpired},
      {"9223372036854775807", kNeverExpires},
      {"x", std::nullopt},
      {"", std::nullopt},
  };
  for (const auto& [text, expected] : cases) {
    EXPECT_EQ(ParseMemcachedExpiry(text, kNow), expected) << text;
  }
}

TEST(GlobTest, Table) {
  struct Case {
    const char* pattern;
    const char* text;
    bool expected;
  };
  const Case cases[] = {
      {"*", "", true},
      {"*", "abc", true},
      {"", "", true},
      {"", "a", false},
      {"a", "", false},
      {"a?c", "abc", true},
      {"a?c", "ac", false},
      {"a*c", "abbbc", true},
      {"a*c", "abbb", false},
      {"*b*", "abc", true},
      {"a**c", "abc", true},
      {"[abc]x", "bx", true},
      {"[abc]x", "dx", false},
      {"[^abc]x", "dx", true},
      {"[^abc]x", "ax", false},
      {"[a-c]", "b", true},
      {"[c-a]", "b", true},
      {"[a-c]", "d", false},
      {"\\*", "*", true},
      {"\\*", "a", false},
      {"h[ae]llo", "hello", true},
      {"[\\]]", "]", true},
      {"a\\", "a\\", true},
      {"[abc", "b", true},
      {"user:*:x", "user:1:x", true},
      {"user:*:x", "user:1:xy", false},
      {"*a*b*c", "xxaxxbxxc", true},
      {"a*a*a*b", "aaaaaaaaaaaaac", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(GlobMatches(c.pattern, c.text), c.expected) << c.pattern << " on " << c.text;
  }
  EXPECT_TRUE(GlobMatches("MAX*", "maxmemory", true));
  EXPECT_FALSE(GlobMatches("MAX*", "maxmemory"));
}

TEST(GlobTest, ManyStarsAreCheap) {
  std::string pattern;
  for (int i = 0; i < 2000; ++i) pattern += "a*";
  EXPECT_FALSE(GlobMatches(pattern + "b", std::string(20'000, 'a')));
}

}  // namespace
}  // namespace gyre
