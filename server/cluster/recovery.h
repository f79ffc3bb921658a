// How a comparison with another node's copy ended, for a partition whose last owner died
// (ownership.h, Recovering), or for a copy that was just settled.
#pragma once

#include <cstdint>

namespace gyre {

enum class RecoveryOutcome : std::uint8_t {
  kAgreed,     // both have the same now, as far as the rule of repair.h goes
  kOutdated,   // likewise; but the other has records of which this copy may have evicted newer ones
  kGained,     // this copy took over what copies may lack that it was compared with before
  kFailed,     // no answer, or it ended half-way
  kContended,  // the other node took the partition over, too, and goes first
};

}  // namespace gyre
