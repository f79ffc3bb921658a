#include "settings/settings.h"

#include <xxhash.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "proto/limits.h"

namespace gyre {
namespace {

// Of no settings at all.
constexpr std::uint64_t kDigestOfNone = 0x9e3779b97f4a7c15ULL;

// What a node that is told of a change leads to at most: half, for each side of a cut.
constexpr std::size_t kLiveCountMax = kSettingsMax / 2;
constexpr std::size_t kLiveBytesMax = kSettingsBytesMax / 2;

std::uint64_t Hash(std::string_view bytes, std::uint64_t seed = 0) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

// Without the proof: of the same words there may be several.
std::uint64_t HashOf(const Setting& setting) {
  const auto number = [](std::uint64_t value, std::uint64_t seed) {
    return XXH3_64bits_withSeed(&value, sizeof value, seed);
  };
  std::uint64_t hash = Hash(setting.name);
  hash = number(setting.stamp.ms, hash);
  hash = number(setting.stamp.count, hash);
  hash = Hash(setting.stamp.by.raw(), hash);
  return setting.value ? Hash(*setting.value, hash + 1) : hash;
}

bool IsForgotten(const Setting& setting, UnixMillis unix_now) {
  return !setting.value && unix_now > kUnsetKeptMs &&
         setting.stamp.ms < static_cast<std::uint64_t>(unix_now - kUnsetKeptMs);
}

// The next stamp of `by` after `before`, at a clock of `ms`.
SettingStamp Next(const SettingStamp* before, std::uint64_t ms, const NodeId& by) {
  SettingStamp stamp{ms, 0, by};
  if (before == nullptr || before->ms < ms) return stamp;
  stamp.ms = before->ms;
  stamp.count = before->count + 1;
  if (stamp.count == 0) ++stamp.ms;
  return stamp;
}

}  // namespace

bool IsSettingName(std::string_view name) {
  return !name.empty() && name.size() <= kSettingNameBytesMax &&
         std::all_of(name.begin(), name.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte > 0x20 && byte != 0x7f;
         });
}

bool IsNewer(const Setting& one, const Setting& other) {
  return std::tie(one.stamp, one.value) > std::tie(other.stamp, other.value);
}

std::size_t SettingsMap::SectionOf(std::string_view name) { return Hash(name) % kSettingsSections; }

const Setting* SettingsMap::Find(std::string_view name) const {
  const auto found = registers_.find(name);
  return found == registers_.end() ? nullptr : &found->second;
}

std::uint64_t SettingsMap::digest() const {
  const std::uint64_t digest = sum_ + kDigestOfNone;
  return digest == 0 ? 1 : digest;
}

void SettingsMap::Count(const Setting& setting, bool in) {
  const std::uint64_t hash = HashOf(setting);
  const std::uint64_t sign = in ? 1 : ~std::uint64_t{0};
  sum_ += sign * hash;
  sections_[SectionOf(setting.name)] += sign * hash;
  bytes_ += sign * setting.bytes();
  if (!setting.value) return;
  live_bytes_ += sign * setting.bytes();
  live_count_ += sign;
}

SettingsMap::Merged SettingsMap::Merge(Setting setting, UnixMillis unix_now) {
  const auto known = registers_.find(setting.name);
  if (known != registers_.end()) {
    if (!IsNewer(setting, known->second)) return Merged::kKnown;
    Count(known->second, /*in=*/false);
    if (IsForgotten(setting, unix_now)) {
      registers_.erase(known);
      return Merged::kTaken;
    }
    Count(setting, /*in=*/true);
    known->second = std::move(setting);
    return MakeRoom(known->first) ? Merged::kNoRoom : Merged::kTaken;
  }
  if (IsForgotten(setting, unix_now)) return Merged::kKnown;
  Count(setting, /*in=*/true);
  const std::string name = setting.name;
  registers_.emplace(name, std::move(setting));
  return MakeRoom(name) ? Merged::kNoRoom : Merged::kTaken;
}

// The oldest of what was unset, else the oldest. Rare, so it looks at all.
bool SettingsMap::MakeRoom(std::string_view name) {
  bool itself = false;
  while (TooMuch() && !registers_.empty()) {
    const auto goes =
        std::min_element(registers_.begin(), registers_.end(), [](const auto& a, const auto& b) {
          return std::tuple(a.second.value.has_value(), a.second.stamp) <
                 std::tuple(b.second.value.has_value(), b.second.stamp);
        });
    itself = itself || goes->first == name;
    ++let_go_;
    Count(goes->second, /*in=*/false);
    registers_.erase(goes);
  }
  return itself;
}

Result<Setting> SettingsMap::Stamp(const SettingChange& change, const NodeId& by,
                                   std::optional<UnixMillis> unix_now) const {
  if (!IsSettingName(change.name)) {
    return Fail(ErrorCode::kInvalidArgument, "the name of a setting has 1 to " +
                                                 std::to_string(kSettingNameBytesMax) +
                                                 " bytes, without blanks");
  }
  const Setting* const known = Find(change.name);
  const bool was_set = known != nullptr && known->value;
  if (!change.value && !was_set) {
    return Fail(ErrorCode::kInvalidArgument, "'" + change.name + "' is not set for the ring");
  }
  if (change.value && change.value->size() > kSettingValueBytesMax) {
    return Fail(ErrorCode::kTooLarge, "the value of '" + change.name + "' is longer than " +
                                          std::to_string(kSettingValueBytesMax) + " bytes");
  }
  Setting next{change.name, {}, change.value, {}};
  const std::size_t others = live_bytes_ - (was_set ? known->bytes() : 0);
  if (change.value &&
      (live_count_ + (was_set ? 0 : 1) > kLiveCountMax || others + next.bytes() > kLiveBytesMax)) {
    return Fail(ErrorCode::kTooLarge,
                "the ring has as many settings as it can have: " + std::to_string(kLiveCountMax) +
                    ", or " + std::to_string(kLiveBytesMax >> 20) + "MiB; unset others first");
  }
  const UnixMillis clock = std::max<UnixMillis>(unix_now.value_or(0), 0);
  next.stamp =
      Next(known == nullptr ? nullptr : &known->stamp, static_cast<std::uint64_t>(clock), by);
  if (unix_now && next.stamp.ms > static_cast<std::uint64_t>(clock + kAheadMaxMs)) {
    return Fail(ErrorCode::kNotAllowed,
                "'" + change.name +
                    "' was set at a node whose clock was more than a week ahead of this one's: set "
                    "the clocks of both (NTP), then try again");
  }
  return next;
}

std::size_t SettingsMap::Forget(UnixMillis unix_now) {
  return std::erase_if(registers_, [&](const auto& each) {
    if (!IsForgotten(each.second, unix_now)) return false;
    Count(each.second, /*in=*/false);
    return true;
  });
}

}  // namespace gyre
