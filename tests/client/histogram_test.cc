#include "client/shell/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "client/shell/zipf.h"

namespace gyre::client {
namespace {

TEST(HistogramTest, EveryValueLiesInItsBucket) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 100000; ++i) {
    const std::uint64_t value = random() >> (random() % 64);
    const std::size_t index = Histogram::IndexOf(value);
    ASSERT_LT(index, Histogram::kBuckets);
    ASSERT_LE(value, Histogram::UpperEnd(index));
    if (index > 0) {
      ASSERT_GT(value, Histogram::UpperEnd(index - 1));
    }
    ASSERT_LE(static_cast<double>(Histogram::UpperEnd(index) - value),
              static_cast<double>(value) / Histogram::kSubBuckets + 1);
  }
}

TEST(HistogramTest, TheLargestValueHasABucket) {
  EXPECT_LT(Histogram::IndexOf(~0ULL), Histogram::kBuckets);
  EXPECT_EQ(Histogram::UpperEnd(Histogram::IndexOf(~0ULL)), ~0ULL);
}

TEST(HistogramTest, PercentilesAreThoseOfTheSortedValues) {
  std::mt19937_64 random(5);
  Histogram histogram;
  std::vector<std::uint64_t> values;
  for (int i = 0; i < 20000; ++i) {
    values.push_back(random() % 1000000 + 1);
    histogram.Record(values.back());
  }
  std::sort(values.begin(), values.end());
  for (const double percent : {1.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    const auto rank = static_cast<std::size_t>(std::ceil(percent / 100 * 20000)) - 1;
    const auto exact = static_cast<double>(values[rank]);
    EXPECT_NEAR(static_cast<double>(histogram.Percentile(percent)), exact,
                exact / Histogram::kSubBuckets + 1)
        << percent;
  }
  EXPECT_EQ(histogram.Percentile(100), values.back());
}

TEST(HistogramTest, EmptyAndSingle) {
  Histogram histogram;
  EXPECT_EQ(histogram.Percentile(99), 0u);
  EXPECT_EQ(histogram.mean(), 0);
  histogram.Record(7);
  EXPECT_EQ(histogram.Percentile(0), 7u);
  EXPECT_EQ(histogram.Percentile(100), 7u);
}

TEST(HistogramTest, AddingIsRecordingAll) {
  Histogram a;
  Histogram b;
  Histogram both;
  for (std::uint64_t i = 1; i < 1000; ++i) {
    (i % 3 == 0 ? a : b).Record(i * i, 2);
    both.Record(i * i, 2);
  }
  a.Add(b);
  EXPECT_EQ(a.count(), both.count());
  EXPECT_EQ(a.max(), both.max());
  EXPECT_EQ(a.mean(), both.mean());
  for (int percent = 0; percent <= 100; ++percent) {
    EXPECT_EQ(a.Percentile(percent), both.Percentile(percent));
  }
}

class ZipfTest : public ::testing::TestWithParam<double> {};

TEST_P(ZipfTest, RanksComeAsOftenAsTheFormulaSays) {
  constexpr std::uint64_t kCount = 50;
  constexpr int kDraws = 200000;
  const double alpha = GetParam();
  const Zipf zipf(kCount, alpha);
  std::mt19937_64 random(11);
  std::map<std::uint64_t, int> seen;
  for (int i = 0; i < kDraws; ++i) {
    ++seen[zipf.Rank([&] { return static_cast<double>(random() >> 11) * 0x1.0p-53; })];
  }
  double all = 0;
  for (std::uint64_t rank = 1; rank <= kCount; ++rank) all += std::pow(rank, -alpha);
  EXPECT_GE(seen.begin()->first, 1u);
  EXPECT_LE(seen.rbegin()->first, kCount);
  for (std::uint64_t rank = 1; rank <= kCount; ++rank) {
    const double expected = kDraws * std::pow(rank, -alpha) / all;
    // Six standard deviations: the seed is fixed, so this cannot flake.
    EXPECT_NEAR(seen[rank], expected, 6 * std::sqrt(expected) + 1) << rank;
  }
}

INSTANTIATE_TEST_SUITE_P(Alphas, ZipfTest, ::testing::Values(0.5, 0.8, 0.99, 1.0, 1.2, 2.0));

TEST(ZipfTest, OneRankIsAlwaysThatOne) {
  const Zipf zipf(1, 0.99);
  for (const double point : {0.0, 0.5, 0.999999}) {
    EXPECT_EQ(zipf.Rank([&] { return point; }), 1u);
  }
}

}  // namespace
}  // namespace gyre::client
