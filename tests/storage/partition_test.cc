#include "storage/partition.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.h"
#include "storage/key.h"
#include "storage/storage_fixture.h"

namespace gyre {
namespace {

// A table over records in a plain block of memory; buckets in blocks of their own.
class Index {
 public:
  explicit Index(std::size_t records) : memory_(records * kBytes + kBytes) { Rebuild(1); }

  Ref NewRecord(std::string_view key) {
    const Ref ref = ++last_ * (kBytes / kGranuleBytes);
    Item item(memory_.data() + std::size_t{ref} * kGranuleBytes);
    item.WriteHeader(PlainShape(key.size(), 0, false, false, false), 1, 0, 0);
    key.copy(item.key_space(), key.size());
    return ref;
  }
  bool Rebuild(std::uint32_t buckets) {
    char* block = static_cast<char*>(std::aligned_alloc(64, buckets * sizeof(Bucket)));
    std::memset(block, 0xee, buckets * sizeof(Bucket));
    if (!table_.Rebuild(block, 1, buckets, base())) {
      std::free(block);
      return false;
    }
    block_.reset(block);
    return true;
  }
  bool Insert(std::string_view key) { return table_.Insert(HashKey(key), NewRecord(key)); }
  Ref Find(std::string_view key) const { return table_.Find(key, HashKey(key), base()); }
  PartitionTable& table() { return table_; }
  const char* base() const { return memory_.data(); }

 private:
  static constexpr std::size_t kBytes = 48;
  struct Free {
    void operator()(char* at) const { std::free(at); }
  };
  std::vector<char> memory_;
  std::unique_ptr<char, Free> block_;
  PartitionTable table_;
  Ref last_ = 0;
};

TEST(PartitionTableTest, EmptyFindsNothing) {
  PartitionTable table;
  EXPECT_EQ(table.Find("k", HashKey("k"), nullptr), 0u);
  EXPECT_FALSE(table.Insert(1, 5));
  EXPECT_FALSE(table.HasRoom());
  EXPECT_FALSE(table.Contains(1, 5));
}

TEST(PartitionTableTest, FillsToTheLastEntry) {
  Index index(1000);
  ASSERT_TRUE(index.Rebuild(20));
  std::vector<std::string> keys;
  for (int i = 0; index.table().HasRoom(); ++i) {
    keys.push_back("key" + std::to_string(i));
    ASSERT_TRUE(index.Insert(keys.back()));
  }
  EXPECT_EQ(index.table().size(), 20 * kBucketEntries);
  EXPECT_TRUE(index.table().CheckInvariants(index.base()));
  for (const std::string& key : keys) EXPECT_NE(index.Find(key), 0u);
  EXPECT_FALSE(index.Insert("one more"));
  for (const std::string& key : keys) index.table().Erase(HashKey(key), index.Find(key));
  EXPECT_EQ(index.table().size(), 0u);
  EXPECT_TRUE(index.table().CheckInvariants(index.base()));
}

TEST(PartitionTableTest, AComfortableTableSpillsLittle) {
  Index index(20000);
  ASSERT_TRUE(index.Rebuild(1000));
  for (int i = 0; index.table().size() < index.table().comfortable_size(); ++i) {
    ASSERT_TRUE(index.Insert("key" + std::to_string(i)));
  }
  std::size_t away = 0;
  for (std::uint32_t bucket = 0; bucket < 1000; ++bucket) {
    for (std::uint32_t entry = 0; entry < kBucketEntries; ++entry) {
      const Ref ref = index.table().At(bucket, entry);
      away += ref != 0 && index.table().HomeOf(HashOfItem(index.base(), ref)) != bucket;
    }
  }
  EXPECT_LT(away, index.table().size() / 5);
}

TEST(PartitionTableTest, CollidingKeysEndInARefusal) {
  Index index(10000);
  ASSERT_TRUE(index.Rebuild(500));
  std::uint32_t inserted = 0;
  while (index.table().Insert(/*hash=*/77, index.NewRecord("k" + std::to_string(inserted))))
    ++inserted;
  EXPECT_GE(inserted, kBucketEntries);
  EXPECT_LE(inserted, kBucketEntries + 255);
  EXPECT_NE(index.table().Find("k0", 77, index.base()), 0u);
  EXPECT_NE(index.table().Find("k" + std::to_string(inserted - 1), 77, index.base()), 0u);
}

TEST(PartitionTableTest, FirstHashOfIsWhereABucketBegins) {
  Index index(1);
  for (const std::uint32_t buckets : {1U, 2U, 3U, 7U, 100U, 1021U}) {
    ASSERT_TRUE(index.Rebuild(buckets));
    for (std::uint32_t bucket = 0; bucket < buckets; ++bucket) {
      const std::uint64_t first = index.table().FirstHashOf(bucket);
      EXPECT_EQ(index.table().HomeOf(first), bucket);
      if (first > 0) {
        EXPECT_EQ(index.table().HomeOf(first - 1), bucket - 1);
      }
    }
  }
}

RC_GTEST_PROP(PartitionTableTest, IsAMap, (std::uint64_t seed)) {
  Prng prng(seed);
  Index index(5000);
  std::map<std::string, Ref> model;
  for (int i = 0; i < 3000; ++i) {
    const std::string key = std::to_string(prng.Below(600));
    const Ref found = index.Find(key);
    const auto expected = model.find(key);
    RC_ASSERT(found == (expected == model.end() ? 0 : expected->second));
    const std::uint64_t hash = HashKey(key);
    if (found == 0) {
      if (index.table().size() >= index.table().comfortable_size()) {
        RC_ASSERT(index.Rebuild(index.table().bucket_count() * 5 / 4 + 1));
      }
      const Ref ref = index.NewRecord(key);
      RC_ASSERT(index.table().Insert(hash, ref));
      model[key] = ref;
    } else if (prng.Below(3) > 0) {
      index.table().Erase(hash, found);
      model.erase(key);
      RC_ASSERT(!index.table().Contains(hash, found));
    } else {
      const Ref ref = index.NewRecord(key);
      index.table().Replace(hash, found, ref);
      model[key] = ref;
    }
    if (i % 500 == 499) {
      RC_ASSERT(index.table().CheckInvariants(index.base()));
      index.Rebuild(1 + index.table().size() / 10);
    }
  }
  RC_ASSERT(index.table().size() == model.size());
}

}  // namespace
}  // namespace gyre
