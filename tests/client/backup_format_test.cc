#include "client/shell/backup_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstring>

namespace gyre::client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr BackupId kId = {'\x01', '\xff', 'b', '\0', 'k', 'u', 'p', '-',
                          'i',    'd',    '0', '1',  '2', '3', '4', '5'};

// A file in memory, written and read as one on disk is.
struct MemoryFile {
  BackupId id = kId;
  std::uint32_t number = 1;
  std::string bytes = BackupFileHeader(kId, 1);
  BackupFileInfo info = {.name = BackupFileName(1)};
  std::vector<std::size_t> block_at;

  void AddBlock(const std::vector<Entry>& entries) {
    BackupBlock block;
    for (const Entry& entry : entries) block.Add(entry);
    info.keys += block.records();
    block_at.push_back(bytes.size());
    bytes += block.Seal(id, number, info.blocks++);
    info.bytes = bytes.size();
  }
};

struct Reading {
  std::vector<Entry> entries;
  std::vector<std::string> damages;
  std::uint32_t lost = 0;

  std::vector<std::string> keys() const {
    std::vector<std::string> keys;
    for (const Entry& entry : entries) keys.push_back(entry.key);
    return keys;
  }
};

// Reads everything that can be read.
Reading ReadFile(const MemoryFile& file) {
  const auto source = [&file](std::uint64_t offset, char* to,
                              std::size_t size) -> Result<std::size_t> {
    if (offset >= file.bytes.size()) return std::size_t{0};
    const std::size_t count = std::min<std::size_t>(size, file.bytes.size() - offset);
    std::memcpy(to, file.bytes.data() + offset, count);
    return count;
  };
  BackupFileReader reader(source, file.bytes.size(), file.id, file.number, file.info);
  Reading reading;
  // More steps than there can be: a reader that does not get on must not hang the test.
  for (int step = 0; step < 1000; ++step) {
    const Result<BackupFileReader::Step> next = reader.Next();
    EXPECT_TRUE(next);
    if (!next || *next == BackupFileReader::Step::kEnd) return reading;
    if (*next == BackupFileReader::Step::kDamage) {
      reading.damages.push_back(reader.damage());
      reading.lost += reader.lost();
      continue;
    }
    for (Entry& entry : reader.entries()) reading.entries.push_back(std::move(entry));
  }
  ADD_FAILURE() << "the reader does not come to an end";
  return reading;
}

// Three blocks of one record each.
MemoryFile ThreeBlocks() {
  MemoryFile file;
  file.AddBlock({{"first", "value 1", 0, 0}});
  file.AddBlock({{"second", std::string(100, 'x'), 7, 1'800'000'000'123}});
  file.AddBlock({{"third", std::string("\0\xff\n", 3), 0, 0}});
  return file;
}

TEST(BackupFormat, ReadsWhatWasWritten) {
  const Reading reading = ReadFile(ThreeBlocks());
  EXPECT_THAT(reading.damages, ElementsAre());
  ASSERT_EQ(reading.entries.size(), 3U);
  EXPECT_EQ(reading.entries[0], (Entry{"first", "value 1", 0, 0}));
  EXPECT_EQ(reading.entries[1], (Entry{"second", std::string(100, 'x'), 7, 1'800'000'000'123}));
  EXPECT_EQ(reading.entries[2], (Entry{"third", std::string("\0\xff\n", 3), 0, 0}));
}

TEST(BackupFormat, ABlockIsFullAfterAboutAMebibyte) {
  BackupBlock block;
  std::size_t count = 0;
  for (; !block.full(); ++count) block.Add({"key", std::string(1000, 'v'), 0, 0});
  EXPECT_NEAR(static_cast<double>(count), kBackupBlockBytes / 1012.0, 2);
}

