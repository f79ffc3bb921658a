#include "proto/slot.h"

#include <gtest/gtest.h>

#include <string>

namespace gyre::testing {
namespace {

// Values of redis-server 7 (CLUSTER KEYSLOT).
TEST(SlotTest, IsThatOfRedisCluster) {
  const struct {
    std::string key;
    Slot slot;
  } cases[] = {
      {"", 0},
      {"a", 15495},
      {"foo", 12182},
      {"bar", 5061},
      {"hello", 866},
      {"123456789", 12739},
      {"{user1000}.following", 3443},
      {"user1000", 3443},
      {"foo{}{bar}", 8363},
      {"foo{{bar}}zap", 4015},
      {"foo{bar}{zap}", 5061},
      {"{open", 7674},
      {"key:0000000000000001", 6541},
      {"1234567", 1750},
      {"12345678", 4117},
      {std::string(1000, 'x'), 3195},
      {"\xe2\x82\xac", 1997},
  };
  for (const auto& [key, slot] : cases) EXPECT_EQ(SlotOf(key), slot) << key;
}

TEST(SlotTest, HashTagIsWhatStandsBetweenTheFirstBraces) {
  const struct {
    const char* key;
    const char* tag;
  } cases[] = {
      {"", ""},
      {"plain", "plain"},
      {"{user1000}.following", "user1000"},
      {"{user1000}.followers", "user1000"},
      {"foo{}{bar}", "foo{}{bar}"},
      {"foo{{bar}}zap", "{bar"},
      {"foo{bar}{zap}", "bar"},
      {"{open", "{open"},
      {"close}", "close}"},
      {"}{", "}{"},
      {"}a{b}", "b"},
      {"{}", "{}"},
      {"{{}", "{"},
  };
  for (const auto& [key, tag] : cases) EXPECT_EQ(HashTag(key), tag) << key;
}

TEST(SlotTest, KeysOfOneTagShareASlot) {
  EXPECT_EQ(SlotOf("{user1000}.following"), SlotOf("{user1000}.followers"));
  EXPECT_EQ(SlotOf("{user1000}.following"), SlotOf("user1000"));
  EXPECT_EQ(SlotOf("foo{bar}{zap}"), SlotOf("bar"));
  EXPECT_NE(SlotOf("foo{}{bar}"), SlotOf("bar"));
}

TEST(SlotTest, PartitionsAreRunsOfSlots) {
  for (std::uint32_t count = 1; count <= kSlotCount; count *= 2) {
    const std::uint32_t run = kSlotCount / count;
    EXPECT_EQ(PartitionOf(0, count), 0U);
    EXPECT_EQ(PartitionOf(static_cast<Slot>(run - 1), count), 0U);
    EXPECT_EQ(PartitionOf(kSlotCount - 1, count), count - 1);
    if (count > 1) {
      EXPECT_EQ(PartitionOf(static_cast<Slot>(run), count), 1U);
    }
  }
}

}  // namespace
}  // namespace gyre::testing
