#include "base/memory_reserve.h"

#include <gtest/gtest.h>

#include <new>

namespace gyre {
namespace {

TEST(MemoryReserveTest, IsUsedOnceAndTakenAgain) {
  const std::new_handler before = std::get_new_handler();
  MemoryReserve::Install();
  const std::new_handler use = std::get_new_handler();
  ASSERT_NE(use, nullptr);
  const std::uint64_t used = MemoryReserve::used();
  use();  // as operator new does, which then tries again
  EXPECT_EQ(MemoryReserve::used(), used + 1);
  EXPECT_THROW(use(), std::bad_alloc);
  EXPECT_EQ(MemoryReserve::used(), used + 1);
  EXPECT_TRUE(MemoryReserve::Renew());
  use();
  EXPECT_EQ(MemoryReserve::used(), used + 2);
  std::set_new_handler(before);
}

}  // namespace
}  // namespace gyre
