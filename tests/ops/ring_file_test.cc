#include "ops/ring_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

namespace gyre {
namespace {

using testing::HasSubstr;

NodeId Id(std::uint8_t number) {
  NodeId id;
  id.bytes[0] = number;
  return id;
}

RememberedMember Member(std::uint8_t number, const std::string& host) {
  return {{Id(number), "zone-a", 2, 7, false, false}, "n" + std::to_string(number), host, 7700};
}

class RingFileTest : public ::testing::Test {
 protected:
  RingFileTest() {
    directory_ = std::filesystem::temp_directory_path() /
                 ("gyre-ring-" + std::to_string(::getpid()) + "-" +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  ~RingFileTest() override { std::filesystem::remove_all(directory_); }

  RingFile Open(const std::string& cluster = "gyre", std::uint8_t self = 1) {
    return Open(reader_, cluster, self);
  }
  RingFile Open(FileWriter& writer, const std::string& cluster = "gyre", std::uint8_t self = 1) {
    return {directory_.string(), cluster, Id(self), writer};
  }
  void Keep(const RememberedRing& ring) {
    FileWriter writer;  // its end waits for the writing
    Open(writer).Keep(ring);
  }
  void Put(const std::string& text) { std::ofstream(directory_ / "ring") << text; }
  std::string Text() {
    std::ifstream file(directory_ / "ring");
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  std::filesystem::path directory_;
  FileWriter reader_;  // of those that only read
  const RememberedRing ring_{
      {Member(1, "10.0.0.1"), Member(2, "node-b.example"), Member(3, "::1")}};
};

TEST_F(RingFileTest, IsReadAsItWasKept) {
  RememberedRing ring = ring_;
  ring.members[1].entry.removed = true;
  ring.members[2].entry.removed = ring.members[2].entry.evicted = true;
  ring.members[0].entry.removed = ring.members[0].entry.drained = true;
  ring.members[1].entry.version_node = 255;
  ring.members[2].entry.zone = "";
  ring.members[0].entry.proof = std::string("\x00\xff a signature", 13);
  ring.members[2].name = "a name with\nblanks % and \xc3\xbc";
  Keep(ring);
  const auto read = Open().Read();
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_TRUE(read->has_value());
  EXPECT_EQ(**read, ring);
  EXPECT_EQ((*read)->others(Id(1)), 0U);
  EXPECT_EQ(ring_.others(Id(1)), 2U);
}

TEST_F(RingFileTest, TheNewestIsWhatStays) {
  {
    FileWriter writer;
    RingFile file = Open(writer);
    for (std::uint64_t revision = 1; revision <= 50; ++revision) {
      RememberedRing ring = ring_;
      ring.members[0].entry.revision = revision;
      file.Keep(ring);
    }
  }
  EXPECT_EQ((**Open().Read()).members[0].entry.revision, 50U);
}

TEST_F(RingFileTest, NothingIsRememberedAtFirst) {
  const auto read = Open().Read();
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->has_value());
}

TEST_F(RingFileTest, AnotherClustersRingIsForgotten) {
  Keep(ring_);
  const auto read = Open("other").Read();
  ASSERT_TRUE(read);
  EXPECT_FALSE(read->has_value());
}

TEST_F(RingFileTest, AnIdentityThatWasDeletedIsNotWaitedFor) {
  Keep(ring_);
  const auto read = Open("gyre", 9).Read();
  ASSERT_TRUE(read && read->has_value());
  EXPECT_EQ((*read)->members.size(), 2U);
  EXPECT_EQ((*read)->others(Id(9)), 2U);
}

// Cut anywhere, or with a byte changed: refused, or the same ring, never another.
TEST_F(RingFileTest, ADamagedFileIsRefused) {
  Keep(ring_);
  const std::string text = Text();
  for (std::size_t length = 0; length < text.size(); ++length) {
    Put(text.substr(0, length));
    const auto read = Open().Read();
    ASSERT_FALSE(read) << text.substr(0, length);
    EXPECT_THAT(read.error().message, HasSubstr("is damaged"));
  }
  for (const std::string bad : {"", "\n", "gyre-ring 1 gyre x\nend 0\n", "not a ring\nend 0\n"}) {
    Put(bad);
    EXPECT_FALSE(Open().Read()) << bad;
  }
  std::string changed = text;
  changed[text.find("present")] = 'q';
  Put(changed);
  EXPECT_THAT(Open().Read().error().message, HasSubstr("line 2"));
}

TEST_F(RingFileTest, ADiskThatFailsIsCountedAndTriedAgain) {
  std::filesystem::create_directories(directory_ / "ring");  // in the way of the file
  FileWriter writer;
  RingFile file = Open(writer);
  file.Keep(ring_);
  while (file.stats().failures == 0) std::this_thread::yield();
  std::filesystem::remove(directory_ / "ring");
  RememberedRing next = ring_;
  next.members.pop_back();
  file.Keep(next);  // at once, not after the wait between attempts
  while (file.stats().writes == 0) std::this_thread::yield();
  EXPECT_EQ(**Open().Read(), next);
}

}  // namespace
}  // namespace gyre
