// Statistics: what a module counts, described once, beside the number itself.
//
//   struct DoorStats {
//     std::uint64_t opened = 0;
//     std::uint64_t inside = 0;
//
//     static constexpr Statistic<DoorStats> kStatistics[] = {
//         {&DoorStats::opened, {.name = "gyre_door_opened_total", .help = "Openings."}},
//         {&DoorStats::inside,
//          {.kind = StatKind::kGauge, .name = "gyre_people_inside", .help = "People."}},
//     };
//   };
//   static_assert(AllDescribed<DoorStats>(), "see AllDescribed");
//
// Sums, differences and pages go over the rows, and none of them names a field: a new number is a
// field, its row, and the place that counts it (in the struct itself, or in a Tally, tally.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace gyre {

// A counter only grows while the process lives; a gauge goes up and down.
enum class StatKind : std::uint8_t { kCounter, kGauge };

// What one is of. Pages show times in seconds and parts as a ratio.
enum class StatUnit : std::uint8_t {
  kNone,
  kBytes,
  kSeconds,
  kMilliseconds,
  kNanoseconds,
  kPermille,
};

// What is said of a statistic, whichever struct it stands in.
struct StatText {
  StatKind kind = StatKind::kCounter;
  StatUnit unit = StatUnit::kNone;
  // On the page of metrics, in Prometheus's style; empty: it is not there. Rows that share a name
  // stand together and differ in their label; the first has the help for all.
  std::string_view name;
  std::string_view help;
  std::string_view label;
  std::string_view label_value;
  // What Redis calls it in INFO's "stats", and memcached in "stats"; empty: they know no such thing.
  // Heeded in the Stats that those pages know: ShardStats and ServerStats (ops/README.md).
  std::string_view redis;
  std::string_view memcached;
};

template <typename Stats>
struct Statistic {
  std::uint64_t Stats::*field = nullptr;
  StatText text;
};

template <typename Stats>
concept Described = requires {
  Stats::kStatistics[0].field;
};

// Whether the page can show it behind `before`: the ending of the name says kind and unit, the help is
// a sentence.
constexpr bool IsWellFormed(const StatText& text, const StatText& before = {}) {
  if (text.label.empty() != text.label_value.empty()) return false;
  if (text.name.empty()) return text.help.empty() && text.label.empty();
  // process_: the names that every exporter of a process uses.
  if (!text.name.starts_with("gyre_") && !text.name.starts_with("process_")) return false;
  const bool goes_on = text.name == before.name;
  if (goes_on ? text.label.empty() || !text.help.empty() : !text.help.ends_with('.')) return false;
  std::string_view rest = text.name;
  const bool total = rest.ends_with("_total");
  if (total) rest.remove_suffix(std::string_view("_total").size());
  if (total != (text.kind == StatKind::kCounter)) return false;
  switch (text.unit) {
    case StatUnit::kNone:
      return true;
    case StatUnit::kBytes:
      return rest.ends_with("_bytes");
    case StatUnit::kPermille:
      return rest.ends_with("_ratio");
    case StatUnit::kSeconds:
    case StatUnit::kMilliseconds:
    case StatUnit::kNanoseconds:
      return rest.ends_with("_seconds");
  }
  return false;
}

// Whether each number of `Stats` has one row, and each row is well formed. `other_bytes`: what else
// the struct holds. Where it is false, one of these is so:
//   - a field has no row, or two; a member is no std::uint64_t, and not in `other_bytes`;
//   - a name does not begin with gyre_; a counter's does not end in _total, or a gauge's does;
//   - a unit is not in the name: _bytes, _ratio, or _seconds for any unit of time, before _total;
//   - a help is not a sentence with its full stop, or it stands in a row without a name, or in a
//     second row of one name; a label has no value.
template <Described Stats>
consteval bool AllDescribed(std::size_t other_bytes = 0) {
  const auto& rows = Stats::kStatistics;
  for (std::size_t i = 0; i < std::size(rows); ++i) {
    if (!IsWellFormed(rows[i].text, i == 0 ? StatText{} : rows[i - 1].text)) return false;
    for (std::size_t j = 0; j < i; ++j) {
      if (rows[i].field == rows[j].field) return false;
    }
  }
  return sizeof(Stats) == std::size(rows) * sizeof(std::uint64_t) + other_bytes;
}

// Numbers of several loops, or shards, add up: gauges as well.
template <Described Stats>
constexpr Stats& operator+=(Stats& sum, const Stats& one) {
  for (const Statistic<Stats>& row : Stats::kStatistics) sum.*row.field += one.*row.field;
  return sum;
}

// What was counted since `earlier`; gauges are what they are.
template <Described Stats>
constexpr Stats Since(const Stats& earlier, Stats now) {
  for (const Statistic<Stats>& row : Stats::kStatistics) {
    if (row.text.kind == StatKind::kCounter) now.*row.field -= earlier.*row.field;
  }
  return now;
}

}  // namespace gyre
