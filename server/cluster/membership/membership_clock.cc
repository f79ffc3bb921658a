// How far the others' wall clocks are off. See "Clocks" in membership.h.
#include <algorithm>
#include <chrono>
#include <string>

#include "membership/membership_impl.h"

namespace gyre {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;

// The same clock is not warned of more often.
constexpr Duration kClockWarnInterval = std::chrono::minutes(1);
// An alarm ends below this, so that it does not flutter.
constexpr Duration kClockOffsetCalm = kClockOffsetMax * 4 / 5;
// Of a peer's clock: beyond, microseconds would not fit a Duration.
constexpr microseconds kWallMost = std::chrono::hours(24 * 365 * 290);

Duration Abs(Duration duration) { return duration < Duration{} ? -duration : duration; }

}  // namespace

// The answer to the probe that is in progress. Its way is measured by the steady clock: a wall
// clock that is set meanwhile does no harm beyond one sample.
void Membership::Impl::NoteClock(const NodeId& id, microseconds theirs) {
  const auto found = peers.find(id);
  if (found == peers.end() || theirs < microseconds{} || theirs > kWallMost) return;
  Peer& peer = found->second;
  const Duration round_trip = now - probe->sent_at;
  const Duration offset = Duration(theirs) - Duration(probe->sent_wall) - round_trip / 2;
  if (peer.clock_samples.size() == kClockSamples)
    peer.clock_samples.erase(peer.clock_samples.begin());
  peer.clock_samples.push_back({id, offset, round_trip});

  const Duration off = Abs(ClockOf(id)->offset);
  if (peer.clock_alarm && off < kClockOffsetCalm) {
    peer.clock_alarm = false;
    Log(false, "clock is right again of " + Describe(id));
  }
  if (off <= kClockOffsetMax) return;
  const bool silent = peer.clock_alarm && now - peer.clock_warned < kClockWarnInterval;
  peer.clock_alarm = true;
  if (silent) return;
  peer.clock_warned = now;
  Log(true, "clocks differ, check time synchronisation: " + Describe(id) + " is ahead_ms=" +
                std::to_string(duration_cast<milliseconds>(ClockOf(id)->offset).count()) +
                " (expiry and the newer of two writes go by the clock)");
}

std::optional<ClockOffset> Membership::Impl::ClockOf(const NodeId& id) const {
  const auto peer = peers.find(id);
  if (peer == peers.end() || peer->second.clock_samples.empty()) return std::nullopt;
  const auto& samples = peer->second.clock_samples;
  return *std::min_element(samples.begin(), samples.end(), [](const auto& a, const auto& b) {
    return a.round_trip < b.round_trip;
  });
}

}  // namespace gyre
