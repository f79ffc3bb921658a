// What a plain handler works with: the connection, this node, the cluster.
#pragma once

#include <string>
#include <utility>

#include "command/command.h"
#include "command/router.h"
#include "protocol/handler.h"
#include "protocol/request.h"
#include "protocol/session.h"

namespace gyre {

// The handler writes exactly one reply to `reply()`, or defers it. Views of the request are valid
// for the call.
struct PlainCall {
  const Command& command;  // where a subcommand is called: its container
  const Request& request;
  Session& session;
  Responder& responder;
  Router& router;
  bool failed = false;

  std::size_t argument_count() const { return request.args.size(); }
  std::string_view arg(std::size_t index) const { return request.args[index]; }
  ReplyWriter& reply() { return responder.writer(); }
  CommandContext& context() { return router.context(); }
  const Services& services() { return context().services(); }
  // For a command over the whole key space, which takes its time: what stands behind it in the
  // pipeline waits, so that it is not seen.
  PendingReply DeferAlone() {
    PendingReply pending = responder.Defer();
    responder.HoldLaterRequests();
    return pending;
  }

  void Fail(ErrorCode code, std::string message) {
    failed = true;
    reply().Fail(Error{code, std::move(message)});
  }
  void Fail(const Error& error) {
    failed = true;
    reply().Fail(error);
  }
};

}  // namespace gyre
