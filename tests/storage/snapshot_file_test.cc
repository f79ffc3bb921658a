#include "storage/snapshot_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

namespace gyre {
namespace {

using testing::HasSubstr;

class SnapshotFileTest : public ::testing::Test {
 protected:
  SnapshotFileTest() {
    directory_ = std::filesystem::temp_directory_path() /
                 ("gyre-snapshot-" + std::to_string(::getpid()) + "-" +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    file_ = std::make_unique<SnapshotFile>(directory_.string());
  }
  ~SnapshotFileTest() override { std::filesystem::remove_all(directory_); }

  Result<std::uint64_t> Write(const std::string& text, std::uint64_t bytes_least = 0) {
    return file_->Write(bytes_least, [&](const SnapshotWriter::Sink& sink) { return sink(text); });
  }
  std::string Read() {
    auto opened = file_->Open();
    if (!opened) return "error";
    if (*opened == nullptr) return "none";
    std::string text((*opened)->bytes + 10, '\0');
    text.resize(*(*opened)->source(text.data(), text.size()));
    return text;
  }
  std::vector<std::string> Names() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  std::filesystem::path directory_;
  std::unique_ptr<SnapshotFile> file_;
};

TEST_F(SnapshotFileTest, WrittenReadAndRemoved) {
  EXPECT_EQ(Read(), "none");
  EXPECT_EQ(*Write("first"), 5U);
  EXPECT_EQ(Read(), "first");
  EXPECT_EQ(*Write("second"), 6U);
  EXPECT_EQ(Read(), "second");
  EXPECT_TRUE(file_->Remove());
  EXPECT_EQ(Read(), "none");
  EXPECT_FALSE(file_->Remove());
}

TEST_F(SnapshotFileTest, AFailureLeavesTheOldOneAndNothingElse) {
  ASSERT_TRUE(Write("old"));
  const auto failed = file_->Write(0, [](const SnapshotWriter::Sink& sink) -> Status {
    if (Status begun = sink("half"); !begun) return begun;
    return Fail(ErrorCode::kIo, "disk on fire");
  });
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("disk on fire"));
  EXPECT_EQ(Read(), "old");
  EXPECT_THAT(Names(), testing::ElementsAre("snapshot"));
}

TEST_F(SnapshotFileTest, IsNeitherWrittenNorReadThroughALink) {
  const std::filesystem::path victim = directory_ / "victim";
  std::ofstream(victim) << "precious";
  std::filesystem::create_symlink(victim, directory_ / "snapshot");
  EXPECT_EQ(Read(), "error");
  std::filesystem::create_symlink(victim, directory_ / "snapshot.new");
  ASSERT_TRUE(Write("new"));
  EXPECT_EQ(Read(), "new");
  std::string text;
  std::getline(std::ifstream(victim), text);
  EXPECT_EQ(text, "precious");
}

TEST_F(SnapshotFileTest, ADiskWithoutRoomIsSeenBeforeAnythingIsWritten) {
  const auto failed = Write("x", std::uint64_t{1} << 60);
  ASSERT_FALSE(failed);
  EXPECT_THAT(failed.error().message, HasSubstr("MiB left"));
  EXPECT_THAT(Names(), testing::IsEmpty());
}

TEST_F(SnapshotFileTest, OneRefusedIsKept) {
  ASSERT_TRUE(Write("bad"));
  ASSERT_TRUE(file_->SetAside());
  EXPECT_EQ(Read(), "none");
  ASSERT_TRUE(Write("worse"));
  ASSERT_TRUE(file_->SetAside());
  EXPECT_THAT(Names(), testing::ElementsAre("snapshot.refused"));
}

TEST_F(SnapshotFileTest, WhatACrashLeftIsRemoved) {
  std::ofstream(directory_ / "snapshot.new") << "half";
  EXPECT_EQ(Read(), "none");
  EXPECT_TRUE(file_->RemoveHalf());
  EXPECT_FALSE(file_->RemoveHalf());
  EXPECT_THAT(Names(), testing::IsEmpty());
}

}  // namespace
}  // namespace gyre
