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
  for (const mode_t mode : {0600, 0400}) {
    const auto keys = ReadGossipKeyFile(Write(text, mode));
    ASSERT_TRUE(keys) << std::oct << mode << keys.error().message;
    EXPECT_EQ(keys->size(), 2U);
    unlink((directory_ / "key").c_str());
  }
}

TEST_F(GossipKeyFileTest, RefusesWhatOthersCanReadOrChange) {
  for (const mode_t mode : {0644, 0640, 0440, 0604, 0602, 0620, 0660, 0601, 0610}) {
    const std::string path = Write(GenerateGossipKey(), mode);
    EXPECT_EQ(ErrorOf(path),
              "--gossip-key " + path + ": others can read or change it: chmod 600 " + path);
  }
}

TEST_F(GossipKeyFileTest, ReadsWhatRootLetsItsGroupRead) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, who can give files to a group";
  constexpr gid_t kGroup = 65534;
  const std::string path = Write(GenerateGossipKey(), 0640);
  ASSERT_EQ(chown(path.c_str(), 0, kGroup), 0);
  ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
  ASSERT_EQ(setegid(kGroup), 0);
  ASSERT_EQ(seteuid(65534), 0);
  const bool readable = ReadGossipKeyFile(path).has_value();
  ASSERT_EQ(seteuid(0), 0);
  ASSERT_EQ(setegid(0), 0);
  EXPECT_TRUE(readable);
}

TEST_F(GossipKeyFileTest, RefusesTheFileOfAnotherUser) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, who can give files away";
  const std::string path = Write(GenerateGossipKey(), 0600);
  ASSERT_EQ(chown(path.c_str(), 65534, 65534), 0);
  EXPECT_NE(ErrorOf(path).find("belongs to another user"), std::string::npos);
}

TEST_F(GossipKeyFileTest, FollowsALinkAsKubernetesMountsSecrets) {
  const std::string path = Write(GenerateGossipKey(), 0600);
  const std::string link = directory_ / "link";
  ASSERT_EQ(symlink(path.c_str(), link.c_str()), 0);
  EXPECT_TRUE(ReadGossipKeyFile(link));
}

TEST_F(GossipKeyFileTest, DoesNotWaitForAPipe) {
  const std::string path = directory_ / "pipe";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_NE(ErrorOf(path).find("not a regular file"), std::string::npos);
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
