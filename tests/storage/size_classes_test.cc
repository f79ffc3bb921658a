#include "storage/size_classes.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

class SizeClassesTest : public ::testing::TestWithParam<std::size_t> {
 protected:
  SizeClasses classes_{GetParam()};
};

TEST_P(SizeClassesTest, SlotsFitTheirPage) {
  for (std::size_t id = 0; id < classes_.count(); ++id) {
    const SizeClass& size = classes_.at(static_cast<ClassId>(id));
    ASSERT_GE(size.slot_count, 1u);
    EXPECT_LE(size.first_offset + std::size_t{size.slot_count} * size.slot_bytes, GetParam());
    EXPECT_GE(std::size_t{size.first_offset} * 8, size.slot_count) << "the bitmap has a bit a slot";
    EXPECT_EQ(size.first_offset % 4, 0u);
    EXPECT_EQ(size.slot_bytes % 4, 0u);
  }
}

TEST_P(SizeClassesTest, EachSizeGetsTheSmallestSlotThatHoldsIt) {
  const std::size_t largest = classes_.at(classes_.Coarse(0)).slot_bytes;
  for (std::size_t bytes = 1; bytes <= largest; ++bytes) {
    const ClassId id = classes_.ForRecord(bytes);
    ASSERT_LT(id, classes_.record_run());
    ASSERT_GE(classes_.at(id).slot_bytes, bytes);
    if (id > 0) {
      ASSERT_LT(classes_.at(static_cast<ClassId>(id - 1)).slot_bytes, bytes);
    }
  }
  EXPECT_EQ(classes_.ForRecord(largest + 1), classes_.record_run());
}

TEST_P(SizeClassesTest, FineSlotsWasteLittle) {
  for (std::size_t bytes = 16; bytes <= classes_.fine_bytes_max(); ++bytes) {
    const std::size_t slot = classes_.at(classes_.ForRecord(bytes)).slot_bytes;
    EXPECT_LE(slot - bytes, bytes <= 64 ? 3 : bytes <= 192 ? 7 : bytes / 12) << bytes;
  }
}

TEST_P(SizeClassesTest, TablesAreWholeAlignedLines) {
  std::size_t lines = 1;
  for (; lines * kLineBytes < GetParam() - kLineBytes; ++lines) {
    const ClassId id = classes_.ForTable(lines);
    ASSERT_TRUE(classes_.IsTable(id));
    const SizeClass& size = classes_.at(id);
    EXPECT_GE(size.slot_bytes, lines * kLineBytes);
    EXPECT_EQ(size.slot_bytes % kLineBytes, 0u);
    EXPECT_EQ(size.first_offset % kLineBytes, 0u);
  }
  EXPECT_FALSE(classes_.IsTable(classes_.record_run()));
}

INSTANTIATE_TEST_SUITE_P(PageSizes, SizeClassesTest,
                         ::testing::Values(kPageBytesMin, 2 * kPageBytesMin, kPageBytesMax));

}  // namespace
}  // namespace gyre
