#include "proto/result.h"

#include <gtest/gtest.h>

#include <cctype>
#include <set>
#include <string>

namespace gyre::testing {
namespace {

Result<int> Half(int number) {
  if (number % 2 != 0) return Fail(ErrorCode::kInvalidArgument, "an odd number has no half");
  return number / 2;
}

TEST(ResultTest, IsAValueOrAnError) {
  const Result<int> good = Half(4);
  ASSERT_TRUE(good.has_value());
  EXPECT_EQ(*good, 2);
  const Result<int> bad = Half(3);
  ASSERT_FALSE(bad.has_value());
  EXPECT_EQ(bad.error(), (Error{ErrorCode::kInvalidArgument, "an odd number has no half"}));
}

TEST(ResultTest, EachCodeHasANameOfItsOwn) {
  std::set<std::string_view> names;
  constexpr int kCodeCount = static_cast<int>(ErrorCode::kNotAllowed) + 1;
  for (int code = 0; code < kCodeCount; ++code) {
    const std::string_view name = ErrorCodeName(static_cast<ErrorCode>(code));
    EXPECT_NE(name, "unknown") << code;
    for (const char c : name) EXPECT_TRUE(std::islower(c) != 0 || c == '_') << name;
    names.insert(name);
  }
  EXPECT_EQ(names.size(), kCodeCount);
  EXPECT_EQ(ErrorCodeName(static_cast<ErrorCode>(kCodeCount)), "unknown");
}

// The numbers travel between releases.
TEST(ResultTest, CodesKeepTheirNumbers) {
  EXPECT_EQ(static_cast<int>(ErrorCode::kInternal), 0);
  EXPECT_EQ(static_cast<int>(ErrorCode::kOutOfMemory), 5);
  EXPECT_EQ(static_cast<int>(ErrorCode::kUnavailable), 9);
  EXPECT_EQ(static_cast<int>(ErrorCode::kUnknownOutcome), 11);
  EXPECT_EQ(static_cast<int>(ErrorCode::kNotAllowed), 16);
}

TEST(ResultTest, ANumberOfANewerReleaseIsAnErrorStill) {
  EXPECT_EQ(ErrorCodeFromWire(11), ErrorCode::kUnknownOutcome);
  EXPECT_EQ(ErrorCodeFromWire(16), ErrorCode::kNotAllowed);
  EXPECT_EQ(ErrorCodeFromWire(17), ErrorCode::kInternal);
  EXPECT_EQ(ErrorCodeFromWire(256 + 11), ErrorCode::kInternal) << "wider than a code is";
}

}  // namespace
}  // namespace gyre::testing
