#include "storage/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <utility>

#include "storage/storage_fixture.h"

namespace gyre {
namespace {

using testing::HasSubstr;

NodeId IdOf(std::uint8_t number) {
  NodeId id;
  id.bytes.fill(number);
  return id;
}

SnapshotReader::Source SourceOf(std::string_view bytes) {
  return [bytes](char* to, std::size_t size) mutable -> Result<std::size_t> {
    const std::size_t read = std::min(size, bytes.size());
    bytes.copy(to, read);
    bytes.remove_prefix(read);
    return read;
  };
}

class SnapshotTest : public StorageTest {
 protected:
  SnapshotTest() { Own(); }

  void Own() {
    for (PartitionId p = 0; p < engine_->options().partition_count; ++p) SetRole(p, Role::kOwner);
    KeepTombstones();
  }
  void SetRole(PartitionId partition, Role role) {
    Shard& shard = engine_->ShardOf(partition);
    MutexLock lock(shard.mutex());
    shard.SetRole(partition, role);
  }

  std::string Take() {
    std::string bytes;
    const Status written = WriteSnapshot(
        *engine_, DescribeSnapshot(*engine_, owner_, now_),
        [&bytes](std::string_view part) {
          bytes += part;
          return Status{};
        },
        nullptr);
    EXPECT_TRUE(written);
    return bytes;
  }
  // Into a new engine, which takes the place of the old one.
  Result<RestoredSnapshot> Restore(std::string_view bytes) {
    Open(64 * kMiB);
    return RestoreHere(bytes);
  }
  Result<RestoredSnapshot> RestoreHere(std::string_view bytes) {
    SnapshotReader reader(SourceOf(bytes), bytes.size());
    return RestoreSnapshot(*engine_, owner_, now_, reader, nullptr);
  }
  std::string WhyRefused(std::string_view bytes) {
    const Result<RestoredSnapshot> restored = RestoreHere(bytes);
    const ShardStats stats = Stats();
    EXPECT_EQ(stats.records + stats.tombstones, 0U);
    return restored ? "taken" : restored.error().message;
  }
  UnixMillis RemembersFrom(PartitionId partition) {
    MutexLock lock(shard().mutex());
    return shard().RemembersFrom(partition, now_);
  }

