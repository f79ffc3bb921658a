// A vocabulary for tests of one shard: it has all partitions, time stands still until the test
// moves it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/engine.h"

namespace gyre {

inline constexpr std::size_t kMiB = std::size_t{1} << 20;
inline constexpr UnixMillis kTestStart = 1'700'000'000'000;

// Readable in failures, and different at every offset.
inline std::string Pattern(std::size_t bytes, unsigned seed) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) {
    text[i] = static_cast<char>('a' + (i * 7 + i / 251 + seed) % 26);
  }
  return text;
}

inline std::string ValueOf(const RecordView& record) {
  std::string value;
  record.ForEachChunk([&value](std::string_view piece) { value += piece; });
  return value;
}

class StorageTest : public ::testing::Test {
 protected:
  static constexpr std::uint32_t kPartitions = 16;

  StorageTest() { Open(64 * kMiB); }

  void Open(std::size_t memory_bytes, std::uint32_t partitions = kPartitions) {
    EngineOptions options;
    options.memory_bytes = memory_bytes;
    options.partition_count = partitions;
    options.shard_count = 1;
    auto engine = Engine::Create(options);
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
  }

  Shard& shard() { return engine_->shard(0); }
  Key KeyOf(std::string_view bytes) const { return engine_->KeyOf(bytes); }
  PartitionId PartitionOfKey(std::string_view bytes) const { return KeyOf(bytes).partition; }

  Result<RecordView> Set(std::string_view key, std::string_view value, UnixMillis ttl = 0,
                         std::uint32_t flags = 0) {
    MutexLock lock(shard().mutex());
    const Version version = shard().NextVersion(now_);
    return shard().Store(KeyOf(key), value, ttl == 0 ? kNeverExpires : now_ + ttl, flags, version);
  }
  // "-" for a miss.
  std::string Get(std::string_view key) {
    MutexLock lock(shard().mutex());
    const RecordView record = shard().Find(KeyOf(key), now_);
    return record ? ValueOf(record) : "-";
  }
  bool Has(std::string_view key) {
    MutexLock lock(shard().mutex());
    return static_cast<bool>(shard().Find(KeyOf(key), now_));
  }
  RecordView Peek(std::string_view key) {
    MutexLock lock(shard().mutex());
    return shard().Peek(KeyOf(key));
  }
  bool Delete(std::string_view key) {
    MutexLock lock(shard().mutex());
    return shard().Remove(KeyOf(key), shard().NextVersion(now_), now_);
  }
  bool Expire(std::string_view key, UnixMillis at) {
    MutexLock lock(shard().mutex());
    const auto record = shard().SetExpiry(KeyOf(key), at, shard().NextVersion(now_), now_);
    return record && *record && !record->is_tombstone();
  }
  bool Apply(const Mutation& mutation) {
    MutexLock lock(shard().mutex());
    Mutation complete = mutation;
    complete.partition = PartitionOfKey(mutation.key);
    return shard().Apply(complete, now_).value_or(false);
  }
  void KeepTombstones() {
    MutexLock lock(shard().mutex());
    for (PartitionId p = 0; p < engine_->options().partition_count; ++p) {
      shard().SetKeepsTombstones(p, true);
    }
  }
  void Flush(PartitionId partition, Version version) {
    MutexLock lock(shard().mutex());
    shard().Flush(partition, version);
  }
  void Drop(PartitionId partition) {
    MutexLock lock(shard().mutex());
    shard().Drop(partition);
  }
  bool Tick(std::size_t budget) {
    MutexLock lock(shard().mutex());
    return shard().Tick(now_, budget);
  }
  // Until no background work is due.
  void Settle() {
    while (Tick(1000)) {
    }
  }
  void Pass(UnixMillis millis) { now_ += millis; }
  PartitionInfo Info(PartitionId partition) {
    MutexLock lock(shard().mutex());
    return shard().info(partition);
  }
  ShardStats Stats() {
    MutexLock lock(shard().mutex());
    return shard().stats();
  }
  Version NextVersion() {
    MutexLock lock(shard().mutex());
    return shard().NextVersion(now_);
  }
  // The keys of one walk, in its order, in steps of `step` records.
  std::vector<std::string> Walk(PartitionId partition, std::size_t step) {
    std::vector<std::string> keys;
    std::uint64_t cursor = 0;
    do {
      MutexLock lock(shard().mutex());
      cursor = shard().Walk(partition, cursor, step, now_, [&](const RecordView& record) {
        keys.emplace_back(record.key());
        return true;
      });
    } while (cursor != 0);
    return keys;
  }
  void ExpectBooksBalance() {
    MutexLock lock(shard().mutex());
    EXPECT_TRUE(shard().CheckInvariants());
  }

  std::unique_ptr<Engine> engine_;
  UnixMillis now_ = kTestStart;
};

}  // namespace gyre
