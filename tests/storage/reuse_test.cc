// Reuse distances: what is counted, and what is told of other memories.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <list>
#include <numeric>
#include <unordered_map>
#include <vector>

#include "base/prng.h"
#include "storage/storage_fixture.h"

namespace gyre {
namespace {

constexpr std::uint64_t kSecret = 0x9e3779b97f4a7c15;
constexpr std::size_t kRecordBytes = 100;

std::uint64_t HashOf(std::uint64_t key) {
  return KeyHash::Plain()({reinterpret_cast<const char*>(&key), sizeof key});
}

double SumOf(const std::array<double, ReuseHistogram::kBins>& counts) {
  return std::accumulate(counts.begin(), counts.end(), 0.0);
}

// An LRU cache, as the books have it, that tells a sampler what happens.
class LruCache {
 public:
  LruCache(std::size_t bytes, ReuseSampler* sampler)
      : records_max_(bytes / kRecordBytes), sampler_(sampler) {}

  // A look-aside read: what is missing is stored.
  void Read(std::uint64_t key) {
    ++reads_;
    const std::uint64_t hash = HashOf(key);
    const bool watched = sampler_ != nullptr && sampler_->Samples(hash);
    const auto found = places_.find(key);
    if (found != places_.end()) {
      ++hits_;
      order_.splice(order_.begin(), order_, found->second);
      if (watched) sampler_->OnHit(hash, kRecordBytes, 0);
      return;
    }
    if (watched) sampler_->OnMiss(hash);
    order_.push_front(key);
    places_[key] = order_.begin();
    if (watched) sampler_->OnUse(hash, kRecordBytes, 0);
    if (places_.size() <= records_max_) return;
    places_.erase(order_.back());
    order_.pop_back();
  }
  double HitRatio() const { return static_cast<double>(hits_) / static_cast<double>(reads_); }
  std::uint64_t reads() const { return reads_; }

 private:
  const std::size_t records_max_;
  ReuseSampler* const sampler_;
  std::list<std::uint64_t> order_;
  std::unordered_map<std::uint64_t, std::list<std::uint64_t>::iterator> places_;
  std::uint64_t reads_ = 0;
  std::uint64_t hits_ = 0;
};

// Keys by a Zipf law.
class ZipfKeys {
 public:
  ZipfKeys(std::size_t keys, double exponent) : shares_(keys) {
    double sum = 0;
    for (std::size_t i = 0; i < keys; ++i) {
      shares_[i] = sum += 1 / std::pow(static_cast<double>(i + 1), exponent);
    }
  }
  std::uint64_t Next() {
    const double at = prng_.Unit() * shares_.back();
    return static_cast<std::uint64_t>(std::lower_bound(shares_.begin(), shares_.end(), at) -
                                      shares_.begin());
  }

