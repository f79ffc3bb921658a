// How a node fared in the last minutes, for the charts of /ui: a point every few seconds of what the
// status says.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/clock.h"
#include "common/mutex.h"
#include "ops/recent_traffic.h"

namespace gyre {

// A moment: what RecentTraffic said then, and the memory that was used.
struct FigurePoint {
  RecentFigures recent;
  std::uint64_t used_bytes = 0;
};

// Thread-safe. Holds about 8 KiB.
class FigureHistory {
 public:
  static constexpr Duration kStep = std::chrono::seconds(2);
  static constexpr std::size_t kPoints = 150;  // five minutes

  // Whether the next point is due: a point costs its caller more than the question.
  bool Due(TimePoint now) const;
  // To be called when one is due. A step that was missed (a pause) has no point: the points behind
  // it move together.
  void Add(TimePoint now, const FigurePoint& point);
  // Oldest first.
  std::vector<FigurePoint> Points() const;

 private:
  mutable Mutex mutex_;
  std::array<FigurePoint, kPoints> points_ GYRE_GUARDED_BY(mutex_);  // a ring
  std::size_t added_ GYRE_GUARDED_BY(mutex_) = 0;
  TimePoint last_ GYRE_GUARDED_BY(mutex_){};
};

}  // namespace gyre
