// Lifeguard's local health awareness: how far this node trusts its own probes.
//
// A node that is starved of CPU or network sees failures everywhere, all of its own making. Each
// sign of it (a probe that failed although others had time to answer, a suspicion about itself)
// raises a score, each success lowers it; probe intervals and timeouts grow with the score, so that
// a slow node accuses slowly. (Dadgar, Phillips, Currey, "Lifeguard: Local Health Awareness for
// More Accurate Failure Detection", 2017, arXiv:1707.00788, section IV.A.)
#pragma once

#include <algorithm>

#include "base/clock.h"

namespace gyre {

class Awareness {
 public:
  // The score stays in [0, score_max].
  explicit Awareness(int score_max) : score_max_(score_max) {}

  int score() const { return score_; }
  void Adjust(int by) { score_ = std::clamp(score_ + by, 0, score_max_); }
  Duration Scale(Duration duration) const { return duration * (score_ + 1); }

 private:
  int score_max_;
  int score_ = 0;
};

}  // namespace gyre