 private:
  std::vector<double> shares_;
  Prng prng_{11};
};

// ---- The histogram -----------------------------------------------------------------------------

ReuseHistogram StepOfLru() {
  ReuseHistogram histogram;
  for (std::size_t bin = 0; bin < ReuseHistogram::kBins; ++bin) {
    histogram.reads[bin] = 100;
    histogram.sampled += 100;
  }
  histogram.hits = 100 * static_cast<double>(ReuseHistogram::BinOf(1.0));
  histogram.all_reads = 2 * histogram.sampled;
  return histogram;
}

TEST(ReuseHistogramTest, OfAnLruMoreMemoryHitsWhatLiesJustBeyondTheStep) {
  const ReuseHistogram histogram = StepOfLru();
  // An octave has 16 bins of 100 reads.
  EXPECT_NEAR(histogram.HitsGained(2), 1600, 40);
  EXPECT_NEAR(histogram.HitsGained(std::sqrt(2.0)), 800, 40);
  EXPECT_NEAR(histogram.HitsGained(0.5), -1600, 40);
  EXPECT_EQ(histogram.HitsGained(1), 0);
}

TEST(ReuseHistogramTest, WhatIsAlwaysHitGainsAndLosesNothing) {
  ReuseHistogram histogram;
  for (std::size_t bin = 0; bin < ReuseHistogram::BinOf(0.4); ++bin) {
    histogram.reads[bin] = 10;
    histogram.hits += 10;
    histogram.sampled += 10;
  }
  EXPECT_NEAR(histogram.HitsGained(2), 0, 1e-9);
  EXPECT_NEAR(histogram.HitsGained(0.5), 0, 1e-9);
}

TEST(ReuseHistogramTest, WhatIsNotKnownCountsAsLostAndNeverAsGained) {
  ReuseHistogram histogram;
  histogram.unplaced_hits = 100;
  histogram.deep_hits = 40;
  histogram.sampled = 140;
  EXPECT_NEAR(histogram.HitsGained(0.75), -110, 1e-9);
  EXPECT_NEAR(histogram.HitsGained(1.5), 0, 1e-9);
}

TEST(ReuseHistogramTest, AnotherPolicyCountsAsAnLruThatHitsAsMuch) {
  ReuseHistogram histogram = StepOfLru();
  // An octave better than an LRU: its step is at twice the memory, and moves with it.
  histogram.hits += 1600;
  EXPECT_NEAR(histogram.HitsGained(0.5), -1600, 1e-6);
  // Its lead shrinks to nothing where all fits, at four times the memory.
  EXPECT_NEAR(histogram.HitsGained(2), 800, 1e-6);
  // Beyond what is read nothing is gained.
  histogram.reads = {};
  histogram.reads[ReuseHistogram::BinOf(1.1)] = 1000;
  histogram.hits = 700;
  EXPECT_NEAR(histogram.HitsGained(1.5), 300, 1e-6);
}

TEST(ReuseHistogramTest, ACurveIsReadBetweenItsPoints) {
  const HitCurve curve = CurveOf(StepOfLru());
  EXPECT_NEAR(curve.GainedAt(1), 0, 1e-9);
  EXPECT_NEAR(curve.GainedAt(2), 1600.0 / (2 * 11200), 0.003);
  EXPECT_GT(curve.GainedAt(1.5), curve.GainedAt(1.25));
  EXPECT_EQ(curve.GainedAt(100), curve.GainedAt(2)) << "it goes no farther";
  EXPECT_EQ(curve.GainedAt(-1), curve.GainedAt(0.5));
  EXPECT_EQ(CurveOf({}).GainedAt(2), 0) << "nothing was read";
}

// ---- The sampler -------------------------------------------------------------------------------

// Of all keys, as long as there are few: whatever happened before, the distances are exact, but for
// the order of those that were used just before.
TEST(ReuseSamplerTest, CountsDistancesAsAListOfAllKeysDoes) {
  constexpr std::size_t kMemory = 200 * kRecordBytes;
  ReuseSampler sampler(kMemory, kSecret);
  std::vector<std::pair<std::uint64_t, std::size_t>> stack;  // key, bytes; the latest first
  std::vector<double> reads;                                 // their distances, in memories
  double hits = 0;
  double unplaced = 0;
  Prng prng(3);
  for (int step = 0; step < 20'000; ++step) {
    const std::uint64_t key = prng.Below(60);
    const std::size_t bytes = 50 + key;
    const auto found = std::find_if(stack.begin(), stack.end(),
                                    [key](const auto& each) { return each.first == key; });
    const auto distance = [&] {
      std::size_t newer = 0;
      for (auto at = stack.begin(); at != found; ++at) newer += at->second;
      return static_cast<double>(newer + found->second) / kMemory;
    };
    switch (prng.Below(4)) {
      case 0:
        if (found != stack.end()) reads.push_back(distance());
        sampler.OnMiss(HashOf(key));
        break;
      case 1:
        if (found != stack.end()) {
          reads.push_back(distance());
          ++hits;
          stack.erase(found);
        } else {
          ++unplaced;
        }
        stack.insert(stack.begin(), {key, bytes});
        sampler.OnHit(HashOf(key), bytes, key % 3);
        break;
      case 2:
        if (found != stack.end()) stack.erase(found);
        stack.insert(stack.begin(), {key, bytes});
        sampler.OnUse(HashOf(key), bytes, key % 3);
        break;
      case 3:
        if (step % 97 == 0) {
          sampler.ForgetGroup(key % 3);
          reads.clear();
          hits = unplaced = 0;
          std::erase_if(stack, [key](const auto& each) { return each.first % 3 == key % 3; });
        } else {
          sampler.Forget(HashOf(key));
          if (found != stack.end()) stack.erase(found);
        }
        break;
    }
  }
  ASSERT_TRUE(sampler.CheckInvariants());
  EXPECT_EQ(sampler.keys(), stack.size());
  const ReuseHistogram counted = sampler.Histogram(0);
  EXPECT_EQ(SumOf(counted.reads), reads.size());
  double nearer = 0;
  for (std::size_t bin = 0; bin < ReuseHistogram::kBins; nearer += counted.reads[bin++]) {
    const auto below = [&](double shift) {
      return static_cast<double>(std::count_if(reads.begin(), reads.end(), [&](double distance) {
        return ReuseHistogram::BinOf(std::max(distance + shift, 0.0)) < bin;
      }));
    };
    EXPECT_GE(nearer, below(ReuseSampler::kYoung)) << bin;
    EXPECT_LE(nearer, below(-ReuseSampler::kYoung)) << bin;
  }
  EXPECT_EQ(counted.hits, hits);
  EXPECT_EQ(counted.unplaced_hits, unplaced);
}

TEST(ReuseSamplerTest, TakesNoMoreForAMillionKeys) {
  constexpr std::size_t kMemory = std::size_t{8} << 20;
  ReuseSampler sampler(kMemory, kSecret);
  const std::size_t places = kMemory / ReuseSampler::kMemoryAPlace;
  for (std::uint64_t key = 0; key < 1'000'000; ++key) {
    const std::uint64_t hash = HashOf(key);
    if (sampler.Samples(hash)) sampler.OnUse(hash, kRecordBytes, 0);
    ASSERT_LE(sampler.keys(), places);
  }
  EXPECT_TRUE(sampler.CheckInvariants());
  EXPECT_GE(sampler.keys(), places / 4) << "and makes use of its places";
  // They reach as far back as promised, and no farther.
  const double reach =
      static_cast<double>(sampler.keys() * kRecordBytes) / sampler.rate() / kMemory;
  EXPECT_NEAR(reach, ReuseSampler::kDepth, 0.02);
  EXPECT_LE(ReuseSampler::BytesFor(kMemory), kMemory / 256);
}

TEST(ReuseSamplerTest, KeysThatAreAllSampledStayWithinTheBound) {
  ReuseSampler sampler(std::size_t{1} << 30, kSecret);
  // Somebody knows the secret: the hashes are multiples of its inverse.
  std::uint64_t inverse = kSecret;
  for (int i = 0; i < 6; ++i) inverse *= 2 - kSecret * inverse;
  for (std::uint64_t key = 1; key < 50'000; ++key) {
    if (sampler.Samples(key * inverse)) sampler.OnUse(key * inverse, kRecordBytes, 0);
  }
  EXPECT_LE(sampler.keys(), ReuseSampler::kPlacesMax);
  EXPECT_TRUE(sampler.CheckInvariants());
}

TEST(ReuseSamplerTest, LargerRecordsMakeItWatchMoreKeys) {
  ReuseSampler sampler(std::size_t{8} << 20, kSecret);
  std::uint64_t key = 0;
  const auto write = [&](std::size_t count, std::size_t bytes) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t hash = HashOf(key++);
      if (sampler.Samples(hash)) sampler.OnUse(hash, bytes, 0);
    }
  };
  write(500'000, 100);
  const double rate = sampler.rate();
  write(50'000, 20'000);
  EXPECT_GT(sampler.rate(), 8 * rate);
  EXPECT_GE(sampler.keys(), 32U);
  EXPECT_TRUE(sampler.CheckInvariants());
}

TEST(ReuseSamplerTest, ForgetsWhatWasLongAgo) {
  ReuseSampler sampler(std::size_t{1} << 20, kSecret);
  UnixMillis now = kTestStart;
  sampler.Advance(now, 0);
  const std::uint64_t hash = HashOf(1);
  sampler.OnUse(hash, 100, 0);
  for (std::uint64_t i = 0; i < ReuseSampler::kHalfLifeReads; ++i) sampler.OnHit(hash, 100, 0);
  sampler.Advance(now += ReuseSampler::kHalfLifeMs - 1, 1000);
  EXPECT_EQ(sampler.Histogram(1000).reads[0], 128);
  EXPECT_EQ(sampler.Histogram(1010).all_reads, 1010) << "those since then count";
  sampler.Advance(now += 1, 1000);
  EXPECT_EQ(sampler.Histogram(1000).reads[0], 64);
  EXPECT_EQ(sampler.Histogram(1000).all_reads, 500);
  // Few reads keep their weight, however old.
  sampler.Advance(now += 100 * ReuseSampler::kHalfLifeMs, 1000);
  EXPECT_EQ(sampler.Histogram(1000).reads[0], 64);
}

// What it is for. Nobody sees more than one key in 26, and yet:
TEST(ReuseSamplerTest, SaysWhatAnLruOfAnotherSizeHits) {
  constexpr std::size_t kMemory = std::size_t{4} << 20;
  constexpr int kReads = 600'000;
  ReuseSampler sampler(kMemory, kSecret);
  LruCache cache(kMemory, &sampler);
  LruCache more(kMemory * 4 / 3, nullptr);
  LruCache less(kMemory * 3 / 4, nullptr);
  ZipfKeys keys(120'000, 0.8);
  for (int i = 0; i < kReads; ++i) {
    const std::uint64_t key = keys.Next();
    for (LruCache* each : {&cache, &more, &less}) each->Read(key);
  }
  ASSERT_LT(sampler.rate(), 1.0 / 16);
  const HitCurve curve = CurveOf(sampler.Histogram(cache.reads()));
  const double gained = more.HitRatio() - cache.HitRatio();
  const double lost = less.HitRatio() - cache.HitRatio();
  EXPECT_GT(gained, 0.03) << "else this shows nothing";
  // From some 85 keys that are in the cache, and twice as many ghosts.
  EXPECT_NEAR(curve.GainedAt(4.0 / 3), gained, 0.015);
  EXPECT_NEAR(curve.GainedAt(3.0 / 4), lost, 0.015);
}

// ---- In a shard --------------------------------------------------------------------------------

class ReuseInShardTest : public StorageTest {
 protected:
  // More records than are watched one by one never fit in here.
  ReuseInShardTest() { Open(2 * kMiB); }
  ReuseHistogram Reuse() {
    MutexLock lock(shard().mutex());
    return shard().reuse();
  }
};

TEST_F(ReuseInShardTest, AnEvictedKeyIsAGhost) {
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Set("k" + std::to_string(i), Pattern(30'000, 1)));
  int missed = 0;
  for (int i = 0; i < 100; ++i) missed += Get("k" + std::to_string(i)) == "-" ? 1 : 0;
  ASSERT_GT(missed, 20);
  const ReuseHistogram reuse = Reuse();
  EXPECT_EQ(SumOf(reuse.reads), 100);
  EXPECT_EQ(reuse.hits, 100 - missed);
  EXPECT_EQ(reuse.all_reads, 100);
  // All of it fits in twice the memory.
  EXPECT_NEAR(CurveOf(reuse).GainedAt(2), missed / 100.0, 0.1);
  ExpectBooksBalance();
}

TEST_F(ReuseInShardTest, WhatIsGoneForGoodIsNone) {
  ASSERT_TRUE(Set("deleted", "v"));
  ASSERT_TRUE(Set("expired", "v", 1000));
  ASSERT_TRUE(Set("expired and looked at", "v", 1000));
  ASSERT_TRUE(Set("forgotten", "v"));
  const std::string other = "moved away";
  ASSERT_TRUE(Set(other, "v"));
  Delete("deleted");
  {
    MutexLock lock(shard().mutex());
    const Version version = shard().Peek(KeyOf("forgotten")).version();
    ASSERT_TRUE(shard().Forget(KeyOf("forgotten"), version));
  }
  Pass(2000);
  EXPECT_EQ(Get("expired and looked at"), "-");
  Settle();
  Drop(PartitionOfKey(other));
  for (const char* key : {"deleted", "expired", "expired and looked at", "forgotten", "never"}) {
    EXPECT_EQ(Get(key), "-") << key;
  }
  EXPECT_EQ(Get(other), "-");
  EXPECT_EQ(SumOf(Reuse().reads), 0);
}

TEST_F(ReuseInShardTest, LooksThatAreNoReadsOfTheValueDoNotCount) {
  ASSERT_TRUE(Set("k", "v"));
  {
    MutexLock lock(shard().mutex());
    (void)shard().Find(KeyOf("k"), now_, Purpose::kWrite);
    (void)shard().Find(KeyOf("k"), now_, Purpose::kInspect);
  }
  EXPECT_EQ(SumOf(Reuse().reads), 0);
  EXPECT_EQ(Stats().reuse_reads, 0U);
  EXPECT_EQ(Get("k"), "v");
  EXPECT_EQ(Stats().reuse_reads, 1U);
  EXPECT_EQ(Stats().reuse_keys, 1U);
}

}  // namespace
}  // namespace gyre
