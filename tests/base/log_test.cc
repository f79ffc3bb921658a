#include "base/log.h"

#include <gmock/gmock.h>

#include <string>

namespace gyre {
namespace {

using testing::HasSubstr;

constexpr Duration kFlushPatience = std::chrono::seconds(30);

TEST(LogTest, EscapesWhatJsonForbids) {
  struct {
    std::string_view text;
    std::string_view escaped;
  } cases[] = {
      {"", ""},
      {"plain text, as it is", "plain text, as it is"},
      {R"(say "hi" \ bye)", R"(say \"hi\" \\ bye)"},
      {"two\nlines\tand a bell\a", R"(two\u000alines\u0009and a bell\u0007)"},
      {std::string_view("\0\x1f", 2), R"(\u0000\u001f)"},
      {"\x7f gr\xc3\xbc\xc3\x9f", "\x7f gr\xc3\xbc\xc3\x9f"},
  };
  for (const auto& c : cases) EXPECT_EQ(EscapeJson(c.text), c.escaped);
}

TEST(LogTest, AnUnknownLevelIsRefusedWithAdvice) {
  const Status status = InitLog({.level = "loud"});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(status.error().message, HasSubstr("loud"));
  EXPECT_THAT(status.error().message, HasSubstr("debug"));
}

TEST(LogTest, JsonLinesCarryNodeLevelAndMessage) {
  testing::internal::CaptureStderr();
  ASSERT_TRUE(InitLog({.level = "info", .format = LogFormat::kJson, .node = "n\"1"}));
  GYRE_LOG_DEBUG("unseen");
  GYRE_LOG_INFO("member dead name={} note={}", "n2", "a \"quoted\"\nword");
  FlushLog(kFlushPatience);
  const std::string out = testing::internal::GetCapturedStderr();
  EXPECT_THAT(out, HasSubstr(R"("level":"info","node":"n\"1")"));
  EXPECT_THAT(out, HasSubstr(R"("message":"member dead name=n2 note=a \"quoted\"\u000aword"})"));
  EXPECT_THAT(out, testing::Not(HasSubstr("unseen")));
}

TEST(LogTest, TextLinesAreForPeople) {
  testing::internal::CaptureStderr();
  ASSERT_TRUE(InitLog({.level = "warn", .node = "n1"}));
  GYRE_LOG_INFO("unseen");
  GYRE_LOG_WARN("disk full");
  FlushLog(kFlushPatience);
  const std::string out = testing::internal::GetCapturedStderr();
  EXPECT_THAT(out, HasSubstr("n1 disk full\n"));
  EXPECT_THAT(out, testing::Not(HasSubstr("unseen")));
}

}  // namespace
}  // namespace gyre
