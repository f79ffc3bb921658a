#include "storage/shard.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "storage/storage_fixture.h"
#include "support/colliding_keys.h"

namespace gyre {
namespace {

class ShardTest : public StorageTest {};

TEST_F(ShardTest, FindsWhatWasStored) {
  EXPECT_EQ(Get("k"), "-");
  ASSERT_TRUE(Set("k", "one"));
  EXPECT_EQ(Get("k"), "one");
  ASSERT_TRUE(Set("k", "a longer value that needs another slot"));
  EXPECT_EQ(Get("k"), "a longer value that needs another slot");
  ASSERT_TRUE(Set("k", ""));
  EXPECT_EQ(Get("k"), "");
  EXPECT_EQ(Stats().records, 1u);
  EXPECT_EQ(Stats().hits, 3u);
  EXPECT_EQ(Stats().misses, 1u);
  ExpectBooksBalance();
}

TEST_F(ShardTest, WhatALookupIsForDecidesWhatItCounts) {
  ASSERT_TRUE(Set("k", "v"));
  const auto find = [this](std::string_view key, Purpose purpose) {
    MutexLock lock(shard().mutex());
    return int{shard().Find(KeyOf(key), now_, purpose).uses()};
  };
  const int fresh = find("k", Purpose::kInspect);
  EXPECT_EQ(find("k", Purpose::kInspect), fresh) << "a question about a key keeps nothing";
  EXPECT_EQ(find("k", Purpose::kWrite), fresh + 1);
  EXPECT_EQ(find("k", Purpose::kRead), fresh + 2);
  find("none", Purpose::kWrite);
  find("none", Purpose::kInspect);
  EXPECT_EQ(Stats().hits, 3U);
  EXPECT_EQ(Stats().misses, 1U);
}

TEST_F(ShardTest, RecordsWithAnExpiryAreCounted) {
  const auto expect = [this](std::uint64_t count, std::uint64_t seconds) {
    EXPECT_EQ(Stats().expiring, count);
    EXPECT_EQ(Stats().expiry_seconds, seconds);
    ExpectBooksBalance();
  };
  const std::uint64_t start = kTestStart / 1000;
  ASSERT_TRUE(Set("a", "v", 10'000));
  ASSERT_TRUE(Set("b", "v", 20'000));
  ASSERT_TRUE(Set("c", "v"));
  expect(2, 2 * start + 30);
  ASSERT_TRUE(Expire("c", now_ + 5'000));
  ASSERT_TRUE(Set("a", "v"));
  expect(2, 2 * start + 25);
  ASSERT_TRUE(Expire("b", kNeverExpires));
  Delete("c");
  expect(0, 0);
  ASSERT_TRUE(Set("a", "v", 10'000));
  Flush(PartitionOfKey("a"), NextVersion());
  expect(0, 0);
}

TEST_F(ShardTest, KeysAreBytes) {
  const std::string zeros("\0\0\xff\0", 4);
  ASSERT_TRUE(Set("", "empty"));
  ASSERT_TRUE(Set(zeros, "zeros"));
  EXPECT_EQ(Get(""), "empty");
  EXPECT_EQ(Get(zeros), "zeros");
  EXPECT_EQ(Get(std::string_view(zeros).substr(0, 3)), "-");
}

// Every boundary of the layout: one- and two-byte lengths, fine and coarse slots, chunks, runs.
TEST_F(ShardTest, StoresEverySize) {
  for (const std::size_t key_bytes : {1, 255, 256, 4000, 65536}) {
    for (const std::size_t value_bytes : {0, 1, 255, 256, 1000, 4064, 4065, 4096, 5000, 8192, 40000,
                                          65520, 65535, 65536, 70000, 131072, 1000000, 5000000}) {
      const std::string key = Pattern(key_bytes, 1);
      const std::string value = Pattern(value_bytes, 2);
      const auto stored = Set(key, value, 5000, 77);
      ASSERT_TRUE(stored) << key_bytes << " " << value_bytes << " " << stored.error().message;
      EXPECT_EQ(stored->key(), key);
      EXPECT_EQ(stored->value_bytes(), value_bytes);
      EXPECT_EQ(stored->flags(), 77u);
      EXPECT_EQ(stored->expiry_ms(), now_ + 5000);
      EXPECT_TRUE(ValueOf(*stored) == value) << key_bytes << " " << value_bytes;
      if (stored->is_contiguous()) {
        EXPECT_TRUE(stored->value() == value);
      }
    }
  }
  ExpectBooksBalance();
}

TEST_F(ShardTest, RecordCopiesAnyRangeOfAChunkedValue) {
  const std::string value = Pattern(300000, 3);
  const auto stored = Set("k", value);
  ASSERT_TRUE(stored);
  EXPECT_FALSE(stored->is_contiguous());
  Buffer buffer;
  buffer.Append("x");
  stored->AppendValueTo(buffer);
  EXPECT_TRUE(buffer.view() == "x" + value);
  for (const std::size_t offset : {0, 1, 4000, 65000, 66000, 299999}) {
    for (const std::size_t size : {0, 1, 1000, 100000}) {
      if (offset + size > value.size()) continue;
      std::string copy(size, '?');
      stored->CopyValue(offset, size, copy.data());
      EXPECT_TRUE(copy == value.substr(offset, size)) << offset << " " << size;
    }
  }
}

TEST_F(ShardTest, AnEmptyRecordGivesNothing) {
  const RecordView record;
  EXPECT_FALSE(record);
  EXPECT_EQ(record.key(), "");
  EXPECT_EQ(record.value(), "");
  EXPECT_EQ(record.value_bytes(), 0u);
  EXPECT_EQ(record.version(), 0u);
  EXPECT_EQ(record.expiry_ms(), kNeverExpires);
  EXPECT_FALSE(record.is_tombstone());
  Buffer buffer;
  record.AppendValueTo(buffer);
  EXPECT_TRUE(buffer.empty());
}

TEST_F(ShardTest, RefusesWhatIsOverABound) {
  const auto key = Set(std::string(65537, 'k'), "v");
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, ErrorCode::kTooLarge);
  const auto value = Set("k", std::string(kValueBytesDefaultMax + 1, 'v'));
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().code, ErrorCode::kTooLarge);
  EXPECT_THAT(value.error().message, testing::HasSubstr("--max-value"));
}

TEST_F(ShardTest, RemovesWithoutATombstone) {
  ASSERT_TRUE(Set("k", "v"));
  EXPECT_TRUE(Delete("k"));
  EXPECT_FALSE(Peek("k"));
  EXPECT_FALSE(Delete("k"));
  EXPECT_EQ(Info(PartitionOfKey("k")).digest, 0u);
}

TEST_F(ShardTest, LeavesATombstoneWhereAskedFor) {
  KeepTombstones();
  EXPECT_FALSE(Delete("k"));
  for (const std::size_t bytes : {1, 100, 100000}) {
    ASSERT_TRUE(Set("k", Pattern(bytes, 1)));
    EXPECT_TRUE(Delete("k"));
    const RecordView tombstone = Peek("k");
    EXPECT_TRUE(tombstone.is_tombstone());
    EXPECT_EQ(tombstone.key(), "k");
    EXPECT_EQ(tombstone.value_bytes(), 0u);
    EXPECT_EQ(tombstone.expiry_ms(), kNeverExpires);
    EXPECT_EQ(Get("k"), "-");
    EXPECT_FALSE(Delete("k"));
    const PartitionInfo info = Info(PartitionOfKey("k"));
    EXPECT_EQ(info.records, 0u);
    EXPECT_EQ(info.tombstones, 1u);
    EXPECT_EQ(info.value_bytes, 0u);
    ExpectBooksBalance();
  }
  Pass(engine_->options().tombstone_ttl_ms - 1);
  Settle();
  EXPECT_TRUE(Peek("k"));
  Pass(1000);
  Settle();
  EXPECT_FALSE(Peek("k"));
  EXPECT_EQ(Info(PartitionOfKey("k")).digest, 0u);
  ExpectBooksBalance();
}

TEST_F(ShardTest, RemovesWhatIsNotHere) {
  KeepTombstones();
  const Version before = NextVersion();
  EXPECT_FALSE(Delete("k"));
  EXPECT_TRUE(Peek("k").is_tombstone());
  EXPECT_FALSE(Apply({.key = "k", .value = "evicted here, not there", .version = before}));
  EXPECT_EQ(Get("k"), "-");
  // Again: newer than what another node may have written meanwhile.
  const Version between = NextVersion();
  EXPECT_FALSE(Delete("k"));
  EXPECT_GT(Peek("k").version(), between);
  EXPECT_EQ(Info(PartitionOfKey("k")).tombstones, 1u);
  ExpectBooksBalance();
}

// Nobody else is there to bring a record back; but who returns later may have one.
TEST_F(ShardTest, WhatGoesWithoutATraceCountsAsEvicted) {
  const auto newest_evicted = [this] { return Info(PartitionOfKey("k")).newest_evicted; };
  ASSERT_TRUE(Set("k", "v"));
  Version before = NextVersion();
  EXPECT_TRUE(Delete("k"));
  EXPECT_GT(newest_evicted(), before);
  before = NextVersion();
  EXPECT_FALSE(Delete("k"));
  EXPECT_GT(newest_evicted(), before);
  ASSERT_TRUE(Set("k", "v", 1000));
  const Version expiring = Peek("k").version();
  Pass(2000);
  Settle();
  EXPECT_EQ(newest_evicted(), expiring);
}

TEST_F(ShardTest, ExpiresOnTheMillisecond) {
  ASSERT_TRUE(Set("k", "v", 1000));
  Pass(999);
  EXPECT_EQ(Get("k"), "v");
  Pass(1);
  EXPECT_EQ(Get("k"), "-");
  EXPECT_TRUE(Peek("k")) << "reading reclaims nothing";
  EXPECT_FALSE(Delete("k"));
  EXPECT_FALSE(Expire("k", now_ + 1000));
  Pass(1000);
  Settle();
  EXPECT_FALSE(Peek("k"));
  EXPECT_EQ(Stats().expired, 1u);
  ExpectBooksBalance();
}

TEST_F(ShardTest, AnExpiryThatHasPassedRemoves) {
  ASSERT_TRUE(Set("k", "v"));
  ASSERT_TRUE(Set("l", "v"));
  const auto stored = Set("k", "w", -1);
  ASSERT_TRUE(stored);
  EXPECT_FALSE(*stored);
  EXPECT_EQ(Get("k"), "-");
  EXPECT_FALSE(Expire("l", 1));
  EXPECT_FALSE(Expire("l", -5));
  EXPECT_EQ(Get("l"), "-");
  EXPECT_EQ(Stats().records, 0u);
  KeepTombstones();
  const auto removed = Set("k", "w", -1);
  ASSERT_TRUE(removed);
  EXPECT_FALSE(*removed);
  EXPECT_TRUE(Peek("k").is_tombstone());
  ExpectBooksBalance();
}

TEST_F(ShardTest, ExpiryComesAndGoes) {
  for (const std::size_t bytes : {1, 3, 5, 100, 1000, 100000}) {
    const std::string value = Pattern(bytes, 4);
    ASSERT_TRUE(Set("k", value, 0, 5));
    const Version before = Peek("k").version();
    EXPECT_TRUE(Expire("k", now_ + 1000));
    EXPECT_GT(Peek("k").version(), before);
    EXPECT_EQ(Peek("k").expiry_ms(), now_ + 1000);
    EXPECT_EQ(Peek("k").flags(), 5u);
    EXPECT_TRUE(Get("k") == value);
    EXPECT_TRUE(Expire("k", now_ + 500));
    EXPECT_TRUE(Expire("k", kNeverExpires));
    EXPECT_EQ(Peek("k").expiry_ms(), kNeverExpires);
    Pass(5000);
    Settle();
    EXPECT_TRUE(Get("k") == value);
    ExpectBooksBalance();
  }
}

TEST_F(ShardTest, ExpiredRecordsLeaveTombstonesWhilePeersMayLackThem) {
  KeepTombstones();
  ASSERT_TRUE(Set("k", "old"));
  const RecordView old = Peek("k");
  const Mutation stale{.key = "k", .value = "old", .version = old.version()};
  ASSERT_TRUE(Set("k", "new", 1000));
  const std::uint64_t digest = Info(PartitionOfKey("k")).digest;
  Pass(2000);
  Settle();
  EXPECT_TRUE(Peek("k").is_tombstone());
  EXPECT_EQ(Info(PartitionOfKey("k")).digest, digest) << "as on a holder that has not reclaimed it";
  EXPECT_FALSE(Apply(stale));
  EXPECT_EQ(Get("k"), "-");
  // A record older than the tombstone time needs none: who missed it so long has nothing.
  ASSERT_TRUE(Set("l", "v", engine_->options().tombstone_ttl_ms + 1000));
  Pass(engine_->options().tombstone_ttl_ms + 2000);
  Settle();
  EXPECT_FALSE(Peek("l"));
  EXPECT_FALSE(Peek("k"));
}

TEST_F(ShardTest, AppliesTheHigherVersion) {
  const Version first = NextVersion();
  const Version second = NextVersion();
  EXPECT_TRUE(Apply({.key = "k", .value = "second", .version = second, .flags = 9}));
  EXPECT_FALSE(Apply({.key = "k", .value = "first", .version = first}));
  EXPECT_FALSE(Apply({.key = "k", .value = "again", .version = second}));
  EXPECT_EQ(Get("k"), "second");
  const Version far = second + (Version{1} << 40);
  EXPECT_TRUE(Apply({.key = "k", .version = far, .tombstone = true}));
  EXPECT_TRUE(Peek("k").is_tombstone());
  EXPECT_GT(NextVersion(), far) << "versions stay ahead of all seen";
  EXPECT_FALSE(Apply({.key = "k", .value = "x", .version = first}));
}

TEST_F(ShardTest, RefusesMutationsOfAnotherPartition) {
  Mutation mutation{.partition = (PartitionOfKey("k") + 1) % kPartitions, .key = "k", .version = 5};
  MutexLock lock(shard().mutex());
  const auto applied = shard().Apply(mutation, now_);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ShardTest, FlushVoidsAllAtOnce) {
  std::vector<std::string> keys;
  for (int i = 0; i < 3000; ++i) keys.push_back("{t}" + std::to_string(i));
  for (const std::string& key : keys) ASSERT_TRUE(Set(key, "v", 1000));
  const PartitionId partition = PartitionOfKey("{t}");
  const Version old = Peek(keys[0]).version();
  const Version flush = NextVersion();
  Flush(partition, flush);
  EXPECT_EQ(Info(partition).records, 0u);
  EXPECT_EQ(Info(partition).digest, 0u);
  EXPECT_EQ(Info(partition).flushed, flush);
  EXPECT_EQ(Get(keys[0]), "-");
  EXPECT_TRUE(Walk(partition, 100).empty());
  EXPECT_FALSE(Apply({.key = keys[0], .value = "late", .version = old}));
  ASSERT_TRUE(Set(keys[1], "new"));
  ExpectBooksBalance();
  EXPECT_TRUE(Tick(10));
  ExpectBooksBalance();
  Settle();
  EXPECT_EQ(Get(keys[1]), "new");
  EXPECT_EQ(Stats().records, 1u);
  ExpectBooksBalance();
}

TEST_F(ShardTest, AFlushThatNewerWritesOvertookSparesThem) {
  ASSERT_TRUE(Set("{t}old", "v"));
  const Version flush = NextVersion();
  ASSERT_TRUE(Set("{t}new", "v"));
  Flush(PartitionOfKey("{t}"), flush);
  EXPECT_EQ(Get("{t}old"), "-");
  EXPECT_EQ(Get("{t}new"), "v");
  EXPECT_EQ(Info(PartitionOfKey("{t}")).records, 1u);
  ExpectBooksBalance();
}

TEST_F(ShardTest, ADroppedPartitionCanBeFilledAgain) {
  ASSERT_TRUE(Set("k", "v", 1000));
  const Version version = Peek("k").version();
  const PartitionId partition = PartitionOfKey("k");
  {
    MutexLock lock(shard().mutex());
    shard().SetRole(partition, Role::kReplica);
  }
  Drop(partition);
  EXPECT_EQ(Info(partition).role, Role::kAbsent);
  EXPECT_EQ(Info(partition).records, 0u);
  EXPECT_EQ(Get("k"), "-");
  EXPECT_TRUE(Apply({.key = "k", .value = "v", .version = version})) << "of any version";
  Pass(2000);  // the buried record's time comes before it is swept
  Tick(1);
  ExpectBooksBalance();
  Settle();
  EXPECT_EQ(Get("k"), "v");
  ExpectBooksBalance();
}

TEST_F(ShardTest, WalkVisitsEachRecordOnceInOrder) {
  std::set<std::string> expected;
  for (int i = 0; i < 2000; ++i) {
    const std::string key = "{w}" + std::to_string(i);
    ASSERT_TRUE(Set(key, "v", i % 10 == 0 ? 10 : 0));
    if (i % 10 != 0) expected.insert(key);
  }
  Pass(100);
  for (const std::size_t step : {1, 7, 100, 5000}) {
    const std::vector<std::string> keys = Walk(PartitionOfKey("{w}"), step);
    EXPECT_EQ(keys.size(), expected.size());
    EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()), expected);
    EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end(), [](const auto& a, const auto& b) {
      return KeyHash::Plain()(a) < KeyHash::Plain()(b);
    }));
  }
}

TEST_F(ShardTest, WalkStopsWhereTheVisitorSays) {
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(Set("{w}" + std::to_string(i), "v"));
  std::set<std::string> seen;
  std::uint64_t cursor = 0;
  int calls = 0;
  do {
    MutexLock lock(shard().mutex());
    cursor = shard().Walk(PartitionOfKey("{w}"), cursor, 1000, now_, [&](const RecordView& record) {
      seen.emplace(record.key());
      return false;
    });
    EXPECT_EQ(cursor & 0xffff, 0u) << "the low bits are the caller's";
    ++calls;
  } while (cursor != 0);
  EXPECT_EQ(seen.size(), 100u);
  EXPECT_EQ(calls, 100);
}

TEST_F(ShardTest, WalkMissesNothingWhileTheTableGrowsAndShrinks) {
  std::set<std::string> lasting;
  for (int i = 0; i < 500; ++i) lasting.insert("{w}" + std::to_string(i));
  for (const std::string& key : lasting) ASSERT_TRUE(Set(key, "v"));
  std::set<std::string> seen;
  std::uint64_t cursor = 0;
  int round = 0;
  do {
    {
      MutexLock lock(shard().mutex());
      cursor = shard().Walk(PartitionOfKey("{w}"), cursor, 10, now_, [&](const RecordView& record) {
        seen.emplace(record.key());
        return true;
      });
    }
    ++round;
    for (int i = 0; i < 100; ++i) {
      const std::string key = "{w}other" + std::to_string(round / 2 * 100 + i);
      if (round < 40) {
        ASSERT_TRUE(Set(key, "v"));
      } else {
        Delete("{w}other" + std::to_string((round - 40) * 200 + i));
        Delete("{w}other" + std::to_string((round - 40) * 200 + 100 + i));
      }
    }
    Tick(100000);
  } while (cursor != 0);
  for (const std::string& key : lasting) EXPECT_TRUE(seen.contains(key)) << key;
  EXPECT_GT(round, 50);
}

TEST_F(ShardTest, SampleFindsALiveRecordIfThereIsOne) {
  const PartitionId partition = PartitionOfKey("{s}");
  const auto sample = [&](std::uint64_t random) {
    MutexLock lock(shard().mutex());
    return std::string(shard().Sample(partition, random, now_).key());
  };
  EXPECT_EQ(sample(1), "");
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(Set("{s}" + std::to_string(i), "v", i == 7 ? 0 : 10));
  std::set<std::string> drawn;
  for (std::uint64_t random = 0; random < 3000; ++random) drawn.insert(sample(random));
  EXPECT_EQ(drawn.size(), 200u);
  Pass(1000);
  for (std::uint64_t random = 0; random < 20; ++random) EXPECT_EQ(sample(random), "{s}7");
}

TEST_F(ShardTest, TablesShrinkAndMemoryIsGivenBack) {
  const std::uint64_t empty = Stats().bytes_used;
  for (int i = 0; i < 100000; ++i) ASSERT_TRUE(Set("k" + std::to_string(i), "value"));
  EXPECT_GT(Stats().bytes_used, empty + 3 * kMiB);
  for (int i = 0; i < 100000; ++i) EXPECT_TRUE(Delete("k" + std::to_string(i)));
  for (int i = 0; i < 10; ++i) Settle();
  EXPECT_EQ(Stats().bytes_used, empty);
  ExpectBooksBalance();
}

TEST_F(ShardTest, KeysThatExpireTogetherLeaveInSmallSteps) {
  for (int i = 0; i < 200000; ++i) ASSERT_TRUE(Set("k" + std::to_string(i), "v", 1000));
  Pass(1500);
  int ticks = 0;
  while (Tick(500)) ++ticks;
  EXPECT_GE(ticks, 400) << "none took more than its budget";
  EXPECT_EQ(Stats().records, 0u);
  EXPECT_EQ(Stats().expired, 200000u);
}

// Evenly spread keys fill all segments alike; they must not all be rebuilt in the same moment.
TEST_F(ShardTest, SegmentsGrowOneAfterTheOther) {
  constexpr int kRecords = 200'000;
  constexpr std::uint64_t kSegments = kPartitions * kBranchLinks;  // of about 800 records
  constexpr int kWindow = kRecords / 100;
  std::vector<std::uint64_t> rebuilt;  // after so many windows
  for (int i = 0; i < kRecords; ++i) {
    ASSERT_TRUE(Set("key:" + std::to_string(i), ""));
    if (i % kWindow == 0) rebuilt.push_back(Stats().tables_rebuilt);
  }
  std::uint64_t most = 0;
  for (std::size_t i = rebuilt.size() / 2; i < rebuilt.size(); ++i) {
    most = std::max(most, rebuilt[i] - rebuilt[i - 1]);
  }
  EXPECT_LE(most, kSegments / 3);
}

// However large a partition, one store moves no more records than a segment has, twice at most.
TEST_F(ShardTest, APartitionGrowsInSmallSteps) {
  Open(256 * kMiB, 1);
  std::uint64_t most = 0;
  std::uint64_t last = 0;
  for (int i = 0; i < 300'000; ++i) {
    ASSERT_TRUE(Set("k" + std::to_string(i), ""));
    const std::uint64_t rebuilt = Stats().tables_rebuilt;
    most = std::max(most, rebuilt - last);
    last = rebuilt;
  }
  EXPECT_EQ(most, 1u);
  EXPECT_EQ(Info(0).records, 300'000u);
  ExpectBooksBalance();
}

// Keys that were chosen to have one hash are stored, found, walked, evicted and dropped as any.
TEST_F(ShardTest, KeysOfOneHashAreRecordsLikeOthers) {
  Open(8 * kMiB, 1);
  constexpr std::uint32_t kKeys = 5000;
  for (std::uint32_t i = 0; i < kKeys; ++i) ASSERT_TRUE(Set(CollidingKey(i), "v")) << i;
  for (std::uint32_t i = 0; i < kKeys; ++i) ASSERT_EQ(Get(CollidingKey(i)), "v") << i;
  EXPECT_EQ(Walk(0, 100).size(), kKeys);
  ExpectBooksBalance();
  for (std::uint32_t i = 0; i < kKeys; i += 2) ASSERT_TRUE(Delete(CollidingKey(i)));
  for (std::uint32_t i = 0; i < kKeys; ++i) ASSERT_EQ(Has(CollidingKey(i)), i % 2 == 1);
  for (int round = 0; round < 20; ++round) Settle();
  ExpectBooksBalance();
  for (std::uint32_t i = 0; i < 40 * kKeys; ++i) ASSERT_TRUE(Set(CollidingKey(i), "vv")) << i;
  EXPECT_GT(Stats().evicted, 0u);
  EXPECT_EQ(Stats().refused_memory, 0u);
  ExpectBooksBalance();
  const std::uint64_t records = Info(0).records;
  EXPECT_EQ(Walk(0, 100).size(), records);
  Drop(0);
  Settle();
  EXPECT_EQ(Stats().records, 0u);
  ExpectBooksBalance();
}

// A walk may stop among the records of one hash: none is left out, and none comes twice.
TEST_F(ShardTest, AWalkStopsInsideAHash) {
  constexpr std::uint32_t kKeys = 1000;  // more than one segment has
  for (std::uint32_t i = 0; i < kKeys; ++i) ASSERT_TRUE(Set(CollidingKey(i), "v"));
  ASSERT_EQ(KeyHash::Plain()(CollidingKey(0)), KeyHash::Plain()(CollidingKey(kKeys - 1)));
  const PartitionId partition = PartitionOfKey(CollidingKey(0));
  std::map<std::string, int> visits;
  WalkPosition position;
  int steps = 0;
  do {
    MutexLock lock(shard().mutex());
    position = shard().Walk(partition, position, 10, now_, [&](const RecordView& record) {
      ++visits[std::string(record.key())];
      return false;
    });
    // What goes behind the position moves nothing before it.
    if (++steps == 50)
      shard().Remove(KeyOf(visits.begin()->first), shard().NextVersion(now_), now_);
  } while (!position.is_end());
  EXPECT_EQ(visits.size(), kKeys);
  for (const auto& [key, count] : visits) EXPECT_EQ(count, 1) << key;
  // Two of them may share a place inside the hash.
  EXPECT_GT(steps, static_cast<int>(kKeys) - 5);
}

}  // namespace
}  // namespace gyre
