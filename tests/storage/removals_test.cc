// Removals that all holders have: their tombstones go.
#include "storage/removals.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "storage/storage_fixture.h"

namespace gyre {
namespace {

TEST(Removals, ComeInTheOrderOfTheirVersions) {
  Removals removals;
  for (const Version version : {5, 3, 9, 3, 1, 7}) removals.Add({version, version});
  std::vector<Version> order;
  while (!removals.empty()) order.push_back(removals.Take().version);
  EXPECT_EQ(order, (std::vector<Version>{1, 3, 3, 5, 7, 9}));
}

class ForgettingTest : public StorageTest {
 protected:
  ForgettingTest() {
    KeepTombstones();
    SetRole(Role::kReplica);
  }
  void SetRole(Role role) {
    MutexLock lock(shard().mutex());
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      shard().SetRole(partition, role);
    }
  }
  Version Forget(std::string_view key, Version version, std::size_t removals_max = SIZE_MAX) {
    MutexLock lock(shard().mutex());
    return shard().ForgetRemovals(PartitionOfKey(key), version, removals_max);
  }
  // Keys of one partition.
  std::vector<std::string> Keys(std::size_t count) {
    std::vector<std::string> keys;
    for (std::size_t i = 0; i < count; ++i) keys.push_back("{k}" + std::to_string(i));
    return keys;
  }
};

TEST_F(ForgettingTest, WhatAllHaveGoesAndWhatIsNewerStays) {
  ASSERT_TRUE(Set("{k}stays", "v"));
  EXPECT_TRUE(Set("{k}a", "v") && Delete("{k}a"));
  EXPECT_FALSE(Delete("{k}was never here"));
  const Version all_have = NextVersion();
  EXPECT_FALSE(Delete("{k}b"));
  EXPECT_EQ(Forget("{k}", all_have), all_have);
  EXPECT_FALSE(Peek("{k}a"));
  EXPECT_FALSE(Peek("{k}was never here"));
  EXPECT_TRUE(Peek("{k}b").is_tombstone());
  EXPECT_EQ(Get("{k}stays"), "v");
  EXPECT_EQ(Stats().tombstones, 1u);
  EXPECT_EQ(Stats().tombstones_forgotten, 2u);
  EXPECT_EQ(Stats().tombstones_evicted, 0u);
  EXPECT_EQ(Info(PartitionOfKey("{k}")).newest_evicted, 0u) << "nothing was lost";
  ExpectBooksBalance();
}

TEST_F(ForgettingTest, WhatWasWrittenAgainStays) {
  EXPECT_FALSE(Delete("k"));
  ASSERT_TRUE(Set("k", "again"));
  EXPECT_NE(Forget("k", NextVersion()), 0u);
  EXPECT_EQ(Get("k"), "again");
  EXPECT_EQ(Stats().tombstones_forgotten, 0u);
  ExpectBooksBalance();
}

// Who comes with an older record comes too late; not where the copy is being filled, for there it is the
// owner who brings it.
TEST_F(ForgettingTest, NothingOlderIsTakenByAWholeCopy) {
  const Version before = NextVersion();
  EXPECT_FALSE(Delete("k"));
  Forget("k", NextVersion());
  ASSERT_FALSE(Peek("k"));
  EXPECT_FALSE(Apply({.key = "k", .value = "removed", .version = before}));
  EXPECT_EQ(Get("k"), "-");
  SetRole(Role::kWarming);
  EXPECT_TRUE(Apply({.key = "k", .value = "of the owner", .version = before}));
  SetRole(Role::kReplica);
  EXPECT_TRUE(Apply({.key = "k2", .value = "written since", .version = NextVersion()}));
}

TEST_F(ForgettingTest, OnlySoManyAtOnce) {
  for (const std::string& key : Keys(10)) EXPECT_FALSE(Delete(key));
  const Version last = NextVersion();
  const Version first = Forget("{k}", last, 4);
  EXPECT_LT(first, last);
  EXPECT_EQ(Stats().tombstones, 6u);
  EXPECT_EQ(Info(PartitionOfKey("{k}")).newest_forgotten, first);
  EXPECT_EQ(Forget("{k}", last, 100), last);
  EXPECT_EQ(Stats().tombstones, 0u);
  EXPECT_EQ(Forget("{k}", NextVersion(), 100), 0u) << "there is nothing to say";
}

TEST_F(ForgettingTest, WhatExpiresAfterAllHadItLeavesNothing) {
  SetRole(Role::kOwner);
  ASSERT_TRUE(Set("k", "v", 1000));
  EXPECT_FALSE(Delete("{k}other"));
  Forget("k", NextVersion());
  Pass(5000);
  Settle();
  EXPECT_EQ(Stats().expired, 1u);
  EXPECT_EQ(Stats().tombstones, 0u);
  ASSERT_TRUE(Set("k", "v", 1000));
  Pass(5000);
  Settle();
  EXPECT_EQ(Stats().tombstones, 1u) << "a copy may lack this one";
  Forget("k", NextVersion());
  EXPECT_EQ(Stats().tombstones, 0u);
  ExpectBooksBalance();
}

// Whatever the order in which copies came to have them.
TEST_F(ForgettingTest, CopiesThatForgotTheSameAreTheSame) {
  const std::vector<std::string> keys = Keys(50);
  const Version begin = NextVersion();
  const auto apply = [&](std::size_t i) {
    Apply({.key = keys[i], .version = begin + (i << 8), .tombstone = true});
  };
  for (std::size_t i = 0; i < 50; ++i) apply(i);
  Forget("{k}", begin + (30 << 8));
  const std::uint64_t digest = Info(PartitionOfKey("{k}")).digest;
  Drop(PartitionOfKey("{k}"));
  EXPECT_EQ(Info(PartitionOfKey("{k}")).newest_forgotten, 0u);
  SetRole(Role::kReplica);
  for (std::size_t i = 50; i > 0; --i) apply(i - 1);
  Forget("{k}", begin + (30 << 8));
  EXPECT_EQ(Info(PartitionOfKey("{k}")).digest, digest);
  EXPECT_EQ(Info(PartitionOfKey("{k}")).tombstones, 19u);
}

TEST_F(ForgettingTest, ADroppedOrFlushedPartitionHasNoneLeft) {
  for (const std::string& key : Keys(10)) EXPECT_FALSE(Delete(key));
  Flush(PartitionOfKey("{k}"), NextVersion());
  EXPECT_EQ(Forget("{k}", NextVersion()), 0u);
  ExpectBooksBalance();
}

// What finds no place in the list is remembered for --tombstone-ttl.
TEST_F(ForgettingTest, TheListIsBounded) {
  Open(8 * kMiB);
  KeepTombstones();
  SetRole(Role::kReplica);
  constexpr std::size_t kRemovals = 8 * kMiB / 256 / sizeof(Removal) + 100;
  for (const std::string& key : Keys(kRemovals)) EXPECT_FALSE(Delete(key));
  EXPECT_GE(Stats().tombstones_unlisted, 100u);
  const std::uint64_t unlisted = Stats().tombstones_unlisted;
  Forget("{k}", NextVersion());
  EXPECT_EQ(Stats().tombstones, unlisted);
  ExpectBooksBalance();
}

}  // namespace
}  // namespace gyre
