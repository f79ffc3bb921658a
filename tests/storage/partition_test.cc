#include "storage/partition.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "storage/key.h"
#include "storage/storage_fixture.h"
#include "support/colliding_keys.h"

namespace gyre {
namespace {

// An index whose records and segments stand in one plain block of memory, which is never reused. It
// grows as the shard's do.
class Index {
 public:
  explicit Index(std::size_t bytes) : memory_(bytes) {
    void* at = memory_.data();
    std::size_t space = memory_.size();
    space_ = {static_cast<char*>(std::align(sizeof(Bucket), sizeof(Bucket), at, space)), 4711};
  }

  Ref NewRecord(std::string_view key) {
    const Ref ref = Take(48);
    Item item(space_.At(ref));
    item.WriteHeader(PlainShape(key.size(), 0, false, false, false), 1, 0, 0);
    key.copy(item.key_space(), key.size());
    return ref;
  }
  SegmentLink NewSegment(std::uint32_t buckets) {
    const std::uint32_t most = std::min(buckets, kSegmentBucketsMax);
    const Ref ref = Take(most * sizeof(Bucket));
    std::memset(space_.At(ref), 0xee, most * sizeof(Bucket));
    return {.at = ref, .buckets = static_cast<std::uint16_t>(most)};
  }
  PartitionIndex::Leaf LeafOf(std::string_view key) {
    return index_.LeafOf(key, KeyHash::Plain()(key), space_);
  }
  void Grow(const PartitionIndex::Leaf& leaf, std::uint32_t buckets) {
    const SegmentLink fresh = NewSegment(buckets);
    PartitionIndex::Rebuild(leaf, fresh.at, fresh.buckets, space_);
  }
  void Split(const PartitionIndex::Leaf& leaf) {
    std::array<SegmentLink, kBranchLinks> links;
    PartitionIndex::Hashes hashes;
    const PartitionIndex::Parts parts = PartitionIndex::CountParts(leaf, hashes, space_);
    for (std::size_t part = 0; part < kBranchLinks; ++part) {
      if (parts[part] > 0) links[part] = NewSegment(PartitionIndex::BucketsFor(parts[part]));
    }
    PartitionIndex::Split(leaf, hashes, Take(sizeof(Branch)), links, space_);
  }
  void MakeRoomFor(std::string_view key) {
    for (;;) {
      const PartitionIndex::Leaf leaf = LeafOf(key);
      if (PartitionIndex::IsCrowded(leaf, key, KeyHash::Plain()(key), space_)) {
        Split(leaf);
      } else if (leaf.link->records < PartitionIndex::ComfortableSize(leaf.link->buckets)) {
        return;
      } else if (leaf.link->buckets == kSegmentBucketsMax) {
        Split(leaf);
      } else {
        Grow(leaf, leaf.link->buckets * 4 / 3 + 1);
      }
    }
  }
  Ref Insert(std::string_view key) {
    MakeRoomFor(key);
    const Ref ref = NewRecord(key);
    index_.Insert(KeyHash::Plain()(key), ref, space_);
    return ref;
  }
  void Erase(std::string_view key) { index_.Erase(KeyHash::Plain()(key), Find(key), space_); }
  Ref Find(std::string_view key) const { return index_.Find(key, KeyHash::Plain()(key), space_); }
  // All records, as a walk over the leaves meets them.
  std::vector<Ref> All() {
    std::vector<Ref> all;
    index_.ForEachLeaf(space_, [&](const PartitionIndex::Leaf& leaf) {
      for (std::uint32_t home = 0; home < leaf.link->buckets; ++home) {
        PartitionIndex::ForEachOfHome(leaf, home, space_,
                                      [&](std::uint64_t, Ref ref) { all.push_back(ref); });
      }
    });
    return all;
  }
  int DepthMax() {
    int depth = 0;
    index_.ForEachLeaf(
        space_, [&](const PartitionIndex::Leaf& leaf) { depth = std::max(depth, leaf.depth); });
    return depth;
  }
  bool Holds() const { return index_.CheckInvariants(space_); }

  PartitionIndex& index() { return index_; }
  const IndexSpace& space() const { return space_; }

 private:
  Ref Take(std::size_t bytes) {
    used_ += (bytes + sizeof(Bucket) - 1) / sizeof(Bucket) * sizeof(Bucket);
    EXPECT_LT(used_, memory_.size() - sizeof(Bucket)) << "the test needs more memory";
    return static_cast<Ref>(
        (used_ - (bytes + sizeof(Bucket) - 1) / sizeof(Bucket) * sizeof(Bucket)) / kGranuleBytes);
  }