  SnapshotOwner owner_{IdOf(7), "gyre"};
};

TEST_F(SnapshotTest, EverythingComesBack) {
  Set("plain", "v");
  Set("empty", "");
  Set("dated", "d", 60'000, 77);
  Set("large", Pattern(3 * kMiB, 1));
  Set("gone", "x");
  Delete("gone");
  for (int i = 0; i < 5000; ++i) Set("k" + std::to_string(i), Pattern(i % 300, i));
  const Version flushed = NextVersion();
  Flush(3, flushed);
  std::vector<PartitionInfo> before;
  for (PartitionId p = 0; p < kPartitions; ++p) before.push_back(Info(p));

  const std::string bytes = Take();
  Pass(5000);
  const Result<RestoredSnapshot> restored = Restore(bytes);
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(restored->partitions.size(), kPartitions);
  EXPECT_EQ(restored->as_of, now_ - 5000);
  for (PartitionId p = 0; p < kPartitions; ++p) {
    const PartitionInfo after = Info(p);
    EXPECT_EQ(after.digest, before[p].digest) << p;
    EXPECT_EQ(after.records, before[p].records);
    EXPECT_EQ(after.tombstones, before[p].tombstones);
    EXPECT_EQ(after.flushed, before[p].flushed);
    EXPECT_EQ(after.newest_evicted, before[p].newest_evicted);
    EXPECT_EQ(after.as_of, now_ - 5000);
  }
  ASSERT_NE(PartitionOfKey("large"), 3U);
  ASSERT_NE(PartitionOfKey("dated"), 3U);
  EXPECT_EQ(Get("large"), Pattern(3 * kMiB, 1));
  EXPECT_EQ(Peek("dated").expiry_ms(), now_ + 55'000);
  EXPECT_EQ(Peek("dated").flags(), 77U);
  EXPECT_TRUE(Peek("gone").is_tombstone());
  EXPECT_GT(NextVersion(), flushed) << "the clock is ahead of what it restored";
  ExpectBooksBalance();
}

TEST_F(SnapshotTest, OnlyWholeCopiesAreWritten) {
  for (int i = 0; i < 200; ++i) Set("k" + std::to_string(i), "v");
  SetRole(1, Role::kReplica);
  SetRole(2, Role::kWarming);
  SetRole(3, Role::kAbsent);
  SetRole(4, Role::kHandingOver);
  const Result<RestoredSnapshot> restored = Restore(Take());
  ASSERT_TRUE(restored);
  EXPECT_EQ(restored->partitions.size(), kPartitions - 2);
  EXPECT_EQ(Info(2).records + Info(3).records, 0U);
  EXPECT_NE(Info(1).records, 0U);
  EXPECT_NE(Info(4).records, 0U);
}

// A node that is stopped before it has settled with anybody keeps what it had, and how old that is.
TEST_F(SnapshotTest, ACopyThatWasNeverSettledKeepsItsTime) {
  Set("k", "v");
  const UnixMillis first = now_;
  ASSERT_TRUE(Restore(Take()));
  for (PartitionId p = 0; p < kPartitions; ++p) SetRole(p, Role::kWarming);
  SetRole(PartitionOfKey("k") ^ 1, Role::kReplica);
  Pass(90'000);
  const Result<RestoredSnapshot> again = Restore(Take());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->as_of, first);
  EXPECT_EQ(Info(PartitionOfKey("k")).as_of, first);
  EXPECT_EQ(Info(PartitionOfKey("k") ^ 1).as_of, first + 90'000);
  EXPECT_EQ(Get("k"), "v");
  EXPECT_EQ(RemembersFrom(PartitionOfKey("k")), first - engine_->options().tombstone_ttl_ms);
}

TEST_F(SnapshotTest, WhatExpiredMeanwhileIsATombstone) {
  Set("k", "v", 10'000);
  const std::string bytes = Take();
  Pass(20'000);
  ASSERT_TRUE(Restore(bytes));
  EXPECT_EQ(Get("k"), "-");
  EXPECT_TRUE(Peek("k").is_tombstone());
}

TEST_F(SnapshotTest, TombstonesLiveOnAsIfTheClockHadStoodStill) {
  const UnixMillis ttl = engine_->options().tombstone_ttl_ms;
  const UnixMillis outage = 48 * 3600 * 1000;
  Set("k", "v");
  Delete("k");
  const UnixMillis deleted = now_;
  Pass(60'000);
  const std::string bytes = Take();
  Pass(outage);
  ASSERT_TRUE(Restore(bytes));
  const PartitionId partition = PartitionOfKey("k");
  EXPECT_EQ(RemembersFrom(partition), deleted + 60'000 - ttl);
  Settle();
  EXPECT_TRUE(Peek("k").is_tombstone());
  Pass(ttl - 61'000);
  Settle();
  EXPECT_TRUE(Peek("k").is_tombstone());
  EXPECT_LE(RemembersFrom(partition), deleted);
  Pass(2000);
  Settle();
  EXPECT_FALSE(Peek("k"));
  EXPECT_GT(RemembersFrom(partition), deleted);
  Pass(ttl);
  EXPECT_EQ(RemembersFrom(partition), now_ - ttl) << "the outage is forgotten";
}

// Down, up for a while, and down again: none of it counts.
TEST_F(SnapshotTest, OutagesAddUp) {
  const UnixMillis ttl = engine_->options().tombstone_ttl_ms;
  const UnixMillis first = now_;
  for (int i = 0; i < 3; ++i) {
    const std::string bytes = Take();
    Pass(1'000'000'000);
    ASSERT_TRUE(Restore(bytes));
    EXPECT_EQ(RemembersFrom(1), first - ttl);
    for (PartitionId p = 0; p < kPartitions; ++p) SetRole(p, Role::kOwner);
  }
  Pass(ttl);
  const std::string bytes = Take();
  Pass(1000);
  ASSERT_TRUE(Restore(bytes));
  EXPECT_EQ(RemembersFrom(1), now_ - ttl - 1000) << "the old ones are past";
}

// Peers and files name them.
TEST_F(SnapshotTest, AnOutageThatCannotBeIsCutToOneThatCan) {
  const UnixMillis ttl = engine_->options().tombstone_ttl_ms;
  constexpr UnixMillis kLeast = std::numeric_limits<UnixMillis>::min();
  constexpr UnixMillis kMost = std::numeric_limits<UnixMillis>::max();
  for (const auto& [outage, remembers_from] : std::initializer_list<std::pair<Outage, UnixMillis>>{
           {{now_, kLeast}, now_ - ttl},
           {{now_, kMost}, -ttl},
           {{kLeast, kMost}, now_ - ttl},
           {{kMost, kLeast}, now_ - ttl},
           {{kMost, kMost}, now_ - ttl - kOutageEndMax},
       }) {
    {
      MutexLock lock(shard().mutex());
      shard().SetOutage(1, outage);
    }
    EXPECT_EQ(RemembersFrom(1), remembers_from);
    EXPECT_TRUE(Restore(Take()));
  }
}

TEST_F(SnapshotTest, LessMemoryThanBeforeEvicts) {
  for (int i = 0; i < 20'000; ++i) Set("k" + std::to_string(i), Pattern(1000, i));
  const std::string bytes = Take();
  Open(8 * kMiB);
  ASSERT_TRUE(RestoreHere(bytes));
  const ShardStats stats = Stats();
  EXPECT_GT(stats.evicted, 0U);
  EXPECT_GT(stats.records, 4000U);
  EXPECT_LE(stats.bytes_used, stats.bytes_limit);
  EXPECT_GT(Info(0).newest_evicted, 0U);
}

TEST_F(SnapshotTest, AnEmptyEngineHasAnEmptySnapshot) {
  const Result<RestoredSnapshot> restored = Restore(Take());
  ASSERT_TRUE(restored);
  EXPECT_EQ(restored->header.records, 0U);
}

// ---- What is refused --------------------------------------------------------------------------

class DamagedSnapshotTest : public SnapshotTest {
 protected:
  DamagedSnapshotTest() {
    for (int i = 0; i < 40; ++i) Set("k" + std::to_string(i), Pattern(i, i), i % 3 * 1000, i % 2);
    Delete("k7");
    bytes_ = Take();
    Open(64 * kMiB);
  }
  std::string bytes_;
};

TEST_F(DamagedSnapshotTest, ATornTailAtEveryByte) {
  for (std::size_t size = 0; size < bytes_.size(); ++size) {
    EXPECT_THAT(WhyRefused(bytes_.substr(0, size)), HasSubstr("its tail is missing")) << size;
  }
}

TEST_F(DamagedSnapshotTest, AFileThatIsShorterThanItSaid) {
  // The disk returned less than the size of the file.
  for (std::size_t size : {std::size_t{0}, std::size_t{40}, bytes_.size() - 1}) {
    SnapshotReader reader(SourceOf(std::string_view(bytes_).substr(0, size)), bytes_.size());
    const auto restored = RestoreSnapshot(*engine_, owner_, now_, reader, nullptr);
    ASSERT_FALSE(restored);
    EXPECT_THAT(restored.error().message, HasSubstr("its tail is missing"));
  }
}

TEST_F(DamagedSnapshotTest, OneFlippedBitAnywhere) {
  for (std::size_t at = 0; at < bytes_.size(); ++at) {
    std::string flipped = bytes_;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << at % 8));
    ASSERT_NE(WhyRefused(flipped), "taken") << at;
  }
}

TEST_F(DamagedSnapshotTest, SomethingAfterTheEnd) {
  EXPECT_THAT(WhyRefused(bytes_ + '\0'), HasSubstr("follows its end"));
  EXPECT_THAT(WhyRefused(bytes_ + bytes_), HasSubstr("follows its end"));
}

TEST_F(DamagedSnapshotTest, BlocksThatAreMissingDoubledOrSwapped) {
  Own();
  for (int i = 0; i < 5; ++i) Set("b" + std::to_string(i), Pattern(kSnapshotBlockBytes, i));
  const std::string bytes = Take();
  std::uint32_t header_bytes = 0;
  std::memcpy(&header_bytes, bytes.data() + 12, 4);
  std::vector<std::string> blocks;
  for (std::size_t at = header_bytes; at < bytes.size(); at += blocks.back().size()) {
    std::uint32_t payload = 0;
    std::memcpy(&payload, bytes.data() + at + 4, 4);
    blocks.push_back(bytes.substr(at, 16 + payload));
  }
  ASSERT_GE(blocks.size(), 6U);
  const auto join = [&](const std::vector<std::string>& parts) {
    std::string joined = bytes.substr(0, header_bytes);
    for (const std::string& part : parts) joined += part;
    return joined;
  };
  ASSERT_EQ(join(blocks), bytes);
  Open(64 * kMiB);
  std::vector<std::string> wrong = blocks;
  wrong.erase(wrong.begin() + 1);
  EXPECT_THAT(WhyRefused(join(wrong)), HasSubstr("checksum"));
  wrong = blocks;
  wrong.insert(wrong.begin() + 1, blocks[1]);
  EXPECT_THAT(WhyRefused(join(wrong)), HasSubstr("checksum"));
  wrong = blocks;
  std::swap(wrong[1], wrong[2]);
  EXPECT_THAT(WhyRefused(join(wrong)), HasSubstr("checksum"));
}

// The checksums are right: whoever wrote it was wrong.
TEST_F(DamagedSnapshotTest, TimesThatCannotBe) {
  constexpr UnixMillis kLeast = std::numeric_limits<UnixMillis>::min();
  const auto write = [&](UnixMillis taken, UnixMillis as_of, UnixMillis outage) {
    SnapshotHeader header = DescribeSnapshot(*engine_, owner_, taken);
    header.partitions = 1;
    std::string bytes;
    SnapshotWriter writer([&bytes](std::string_view part) {
      bytes += part;
      return Status{};
    });
    EXPECT_TRUE(writer.Begin(header));
    EXPECT_TRUE(writer.Add(SnapshotPartition{1, 0, 0, as_of, outage}));
    EXPECT_TRUE(writer.End());
    return bytes;
  };
  for (const UnixMillis time : {kLeast, UnixMillis{-1}, UnixMillis{0}}) {
    EXPECT_THAT(WhyRefused(write(time, now_, 0)), HasSubstr("header"));
    EXPECT_THAT(WhyRefused(write(now_, time, 0)), HasSubstr("partition's entry"));
  }
  for (const UnixMillis length : {kLeast, UnixMillis{-1}}) {
    EXPECT_THAT(WhyRefused(write(now_, now_, length)), HasSubstr("partition's entry"));
  }
  EXPECT_EQ(WhyRefused(write(now_, now_, 0)), "taken");
}

TEST_F(DamagedSnapshotTest, SomebodyElses) {
  const SnapshotOwner own = owner_;
  owner_.node = IdOf(8);
  EXPECT_THAT(WhyRefused(bytes_), HasSubstr("another node"));
  owner_ = {own.node, "other"};
  EXPECT_THAT(WhyRefused(bytes_), HasSubstr("--cluster-name was 'gyre'"));
  owner_ = own;
  Open(64 * kMiB, kPartitions * 2);
  EXPECT_THAT(WhyRefused(bytes_), HasSubstr("--partitions was 16"));
}

TEST_F(DamagedSnapshotTest, ANewerFormat) {
  std::string newer = bytes_;
  newer[8] = 2;
  EXPECT_THAT(WhyRefused(newer), HasSubstr("it has format 2, this release reads 1"));
  EXPECT_THAT(WhyRefused("not a snapshot at all, but long enough"), HasSubstr("not a snapshot"));
}

TEST_F(DamagedSnapshotTest, AfterARefusalTheEngineServes) {
  EXPECT_NE(WhyRefused(bytes_.substr(0, bytes_.size() - 10)), "taken");
  Settle();
  Set("k1", "new");
  EXPECT_EQ(Get("k1"), "new");
  ExpectBooksBalance();
}

// ---- Property ---------------------------------------------------------------------------------

TEST(SnapshotProperty, AnyEngineComesBackInAnyOther) {
  rc::check("written and restored, every partition has the same digest", [] {
    EngineOptions options;
    options.memory_bytes = std::size_t{32} << 20;
    options.partition_count = 16;
    options.shard_count = 1U << *rc::gen::inRange(0, 3);
    const auto from = std::move(*Engine::Create(options));
    const UnixMillis now = kTestStart;
    const auto keys =
        *rc::gen::container<std::vector<std::uint16_t>>(rc::gen::inRange<std::uint16_t>(0, 300));
    for (PartitionId p = 0; p < 16; ++p) {
      Shard& shard = from->ShardOf(p);
      MutexLock lock(shard.mutex());
      shard.SetRole(p, Role::kOwner);
      shard.SetKeepsTombstones(p, true);
    }
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const std::string name = "key" + std::to_string(keys[i]);
      const Key key = from->KeyOf(name);
      Shard& shard = from->ShardOf(key.partition);
      MutexLock lock(shard.mutex());
      if (i % 4 == 3) {
        shard.Remove(key, shard.NextVersion(now), now);
      } else {
        const UnixMillis expiry = i % 5 == 0 ? now + 1000 : kNeverExpires;
        RC_ASSERT(shard.Store(key, Pattern(keys[i] * 50, i), expiry, keys[i] % 3,
                              shard.NextVersion(now)));
      }
      if (i % 50 == 49) shard.Flush(key.partition, shard.NextVersion(now));
    }
    const SnapshotOwner owner{IdOf(1), "any"};
    std::string bytes;
    RC_ASSERT(WriteSnapshot(
                  *from, DescribeSnapshot(*from, owner, now),
                  [&bytes](std::string_view part) {
                    bytes += part;
                    return Status{};
                  },
                  nullptr)
                  .has_value());
    options.shard_count = 1U << *rc::gen::inRange(0, 3);
    const auto to = std::move(*Engine::Create(options));
    SnapshotReader reader(SourceOf(bytes), bytes.size());
    RC_ASSERT(
        RestoreSnapshot(*to, owner, now + *rc::gen::inRange(0, 2000), reader, nullptr).has_value());
    for (PartitionId p = 0; p < 16; ++p) {
      Shard& a = from->ShardOf(p);
      Shard& b = to->ShardOf(p);
      std::uint64_t digest = 0;
      {
        MutexLock lock(a.mutex());
        digest = a.info(p).digest;
      }
      MutexLock lock(b.mutex());
      RC_ASSERT(b.info(p).digest == digest);
    }
  });
}

}  // namespace
}  // namespace gyre
