// One peer request over a connection of its own: connect, ask, answer, gone.
//
// For what is rare, or what wants to know whether a node can be connected to at all: push/pull,
// questions about dead links.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "membership/membership.h"
#include "net/event_loop.h"
#include "net/frame_link.h"
#include "proto/result.h"

namespace gyre {

// Loop thread; the loop outlives it. Destroying it ends it without a call.
class PeerExchange {
 public:
  struct Outcome {
    // The encoded PeerReply, valid for the call (empty where nothing was asked); or why none came.
    Result<std::string_view> reply;
    // The peer refused the connection or broke it: its process is gone.
    bool gone = false;
  };
  using Done = std::function<void(const Outcome& outcome)>;

  // Sends `request`, an encoded PeerRequest; an empty one only connects. Calls `done` once, at
  // `deadline` at the latest, from the loop. `done` must not destroy the exchange.
  // With `keys`, which outlive it, over an encrypted link. `greeting` as in FrameLinkOptions.
  PeerExchange(EventLoop& loop, const Address& to, const std::string& request, Duration deadline,
               Keyring* keys, std::string greeting, Done done);
  PeerExchange(const PeerExchange&) = delete;
  PeerExchange& operator=(const PeerExchange&) = delete;

  bool over() const { return done_ == nullptr; }

 private:
  void End(const Outcome& outcome);

  const Address to_;
  Done done_;
  std::unique_ptr<FrameLink> link_;
  Timer deadline_;
};

}  // namespace gyre
