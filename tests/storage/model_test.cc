// A shard against a std::map: random commands, moving time, with and without eviction.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/prng.h"
#include "storage/engine.h"
#include "storage/storage_fixture.h"

namespace gyre {
namespace {

constexpr std::uint32_t kModelPartitions = 4;
constexpr UnixMillis kTombstoneTtl = 60'000;

struct Fact {
  std::string value;
  Version version = 0;
  UnixMillis expiry = kNeverExpires;
  std::uint32_t flags = 0;
  bool tombstone = false;

  bool LiveAt(UnixMillis now) const {
    return !tombstone && (expiry == kNeverExpires || expiry > now);
  }
};

// One run: a shard and what it should hold. `evicts`: the shard may have forgotten any record.
class Run {
 public:
  Run(std::uint64_t seed, std::size_t memory_bytes, bool keeps_tombstones, bool evicts)
      : prng_(seed), keeps_tombstones_(keeps_tombstones), evicts_(evicts) {
    EngineOptions options;
    options.memory_bytes = memory_bytes;
    options.partition_count = kModelPartitions;
    options.shard_count = 1;
    options.tombstone_ttl_ms = kTombstoneTtl;
    engine_ = *Engine::Create(options);
    MutexLock lock(shard().mutex());
    for (PartitionId p = 0; p < kModelPartitions; ++p) {
      shard().SetKeepsTombstones(p, keeps_tombstones);
    }
  }

  void Steps(int count, std::size_t value_bytes_log2) {
    value_bytes_log2_ = value_bytes_log2;
    for (int i = 0; i < count; ++i) Step();
    CheckAll();
  }

 private:
  Shard& shard() { return engine_->shard(0); }

  std::string RandomKey() {
    std::string key = std::to_string(prng_.Below(400));
    if (key.size() == 1) key += std::string(300, 'k');  // needs the long form
    return key;
  }
  std::string RandomValue() {
    const std::size_t bytes = prng_.Below(std::size_t{1} << (1 + prng_.Below(value_bytes_log2_)));
    return Pattern(bytes, static_cast<unsigned>(prng_.Below(26)));
  }
  UnixMillis RandomExpiry() {
    switch (prng_.Below(6)) {
      case 0:
        return now_ - 1 - static_cast<UnixMillis>(prng_.Below(1000));
      case 1:
        return now_ + 1 + static_cast<UnixMillis>(prng_.Below(2000));
      case 2:
        return now_ + 1 + static_cast<UnixMillis>(prng_.Below(10'000'000));
      case 3:
        return now_ + (UnixMillis{1} << (20 + prng_.Below(40)));
      default:
        return kNeverExpires;
    }
  }

  void Step() {
    MutexLock lock(shard().mutex());
    const std::string bytes = RandomKey();
    const Key key = engine_->KeyOf(bytes);
    switch (prng_.Below(20)) {
      case 0:
        now_ += static_cast<UnixMillis>(prng_.Below(3000));
        break;
      case 1:
        if (prng_.Below(20) == 0) now_ += static_cast<UnixMillis>(prng_.Below(100'000'000));
        break;
      case 2:
        shard().Tick(now_, 1 + prng_.Below(50));
        break;
      case 3:
        if (prng_.Below(20) == 0) Flush(key.partition);
        break;
      case 4:
        if (prng_.Below(40) == 0) Drop(key.partition);
        break;
      case 5:
      case 6:
        Remove(key);
        break;
      case 7:
      case 8:
        SetExpiry(key);
        break;
      case 9:
      case 10:
        Apply(key);
        break;
      case 11:
      case 12:
      case 13:
        CheckFind(key);
        break;
      default:
        Store(key);
    }
  }

  // What the model holds after the record got `fact`: expired or removed records are tombstones, if
  // kept.
  void Set(const Key& key, Fact fact, bool keep) {
    if (fact.expiry != kNeverExpires && fact.expiry <= now_) fact.tombstone = true;
    if (fact.tombstone) fact = Fact{.version = fact.version, .tombstone = true};
    if (fact.tombstone && !keep) {
      model_.erase(std::string(key.bytes));
    } else {
      model_[std::string(key.bytes)] = fact;
    }
  }
  const Fact* Live(const Key& key) const {
    const auto found = model_.find(std::string(key.bytes));
    return found != model_.end() && found->second.LiveAt(now_) ? &found->second : nullptr;
  }

