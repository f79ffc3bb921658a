// A command on its way: it owns its arguments and its reply slot, because it outlives the call that
// brought it.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "base/client_memory.h"
#include "base/clock.h"
#include "command/command.h"
#include "command/owned_request.h"
#include "command/routing.h"
#include "protocol/handler.h"
#include "storage/key.h"

namespace gyre {

struct PendingCommand {
  // Of its arguments, twice: a command that goes to other nodes is written anew for them. Of values
  // that are gathered all keys are known at once, twice, too.
  class Charge {
   public:
    // Throws ClientMemoryFull where there is no room.
    Charge(std::shared_ptr<ClientMemoryShare> share, const Command& command, Arguments args)
        : share_(std::move(share)),
          bytes_(2 * OwnedRequest::BytesOf(args) +
                 (command.fold == Fold::kArray ? 2 * args.size() * sizeof(Key) : 0)) {
      if (!share_->TryTake(bytes_)) throw ClientMemoryFull(bytes_);
    }
    Charge() = default;  // of a part, which the whole is charged for
    ~Charge() {
      if (share_ != nullptr) share_->GiveBack(bytes_);
    }
    Charge(Charge&&) = default;
    Charge& operator=(Charge&&) = delete;

   private:
    std::shared_ptr<ClientMemoryShare> share_;
    std::size_t bytes_ = 0;
  };

  PendingCommand(Charge the_charge, const Command& the_command, OwnedRequest the_request,
                 Origin the_origin, TimePoint the_deadline, PendingReply the_reply)
      : charge(std::move(the_charge)),
        command(the_command),
        request(std::move(the_request)),
        origin(the_origin),
        deadline(the_deadline),
        reply(std::move(the_reply)) {}

  const Charge charge;
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

using PendingCommandPtr = std::shared_ptr<PendingCommand>;

}  // namespace gyre