RC_GTEST_PROP(BackupFormat, AnyRecordsComeBack, ()) {
  const auto bytes = rc::gen::container<std::string>(rc::gen::arbitrary<char>());
  MemoryFile file;
  std::vector<Entry> written;
  const auto blocks = *rc::gen::inRange(0, 5);
  for (int i = 0; i < blocks; ++i) {
    std::vector<Entry> entries;
    const auto count = *rc::gen::inRange(1, 6);
    for (int j = 0; j < count; ++j) {
      entries.push_back({*bytes, *bytes, *rc::gen::arbitrary<std::uint32_t>(),
                         *rc::gen::inRange<std::int64_t>(0, 4'000'000'000'000)});
    }
    file.AddBlock(entries);
    written.insert(written.end(), entries.begin(), entries.end());
  }
  const Reading reading = ReadFile(file);
  RC_ASSERT(reading.damages.empty());
  RC_ASSERT(reading.entries == written);
}

// ---- Damage -----------------------------------------------------------------------------------

TEST(BackupFormat, EachByteThatIsFlippedIsNoticed) {
  const MemoryFile whole = ThreeBlocks();
  for (std::size_t at = 0; at < whole.bytes.size(); ++at) {
    for (const char mask : {'\x01', '\x80', '\xff'}) {
      MemoryFile damaged = whole;
      damaged.bytes[at] = static_cast<char>(damaged.bytes[at] ^ mask);
      const Reading reading = ReadFile(damaged);
      ASSERT_FALSE(reading.damages.empty()) << "byte " << at;
      // All but the block that it hit are there, each as it was.
      const bool in_header = at < whole.block_at[0];
      ASSERT_EQ(reading.entries.size(), in_header ? 3U : 2U) << "byte " << at;
      ASSERT_EQ(reading.lost, in_header ? 0U : 1U) << "byte " << at;
      const std::vector<Entry> all = ReadFile(whole).entries;
      for (const Entry& entry : reading.entries) {
        ASSERT_NE(std::find(all.begin(), all.end(), entry), all.end()) << "byte " << at;
      }
    }
  }
}

TEST(BackupFormat, EachLengthThatIsTooShortIsNoticed) {
  const MemoryFile whole = ThreeBlocks();
  for (std::size_t bytes = 0; bytes < whole.bytes.size(); ++bytes) {
    MemoryFile torn = whole;
    torn.bytes.resize(bytes);
    const Reading reading = ReadFile(torn);
    ASSERT_FALSE(reading.damages.empty()) << bytes << " bytes";
    const auto left = std::count_if(whole.block_at.begin() + 1, whole.block_at.end(),
                                    [bytes](std::size_t end) { return end <= bytes; });
    ASSERT_EQ(reading.entries.size(), static_cast<std::size_t>(left)) << bytes << " bytes";
    ASSERT_EQ(reading.lost, 3U - static_cast<std::uint32_t>(left)) << bytes << " bytes";
  }
}

TEST(BackupFormat, SaysWhichBlockIsDamaged) {
  MemoryFile file = ThreeBlocks();
  file.bytes[file.block_at[1] + kBackupHeadBytes] ^= '\x01';
  EXPECT_THAT(ReadFile(file).damages,
              ElementsAre("data-000001.gyb: block 1 (at byte " + std::to_string(file.block_at[1]) +
                          ") does not have its checksum"));
}

TEST(BackupFormat, BytesBehindTheEndAreNoticed) {
  MemoryFile file = ThreeBlocks();
  file.bytes += "more";
  EXPECT_THAT(ReadFile(file).damages,
              ElementsAre("data-000001.gyb: the end is followed by 4 bytes"));
  EXPECT_EQ(ReadFile(file).entries.size(), 3U);
}

