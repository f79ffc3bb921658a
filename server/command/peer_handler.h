// Where requests of peers (Request::Kind::kPeer) go: mutations, pulls, handovers, push/pull.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "proto/node_id.h"

namespace gyre {

// One for each worker loop, on its thread.
class PeerHandler {
 public:
  virtual ~PeerHandler() = default;

  // Answers an encoded PeerRequest with an encoded PeerReply: `reply` is called exactly once, from
  // within the call or later, on the same loop. `payload` is valid for the call. Malformed bytes
  // are answered, too. `speaker`: the node that proved to speak on the connection; set by the
  // request that proves it.
  virtual void Handle(std::string_view payload, std::optional<NodeId>& speaker,
                      std::function<void(std::string)> reply) = 0;
};

}  // namespace gyre
