// The settings of the ring: registers by name, of which every node has all. Pure.
//
// A register is last-writer-wins: of two states of one name the higher (ms, count, by) stays,
// whichever came first, so merging is commutative, associative and idempotent, and nodes that
// exchange what they have agree. The stamp is hybrid logical time: the wall clock of the node that
// was told, or one more than the state that it replaces where that is ahead. So a change made in
// view of another is newer than that, whatever the clocks; of two that did not know of each other,
// on both sides of a cut for one, the one with the later clock stays.
//
// A name that is unset leaves a register without a value, so that no node brings the old one back.
// It is forgotten after kUnsetKeptMs: a node that was away for longer may bring it back.
//
// Bounds. A node that is told of a change refuses what leads beyond half of them (Stamp), so that
// two halves of a ring that was cut find room in each other. What other nodes say is taken up to the
// whole; beyond it the oldest goes, of what was unset before all else. All nodes let the same go.
//
// Cost: a register is looked up by name in a map; digests are kept as sums, by section.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "cluster/setting_change.h"
#include "proto/node_id.h"
#include "proto/result.h"

namespace gyre {

inline constexpr std::size_t kSettingNameBytesMax = 128;
inline constexpr std::size_t kSettingValueBytesMax = std::size_t{64} << 10;
// Of registers, those without a value included.
inline constexpr std::size_t kSettingsMax = 1024;
// Of names and values, and of what each register costs beside them.
inline constexpr std::size_t kSettingsBytesMax = std::size_t{4} << 20;
inline constexpr std::size_t kSettingOverheadBytes = 256;
inline constexpr std::int64_t kUnsetKeptMs = std::int64_t{90} * 24 * 3600 * 1000;
// For exchanges: only those sections travel that differ.
inline constexpr std::size_t kSettingsSections = 64;

// Names stand in logs and tables: no control characters, no blanks.
bool IsSettingName(std::string_view name);

struct SettingStamp {
  std::uint64_t ms = 0;
  std::uint32_t count = 0;
  NodeId by;  // the node that was told

  friend auto operator<=>(const SettingStamp&, const SettingStamp&) = default;
};

struct Setting {
  std::string name;
  SettingStamp stamp;
  std::optional<std::string> value;  // none: it was unset
  std::string proof;                 // of stamp.by (membership/signer.h)

  // What it counts for in the bounds.
  std::size_t bytes() const {
    return name.size() + (value ? value->size() : 0) + kSettingOverheadBytes;
  }
  friend bool operator==(const Setting&, const Setting&) = default;
};

// Whether `one` replaces `other`, a state of the same name. Total, so that a node which stamped two
// states alike divides nobody.
bool IsNewer(const Setting& one, const Setting& other);

// One thread.
class SettingsMap {
 public:
  // Lets go what is beyond `count_max` registers or `bytes_max` bytes.
  explicit SettingsMap(std::size_t count_max = kSettingsMax,
                       std::size_t bytes_max = kSettingsBytesMax)
      : count_max_(count_max), bytes_max_(bytes_max) {}

  using Registers = std::map<std::string, Setting, std::less<>>;
  const Registers& registers() const { return registers_; }
  // Null: nobody ever said anything of it, or that is forgotten. It may have been unset.
  const Setting* Find(std::string_view name) const;

  std::size_t count() const { return registers_.size(); }
  std::size_t live_count() const { return live_count_; }  // with a value
  std::size_t bytes() const { return bytes_; }
  std::size_t live_bytes() const { return live_bytes_; }

  // Of all registers; equal where they are, and never 0.
  std::uint64_t digest() const;
  const std::array<std::uint64_t, kSettingsSections>& section_digests() const { return sections_; }
  static std::size_t SectionOf(std::string_view name);

  // Takes the state in where it is newer. `unix_now`: what was unset longer ago than kUnsetKeptMs is
  // not kept.
  enum class Merged : std::uint8_t { kTaken, kKnown, kNoRoom };
  Merged Merge(Setting setting, UnixMillis unix_now);

  // The state that the change leads to here, stamped for `by`, not signed and not merged.
  // kInvalidArgument: its name or value is out of bounds, or there is nothing to unset;
  // kTooLarge: it leads beyond half of the bounds; kNotAllowed: its stamp would lie too far ahead
  // of the clock, so that others would refuse it. `unix_now` of nothing: there is no clock.
  Result<Setting> Stamp(const SettingChange& change, const NodeId& by,
                        std::optional<UnixMillis> unix_now) const;

  // Forgets what was unset too long ago; how many.
  std::size_t Forget(UnixMillis unix_now);
  // Those that room was made of, since the beginning.
  std::uint64_t let_go() const { return let_go_; }

 private:
  void Count(const Setting& setting, bool in);
  bool TooMuch() const { return registers_.size() > count_max_ || bytes_ > bytes_max_; }
  // Whether `name` is among those that had to go.
  bool MakeRoom(std::string_view name);

  const std::size_t count_max_;
  const std::size_t bytes_max_;
  Registers registers_;
  std::size_t live_count_ = 0;
  std::size_t bytes_ = 0;
  std::size_t live_bytes_ = 0;
  std::uint64_t sum_ = 0;
  std::array<std::uint64_t, kSettingsSections> sections_{};
  std::uint64_t let_go_ = 0;
};

}  // namespace gyre
