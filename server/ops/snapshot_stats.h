// What the node's last snapshot came to, for the status and the metrics.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace gyre {

struct SnapshotStats {
  enum class Outcome : std::uint8_t {
    kNone,        // there was none at the start
    kLoaded,      //
    kRefused,     // damaged, or of another node; see `reason`
    kUnfinished,  // the last life ended while it was written
  };
  static constexpr std::array<std::string_view, 4> kOutcomes = {"none", "loaded", "refused",
                                                                "unfinished"};

  Outcome outcome = Outcome::kNone;
  std::string reason;
  std::uint64_t records = 0;  // loaded, tombstones included
  std::uint64_t bytes = 0;    // of the file
  double seconds = 0;         // that loading it took
  UnixMillis taken_ms = 0;

  std::string_view outcome_name() const { return kOutcomes[static_cast<std::size_t>(outcome)]; }
};

}  // namespace gyre
