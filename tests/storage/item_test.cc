#include "storage/item.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gyre {
namespace {

TEST(ItemTest, EveryShapeReadsBackAsWritten) {
  for (const std::size_t key_bytes : {0, 1, 255, 256, 65536}) {
    for (const std::size_t value_bytes : {0, 1, 255, 256, 65535, 65536}) {
      for (int options = 0; options < 8; ++options) {
        const bool expires = (options & 1) != 0;
        const bool flags = (options & 2) != 0;
        const bool tombstone = (options & 4) != 0;
        const ItemShape shape = PlainShape(key_bytes, value_bytes, expires, flags, tombstone);
        std::vector<char> slot(shape.slot_bytes());
        Item item(slot.data());
        item.WriteHeader(shape, 0x0123456789abcdef, 1'700'000'000'123, 0xdeadbeef);
        const std::string key(key_bytes, 'k');
        const std::string value(value_bytes, 'v');
        key.copy(item.key_space(), key.size());
        value.copy(item.value_space(), value.size());
        EXPECT_EQ(item.version(), 0x0123456789abcdefu);
        EXPECT_TRUE(item.key() == key);
        EXPECT_TRUE(item.inline_value() == value);
        EXPECT_EQ(item.value_bytes(), value_bytes);
        EXPECT_EQ(item.expiry(), expires ? 1'700'000'000'123 : kNeverExpires);
        EXPECT_EQ(item.flags(), flags ? 0xdeadbeef : 0u);
        EXPECT_EQ(item.is_tombstone(), tombstone);
        EXPECT_FALSE(item.is_chunk());
        EXPECT_EQ(item.first_chunk(), 0u);
        EXPECT_EQ(item.shape().slot_bytes(), shape.slot_bytes());
      }
    }
  }
}

TEST(ItemTest, OverheadIsAsDocumented) {
  EXPECT_EQ(PlainShape(13, 10, false, false, false).slot_bytes(), 34u);
  EXPECT_EQ(PlainShape(13, 256, false, false, false).slot_bytes(), 12u + 13 + 256);
  EXPECT_EQ(PlainShape(13, 10, true, true, false).slot_bytes(), 34u + 16 + 4);
}

TEST(ItemTest, UsesSaturateAndDisturbNothing) {
  char slot[64];
  Item item(slot);
  item.WriteHeader(PlainShape(1, 1, true, true, false), 7, 5, 9);
  const std::uint8_t bits = item.bits();
  for (int i = 0; i < 10; ++i) item.CountUse();
  EXPECT_EQ(item.uses(), kItemUsesMax);
  EXPECT_EQ(item.bits() & ~kItemUsesMask, bits);
  EXPECT_EQ(item.shape().bits, bits);
  item.set_uses(0);
  EXPECT_EQ(item.bits(), bits);
}

TEST(ItemTest, ExpiryIsInclusive) {
  char slot[64];
  Item item(slot);
  item.WriteHeader(PlainShape(1, 1, true, false, false), 7, 1000, 0);
  EXPECT_FALSE(item.IsExpired(999));
  EXPECT_TRUE(item.IsExpired(1000));
  item.WriteHeader(PlainShape(1, 1, false, false, false), 7, 0, 0);
  EXPECT_FALSE(item.IsExpired(1LL << 60));
}

}  // namespace
}  // namespace gyre
