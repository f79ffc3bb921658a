// The sampler finds what is asked for most, and forgets it.
#include "command/hot_keys.h"

#include <gtest/gtest.h>

#include <string>

namespace gyre {
namespace {

constexpr std::uint32_t kPartitions = 1024;
constexpr UnixMillis kBegin = 1'000'000;

class HotKeysTest : public ::testing::Test {
 protected:
  // `per_second` calls of the key in each second from `from` to `to`.
  void Call(const std::string& key, int per_second, UnixMillis from, UnixMillis to) {
    for (UnixMillis now = from; now < to; now += 1000) {
      for (int i = 0; i < per_second; ++i) {
        hot_.Saw(MakeKey(key, kPartitions, KeyHash::Plain()), now + 1000LL * i / per_second);
      }
    }
  }

  HotKeys hot_{7};
};

TEST_F(HotKeysTest, NothingWasAsked) { EXPECT_TRUE(hot_.Read(kBegin).empty()); }

TEST_F(HotKeysTest, TheHottestComesFirstWithAboutItsRate) {
  for (UnixMillis now = kBegin; now < kBegin + 20'000; now += 1000) {
    Call("hot", 30'000, now, now + 1000);
    Call("warm", 10'000, now, now + 1000);
    for (int i = 0; i < 20'000; ++i) {
      const UnixMillis at = now + i / 20;
      hot_.Saw(MakeKey("cold:" + std::to_string(i % 5000), kPartitions, KeyHash::Plain()), at);
    }
  }
  const std::vector<HotKey> keys = hot_.Read(kBegin + 20'000);
  ASSERT_GE(keys.size(), 2u);
  EXPECT_EQ(keys[0].key, "hot");
  EXPECT_NEAR(keys[0].per_second, 30'000, 5'000);
  EXPECT_EQ(keys[1].key, "warm");
  EXPECT_NEAR(keys[1].per_second, 10'000, 3'000);
  // None of the many stands out.
  for (std::size_t i = 2; i < keys.size(); ++i) EXPECT_LT(keys[i].per_second, 1'500) << keys[i].key;
}

TEST_F(HotKeysTest, WhatWasHotIsForgotten) {
  Call("hot", 10'000, kBegin, kBegin + 10'000);
  EXPECT_NEAR(hot_.Read(kBegin + 10'000).front().per_second, 10'000, 2'000);
  EXPECT_NEAR(hot_.Read(kBegin + 15'000).front().per_second, 5'000, 1'500) << "half of the window";
  EXPECT_TRUE(hot_.Read(kBegin + 10'000 + 2 * HotKeys::kWindow).empty());
  Call("new", 5'000, kBegin + 60'000, kBegin + 62'000);
  const std::vector<HotKey> keys = hot_.Read(kBegin + 62'000);
  ASSERT_EQ(keys.size(), 1u);
  EXPECT_EQ(keys[0].key, "new");
}

TEST_F(HotKeysTest, AClockThatIsSetBackBeginsAnew) {
  Call("hot", 10'000, kBegin, kBegin + 2'000);
  Call("later", 10'000, kBegin - 500'000, kBegin - 498'000);
  const std::vector<HotKey> keys = hot_.Read(kBegin - 498'000);
  ASSERT_EQ(keys.size(), 1u);
  EXPECT_EQ(keys[0].key, "later");
}

TEST_F(HotKeysTest, LongKeysAreCutAndToldApart) {
  const std::string common(HotKeys::kKeyBytesMax, 'k');
  Call(common + "1", 10'000, kBegin, kBegin + 2'000);
  Call(common + "2", 10'000, kBegin, kBegin + 2'000);
  Call(common, 10'000, kBegin, kBegin + 2'000);
  const std::vector<HotKey> keys = hot_.Read(kBegin + 2'000);
  ASSERT_EQ(keys.size(), 3u);
  int whole = 0;
  for (const HotKey& one : keys) {
    EXPECT_EQ(one.key, common);
    whole += one.whole ? 1 : 0;
  }
  EXPECT_EQ(whole, 1);
}

TEST(MergeHotKeysTest, LoopsAddUp) {
  const std::vector<HotKey> keys =
      Merge({{1, "a", true, 10}, {2, "b", true, 15}, {1, "a", true, 20}, {3, "c", true, 1}});
  ASSERT_EQ(keys.size(), 3u);
  EXPECT_EQ(keys[0].key, "a");
  EXPECT_EQ(keys[0].per_second, 30);
  EXPECT_EQ(keys[2].key, "c");
}

}  // namespace
}  // namespace gyre
