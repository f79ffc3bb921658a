#include "ops/identity.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "crypto/node_key.h"

namespace gyre {
namespace {

class IdentityTest : public ::testing::Test {
 protected:
  IdentityTest() {
    directory_ = std::filesystem::temp_directory_path() /
                 ("gyre-identity-" + std::to_string(::getpid()) + "-" +
                  testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(directory_);
  }
  ~IdentityTest() override { std::filesystem::remove_all(directory_); }

  // The lock outlives LoadIdentity on purpose; a copy of the file stands for the next life of the
  // process.
  std::filesystem::path NextLife() {
    const std::filesystem::path next = directory_.string() + "-next" + std::to_string(++lives_);
    std::filesystem::remove_all(next);
    std::filesystem::create_directories(next);
    std::filesystem::copy_file(directory_ / "identity", next / "identity");
    return next;
  }

  std::filesystem::path directory_;
  int lives_ = 0;
};

TEST_F(IdentityTest, WithoutADirectoryEachLifeIsANewNode) {
  const Result<Identity> first = LoadIdentity("", 1000);
  const Result<Identity> second = LoadIdentity("", 1000);
  ASSERT_TRUE(first && second);
  EXPECT_NE(first->id, second->id);
  EXPECT_EQ(first->incarnation, 1000u);
  EXPECT_FALSE(first->restored);
}

TEST_F(IdentityTest, TheIdSurvivesAndTheIncarnationGrows) {
  const Result<Identity> first = LoadIdentity(directory_.string(), 1000);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_FALSE(first->restored);
  const Result<Identity> second = LoadIdentity(NextLife().string(), 2000);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_TRUE(second->restored);
  EXPECT_EQ(second->id, first->id);
  EXPECT_EQ(second->incarnation, 2000u);
  EXPECT_EQ(second->seed, first->seed);
}

TEST_F(IdentityTest, TheIdIsThatOfTheKey) {
  const Result<Identity> first = LoadIdentity(directory_.string(), 1000);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(first->id, NodeKey(first->seed).id());
  const Result<Identity> passing = LoadIdentity("", 1000);
  EXPECT_EQ(passing->id, NodeKey(passing->seed).id());
}

TEST_F(IdentityTest, AnIdWithoutItsKeyIsDamaged) {
  std::filesystem::create_directories(directory_);
  const NodeKey key(NodeKey::DrawSeed());
  for (const std::string& rest :
       {std::string(), std::string(" abcd"), ' ' + std::string(64, '0')}) {
    std::ofstream(directory_ / "identity") << key.id().ToString() << " 12" << rest << '\n';
    const Result<Identity> identity = LoadIdentity(NextLife().string(), 1);
    ASSERT_FALSE(identity) << rest;
    EXPECT_NE(identity.error().message.find("is damaged"), std::string::npos);
  }
}

TEST_F(IdentityTest, AClockThatWentBackDoesNotTakeTheIncarnationAlong) {
  ASSERT_TRUE(LoadIdentity(directory_.string(), 5000));
  const Result<Identity> second = LoadIdentity(NextLife().string(), 10);
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->incarnation, 5001u);
}

TEST_F(IdentityTest, ASecondProcessOnTheDirectoryIsRefused) {
  ASSERT_TRUE(LoadIdentity(directory_.string(), 1));
  const Result<Identity> second = LoadIdentity(directory_.string(), 1);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("used by another gyred"), std::string::npos);
}

// Whoever can write into the directory would choose which file of this process's user is lost.
TEST_F(IdentityTest, IsNotWrittenThroughALink) {
  std::filesystem::create_directories(directory_);
  const std::filesystem::path victim = directory_.string() + "-victim";
  std::ofstream(victim) << "precious";
  std::filesystem::create_symlink(victim, directory_ / "identity.new");
  const Result<Identity> identity = LoadIdentity(directory_.string(), 1);
  EXPECT_TRUE(identity) << identity.error().message;
  std::string text;
  std::getline(std::ifstream(victim), text);
  EXPECT_EQ(text, "precious");
  EXPECT_TRUE(
      std::filesystem::is_regular_file(std::filesystem::symlink_status(directory_ / "identity")));
  std::filesystem::remove(victim);
}

TEST_F(IdentityTest, IsNotReadNorLockedThroughALink) {
  const std::filesystem::path elsewhere = directory_.string() + "-elsewhere";
  for (const char* name : {"identity", "lock"}) {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
    std::filesystem::remove(elsewhere);
    std::filesystem::create_symlink(elsewhere, directory_ / name);
    EXPECT_FALSE(LoadIdentity(directory_.string(), 1)) << name;
    EXPECT_FALSE(std::filesystem::exists(elsewhere)) << name;
  }
}

TEST_F(IdentityTest, ADamagedFileIsNamed) {
  std::filesystem::create_directories(directory_);
  std::ofstream(directory_ / "identity") << "not-a-uuid 12";
  const Result<Identity> identity = LoadIdentity(directory_.string(), 1);
  ASSERT_FALSE(identity);
  EXPECT_NE(identity.error().message.find("is damaged"), std::string::npos);
}

}  // namespace
}  // namespace gyre
