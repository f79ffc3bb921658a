#include "ops/stats_history.h"

#include <gtest/gtest.h>

namespace gyre {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

NodeFigures Figures(std::uint64_t requests, std::uint64_t used_bytes = 0) {
  NodeFigures figures;
  figures.server.requests = requests;
  figures.server.connections = 4;
  figures.storage.bytes_used = used_bytes;
  figures.commands = {{.calls = requests, .found = 1}};
  return figures;
}

TEST(StatsHistoryTest, CountersStartFromZeroAtAReset) {
  StatsHistory history;
  EXPECT_EQ(history.SinceReset(Figures(7)).server.requests, 7U);
  history.Reset(Figures(10, 100));
  const NodeFigures since = history.SinceReset(Figures(15, 90));
  EXPECT_EQ(since.server.requests, 5U);
  EXPECT_EQ(since.commands[0].calls, 5U);
  EXPECT_EQ(since.commands[0].found, 0U);
  EXPECT_EQ(since.server.connections, 4U) << "a gauge";
  EXPECT_EQ(since.storage.bytes_used, 90U) << "a gauge";
}

TEST(StatsHistoryTest, RatesAreOfTheLastSamples) {
  StatsHistory history;
  TimePoint now{};
  EXPECT_EQ(history.Rates().requests, 0);
  history.Sample(now, Figures(1000));
  EXPECT_EQ(history.Rates().requests, 0) << "of one sample";
  for (int i = 1; i <= 10; ++i) history.Sample(now += milliseconds(250), Figures(1000 + 50 * i));
  EXPECT_DOUBLE_EQ(history.Rates().requests, 200);
  // What lies longer back is forgotten.
  for (int i = 1; i <= 16; ++i) history.Sample(now += seconds(1), Figures(1500 + 10 * i));
  EXPECT_DOUBLE_EQ(history.Rates().requests, 10);
}

TEST(StatsHistoryTest, LoopsAreBusyForAPartOfTheirTime) {
  StatsHistory history;
  NodeFigures figures = Figures(0);
  figures.loops = 4;
  EXPECT_EQ(history.Rates().loops_busy, 0);
  history.Sample(TimePoint{}, figures);
  figures.loops_busy = seconds(3);
  history.Sample(TimePoint{} + seconds(1), figures);
  EXPECT_DOUBLE_EQ(history.Rates().loops_busy, 0.75);
}

TEST(StatsHistoryTest, ThePeakIsOfSamplesAndNow) {
  StatsHistory history;
  history.Sample({}, Figures(0, 500));
  EXPECT_EQ(history.UsedBytesPeak(300), 500U);
  EXPECT_EQ(history.UsedBytesPeak(700), 700U);
  EXPECT_EQ(history.UsedBytesPeak(300), 700U);
  history.Reset(Figures(0, 300));
  EXPECT_EQ(history.UsedBytesPeak(200), 300U);
}

}  // namespace
}  // namespace gyre
