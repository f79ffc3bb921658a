// Properties of the table of options.
#include "ops/config_options.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <set>
#include <string>
#include <vector>

namespace gyre {
namespace {

Config DefaultConfig() {
  const char* argv[] = {"gyred"};
  Result<ParsedCommandLine> parsed = ParseConfig(1, argv);
  EXPECT_TRUE(parsed);
  return parsed ? parsed->config : Config{};
}

TEST(ConfigOptionsTest, DefaultsThatAreShownAreReadAgain) {
  const Config config = DefaultConfig();
  Config read = config;
  std::set<std::string> unset;
  for (const Option& option : ConfigOptions()) {
    const std::string shown = option.access.show(config);
    if (shown.empty()) {
      unset.insert(option.name);
      continue;
    }
    ASSERT_TRUE(option.access.store(shown, read)) << option.name;
  }
  EXPECT_EQ(read, config) << "storing what is shown changes nothing";
  // The node itself decides the last of them.
  EXPECT_EQ(unset,
            (std::set<std::string>{"join", "zone", "gossip-key", "data-dir", "max-connections"}));
}

// Whether the option takes the text; then what it shows is read as the same.
bool Takes(const Option& option, const std::string& text) {
  Config config;
  if (!option.access.store(text, config)) return false;
  const std::string shown = option.access.show(config);
  if (shown.empty()) return false;  // as unset
  Config read;
  const Status stored = option.access.store(shown, read);
  EXPECT_TRUE(stored) << option.name << ": '" << text << "' is shown as '" << shown << "'";
  EXPECT_EQ(read, config) << option.name << ": '" << text << "' is shown as '" << shown << "'";
  return true;
}

TEST(ConfigOptionsTest, WhatIsTakenIsShownAsTheSame) {
  std::set<std::string> tried;
  for (const char* text : {"1",
                           "7",
                           "64",
                           "70000",
                           "8MiB",
                           "1g",
                           "3000000000",
                           "1500ms",
                           "90s",
                           "5m",
                           "25h",
                           "2d",
                           "true",
                           "false",
                           "available",
                           "majority",
                           "text",
                           "json",
                           "trace",
                           "Info",
                           "off",
                           "a",
                           "node-a.example",
                           "10.0.0.1",
                           "::1",
                           "[::1]",
                           "[fd00::1]:9",
                           "a:1",
                           "a:1,b:2",
                           "a:1,,[::1]:3,a:1",
                           "/var/lib/gyre"}) {
    for (const Option& option : ConfigOptions()) {
      if (Takes(option, text)) tried.insert(option.name);
    }
  }
  for (const Option& option : ConfigOptions()) {
    EXPECT_TRUE(tried.contains(option.name)) << option.name << ": add a value that it takes";
  }
}

TEST(ConfigOptionsTest, WhateverIsTakenIsShownAsTheSame) {
  const auto number = [](int most, const char* unit) {
    return rc::gen::map(rc::gen::inRange(0, most),
                        [unit](int number) { return std::to_string(number) + unit; });
  };
  const auto text = rc::gen::oneOf(
      number(70'000, ""), number(600, "MiB"), number(20, "g"), number(100'000, "ms"),
      number(100'000, "s"), number(3000, "m"), number(100, "h"), number(100, "d"),
      rc::gen::map(number(70'000, ""), [](const std::string& port) { return "[fd00::1]:" + port; }),
      rc::gen::string<std::string>());
  EXPECT_TRUE(rc::check([&text] {
    const std::string one = *text;
    for (const Option& option : ConfigOptions()) Takes(option, one);
    RC_ASSERT(!::testing::Test::HasFailure());
  }));
}

TEST(ConfigOptionsTest, NamesAreUnique) {
  std::set<std::string_view> flags;
  std::set<std::string_view> parameters;
  for (const Option& option : ConfigOptions()) {
    EXPECT_TRUE(flags.insert(option.name).second) << option.name;
    EXPECT_TRUE(parameters.insert(option.parameter()).second) << option.parameter();
    const RedisParameter& redis = option.config.redis;
    if (redis.name == nullptr) continue;
    EXPECT_TRUE(parameters.insert(redis.name).second) << redis.name;
  }
}

TEST(FormatDurationTest, InOneUnit) {
  const struct {
    Duration duration;
    const char* text;
  } table[] = {{Duration::zero(), "0"},           {std::chrono::milliseconds(1500), "1500ms"},
               {std::chrono::seconds(90), "90s"}, {std::chrono::minutes(5), "5m"},
               {std::chrono::hours(25), "25h"},   {std::chrono::hours(48), "2d"}};
  for (const auto& one : table) {
    EXPECT_EQ(FormatDuration(one.duration), one.text);
    EXPECT_EQ(ParseDuration(one.text).value(), one.duration);
  }
}

TEST(FormatHostPortTest, IsReadAgain) {
  for (const HostPort& both : {HostPort{"a", 1}, HostPort{"::1", 65535}}) {
    EXPECT_EQ(ParseHostPort(FormatHostPort(both)).value(), both);
  }
}

}  // namespace
}  // namespace gyre
