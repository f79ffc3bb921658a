#include "scaling_watch.h"

#include <algorithm>
#include <chrono>

namespace gyre {
namespace {

// All nodes ask all others so often; sooner only where the windows are shorter, later where so many
// ask that each would be asked more than ten times a second.
constexpr Duration kIntervalMax = std::chrono::seconds(5);
constexpr Duration kIntervalMin = std::chrono::milliseconds(500);
constexpr Duration kForEachNode = std::chrono::milliseconds(100);
constexpr int kSamplesAWindow = 10;

ScalingOptions OptionsOf(const Config& config) {
  ScalingOptions options;
  options.out_load = config.scale_out_load / 100.0;
  options.in_load = config.scale_in_load / 100.0;
  options.out_hits = config.scale_out_hits / 100.0;
  options.in_hits = config.scale_in_hits / 100.0;
  options.out_window = config.scale_out_window;
  options.in_window = config.scale_in_window;
  options.cooldown = config.scale_cooldown;
  return options;
}

Duration IntervalOf(const Config& config) {
  const Duration shorter = std::min(config.scale_out_window, config.scale_in_window);
  return std::clamp(shorter / kSamplesAWindow, kIntervalMin, kIntervalMax);
}

}  // namespace

ScalingWatch::ScalingWatch(EventLoop& loop, RingStatus& ring, PublishedAdvice& advice,
                           const Config& config)
    : ring_(ring),
      advice_(advice),
      advisor_(OptionsOf(config)),
      interval_(IntervalOf(config)),
      timer_(loop) {}

void ScalingWatch::Start() {
  timer_.Start(interval_, interval_, [this] { Look(); });
}

void ScalingWatch::Look() {
  if (asking_ || SteadyNow() < not_before_) return;
  asking_ = true;
  ring_.Look([this](const ClusterStatus& status) {
    asking_ = false;
    not_before_ = SteadyNow() + kForEachNode * status.nodes.size();
    advice_.Publish(advisor_.Observe(SteadyNow(), status));
  });
}

}  // namespace gyre
