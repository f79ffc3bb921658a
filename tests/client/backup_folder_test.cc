#include "client/shell/backup_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace gyre::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

class BackupFolder : public testing::Test {
 protected:
  BackupFolder() {
    std::string name = testing::TempDir() + "gyre-backup-XXXXXX";
    root_ = mkdtemp(name.data());
    folder_ = root_ + "/backup";
  }
  ~BackupFolder() override { std::filesystem::remove_all(root_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& file : std::filesystem::directory_iterator(folder_)) {
      names.push_back(file.path().filename());
    }
    return names;
  }
  std::unique_ptr<BackupWriter> Create(bool force = false, std::uint64_t file_bytes = 1 << 20) {
    auto writer = BackupWriter::Create(folder_, force, "*", counts_, file_bytes);
    if (writer) return std::move(*writer);
    error_ = writer.error().message;
    return nullptr;
  }
  static std::vector<Entry> Entries(int count, std::size_t value_bytes = 100) {
    std::vector<Entry> entries;
    for (int i = 0; i < count; ++i) {
      entries.push_back({"key" + std::to_string(i), std::string(value_bytes, 'v'), 0, 0});
    }
    return entries;
  }
  void WriteBackup(const std::vector<Entry>& entries, std::uint64_t file_bytes = 1 << 20) {
    counts_ = {};
    const auto writer = Create(true, file_bytes);
    ASSERT_NE(writer, nullptr) << error_;
    ASSERT_FALSE(writer->Write(entries));
    ASSERT_FALSE(writer->Finish());
  }
  // What it has; where it cannot be read, `error_` says why.
  std::vector<Entry> ReadBackup(bool skip_damaged = false) {
    error_.clear();
    counts_ = {};
    std::vector<Entry> entries;
    const auto reader = BackupReader::Open(folder_, skip_damaged, counts_);
    if (!reader) {
      error_ = reader.error().message;
      return entries;
    }
    while (true) {
      std::vector<Entry> batch;
      const Result<bool> more = (*reader)->Read(batch);
      if (!more) error_ = more.error().message;
      if (!more || !*more) return entries;
      entries.insert(entries.end(), batch.begin(), batch.end());
    }
  }
  void FlipByte(const std::string& name, std::size_t at) {
    std::fstream file(path(name), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const auto byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
    ASSERT_TRUE(file.good());
  }

  std::string root_;
  std::string folder_;
  std::string error_;
  TransferCounts counts_;
};

TEST_F(BackupFolder, ReadsWhatWasWritten) {
  const std::vector<Entry> entries = Entries(1000);
  WriteBackup(entries);
  EXPECT_THAT(Names(), UnorderedElementsAre("data-000001.gyb", "manifest.json"));
  EXPECT_EQ(ReadBackup(), entries);
  EXPECT_EQ(error_, "");
}

TEST_F(BackupFolder, AnEmptyRingIsABackupToo) {
  WriteBackup({});
  EXPECT_THAT(Names(), ElementsAre("manifest.json"));
  EXPECT_THAT(ReadBackup(), IsEmpty());
  EXPECT_EQ(error_, "");
}

TEST_F(BackupFolder, MuchGoesIntoSeveralFiles) {
  const std::vector<Entry> entries = Entries(40, 100'000);
  WriteBackup(entries, 1);
  EXPECT_THAT(Names(), UnorderedElementsAre("data-000001.gyb", "data-000002.gyb", "data-000003.gyb",
                                            "data-000004.gyb", "manifest.json"));
  EXPECT_EQ(ReadBackup(), entries);
}

TEST_F(BackupFolder, AFolderThatHasSomethingInItIsRefused) {
  WriteBackup(Entries(3));
  EXPECT_EQ(Create(), nullptr);
  EXPECT_THAT(error_, HasSubstr("has a backup in it"));
  EXPECT_THAT(error_, HasSubstr("--force"));
  // Forced: the old one goes, and nothing else would.
  ASSERT_NE(Create(true), nullptr);
  EXPECT_THAT(Names(), IsEmpty());
  std::ofstream(path("letters.txt")) << "mine";
  EXPECT_EQ(Create(true), nullptr);
  EXPECT_THAT(error_, HasSubstr("letters.txt"));
  EXPECT_THAT(Names(), ElementsAre("letters.txt"));
}

TEST_F(BackupFolder, OneThatWasNotFinishedIsRecognised) {
  {
    const auto writer = Create(false, 1);
    ASSERT_NE(writer, nullptr);
    ASSERT_FALSE(writer->Write(Entries(20, 100'000)));
    // As a crash leaves it: without the destructor.
    std::filesystem::copy(folder_, root_ + "/crashed");
  }
  EXPECT_THAT(Names(), IsEmpty());  // one that ends early removes what it wrote
  folder_ = root_ + "/crashed";
  EXPECT_THAT(ReadBackup(), IsEmpty());
  EXPECT_THAT(error_, HasSubstr("not finished"));
  EXPECT_EQ(Create(), nullptr);
  EXPECT_THAT(error_, HasSubstr("unfinished"));
  WriteBackup(Entries(2));
  EXPECT_EQ(ReadBackup(), Entries(2));
}

TEST_F(BackupFolder, AFolderWithoutABackupSaysSo) {
  std::filesystem::create_directory(folder_);
  EXPECT_THAT(ReadBackup(), IsEmpty());
  EXPECT_THAT(error_, HasSubstr("has no backup in it"));
  folder_ += "/none";
  EXPECT_THAT(ReadBackup(), IsEmpty());
  EXPECT_THAT(error_, HasSubstr("No such file"));
}

TEST_F(BackupFolder, DamageIsFoundBeforeAnythingIsRead) {
  WriteBackup(Entries(40, 100'000), 1);
  FlipByte("data-000002.gyb", kBackupHeaderBytes + kBackupHeadBytes + 50);
  std::filesystem::remove(path("data-000004.gyb"));
  const auto reader = BackupReader::Open(folder_, false, counts_);
  ASSERT_TRUE(reader);
  const std::optional<Error> damage = (*reader)->Verify();
  ASSERT_TRUE(damage);
  EXPECT_THAT(damage->message, HasSubstr("data-000002.gyb: block 0"));
  EXPECT_THAT(damage->message, HasSubstr("data-000004.gyb"));
  EXPECT_THAT(damage->message, HasSubstr("--skip-damaged"));
}

TEST_F(BackupFolder, DamagedBlocksCanBeLeftOut) {
  const std::vector<Entry> entries = Entries(40, 100'000);
  WriteBackup(entries, 1);
  FlipByte("data-000002.gyb", kBackupHeaderBytes + kBackupHeadBytes + 50);
  const std::vector<Entry> read = ReadBackup(/*skip_damaged=*/true);
  EXPECT_EQ(counts_.damaged_blocks, 1U);
  EXPECT_FALSE(counts_.complete());
  EXPECT_EQ(read.size(), 29U);  // eleven of 100,000 bytes make a block
  EXPECT_EQ(error_, "");
}

TEST_F(BackupFolder, ADamagedManifestIsRefused) {
  WriteBackup(Entries(3));
  FlipByte("manifest.json", 30);
  EXPECT_THAT(ReadBackup(), IsEmpty());
  EXPECT_THAT(error_, HasSubstr("manifest.json"));
}

}  // namespace
}  // namespace gyre::client
