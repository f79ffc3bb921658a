// Judges a recorded history.
#pragma once

#include <istream>
#include <ostream>
#include <string>
#include <vector>

#include "history/event.h"
#include "history/history.h"

namespace gyre::history {

// Replays `events` in the order of time into `history`, which judges them. Of what falls on the
// same microsecond, the order is the one that accuses nobody.
void Replay(const std::vector<Event>& events, History& history);

struct CheckOptions {
  // A write of unknown outcome may take effect after newer ones (Fault::kLate is printed, but no
  // failure): where nodes slept with requests in their sockets.
  bool allow_late = false;
  Promise promise;
  bool evicts = false;  // any key may be missing
};

// Reads lines from `in`, prints what was judged and every violation to `out`. The exit code: 0
// none, 1 some, 2 not a history (malformed, or nothing in it was acknowledged and read).
int Check(std::istream& in, const std::string& name, const CheckOptions& options,
          std::ostream& out);

}  // namespace gyre::history
