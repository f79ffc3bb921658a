// Watches the load of the whole ring, and publishes how many nodes it needs: `gyre advise`, and the
// metrics.
#pragma once

#include "base/clock.h"
#include "net/event_loop.h"
#include "ops/config.h"
#include "ops/published_advice.h"
#include "proto/scaling_advisor.h"
#include "ring_status.h"

namespace gyre {

// On the admin loop. All that it is given outlives it. Each node watches for itself: there is no
// leader to lose, any node answers, and what two of them say may differ for a moment.
class ScalingWatch {
 public:
  ScalingWatch(EventLoop& loop, RingStatus& ring, PublishedAdvice& advice, const Config& config);

  void Start();

 private:
  void Look();

  RingStatus& ring_;
  PublishedAdvice& advice_;
  ScalingAdvisor advisor_;
  const Duration interval_;
  bool asking_ = false;
  TimePoint not_before_{};  // of the next look
  Timer timer_;
};

}  // namespace gyre
