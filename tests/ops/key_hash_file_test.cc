#include "ops/key_hash_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "support/key_hashes.h"

namespace gyre {
namespace {

class KeyHashFileTest : public ::testing::Test {
 protected:
  KeyHashFileTest() {
    directory_ = std::filesystem::temp_directory_path() /
                 ("gyre-key-hash-" + std::to_string(::getpid()) + "-" +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  ~KeyHashFileTest() override { std::filesystem::remove_all(directory_); }

  void Keep(std::shared_ptr<const KeyHash> hash) {
    FileWriter writer;  // its end waits for the writing
    KeyHashFile(directory_.string(), "gyre", writer).Keep(std::move(hash));
  }
  std::shared_ptr<const KeyHash> Read(const std::string& cluster = "gyre") {
    FileWriter writer;
    return KeyHashFile(directory_.string(), cluster, writer).Read();
  }
  std::string Path() const { return (directory_ / "key-hash").string(); }
  std::string KeptText() {
    std::ifstream file(Path());
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

  std::filesystem::path directory_;
};

TEST_F(KeyHashFileTest, IsReadAsItWasKept) {
  EXPECT_EQ(Read(), nullptr);
  for (std::uint64_t number = 1; number < 20; ++number) {
    Keep(TestKeyHash(number));
    const std::shared_ptr<const KeyHash> read = Read();
    ASSERT_NE(read, nullptr);
    EXPECT_EQ(read->id(), TestKeyHash(number)->id());
    EXPECT_EQ(read->secret(), TestKeyHash(number)->secret());
  }
  EXPECT_EQ(Read("another"), nullptr) << "of another cluster";
}

TEST_F(KeyHashFileTest, IsPrivate) {
  Keep(TestKeyHash(1));
  struct stat file {};
  ASSERT_EQ(::stat(Path().c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600U);
}

TEST_F(KeyHashFileTest, WhatIsDamagedIsNotUsed) {
  Keep(TestKeyHash(1));
  const std::string whole = KeptText();
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const auto read = ParseKeyHash(whole.substr(0, bytes));
    if (bytes < whole.size() - 1) {
      EXPECT_FALSE(read) << bytes;
    }
    if (!read) {
      EXPECT_THAT(read.error().message, testing::Not(testing::HasSubstr("%")));
    }
  }
  std::ofstream(Path()) << whole.substr(0, whole.size() / 2);
  EXPECT_EQ(Read(), nullptr);
  std::ofstream(Path()) << "gyre-key-hash 2 gyre 1 1 x\nend\n";
  EXPECT_EQ(Read(), nullptr);
}

}  // namespace
}  // namespace gyre