TEST(BackupFormat, ABlockThatIsMissingOrDoubledOrInAnotherPlaceIsNoticed) {
  const MemoryFile whole = ThreeBlocks();
  const auto block = [&whole](std::size_t i) {
    const std::size_t end = i + 1 < 3 ? whole.block_at[i + 1] : whole.bytes.size();
    return whole.bytes.substr(whole.block_at[i], end - whole.block_at[i]);
  };
  const std::string header = whole.bytes.substr(0, kBackupHeaderBytes);

  MemoryFile missing = whole;
  missing.bytes = header + block(0) + block(2);
  EXPECT_THAT(ReadFile(missing).keys(), ElementsAre("first", "third"));
  EXPECT_EQ(ReadFile(missing).lost, 1U);

  MemoryFile doubled = whole;
  doubled.bytes = header + block(0) + block(0) + block(1) + block(2);
  EXPECT_THAT(ReadFile(doubled).keys(), ElementsAre("first", "second", "third"));
  EXPECT_EQ(ReadFile(doubled).damages.size(), 1U);

  MemoryFile swapped = whole;
  swapped.bytes = header + block(1) + block(0) + block(2);
  EXPECT_FALSE(ReadFile(swapped).damages.empty());

  // Of another file of the same backup.
  MemoryFile other = whole;
  BackupBlock foreign;
  foreign.Add({"foreign", "", 0, 0});
  other.bytes = header + block(0) + foreign.Seal(kId, 2, 1) + block(2);
  EXPECT_THAT(ReadFile(other).keys(), ElementsAre("first", "third"));
}

TEST(BackupFormat, AFileOfAnotherBackupIsNotRead) {
  MemoryFile file = ThreeBlocks();
  file.id[0] = 'x';
  const Reading reading = ReadFile(file);
  EXPECT_TRUE(reading.entries.empty());
  EXPECT_EQ(reading.lost, 3U);
  ASSERT_FALSE(reading.damages.empty());
  EXPECT_THAT(reading.damages[0], HasSubstr("another backup"));
}

// Where a head is damaged, the next one is looked for: also in values, which may be blocks of another
// backup.
TEST(BackupFormat, AValueThatHoldsABackupIsNotTakenForOne) {
  MemoryFile other;
  other.id[0] = 'x';
  other.AddBlock({{"forged", "", 0, 0}});
  MemoryFile file;
  file.AddBlock({{"holds it", other.bytes, 0, 0}});
  file.AddBlock({{"behind", "", 0, 0}});
  file.bytes[file.block_at[0]] ^= '\x01';
  const Reading reading = ReadFile(file);
  EXPECT_THAT(reading.keys(), ElementsAre("behind"));
  EXPECT_EQ(reading.lost, 1U);
}

// ---- The manifest -----------------------------------------------------------------------------

BackupManifest SomeManifest() {
  return {.id = kId,
          .started_ms = 1'700'000'000'000,
          .finished_ms = 1'700'000'009'000,
          .match = "item:*",
          .keys = 12,
          .bytes = 345,
          .files = {{BackupFileName(1), 1000, 2, 7}, {BackupFileName(2), 600, 1, 5}}};
}

TEST(BackupManifest, ReadsWhatWasWritten) {
  const Result<BackupManifest> read = BackupManifest::Decode(SomeManifest().Encode());
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, SomeManifest());
}

TEST(BackupManifest, EachByteThatIsFlippedOrMissingIsNoticed) {
  const std::string whole = SomeManifest().Encode();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const char mask : {'\x01', '\x20', '\x80'}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ mask);
      ASSERT_FALSE(BackupManifest::Decode(damaged)) << "byte " << at << ": " << damaged;
    }
    ASSERT_FALSE(BackupManifest::Decode(whole.substr(0, at))) << at << " bytes";
  }
}

TEST(BackupManifest, AnotherFormatVersionIsNamed) {
  std::string text = SomeManifest().Encode();
  text.replace(text.find("\"version\": 1"), 12, "\"version\": 9");
  const Result<BackupManifest> read = BackupManifest::Decode(text);
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr("format version 9, this release reads 1"));
}

}  // namespace
}  // namespace gyre::client
