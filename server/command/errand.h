// A command on its way: it owns its arguments and its reply slot, because it outlives the call that
// brought it.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "base/clock.h"
#include "command/command.h"
#include "command/owned_request.h"
#include "command/routing.h"
#include "protocol/handler.h"

namespace gyre {

struct Errand {
  Errand(const Command& the_command, OwnedRequest the_request, Origin the_origin,
         TimePoint the_deadline, PendingReply the_reply)
      : command(the_command),
        request(std::move(the_request)),
        origin(the_origin),
        deadline(the_deadline),
        reply(std::move(the_reply)) {}

  const Command& command;
  OwnedRequest request;
  Origin origin;
  TimePoint deadline;
  PendingReply reply;
  // A sending of it may have been executed without our learning it.
  bool maybe_applied = false;
  // Forwards of a read that were given up before its deadline.
  std::uint8_t impatient_forwards = 0;
};

using ErrandPtr = std::shared_ptr<Errand>;

}  // namespace gyre
