#include "client/feed_cursor.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace gyre::client {
namespace {

TEST(FeedCursorTest, ATextGivesBackThePositions) {
  const FeedCursor cursor{FeedPosition{7, 3}, std::nullopt, FeedPosition{~0ULL, ~0ULL},
                          FeedPosition{0, 0}};
  const std::string text = EncodeCursor(cursor);
  for (const char c : text) EXPECT_TRUE(std::isalnum(c) != 0 || c == '-' || c == '_') << c;
  ASSERT_TRUE(DecodeCursor(text).ok());
  EXPECT_EQ(*DecodeCursor(text), cursor);
  EXPECT_EQ(*DecodeCursor(EncodeCursor({})), FeedCursor{});
}

TEST(FeedCursorTest, IsCompact) {
  FeedCursor cursor;
  for (std::uint64_t i = 0; i < 1024; ++i) {
    cursor.emplace_back(FeedPosition{(1'700'000'000'000ULL << 20) + (i << 22), i * 997 % 100'000});
  }
  EXPECT_LT(EncodeCursor(cursor).size(), 13'000U);
}

RC_GTEST_PROP(FeedCursorTest, AnyPositionsComeBack, ()) {
  const auto raw = *rc::gen::container<std::vector<std::tuple<bool, std::uint64_t, std::uint64_t>>>(
      rc::gen::arbitrary<std::tuple<bool, std::uint64_t, std::uint64_t>>());
  FeedCursor cursor;
  for (const auto& [known, term, number] : raw) {
    cursor.push_back(known ? std::optional(FeedPosition{term, number}) : std::nullopt);
  }
  const Result<FeedCursor> back = DecodeCursor(EncodeCursor(cursor));
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == cursor);
}

// No byte can be changed, taken or added without being noticed.
RC_GTEST_PROP(FeedCursorTest, ADamagedOneIsRefused, ()) {
  std::string text = EncodeCursor({FeedPosition{123456, 7}, FeedPosition{123457, 0}, std::nullopt});
  const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
  const char c = *rc::gen::elementOf(std::string("AZaz09-_ +\n"));
  switch (*rc::gen::inRange(0, 3)) {
    case 0:
      RC_PRE(text[at] != c);
      text[at] = c;
      break;
    case 1:
      text.erase(at, 1);
      break;
    default:
      text.insert(at, 1, c);
  }
  const Result<FeedCursor> back = DecodeCursor(text);
  RC_ASSERT(!back.ok());
  RC_ASSERT(back.error().code == ErrorCode::kInvalidArgument);
}

RC_GTEST_PROP(FeedCursorTest, AnyBytesAreReadSafely, (const std::string& text)) {
  (void)DecodeCursor(text);
}

TEST(FeedPositionTest, IsReadAsItIsSaid) {
  EXPECT_EQ(FeedPosition::Parse("12-34"), (FeedPosition{12, 34}));
  EXPECT_EQ((FeedPosition{12, 34}.ToString()), "12-34");
  for (const char* text :
       {"", "-", "1-", "-1", "1", "1-2-3", " 1-2", "1-+2", "1-2 ", "18446744073709551616-1"}) {
    EXPECT_FALSE(FeedPosition::Parse(text)) << text;
  }
}

}  // namespace
}  // namespace gyre::client
