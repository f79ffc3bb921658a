// How one loop reaches the other nodes. Implemented over sockets (net_transport) and by the
// simulator. All calls and callbacks on the loop's thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "proto/frame.h"
#include "proto/node_id.h"
#include "proto/result.h"

namespace gyre {

class Transport {
 public:
  // The encoded PeerReply (for kPeerRequest) or native Reply (for kRequest), valid for the call; or
  // why none came: kUnavailable (never sent), kTimeout or kIo (outcome unknown).
  using Done = std::function<void(Result<std::string_view>)>;

  virtual ~Transport() = default;

  // Sends `payload` to `to` and calls `done` exactly once, never from within Call. Calls to one
  // node are delivered in order while the link holds; replies come in any order. The bytes that
  // wait for one node are bounded: over it, `done` gets kUnavailable.
  virtual void Call(const NodeId& to, FrameType type, std::string payload, Duration deadline,
                    Done done) = 0;

  // Runs `done` on this loop after `delay` (0: soon).
  virtual void After(Duration delay, std::function<void()> done) = 0;
};

}  // namespace gyre
