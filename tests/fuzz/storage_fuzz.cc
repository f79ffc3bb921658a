// Drives a small shard by the input's bytes: commands, keys, sizes and time, with eviction at work.
// The sanitizers, the arena's poison and CheckInvariants judge; what is found must be what was last
// stored.
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

#include "storage/engine.h"

namespace {

using namespace gyre;  // NOLINT(google-build-using-namespace): a program of one file

constexpr std::size_t kMemoryBytes = std::size_t{2} << 20;
constexpr UnixMillis kStart = 1'700'000'000'000;

// Reads numbers off the input; zeros after its end.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  std::uint8_t Byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  std::uint32_t Number() {
    const std::uint32_t high = Byte();
    return high << 8 | Byte();
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

void Require(bool holds) {
  if (!holds) std::abort();
}

class Driver {
 public:
  explicit Driver(Input input) : input_(input) {
    EngineOptions options;
    options.memory_bytes = kMemoryBytes;
    options.partition_count = 2;
    options.shard_count = 1;
    options.tombstone_ttl_ms = 10'000;
    engine_ = *Engine::Create(options);
  }

  void Run() GYRE_NO_THREAD_SAFETY_ANALYSIS {
    MutexLock lock(shard().mutex());
    shard().SetKeepsTombstones(0, true);
    while (!input_.empty()) Step();
    Require(shard().CheckInvariants());
    Require(shard().stats().bytes_used <= shard().stats().bytes_limit);
  }

 private:
  Shard& shard() { return engine_->shard(0); }

  std::string NextKey() {
    const std::uint8_t what = input_.Byte();
    std::string key = std::to_string(what % 64);
    if (what >= 250) key.resize(std::size_t{what} * 262 % 65536, 'k');
    return key;
  }
  std::string NextValue() {
    const std::uint32_t number = input_.Number();
    return std::string(std::size_t{number & 0xfff} << (number >> 12 & 7),
                       static_cast<char>(number));
  }
  UnixMillis NextExpiry() {
    const std::uint32_t number = input_.Number();
    if (number < 0x4000) return kNeverExpires;
    return now_ - 1000 + (static_cast<UnixMillis>(number & 0xff) << (number >> 11 & 31));
  }

  void Step() GYRE_NO_THREAD_SAFETY_ANALYSIS {
    const std::uint8_t command = input_.Byte();
    const std::string bytes = NextKey();
    const Key key = engine_->KeyOf(bytes);
    switch (command % 10) {
      case 0:
      case 1: {
        const std::string value = NextValue();
        const auto stored =
            shard().Store(key, value, NextExpiry(), command & 1, shard().NextVersion(now_));
        if (stored) {
          Require(!*stored || stored->is_tombstone() || stored->value_bytes() == value.size());
          newest_[bytes] = value;
        }
        break;
      }
      case 2:
        shard().Remove(key, shard().NextVersion(now_), now_);
        newest_.erase(bytes);
        break;
      case 3:
        (void)shard().SetExpiry(key, NextExpiry(), shard().NextVersion(now_), now_);
        break;
      case 4: {
        const std::string value = NextValue();
        const auto applied =
            shard().Apply({key.partition, key.bytes, value, shard().NextVersion(now_), NextExpiry(),
                           0, (command & 64) != 0},
                          now_);
        if (applied && *applied) newest_[bytes] = value;
        if (!applied) newest_.erase(bytes);
        break;
      }
      case 5:
        now_ += UnixMillis{1} << (input_.Byte() % 34);
        break;
      case 6:
        shard().Tick(now_, 1 + input_.Byte());
        break;
      case 7:
        if (command > 200) shard().Drop(key.partition);
        if (command < 50) {
          shard().Flush(key.partition, shard().NextVersion(now_ - input_.Number()));
        }
        break;
      case 8:
        cursor_ = shard().Walk(key.partition, cursor_, 1 + command, now_,
                               [&](const RecordView& record) { return record.value_bytes() != 7; });
        break;
      default:
        CheckFind(key, bytes);
    }
  }

  void CheckFind(const Key& key, const std::string& bytes) GYRE_NO_THREAD_SAFETY_ANALYSIS {
    const RecordView record = shard().Find(key, now_);
    if (!record) return;
    Require(record.key() == bytes);
    const auto newest = newest_.find(bytes);
    Require(newest != newest_.end());
    Buffer value;
    record.AppendValueTo(value);
    Require(value.view() == newest->second);
  }

  Input input_;
  std::unique_ptr<Engine> engine_;
  std::map<std::string, std::string> newest_;
  UnixMillis now_ = kStart;
  std::uint64_t cursor_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Driver(Input(data, size)).Run();
  return 0;
}
