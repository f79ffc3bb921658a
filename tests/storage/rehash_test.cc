// Records that come into the order of another hash while they are used (storage/shard_rehash.cc).
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/prng.h"
#include "storage/storage_fixture.h"
#include "support/colliding_keys.h"
#include "support/key_hashes.h"

namespace gyre {
namespace {

class RehashTest : public StorageTest {
 protected:
  void Use(std::uint64_t number) { ASSERT_TRUE(engine_->UseKeyHash(TestKeyHash(number))); }
  const KeyHash& HashOfPartition(PartitionId partition) {
    MutexLock lock(shard().mutex());
    return shard().key_hash(partition);
  }
  void FillTag(int records) {
    for (int i = 0; i < records; ++i) ASSERT_TRUE(Set("{t}" + std::to_string(i), "v"));
  }
  std::vector<std::string> WalkTag() { return Walk(PartitionOfKey("{t}"), 500); }
};

TEST_F(RehashTest, ThePlainHashIsThatOfTheReleaseBefore) {
  for (const std::size_t bytes : {0, 1, 8, 9, 16, 17, 128, 129, 240, 241, 5000}) {
    const std::string key = Pattern(bytes, 3);
    EXPECT_EQ(KeyHash::Plain()(key), XXH3_64bits(key.data(), key.size())) << bytes;
    EXPECT_NE(KeyHash::Plain()(key), (*TestKeyHash(1))(key)) << bytes;
    EXPECT_NE((*TestKeyHash(2))(key), (*TestKeyHash(1))(key)) << bytes;
  }
}

TEST_F(RehashTest, KeysBuiltToCollideDoNotUnderASecret) {
  std::set<std::uint64_t> hashes;
  for (std::uint32_t i = 0; i < 1000; ++i) hashes.insert((*TestKeyHash(1))(CollidingKey(i)));
  EXPECT_EQ(hashes.size(), 1000u);
}

TEST_F(RehashTest, AnEmptyPartitionHasTheNewHashAtOnce) {
  FillTag(1);
  Use(1);
  const PartitionId full = PartitionOfKey("{t}");
  EXPECT_EQ(&HashOfPartition(full), &KeyHash::Plain());
  EXPECT_EQ(HashOfPartition((full + 1) % kPartitions).id(), TestKeyHash(1)->id());
  Settle();
  EXPECT_EQ(HashOfPartition(full).id(), TestKeyHash(1)->id());
  EXPECT_EQ(Get("{t}0"), "v");
}

TEST_F(RehashTest, AStepIsOneSegment) {
  constexpr int kRecords = 20'000;
  FillTag(kRecords);
  Use(1);
  int ticks = 0;
  while (HashOfPartition(PartitionOfKey("{t}")).is_plain()) {
    const std::uint64_t before = Stats().rehashed;
    Tick(1);
    EXPECT_LE(Stats().rehashed - before, kSegmentBucketsMax * kBucketEntries);
    if (ticks++ % 4 == 0) ExpectBooksBalance();
    EXPECT_EQ(Get("{t}" + std::to_string(ticks)), "v");
  }
  EXPECT_GE(ticks, 16);
  EXPECT_EQ(Stats().rehashed, kRecords + 0u);
  ExpectBooksBalance();
  const std::vector<std::string> keys = WalkTag();
  EXPECT_EQ(keys.size(), kRecords + 0u);
  const KeyHash& hash = HashOfPartition(PartitionOfKey("{t}"));
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end(),
                             [&hash](const auto& a, const auto& b) { return hash(a) < hash(b); }));
  for (int i = 0; i < kRecords; ++i) ASSERT_EQ(Get("{t}" + std::to_string(i)), "v");
}

// Whoever hashed a key before the partition changed uses it afterwards, and the other way round.
TEST_F(RehashTest, KeysOfEitherHashAreFound) {
  FillTag(100);
  const Key before = KeyOf("{t}7");
  Use(1);
  const Key early = KeyOf("{t}7");
  EXPECT_NE(before.hash, early.hash);
  const auto find = [&](const Key& key) {
    MutexLock lock(shard().mutex());
    return static_cast<bool>(shard().Find(key, now_));
  };
  EXPECT_TRUE(find(before));
  EXPECT_TRUE(find(early));
  Settle();
  EXPECT_TRUE(find(before));
  EXPECT_TRUE(find(early));
  {
    MutexLock lock(shard().mutex());
    ASSERT_TRUE(shard().Store(before, "w", kNeverExpires, 0, shard().NextVersion(now_)));
    EXPECT_EQ(ValueOf(shard().Peek(before)), "w");
    ASSERT_TRUE(shard().SetExpiry(before, now_ + 1000, shard().NextVersion(now_), now_));
    EXPECT_TRUE(shard().Remove(before, shard().NextVersion(now_), now_));
  }
  EXPECT_FALSE(find(early));
  EXPECT_EQ(Info(PartitionOfKey("{t}")).records, 99u) << "none is there twice";
  ExpectBooksBalance();
}