  std::vector<char> memory_;
  std::size_t used_ = sizeof(Bucket);  // place 0 is none
  IndexSpace space_;
  PartitionIndex index_;
};

TEST(PartitionIndexTest, EmptyFindsNothing) {
  Index index(kMiB);
  EXPECT_EQ(index.Find("k"), 0u);
  EXPECT_TRUE(index.index().is_bare());
  EXPECT_FALSE(index.index().Contains(1, index.NewRecord("k"), index.space()));
  index.index().Prefetch(1, index.space());
  index.index().PrefetchRecords(1, index.space());
  EXPECT_TRUE(index.All().empty());
  EXPECT_TRUE(index.Holds());
}

TEST(PartitionIndexTest, ASegmentFillsToTheLastEntry) {
  Index index(kMiB);
  index.Grow(index.LeafOf(""), 20);
  std::vector<std::string> keys;
  while (keys.size() < 20 * kBucketEntries) {
    keys.push_back("key" + std::to_string(keys.size()));
    index.index().Insert(KeyHash::Plain()(keys.back()), index.NewRecord(keys.back()),
                         index.space());
  }
  EXPECT_TRUE(index.Holds());
  for (const std::string& key : keys) EXPECT_NE(index.Find(key), 0u);
  for (const std::string& key : keys) index.Erase(key);
  EXPECT_EQ(index.index().size(), 0u);
  EXPECT_TRUE(index.Holds());
}

TEST(PartitionIndexTest, AComfortableSegmentSpillsLittle) {
  Index index(4 * kMiB);
  index.Grow(index.LeafOf(""), kSegmentBucketsMax);
  const PartitionIndex::Leaf leaf = index.LeafOf("");
  for (int i = 0; leaf.link->records < PartitionIndex::ComfortableSize(leaf.link->buckets); ++i) {
    const std::string key = "key" + std::to_string(i);
    index.index().Insert(KeyHash::Plain()(key), index.NewRecord(key), index.space());
  }
  std::size_t away = 0;
  for (std::uint32_t bucket = 0; bucket < leaf.link->buckets; ++bucket) {
    for (std::uint32_t entry = 0; entry < kBucketEntries; ++entry) {
      const Ref ref = PartitionIndex::At(leaf, bucket, entry, index.space());
      if (ref == 0) continue;
      away += PartitionIndex::HomeOf(leaf, {index.index().HashOf(ref, index.space()), 0}) != bucket;
    }
  }
  EXPECT_LT(away, index.index().size() / 5);
}

TEST(PartitionIndexTest, AFullSegmentBecomesABranch) {
  Index index(32 * kMiB);
  std::map<std::string, Ref> model;
  for (int i = 0; i < 60000; ++i) {
    const std::string key = "key" + std::to_string(i);
    model[key] = index.Insert(key);
  }
  EXPECT_EQ(index.DepthMax(), 2) << "16^2 segments hold them, 16 do not";
  EXPECT_TRUE(index.Holds());
  for (const auto& [key, ref] : model) ASSERT_EQ(index.Find(key), ref);
  const std::vector<Ref> all = index.All();
  EXPECT_EQ(all.size(), model.size());
  int segments = 0;
  int filled = 0;
  index.index().ForEachLeaf(index.space(), [&](const PartitionIndex::Leaf& leaf) {
    ++segments;
    filled += leaf.link->records * 10 >= leaf.link->buckets * kBucketEntries * 6;
  });
  EXPECT_EQ(segments, 256);
  EXPECT_GT(filled, 250) << "a part is made as large as its records need";
}

// However many keys have one hash: each is found, and no home holds more than a few of them.
TEST(PartitionIndexTest, KeysOfOneHashDivideByTheSecret) {
  Index index(32 * kMiB);
  constexpr std::uint32_t kKeys = 20000;
  std::vector<Ref> refs;
  for (std::uint32_t i = 0; i < kKeys; ++i) refs.push_back(index.Insert(CollidingKey(i)));
  ASSERT_EQ(KeyHash::Plain()(CollidingKey(0)), KeyHash::Plain()(CollidingKey(kKeys - 1)));
  EXPECT_GT(index.DepthMax(), PartitionIndex::kHashDepth);
  EXPECT_TRUE(index.Holds());
  for (std::uint32_t i = 0; i < kKeys; ++i) ASSERT_EQ(index.Find(CollidingKey(i)), refs[i]);
  std::vector<Ref> all = index.All();
  const auto place = [&](Ref ref) { return index.space().PlaceWithin(index.space().KeyOf(ref)); };
  EXPECT_EQ(all.size(), kKeys);
  // From one segment to the next in order.
  WalkPosition at;
  std::uint32_t last = 0;
  do {
    const PartitionIndex::Leaf leaf = index.index().LeafAt(at, index.space());
    std::uint32_t most = last;
    PartitionIndex::ForEach(leaf, index.space(), [&](Ref ref) {
      EXPECT_GE(place(ref), last);
      most = std::max(most, place(ref));
    });
    last = most;
    at = leaf.end;
  } while (!at.is_end());
  for (std::uint32_t i = 0; i < kKeys; ++i) index.Erase(CollidingKey(i));
  EXPECT_EQ(index.index().size(), 0u);
  EXPECT_TRUE(index.Holds());
}

TEST(PartitionIndexTest, LeavesCoverAllPositionsInOrder) {
  Index index(32 * kMiB);
  for (int i = 0; i < 3000; ++i) index.Insert("key" + std::to_string(i));
  for (std::uint32_t i = 0; i < 3000; ++i) index.Insert(CollidingKey(i));
  WalkPosition at;
  std::size_t found = 0;
  for (int leaves = 0; leaves < 10000; ++leaves) {
    const PartitionIndex::Leaf leaf = index.index().LeafAt(at, index.space());
    EXPECT_EQ(PartitionIndex::HomeOf(leaf, at), 0u) << "a leaf begins where the last one ends";
    PartitionIndex::ForEach(leaf, index.space(), [&](Ref ref) {
      const std::uint64_t hash = index.index().HashOf(ref, index.space());
      const WalkPosition position{hash, index.space().PlaceWithin(index.space().KeyOf(ref))};
      EXPECT_LE(at, position);
      if (!leaf.end.is_end()) {
        EXPECT_LT(position, leaf.end);
      }
      ++found;
    });
    at = leaf.end;
    if (at.is_end()) break;
  }
  EXPECT_TRUE(at.is_end());
  EXPECT_EQ(found, 6000u);
}

TEST(PartitionIndexTest, ABranchThatEmptiedMerges) {
  Index index(16 * kMiB);
  for (int i = 0; i < 3000; ++i) index.Insert("key" + std::to_string(i));
  ASSERT_EQ(index.DepthMax(), 1);
  for (int i = 100; i < 3000; ++i) index.Erase("key" + std::to_string(i));
  const PartitionIndex::Leaf leaf = index.LeafOf("");
  ASSERT_EQ(PartitionIndex::RecordsOfBranch(leaf), 100u);
  EXPECT_FALSE(PartitionIndex::IsLopsided(leaf));
  const SegmentLink merged = index.NewSegment(PartitionIndex::BucketsFor(100));
  const PartitionIndex::Freed freed =
      PartitionIndex::Merge(leaf, merged.at, merged.buckets, index.space());
  EXPECT_EQ(std::count(freed.begin(), freed.end(), 0u), 0);
  EXPECT_EQ(index.DepthMax(), 0);
  EXPECT_TRUE(index.Holds());
  for (int i = 0; i < 100; ++i) EXPECT_NE(index.Find("key" + std::to_string(i)), 0u);
}

TEST(PartitionIndexTest, ABranchOfCrowdedKeysStays) {
  Index index(16 * kMiB);
  for (std::uint32_t i = 0; i < 150; ++i) index.Insert(CollidingKey(i));
  ASSERT_GE(index.DepthMax(), PartitionIndex::kHashDepth);
  PartitionIndex::Leaf first =
      index.index().LeafAt({KeyHash::Plain()(CollidingKey(0)), 1}, index.space());
  EXPECT_LE(PartitionIndex::RecordsOfBranch(first), 150u);
  // Whoever merged the branch above would crowd them again.
  const SegmentLink merged = index.NewSegment(PartitionIndex::BucketsFor(150));
  PartitionIndex::Merge(first, merged.at, merged.buckets, index.space());
  first = index.index().LeafAt({KeyHash::Plain()(CollidingKey(0)), 1}, index.space());
  EXPECT_TRUE(PartitionIndex::IsLopsided(first));
  EXPECT_TRUE(index.Holds());
}

RC_GTEST_PROP(PartitionIndexTest, IsAMap, (std::uint64_t seed)) {
  Prng prng(seed);
  Index index(16 * kMiB);
  std::map<std::string, Ref> model;
  const std::uint64_t keys = prng.Chance(0.5) ? 600 : 4000;
  for (int i = 0; i < 6000; ++i) {
    const auto number = static_cast<std::uint32_t>(prng.Below(keys));
    const std::string key = number % 3 == 0 ? CollidingKey(number) : std::to_string(number);
    const Ref found = index.Find(key);
    const auto expected = model.find(key);
    RC_ASSERT(found == (expected == model.end() ? 0 : expected->second));
    const std::uint64_t hash = KeyHash::Plain()(key);
    if (found == 0) {
      model[key] = index.Insert(key);
    } else if (prng.Below(3) > 0) {
      index.Erase(key);
      model.erase(key);
      RC_ASSERT(!index.index().Contains(hash, found, index.space()));
    } else {
      const Ref ref = index.NewRecord(key);
      index.index().Replace(hash, found, ref, index.space());
      model[key] = ref;
    }
    if (i % 1000 == 999) {
      RC_ASSERT(index.Holds());
      const PartitionIndex::Leaf leaf = index.LeafOf(key);
      if (leaf.depth > 0 && PartitionIndex::RecordsOfBranch(leaf) < 1000) {
        const SegmentLink merged =
            index.NewSegment(PartitionIndex::BucketsFor(PartitionIndex::RecordsOfBranch(leaf)) + 1);
        PartitionIndex::Merge(leaf, merged.at, merged.buckets, index.space());
        RC_ASSERT(index.Holds());
      }
    }
  }
  RC_ASSERT(index.index().size() == model.size());
}

}  // namespace
}  // namespace gyre
