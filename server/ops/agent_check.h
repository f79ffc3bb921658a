// The port that HAProxy's agent-check asks: whether a node takes new connections, and how many, in a
// line (HAProxy's configuration manual, "agent-check").
//
//   ready up 70%       in full use; the weight falls as the loops get busy
//   drain              it stops, or leaves the ring: no new connections, those that are there go on
//   down#being filled  not ready, and why, as /ready says
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/counter.h"
#include "net/event_loop.h"
#include "net/listener.h"
#include "proto/result.h"

namespace gyre {

struct AgentState {
  bool leaves = false;    // stops, or is drained
  std::string not_ready;  // the reason; empty: it is ready
  double busy_ratio = 0;  // of the loops' time, lately
};

// With its newline. Weights are steps of 10%, so that HAProxy does not move clients for trifles; a
// ready node has one step at least.
std::string AgentLine(const AgentState& state);

// Who asks, and whether all of them know that this node leaves: then it can close its ports, and no
// new client meets a closed one. Pure.
class AgentAskers {
 public:
  // Who has not asked for this long has gone. HAProxy asks every two seconds by default.
  static constexpr Duration kKept = std::chrono::seconds(10);
  // From when an address was first told until all who ask from there act by it: HAProxy asks for each
  // backend by a timer of its own, every two seconds by default, and connections that it had begun by then
  // are served.
  static constexpr Duration kUntilHeeded = std::chrono::milliseconds(2250);

  // By address; of more only the first are waited for.
  static constexpr std::size_t kAskersMax = 64;

  // `leaves`: what it was told.
  void Told(TimePoint now, const std::string& ip, bool leaves);
  bool AllKnow(TimePoint now) const;

 private:
  struct Asker {
    TimePoint asked_at{};
    std::optional<TimePoint> knows_since;
  };
  std::map<std::string, Asker> askers_;
};

// Answers each connection with a line and closes it, whatever it sends. Loop thread; the loop
// outlives it.
class AgentPort {
 public:
  static Result<std::unique_ptr<AgentPort>> Open(EventLoop& loop, const std::string& host,
                                                 std::uint16_t port,
                                                 std::function<AgentState()> state);

  // Whether everybody who asks knows that this node leaves.
  bool AllKnow() const { return askers_.AllKnow(SteadyNow()); }

  // For tests, where `port` was 0.
  std::uint16_t bound_port() const { return listener_->local().port(); }

 private:
  AgentPort() = default;

  Counter errors_;
  AgentAskers askers_;
  std::unique_ptr<Listener> listener_;
};

}  // namespace gyre
