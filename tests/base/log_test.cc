#include "base/log.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <string>

namespace gyre {
namespace {

using testing::EndsWith;
using testing::HasSubstr;

constexpr Duration kFlushPatience = std::chrono::seconds(30);

class LogTest : public ::testing::Test {
 protected:
  ~LogTest() override { (void)InitLog({}); }

  // What `log` writes.
  template <typename Work>
  static std::string Written(const LogOptions& options, Work&& log) {
    testing::internal::CaptureStderr();
    EXPECT_TRUE(InitLog(options));
    log();
    FlushLog(kFlushPatience);
    return testing::internal::GetCapturedStderr();
  }
};

TEST_F(LogTest, AnUnknownLevelIsRefusedWithAdvice) {
  const Status status = SetLogLevel("loud");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(status.error().message, HasSubstr("loud"));
  EXPECT_THAT(status.error().message, HasSubstr("debug"));
}

TEST_F(LogTest, JsonLinesHaveAFieldForEachFact) {
  const std::string line = Written({.format = LogFormat::kJson, .node = "n\"1%v"}, [] {
    LogDebug("unseen");
    LogWarn("member dead", {{"name", "a \"quoted\"\nword"},
                            {"unheard_ms", -812},
                            {"bytes", std::uint64_t{1} << 63},
                            {"blind", true},
                            {"torn", "gr\xc3\xbc\xff"}});
  });
  const auto json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(json.is_object()) << line;
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  EXPECT_EQ(json.at("level"), "warning");
  EXPECT_EQ(json.at("node"), "n\"1%v");
  EXPECT_EQ(json.at("message"), "member dead");
  EXPECT_EQ(json.at("name"), "a \"quoted\"\nword");
  EXPECT_EQ(json.at("unheard_ms"), -812);
  EXPECT_EQ(json.at("bytes"), std::uint64_t{1} << 63);
  EXPECT_EQ(json.at("blind"), true);
  EXPECT_EQ(json.at("torn"), "gr\xc3\xbc\xef\xbf\xbd") << "what is not UTF-8 is replaced";
  EXPECT_EQ(json.size(), 10U);
}

TEST_F(LogTest, TextLinesAreForPeople) {
  const std::string line = Written({.level = "warn", .node = "n1"}, [] {
    LogInfo("unseen");
    LogWarn("disk\nfull", {{"file", "/a/b"}, {"left", 0}, {"error", "no \"room\"\n"}, {"why", ""}});
  });
  EXPECT_THAT(line, EndsWith(R"(n1 disk full file=/a/b left=0 error="no \"room\"\n" why="")"
                             "\n"));
  EXPECT_THAT(line, testing::Not(HasSubstr("unseen")));
}

TEST_F(LogTest, TheLevelChangesWhileItRuns) {
  const std::string lines = Written({.level = "warn"}, [] {
    EXPECT_TRUE(SetLogLevel("debug"));
    EXPECT_TRUE(IsLogged(LogLevel::kDebug));
    LogDebug("seen");
    EXPECT_TRUE(SetLogLevel("error"));
    EXPECT_FALSE(IsLogged(LogLevel::kWarn));
    LogWarn("hidden");
    EXPECT_TRUE(SetLogLevel("off"));
    LogError("hidden");
  });
  EXPECT_THAT(lines, HasSubstr("seen"));
  EXPECT_THAT(lines, testing::Not(HasSubstr("hidden")));
}

TEST_F(LogTest, AnEventIsSaidAsItsLineWould) {
  EXPECT_EQ(ToText({LogLevel::kInfo, "took ownership", {{"partitions", 3}}}),
            "took ownership partitions=3");
}

}  // namespace
}  // namespace gyre
