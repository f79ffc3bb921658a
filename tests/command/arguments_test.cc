#include "command/arguments.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>

#include "base/prng.h"
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
  EXPECT_EQ(ParseLenientUnsigned(" \t12"), 12U);
  EXPECT_EQ(ParseLenientUnsigned("+12"), 12U);
  EXPECT_EQ(ParseLenientUnsigned("-0"), 0U);
  EXPECT_EQ(ParseLenientUnsigned("12\r\nx"), 12U);
  for (const char* bad : {"", " ", "-1", "18446744073709551616", "1x", "++1"}) {
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
  EXPECT_EQ(ParseFloat(FormatFloat(1e4931L)), 1e4931L) << "what was written is read back";
  EXPECT_FALSE(ParseFloat(std::string(6000, '1')));
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

TEST(GlobTest, NoPatternTakesMoreThanItsShareOfSteps) {
  const std::string text(64 * 1024, 'a');
  const std::string half(Glob::kPatternBytesMax / 2 - 4, 'a');
  std::string stars;
  while (stars.size() + 2 < Glob::kPatternBytesMax) stars += "a*";
  std::string classes = "*";
  while (classes.size() + 4 < Glob::kPatternBytesMax) classes += "[^b]";
  for (const std::string& pattern :
       {"*" + half + half + "b*", half + "*" + half + "b", "*" + half + "b*" + half + "b*",
        stars + "b", classes + "b*", stars + "b*"}) {
    const Result<Glob> glob = Glob::Parse(pattern);
    ASSERT_TRUE(glob);
    std::size_t steps = 0;
    EXPECT_FALSE(glob->Matches(text, steps)) << pattern.substr(0, 20);
    EXPECT_LE(steps, text.size() * (Glob::kPatternBytesMax / 64) + pattern.size());
  }
}

TEST(GlobTest, ALongerPatternIsRefused) {
  EXPECT_TRUE(Glob::Parse(std::string(Glob::kPatternBytesMax, '*')));
  const Result<Glob> longer = Glob::Parse(std::string(Glob::kPatternBytesMax + 1, '*'));
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(GlobMatches(std::string(Glob::kPatternBytesMax + 1, '*'), "a"));
}

// Tries everything: what a star may stand for, and the rest.
bool MatchesSlowly(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() == '*') {
    return MatchesSlowly(pattern.substr(1), text) ||
           (!text.empty() && MatchesSlowly(pattern, text.substr(1)));
  }
  if (text.empty()) return false;
  std::size_t bytes = 1;
  bool matches = pattern.front() == '?' || pattern.front() == text.front();
  if (pattern.front() == '\\' && pattern.size() > 1) {
    bytes = 2;
    matches = pattern[1] == text.front();
  } else if (pattern.front() == '[') {
    const bool negated = pattern.size() > 1 && pattern[1] == '^';
    bytes = negated ? 2 : 1;
    bool in_class = false;
    while (bytes < pattern.size() && pattern[bytes] != ']') {
      const std::string_view rest = pattern.substr(bytes);
      if (rest.size() > 1 && rest[0] == '\\') {
        in_class = in_class || rest[1] == text.front();
        bytes += 2;
      } else if (rest.size() > 2 && rest[1] == '-') {
        in_class = in_class || (text.front() >= std::min(rest[0], rest[2]) &&
                                text.front() <= std::max(rest[0], rest[2]));
        bytes += 3;
      } else {
        in_class = in_class || rest[0] == text.front();
        bytes += 1;
      }
    }
    bytes = std::min(bytes + 1, pattern.size());
    matches = in_class != negated;
  }
  return matches && MatchesSlowly(pattern.substr(bytes), text.substr(1));
}

TEST(GlobTest, AgreesWithWhatTriesEverything) {
  constexpr std::string_view kPatternBytes = "aabbc**??[]^-\\";
  constexpr std::string_view kTextBytes = "aabbc-]\\[^";
  Prng random(7);
  const auto draw = [&random](std::string_view from, std::size_t size_max) {
    std::string text(random.Below(size_max + 1), ' ');
    for (char& c : text) c = from[random.Below(from.size())];
    return text;
  };
  int matched = 0;
  for (int i = 0; i < 200'000; ++i) {
    const std::string pattern = draw(kPatternBytes, 10);
    const std::string text = draw(kTextBytes, 8);
    const bool matches = MatchesSlowly(pattern, text);
    matched += matches ? 1 : 0;
    ASSERT_EQ(GlobMatches(pattern, text), matches) << pattern << " on " << text;
  }
  EXPECT_GT(matched, 5000);
}

TEST(GlobTest, AgreesBeyondOneWordOfElements) {
  Prng random(11);
  for (int i = 0; i < 300; ++i) {
    std::string needle(100 + random.Below(100), 'a');
    needle[random.Below(needle.size())] = 'b';
    std::string text = std::string(random.Below(300), 'a') + needle;
    text += std::string(random.Below(300), 'a');
    EXPECT_TRUE(GlobMatches("*" + needle + "*", text));
    const std::string other = "*" + needle + "a*" + needle + "*";
    EXPECT_EQ(GlobMatches(other, text), MatchesSlowly(other, text));
  }
}

}  // namespace
}  // namespace gyre
