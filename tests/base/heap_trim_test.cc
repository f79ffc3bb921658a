#include "base/heap_trim.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

constexpr std::size_t kMib = std::size_t{1} << 20;
constexpr TimePoint kTrimStart{std::chrono::hours(1)};

TEST(HeapTrimTest, IsDueOnceWhenMuchWasFreed) {
  HeapTrim trim;
  EXPECT_FALSE(trim.Due(kTrimStart, 50 * kMib));
  EXPECT_FALSE(trim.Due(kTrimStart, 43 * kMib));
  EXPECT_TRUE(trim.Due(kTrimStart, 42 * kMib));
  EXPECT_FALSE(trim.Due(kTrimStart + HeapTrim::kInterval, 42 * kMib));
  EXPECT_FALSE(trim.Due(kTrimStart + HeapTrim::kInterval, 35 * kMib));
  EXPECT_TRUE(trim.Due(kTrimStart + HeapTrim::kInterval, 20 * kMib));
}

TEST(HeapTrimTest, WaitsAWhileBeforeTheNext) {
  HeapTrim trim;
  EXPECT_FALSE(trim.Due(kTrimStart, 50 * kMib));
  EXPECT_TRUE(trim.Due(kTrimStart, 30 * kMib));
  EXPECT_FALSE(trim.Due(kTrimStart + HeapTrim::kInterval / 2, 0));
  EXPECT_TRUE(trim.Due(kTrimStart + HeapTrim::kInterval, 0));
}

}  // namespace
}  // namespace gyre
