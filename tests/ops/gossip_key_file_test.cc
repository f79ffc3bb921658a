#include "ops/gossip_key_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "ops/config.h"

namespace gyre {
namespace {

class GossipKeyFileTest : public ::testing::Test {
 protected:
  GossipKeyFileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "gyre-key-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~GossipKeyFileTest() override { std::filesystem::remove_all(directory_); }

  std::string Write(const std::string& text, mode_t mode) {
    const std::string path = directory_ / "key";
    std::ofstream(path) << text;
    EXPECT_EQ(chmod(path.c_str(), mode), 0);
    return path;
  }
  static std::string ErrorOf(const std::string& path) {
    const auto keys = ReadGossipKeyFile(path);
    EXPECT_FALSE(keys);
    return keys ? "" : keys.error().message;
  }

  std::filesystem::path directory_;
};

TEST_F(GossipKeyFileTest, ReadsWhatOthersCannot) {
  const std::string text = GenerateGossipKey() + "\n" + GenerateGossipKey() + "\n";
  for (const mode_t mode : {0600, 0400, 0640, 0440}) {
    const auto keys = ReadGossipKeyFile(Write(text, mode));
    ASSERT_TRUE(keys) << std::oct << mode << keys.error().message;
    EXPECT_EQ(keys->size(), 2U);
    unlink((directory_ / "key").c_str());
  }
}

TEST_F(GossipKeyFileTest, RefusesWhatOthersCanReadOrChange) {
  for (const mode_t mode : {0644, 0604, 0602, 0620, 0660, 0601}) {
    const std::string path = Write(GenerateGossipKey(), mode);
    EXPECT_EQ(ErrorOf(path),
              "--gossip-key " + path + ": others can read or change it: chmod 600 " + path);
  }
}

TEST_F(GossipKeyFileTest, RefusesWhatIsNoFileOfKeys) {
  EXPECT_NE(ErrorOf(directory_ / "absent").find("No such file"), std::string::npos);
  EXPECT_NE(ErrorOf(directory_).find("directory"), std::string::npos);
  EXPECT_NE(ErrorOf(Write(std::string(kGossipKeyFileBytesMax + 1, '\n'), 0600)).find("too long"),
            std::string::npos);
  EXPECT_NE(ErrorOf(Write("no key", 0600)).find("line 1"), std::string::npos);
}

TEST(GossipKeyOptionTest, PrintsAKeyThatTheFileTakes) {
  const char* const arguments[] = {"gyred", "--gen-gossip-key"};
  const auto parsed = ParseConfig(2, arguments);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->action, ParsedCommandLine::Action::kPrint);
  EXPECT_TRUE(ParseGossipKeys(parsed->text));
}

}  // namespace
}  // namespace gyre
