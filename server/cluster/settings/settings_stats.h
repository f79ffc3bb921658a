// What becomes of the ring's settings at this node.
#pragma once

#include <cstdint>

#include "base/statistic.h"

namespace gyre {

struct SettingsStats {
  std::uint64_t live = 0;
  std::uint64_t unset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t changes = 0;
  std::uint64_t heard = 0;
  std::uint64_t refused_here = 0;
  std::uint64_t refused_malformed = 0;
  std::uint64_t refused_unproven = 0;
  std::uint64_t refused_stranger = 0;
  std::uint64_t refused_ahead = 0;
  std::uint64_t refused_rate = 0;
  std::uint64_t let_go = 0;
  std::uint64_t nodes_differing = 0;
  std::uint64_t differing_ms = 0;
  std::uint64_t digest = 0;

  static constexpr Statistic<SettingsStats> kStatistics[] = {
      {&SettingsStats::live,
       {.kind = StatKind::kGauge,
        .name = "gyre_ring_settings",
        .help = "Settings of the ring that have a value, as this node has them."}},
      {&SettingsStats::unset,
       {.kind = StatKind::kGauge,
        .name = "gyre_ring_settings_unset",
        .help = "Settings of the ring that were unset and are remembered as such."}},
      {&SettingsStats::bytes,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kBytes,
        .name = "gyre_ring_settings_bytes",
        .help = "Bytes of the ring's settings at this node, of 4 MiB at most."}},
      {&SettingsStats::changes,
       {.name = "gyre_ring_settings_changes_total",
        .help = "Changes of the ring's settings that were made at this node."}},
      {&SettingsStats::heard,
       {.name = "gyre_ring_settings_heard_total",
        .help = "Changes of the ring's settings that other nodes told."}},
      {&SettingsStats::refused_here,
       {.name = "gyre_ring_settings_refused_total",
        .help = "Changes of the ring's settings that were not taken; operator: made at this node.",
        .label = "cause",
        .label_value = "operator"}},
      {&SettingsStats::refused_malformed,
       {.name = "gyre_ring_settings_refused_total", .label = "cause", .label_value = "malformed"}},
      {&SettingsStats::refused_unproven,
       {.name = "gyre_ring_settings_refused_total", .label = "cause", .label_value = "unproven"}},
      {&SettingsStats::refused_stranger,
       {.name = "gyre_ring_settings_refused_total", .label = "cause", .label_value = "stranger"}},
      {&SettingsStats::refused_ahead,
       {.name = "gyre_ring_settings_refused_total", .label = "cause", .label_value = "ahead"}},
      {&SettingsStats::refused_rate,
       {.name = "gyre_ring_settings_refused_total", .label = "cause", .label_value = "rate"}},
      {&SettingsStats::let_go,
       {.name = "gyre_ring_settings_let_go_total",
        .help = "Settings of the ring that went because there were too many: the oldest."}},
      {&SettingsStats::nodes_differing,
       {.kind = StatKind::kGauge,
        .name = "gyre_ring_settings_nodes_differing",
        .help = "Other nodes that had other settings when they were heard last."}},
      {&SettingsStats::differing_ms,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kMilliseconds,
        .name = "gyre_ring_settings_differing_seconds",
        .help = "For how long another node has had other settings; 0: all have the same."}},
      {&SettingsStats::digest, {}},
  };
};
static_assert(AllDescribed<SettingsStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

}  // namespace gyre
