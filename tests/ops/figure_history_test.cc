#include "ops/figure_history.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

TEST(FigureHistoryTest, KeepsTheNewestInTheirOrder) {
  FigureHistory history;
  EXPECT_TRUE(history.Points().empty());
  TimePoint now{};
  for (std::uint64_t i = 0; i < FigureHistory::kPoints + 7; ++i) {
    EXPECT_TRUE(history.Due(now));
    history.Add(now, {.recent = {.requests_per_second = static_cast<double>(i)}, .used_bytes = i});
    EXPECT_FALSE(history.Due(now + FigureHistory::kStep - std::chrono::milliseconds(1)));
    now += FigureHistory::kStep;
    if (i == 1) {
      ASSERT_EQ(history.Points().size(), 2U);
      EXPECT_EQ(history.Points()[1].used_bytes, 1U);
    }
  }
  const std::vector<FigurePoint> points = history.Points();
  ASSERT_EQ(points.size(), FigureHistory::kPoints);
  for (std::size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(points[i].used_bytes, i + 7);
    EXPECT_EQ(points[i].recent.requests_per_second, static_cast<double>(i + 7));
  }
}

}  // namespace
}  // namespace gyre