// The digest is what two nodes compare: it must not tell by which way they came to the secret.
TEST_F(RehashTest, TheDigestIsThatOfACopyThatNeverHadAnother) {
  FillTag(3000);
  const PartitionId partition = PartitionOfKey("{t}");
  const std::uint64_t plain = Info(partition).digest;
  Use(1);
  Settle();
  const std::uint64_t rehashed = Info(partition).digest;
  EXPECT_NE(plain, rehashed);
  std::uint64_t expected = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string key = "{t}" + std::to_string(i);
    expected += MixDigest((*TestKeyHash(1))(key), Peek(key).version());
  }
  EXPECT_EQ(rehashed, expected);
}

TEST_F(RehashTest, AnotherSecretBeforeTheFirstIsThrough) {
  FillTag(10'000);
  Use(1);
  Tick(1);
  ExpectBooksBalance();
  Use(2);
  ExpectBooksBalance();
  Settle();
  EXPECT_EQ(HashOfPartition(PartitionOfKey("{t}")).id(), TestKeyHash(2)->id());
  EXPECT_EQ(WalkTag().size(), 10'000u);
  ExpectBooksBalance();
}

TEST_F(RehashTest, APartitionIsDroppedMeanwhile) {
  FillTag(10'000);
  Use(1);
  Tick(1);
  Drop(PartitionOfKey("{t}"));
  ExpectBooksBalance();
  FillTag(10);
  Settle();
  EXPECT_EQ(WalkTag().size(), 10u);
  ExpectBooksBalance();
}

// Where memory is full, the second index takes the place of records, as a growing one does.
TEST_F(RehashTest, AFullShardEvictsForTheNewIndex) {
  Open(2 * kMiB);
  FillTag(120'000);
  const std::uint64_t evicted = Stats().evicted;
  ASSERT_GT(evicted, 0u);
  Use(1);
  for (int i = 0; i < 2000 && HashOfPartition(PartitionOfKey("{t}")).is_plain(); ++i) {
    Tick(1);
    FillTag(3);
    if (i % 16 == 0) ExpectBooksBalance();
  }
  EXPECT_FALSE(HashOfPartition(PartitionOfKey("{t}")).is_plain());
  ExpectBooksBalance();
  EXPECT_EQ(WalkTag().size(), Info(PartitionOfKey("{t}")).records);
}

// Everything that may happen to records, while the hash changes again and again.
RC_GTEST_FIXTURE_PROP(RehashTest, NothingIsLostOrDoubled, (std::uint64_t seed)) {
  Prng prng(seed);
  const bool tight = prng.Chance(0.4);
  Open(tight ? 2 * kMiB : 64 * kMiB);
  KeepTombstones();
  std::map<std::string, std::string> model;
  const std::uint64_t keys = prng.Chance(0.5) ? 500 : 6000;
  const std::string long_value = Pattern(tight ? 400 : 20, 1);
  std::uint64_t hashes = 0;
  for (int i = 0; i < 12'000; ++i) {
    const auto number = static_cast<std::uint32_t>(prng.Below(keys));
    const std::string key = number % 3 == 0 ? CollidingKey(number) : "{t}" + std::to_string(number);
    switch (prng.Below(16)) {
      case 0:
        Tick(1 + prng.Below(300));
        break;
      case 1:
        Delete(key);
        model.erase(key);
        break;
      case 2:
        if (prng.Below(100) == 0 && hashes < Engine::kKeyHashesMax) Use(++hashes);
        break;
      case 3:
        if (prng.Below(1000) == 0) {
          Drop(PartitionOfKey("{t}"));
          std::erase_if(model, [](const auto& entry) { return entry.first.starts_with("{t}"); });
          KeepTombstones();
        }
        break;
      case 4:
        if (Expire(key, now_ + 1'000'000)) RC_ASSERT(tight || model.contains(key));
        break;
      case 5: {
        const std::string found = Get(key);
        const auto expected = model.find(key);
        if (!tight) RC_ASSERT(found == (expected == model.end() ? "-" : expected->second));
        if (found != "-") RC_ASSERT(expected != model.end() && expected->second == found);
        break;
      }
      default:
        RC_ASSERT(Set(key, model[key] = long_value.substr(0, prng.Below(long_value.size() + 1))));
    }
    if (i % 1500 == 1499) {
      MutexLock lock(shard().mutex());
      RC_ASSERT(shard().CheckInvariants());
    }
  }
  Settle();
  for (PartitionId partition = 0; partition < kPartitions; ++partition) {
    RC_ASSERT(&HashOfPartition(partition) == &engine_->key_hash());
  }
  std::size_t walked = 0;
  for (const PartitionId partition : {PartitionOfKey("{t}"), PartitionOfKey(CollidingKey(0))}) {
    const std::vector<std::string> found = Walk(partition, 100);
    RC_ASSERT(std::set<std::string>(found.begin(), found.end()).size() == found.size());
    walked += found.size();
  }
  RC_ASSERT(tight || walked >= model.size());  // and tombstones
}

}  // namespace
}  // namespace gyre
