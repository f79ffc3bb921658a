// How far the filling of a node has come, and how fast it goes on. Pure.
//
// A partition counts with its size as its source told it (an estimate: values, and a bit for what
// belongs to a record), done by the part of it that was walked; one of which nothing is known yet
// with the average of the others. So percent, bytes and time to go agree with each other. A fill
// begins with the first partition after a quiet time and ends when none is left.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "base/clock.h"

namespace gyre {

// As it is shown and sent to other nodes.
struct TransferProgress {
  std::uint64_t partitions_left = 0;  // moves_left and repairs
  std::uint64_t moves_left = 0;       // of those, the ones that a pause holds up (pull_kind.h)
  std::uint64_t partitions_done = 0;  // of this fill
  std::uint64_t bytes_left = 0;       // estimated, as the next two
  std::uint64_t bytes_done = 0;       // of this fill
  std::uint64_t bytes_per_second = 0;
  bool paused = false;                       // moves are
  std::uint64_t limit_bytes_per_second = 0;  // of moves; 0: none

  friend bool operator==(const TransferProgress&, const TransferProgress&) = default;
};

// 100 where nothing is left.
double ProgressPercent(const TransferProgress& progress);
// Nothing while it stands still; 0 where nothing is left.
std::optional<std::uint64_t> SecondsLeft(const TransferProgress& progress);
// What several nodes fill together; its pause and limit are not set.
void Add(TransferProgress& sum, const TransferProgress& one);

// Bytes a second over the last seconds, from a counter that is sampled now and then.
class RateMeter {
 public:
  void Sample(TimePoint now, std::uint64_t counter);
  std::uint64_t per_second() const;
  void Clear() { samples_.clear(); }

 private:
  struct Point {
    TimePoint at{};
    std::uint64_t counter = 0;
  };
  std::deque<Point> samples_;
};

}  // namespace gyre