  void Store(const Key& key) GYRE_REQUIRES(shard().mutex()) {
    const Fact fact{RandomValue(), shard().NextVersion(now_), RandomExpiry(),
                    static_cast<std::uint32_t>(prng_.Below(3))};
    const auto stored = shard().Store(key, fact.value, fact.expiry, fact.flags, fact.version);
    RC_ASSERT(stored.has_value());
    Set(key, fact, keeps_tombstones_);
    if (Live(key) != nullptr) Compare(*stored, fact);
  }
  void Remove(const Key& key) GYRE_REQUIRES(shard().mutex()) {
    const Version version = shard().NextVersion(now_);
    const bool existed = shard().Remove(key, version, now_);
    if (!evicts_) RC_ASSERT(existed == (Live(key) != nullptr));
    Set(key, Fact{.version = version, .tombstone = true}, keeps_tombstones_);
  }
  void SetExpiry(const Key& key) GYRE_REQUIRES(shard().mutex()) {
    const Version version = shard().NextVersion(now_);
    const UnixMillis expiry = RandomExpiry();
    const bool there = static_cast<bool>(shard().Find(key, now_));
    if (!evicts_) RC_ASSERT(there == (Live(key) != nullptr));
    const auto record = shard().SetExpiry(key, expiry, version, now_);
    RC_ASSERT(record.has_value());
    if (!there) {
      RC_ASSERT(!*record);
      return;
    }
    Fact fact = *Live(key);
    fact.version = version;
    fact.expiry = expiry;
    Set(key, fact, keeps_tombstones_);
    if (Live(key) != nullptr) Compare(*record, fact);
  }
  void Apply(const Key& key) GYRE_REQUIRES(shard().mutex()) {
    // Versions a little before and after the present.
    const UnixMillis at = now_ + 2000 - static_cast<UnixMillis>(prng_.Below(10000));
    const Fact fact{
        RandomValue(),
        static_cast<Version>(at) << (kVersionCountBits + kVersionNodeBits) | prng_.Below(1 << 20),
        RandomExpiry(), 0, prng_.Below(4) == 0};
    const auto applied = shard().Apply(
        {key.partition, key.bytes, fact.value, fact.version, fact.expiry, 0, fact.tombstone}, now_);
    RC_ASSERT(applied.has_value());
    const auto old = model_.find(std::string(key.bytes));
    const bool forgotten = old != model_.end() && CanBeForgotten(old->second);
    const bool newer = (old == model_.end() || old->second.version < fact.version) &&
                       flushed_[key.partition] < fact.version;
    // The shard may still hold, or may have reclaimed, what has expired.
    if (!evicts_ && !forgotten) RC_ASSERT(*applied == newer);
    if (*applied) Set(key, fact, /*keep=*/true);
  }
  void Flush(PartitionId partition) GYRE_REQUIRES(shard().mutex()) {
    const Version back = (prng_.Below(2) * prng_.Below(5000))
                         << (kVersionCountBits + kVersionNodeBits);
    const Version version = shard().NextVersion(now_) - back;
    shard().Flush(partition, version);
    flushed_[partition] = std::max(flushed_[partition], version);
    std::erase_if(model_, [&](const auto& entry) {
      return engine_->KeyOf(entry.first).partition == partition && entry.second.version <= version;
    });
  }
  void Drop(PartitionId partition) GYRE_REQUIRES(shard().mutex()) {
    shard().Drop(partition);
    std::erase_if(model_, [&](const auto& entry) {
      return engine_->KeyOf(entry.first).partition == partition;
    });
  }

  // A tombstone or expired record that Tick may have reclaimed by now.
  bool CanBeForgotten(const Fact& fact) const {
    if (fact.LiveAt(now_)) return false;
    if (!fact.tombstone && !keeps_tombstones_) return true;
    return MillisOf(fact.version) + kTombstoneTtl <= now_;
  }

  void Compare(const RecordView& record, const Fact& fact) {
    RC_ASSERT(static_cast<bool>(record));
    RC_ASSERT(ValueOf(record) == fact.value);
    RC_ASSERT(record.version() == fact.version);
    RC_ASSERT(record.expiry_ms() == fact.expiry);
    RC_ASSERT(record.flags() == fact.flags);
  }
  void CheckFind(const Key& key) GYRE_REQUIRES(shard().mutex()) {
    const RecordView record = shard().Find(key, now_);
    const Fact* fact = Live(key);
    if (record) {
      RC_ASSERT(fact != nullptr);
      Compare(record, *fact);
    } else {
      RC_ASSERT(evicts_ || fact == nullptr);
    }
  }

