#include "ops/settings_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace gyre {
namespace {

using testing::HasSubstr;

class SettingsFileTest : public ::testing::Test {
 protected:
  SettingsFileTest() {
    directory_ = std::filesystem::temp_directory_path() /
                 ("gyre-settings-" + std::to_string(::getpid()) + "-" +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  ~SettingsFileTest() override { std::filesystem::remove_all(directory_); }

  static SettingsMap Some() {
    SettingsMap map;
    NodeId by;
    by.bytes[3] = 7;
    map.Merge({"config/log-level", {17, 3, by}, "debug", std::string("\x00\xff proof", 8)}, 0);
    map.Merge({"a", {~std::uint64_t{0} >> 2, ~std::uint32_t{0}, by}, std::nullopt, "p"}, 0);
    map.Merge({"empty", {1, 0, by}, "", ""}, 0);
    map.Merge({"bytes/\xc3\xbc%", {1, 0, by}, std::string("\n \0%", 4), ""}, 0);
    return map;
  }
  SettingsFile Open(FileWriter& writer, const std::string& cluster = "gyre") {
    return {directory_.string(), cluster, writer};
  }
  void Keep(const SettingsMap& settings) {
    FileWriter writer;  // its end waits for the writing
    Open(writer).Keep(settings);
  }
  std::uint64_t Read(const std::string& cluster = "gyre") {
    FileWriter writer;
    SettingsMap map;
    for (const Setting& setting : Open(writer, cluster).Read()) map.Merge(setting, 0);
    return map.digest();
  }
  std::string Text() {
    std::ifstream file(directory_ / "settings");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  std::filesystem::path directory_;
};

TEST_F(SettingsFileTest, AreReadAsTheyWereKept) {
  Keep(Some());
  FileWriter writer;
  const std::vector<Setting> read = Open(writer).Read();
  ASSERT_EQ(read.size(), Some().count());
  for (const Setting& setting : read) EXPECT_EQ(setting, *Some().Find(setting.name));
}

TEST_F(SettingsFileTest, ThereAreNoneAtFirstAndNoneOfAnotherCluster) {
  EXPECT_EQ(Read(), SettingsMap().digest());
  Keep(Some());
  EXPECT_EQ(Read("other"), SettingsMap().digest());
  EXPECT_EQ(Read(), Some().digest());
}

TEST_F(SettingsFileTest, TheLargestFindRoom) {
  SettingsMap full;
  for (std::size_t i = 0; full.let_go() == 0; ++i) {
    full.Merge({std::string(100, 'n') + std::to_string(i),
                {i, 0, {}},
                std::string(kSettingValueBytesMax, '\0'),
                std::string(96, '\xff')},
               0);
  }
  Keep(full);
  EXPECT_EQ(Read(), full.digest());
}

// Cut anywhere, or with a byte changed: set aside, or the same, never others.
TEST_F(SettingsFileTest, ADamagedFileIsSetAside) {
  Keep(Some());
  const std::string text = Text();
  for (std::size_t length = 0; length < text.size(); ++length) {
    EXPECT_FALSE(ParseSettings(text.substr(0, length))) << length;
  }
  std::string changed = text;
  changed[text.find(" set ") + 1] = 'g';
  EXPECT_THAT(ParseSettings(changed).error().message, HasSubstr("cannot be read"));
  std::ofstream(directory_ / "settings") << changed;
  EXPECT_EQ(Read(), SettingsMap().digest());
  EXPECT_FALSE(std::filesystem::exists(directory_ / "settings"));
  EXPECT_TRUE(std::filesystem::exists(directory_ / "settings.damaged"));
  Keep(Some());
  EXPECT_EQ(Read(), Some().digest());
}

TEST_F(SettingsFileTest, ADiskThatFailsIsCountedAndTriedAgain) {
  std::filesystem::create_directories(directory_ / "settings");  // in the way of the file
  FileWriter writer;
  SettingsFile file = Open(writer);
  file.Keep(Some());
  while (file.stats().failures == 0) std::this_thread::yield();
  std::filesystem::remove(directory_ / "settings");
  file.Keep(Some());  // at once, not after the wait between attempts
  while (file.stats().writes == 0) std::this_thread::yield();
  EXPECT_EQ(Read(), Some().digest());
}

// One that fails does not hold up the others.
TEST_F(SettingsFileTest, FilesOfOneWriterDoNotWaitForEachOther) {
  std::filesystem::create_directories(directory_ / "bad");
  FileWriter writer;
  const FileWriter::File bad = writer.Add(directory_ / "bad", "bad");
  const FileWriter::File good = writer.Add(directory_ / "good", "good");
  for (int i = 0; i < 3; ++i) {
    writer.Keep(bad, [] { return std::string("x"); });
    while (writer.stats(bad).failures == 0) std::this_thread::yield();
    writer.Keep(good, [i] { return std::to_string(i); });
    while (writer.stats(good).writes < static_cast<std::uint64_t>(i + 1)) std::this_thread::yield();
  }
}

}  // namespace
}  // namespace gyre
