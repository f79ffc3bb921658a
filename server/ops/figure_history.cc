#include "ops/figure_history.h"

#include <algorithm>

namespace gyre {

bool FigureHistory::Due(TimePoint now) const {
  MutexLock lock(mutex_);
  return added_ == 0 || now - last_ >= kStep;
}

void FigureHistory::Add(TimePoint now, const FigurePoint& point) {
  MutexLock lock(mutex_);
  points_[added_++ % kPoints] = point;
  last_ = now;
}

std::vector<FigurePoint> FigureHistory::Points() const {
  MutexLock lock(mutex_);
  std::vector<FigurePoint> points;
  points.reserve(std::min(added_, kPoints));
  for (std::size_t i = added_ - std::min(added_, kPoints); i < added_; ++i) {
    points.push_back(points_[i % kPoints]);
  }
  return points;
}

}  // namespace gyre
