#include "command/hot_keys.h"

#include <algorithm>
#include <cstring>
#include <unordered_map>

namespace gyre {
namespace {

// A rate is not told from less time than that.
constexpr UnixMillis kRateMillisMin = 1'000;

}  // namespace

void HotKeys::Sample(const Key& key, UnixMillis now) {
  // From 1 to 2 * kSampleEach - 1: kSampleEach on average.
  until_sample_ = 1 + random_.Below(2 * kSampleEach - 1);
  const MutexLock lock(mutex_);
  Window* window = &windows_[current_];
  // A clock that was set back by more than a moment begins anew as well.
  if (window->begin == 0 || now + kWindow < window->begin || now >= window->begin + kWindow) {
    const bool follows =
        window->begin != 0 && now >= window->begin && now < window->begin + 2 * kWindow;
    if (!follows) window->begin = 0;
    const UnixMillis begin = follows ? window->begin + kWindow : now;
    current_ = 1 - current_;
    window = &windows_[current_];
    for (Counter& counter : window->counters) counter.count = 0;
    window->begin = begin;
  }
  Count(key, *window);
}

void HotKeys::Count(const Key& key, Window& window) {
  Counter* smallest = window.counters.data();
  for (Counter& counter : window.counters) {
    if (counter.count != 0 && counter.hash == key.hash) {
      ++counter.count;
      return;
    }
    if (counter.count < smallest->count) smallest = &counter;
  }
  smallest->hash = key.hash;
  smallest->error = smallest->count;
  ++smallest->count;
  const std::size_t bytes = std::min(key.bytes.size(), kKeyBytesMax);
  std::memcpy(smallest->key.data(), key.bytes.data(), bytes);
  smallest->key_bytes = static_cast<std::uint16_t>(bytes);
  smallest->whole = bytes == key.bytes.size();
}

std::vector<HotKey> HotKeys::Read(UnixMillis now) const {
  std::vector<HotKey> all;
  const MutexLock lock(mutex_);
  const Window& newer = windows_[current_];
  const Window& older = windows_[1 - current_];
  if (newer.begin == 0) return all;
  const UnixMillis age = std::max<UnixMillis>(now - newer.begin, 0);
  const bool has_older = older.begin != 0 && older.begin + kWindow == newer.begin;
  // What lies within the last kWindow milliseconds counts; of a whole window its share.
  const auto share = [](UnixMillis part) {
    return std::clamp(static_cast<double>(part) / static_cast<double>(kWindow), 0.0, 1.0);
  };
  const double older_share = has_older ? share(kWindow - age) : 0;
  const double newer_share = age <= kWindow ? 1 : share(2 * kWindow - age);
  const UnixMillis span = has_older || age >= kWindow ? kWindow : std::max(age, kRateMillisMin);
  const auto add = [&](const Window& window, double weight) {
    if (weight == 0) return;
    for (const Counter& counter : window.counters) {
      if (counter.count <= counter.error) continue;
      HotKey& one = all.emplace_back();
      one.hash = counter.hash;
      one.key.assign(counter.key.data(), counter.key_bytes);
      one.whole = counter.whole;
      one.per_second = weight * static_cast<double>(counter.count - counter.error) *
                       static_cast<double>(kSampleEach) * 1000 / static_cast<double>(span);
    }
  };
  add(newer, newer_share);
  add(older, older_share);
  return Merge(std::move(all));
}

std::vector<HotKey> Merge(std::vector<HotKey> all) {
  std::unordered_map<std::uint64_t, std::size_t> places;  // [hash] -> in `merged`
  std::vector<HotKey> merged;
  for (HotKey& one : all) {
    const auto [place, is_new] = places.try_emplace(one.hash, merged.size());
    if (is_new) {
      merged.push_back(std::move(one));
    } else {
      merged[place->second].per_second += one.per_second;
    }
  }
  std::sort(merged.begin(), merged.end(), [](const HotKey& a, const HotKey& b) {
    return a.per_second != b.per_second ? a.per_second > b.per_second : a.key < b.key;
  });
  if (merged.size() > HotKeys::kKeysMax) merged.resize(HotKeys::kKeysMax);
  return merged;
}

}  // namespace gyre