  void CheckAll() {
    MutexLock lock(shard().mutex());
    RC_ASSERT(shard().CheckInvariants());
    while (shard().Tick(now_, 1000)) {
    }
    RC_ASSERT(shard().CheckInvariants());
    std::size_t live = 0;
    for (const auto& [bytes, fact] : model_) {
      CheckFind(engine_->KeyOf(bytes));
      live += fact.LiveAt(now_);
    }
    const ShardStats stats = shard().stats();
    RC_ASSERT(stats.bytes_used <= stats.bytes_limit);
    if (evicts_) return;
    std::size_t walked = 0;
    for (PartitionId p = 0; p < kModelPartitions; ++p) {
      std::uint64_t cursor = 0;
      do {
        cursor = shard().Walk(p, cursor, 1 + prng_.Below(20), now_, [&](const RecordView& record) {
          if (record.is_tombstone()) return true;
          ++walked;
          const auto found = model_.find(std::string(record.key()));
          RC_ASSERT(found != model_.end());
          RC_ASSERT(found->second.version == record.version());
          return true;
        });
      } while (cursor != 0);
    }
    RC_ASSERT(walked == live);
  }

  Prng prng_;
  const bool keeps_tombstones_;
  const bool evicts_;
  std::size_t value_bytes_log2_ = 8;
  std::unique_ptr<Engine> engine_;
  std::map<std::string, Fact> model_;
  std::map<PartitionId, Version> flushed_;
  UnixMillis now_ = kTestStart;
};

constexpr std::size_t kRoomy = std::size_t{256} << 20;
constexpr std::size_t kTight = std::size_t{2} << 20;

RC_GTEST_PROP(StorageModel, EqualsAMapWhereNothingIsEvicted, (std::uint64_t seed, bool keeps)) {
  Run run(seed, kRoomy, keeps, /*evicts=*/false);
  run.Steps(1500, 12);
  run.Steps(100, 18);
  run.Steps(300, 10);
}

RC_GTEST_PROP(StorageModel, FindsOnlyTheNewestUnderEviction, (std::uint64_t seed, bool keeps)) {
  Run run(seed, kTight, keeps, /*evicts=*/true);
  run.Steps(500, 16);
  run.Steps(1500, 12);
  run.Steps(500, 18);
}

// ---- Order -------------------------------------------------------------------------------------

struct State {
  std::map<std::string, std::pair<Version, std::string>> records;
  std::vector<std::uint64_t> digests;
  friend bool operator==(const State&, const State&) = default;
};

State StateAfter(const std::vector<Mutation>& mutations) {
  EngineOptions options;
  options.partition_count = kModelPartitions;
  options.shard_count = 1;
  auto engine = *Engine::Create(options);
  Shard& shard = engine->shard(0);
  MutexLock lock(shard.mutex());
  for (const Mutation& mutation : mutations) {
    RC_ASSERT(shard.Apply(mutation, kTestStart).has_value());
  }
  State state;
  for (PartitionId p = 0; p < kModelPartitions; ++p) {
    state.digests.push_back(shard.info(p).digest);
    shard.Walk(p, 0, 100000, kTestStart, [&](const RecordView& record) {
      const std::string value = record.is_tombstone() ? "(none)" : ValueOf(record);
      state.records[std::string(record.key())] = {record.version(), value};
      return true;
    });
  }
  RC_ASSERT(shard.CheckInvariants());
  return state;
}

RC_GTEST_PROP(StorageModel, MutationsCommuteAndMayRepeat, (std::uint64_t seed)) {
  Prng prng(seed);
  std::vector<std::string> keys;
  std::vector<std::string> values;
  for (int i = 0; i < 20; ++i) keys.push_back("key" + std::to_string(i));
  for (unsigned i = 0; i < 20; ++i) values.push_back(Pattern(i * i * 20, i));
  std::vector<Mutation> mutations;
  for (int i = 0; i < 200; ++i) {
    const std::string& key = keys[prng.Below(keys.size())];
    const Version version = (static_cast<Version>(kTestStart) << 20) + static_cast<Version>(i);
    const bool tombstone = prng.Below(4) == 0;
    const UnixMillis expiry =
        prng.Below(4) == 0 ? kTestStart - 500 + static_cast<UnixMillis>(prng.Below(1000)) : 0;
    mutations.push_back({PartitionOf(SlotOf(key), kModelPartitions), key,
                         tombstone ? std::string_view{} : values[prng.Below(values.size())],
                         version, expiry, 0, tombstone});
  }
  const State expected = StateAfter(mutations);
  for (std::size_t i = mutations.size(); i-- > 1;) {
    std::swap(mutations[i], mutations[prng.Below(i + 1)]);
  }
  RC_ASSERT(StateAfter(mutations) == expected);
  mutations.insert(mutations.end(), mutations.begin(), mutations.begin() + 100);
  RC_ASSERT(StateAfter(mutations) == expected);
}

}  // namespace
}  // namespace gyre
