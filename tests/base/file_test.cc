#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace gyre {
namespace {

class FileTest : public ::testing::Test {
 protected:
  FileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "gyre-file-XXXXXX").string();
    directory_ = mkdtemp(name.data());
  }
  ~FileTest() override { std::filesystem::remove_all(directory_); }

  std::string At(const char* name) const { return directory_ / name; }
  static std::string TextOf(const std::string& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }

  std::filesystem::path directory_;
};

TEST_F(FileTest, ReplacesAFileAndLeavesNothingElse) {
  ASSERT_TRUE(ReplaceFile(At("it"), "old"));
  ASSERT_TRUE(ReplaceFile(At("it"), "new"));
  EXPECT_EQ(TextOf(At("it")), "new");
  EXPECT_FALSE(std::filesystem::exists(At("it.new")));
  struct stat facts {};
  ASSERT_EQ(stat(At("it").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600U);
}

TEST_F(FileTest, DoesNotWriteThroughALink) {
  std::ofstream(At("victim")) << "precious";
  for (const char* name : {"it", "it.new"}) {
    std::filesystem::create_symlink(At("victim"), At(name));
    EXPECT_TRUE(ReplaceFile(At("it"), "new"));
    EXPECT_EQ(TextOf(At("victim")), "precious");
    EXPECT_FALSE(std::filesystem::is_symlink(At("it")));
    std::filesystem::remove(At("it"));
  }
}

TEST_F(FileTest, WhatCannotBeWrittenIsNamedAndLeavesTheOldFile) {
  ASSERT_TRUE(ReplaceFile(At("it"), "old"));
  std::filesystem::create_directories(directory_ / "it.new" / "inside");
  const Status status = ReplaceFile(At("it"), "new");
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find(At("it.new")), std::string::npos);
  EXPECT_EQ(TextOf(At("it")), "old");
}

TEST_F(FileTest, AFullDiskLeavesTheOldFile) {
  if (access("/dev/full", W_OK) != 0) GTEST_SKIP() << "no /dev/full";
  const File full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  const Status status = WriteAll(full, "text");
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("No space left"), std::string::npos);
}

TEST_F(FileTest, ReadsUpToABound) {
  ASSERT_TRUE(ReplaceFile(At("it"), "12345"));
  Result<std::optional<File>> file = OpenToRead(At("it"), Links::kRefuse);
  ASSERT_TRUE(file && *file);
  const Result<std::string> short_of_it = ReadAll(**file, At("it"), 4);
  ASSERT_FALSE(short_of_it);
  EXPECT_EQ(short_of_it.error().code, ErrorCode::kTooLarge);

  Result<std::optional<File>> again = OpenToRead(At("it"), Links::kRefuse);
  ASSERT_TRUE(again && *again);
  EXPECT_EQ(ReadAll(**again, At("it"), 5), "12345");
}

TEST_F(FileTest, WhatIsNotThereIsEmptyAndWhatIsNoFileIsAnError) {
  Result<std::optional<File>> absent = OpenToRead(At("absent"), Links::kRefuse);
  ASSERT_TRUE(absent);
  EXPECT_FALSE(*absent);
  ASSERT_EQ(mkfifo(At("pipe").c_str(), 0600), 0);
  std::filesystem::create_symlink("/etc/passwd", At("link"));
  for (const char* name : {".", "pipe", "link"}) {
    EXPECT_FALSE(OpenToRead(At(name), Links::kRefuse)) << name;
  }
  EXPECT_TRUE(OpenToRead(At("link"), Links::kFollow));
}

}  // namespace
}  // namespace gyre
