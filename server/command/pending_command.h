// A command on its way: it owns its arguments and its reply slot, because it outlives the call that
// brought it, and it knows what its tries at other nodes may have done.
//
// What ends its way is the deadline, and then the error says whether anything may have been written:
// a write of which a try got lost is never answered with OK unless it was sent again, and is only
// sent again if that leaves the same state (MayRepeat).
//
// A read is not left with a node that stays silent: it is sent again before its deadline, perhaps to
// somebody else by then. A write is not: the one that was asked may have it in a buffer or in its
// queue, and would execute it after the repetition was acknowledged, over whatever was written
// since. It is repeated once that process is known to be gone, and only if no third node can have
// it: who is asked may not pass it on (kForwardHopsMax), unless it refused before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/client_memory.h"
#include "base/clock.h"
#include "cluster/view.h"
#include "command/command.h"
#include "command/routing.h"
#include "protocol/handler.h"
#include "protocol/request.h"

namespace gyre {

// A request that outlives the connection's input.
class OwnedRequest {
 public:
  explicit OwnedRequest(const Request& request) : OwnedRequest(request, request.args) {}
  // The circumstances of `like` (hops, acks, ...), with other arguments. All bytes stand in one
  // block.
  OwnedRequest(const Request& like, Arguments args);

  Request& operator*() { return request_; }
  const Request& operator*() const { return request_; }
  Request* operator->() { return &request_; }
  const Request* operator->() const { return &request_; }
  // Memory that it holds, roughly.
  std::size_t bytes() const { return bytes_ + request_.args.size() * sizeof(std::string_view); }
  static std::size_t BytesOf(Arguments args);

 private:
  // Stays where it is when the object moves, so the views stay valid.
  std::unique_ptr<char[]> block_;
  std::size_t bytes_ = 0;
  Request request_;
};

class PendingCommand {
 public:
  // Of its arguments, twice: a command that goes to other nodes is written anew for them. Of values
  // that are gathered all keys are known at once, twice, too; keys that are claimed are four times.
  class Charge {
   public:
    // Throws ClientMemoryFull where there is no room.
    Charge(std::shared_ptr<ClientMemoryShare> share, const Command& command, Arguments args);
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

  PendingCommand(Charge charge, const Command& the_command, OwnedRequest the_request,
                 const Origin& the_origin, TimePoint the_deadline, PendingReply the_reply);
  PendingCommand(const PendingCommand&) = delete;
  PendingCommand& operator=(const PendingCommand&) = delete;

  const Command& command;
  OwnedRequest request;
  const Origin origin;
  const TimePoint deadline;
  PendingReply reply;

  // The arguments of the command with its keys at these positions alone.
  std::vector<std::string_view> ArgsAt(const std::vector<std::uint32_t>& positions) const;
  // A command with these arguments, which has behind it what this one has.
  std::shared_ptr<PendingCommand> Part(Arguments args, PendingReply part_reply) const;

  // Answers with `error`, or with an unknown outcome: for whatever an error says of the last try, it
  // says nothing of one before that may have been executed.
  void Fail(const Error& error);
  // Whether it is void, for this node, which was declared dead so often by now: who sent it was told
  // of the death, may have had it carried out by the next owner, and may have written more since.
  // (A client that does not know nodes still waits for this one.)
  bool Outlived(std::uint32_t deaths) const {
    const bool from_a_node_or_library = request->id != 0 || request->hops > 0;
    return deaths != origin.deaths && from_a_node_or_library && command.Is(kWrite);
  }
  // An earlier try may have been executed without our learning it.
  bool maybe_applied() const { return maybe_applied_; }

  // ---- Tries at other nodes ----

  struct Try {
    NodeId node;
    std::uint64_t incarnation = 0;  // of the process that is asked
    bool may_pass_on = false;       // a third node may get it
  };
  Try BeginTry(const MemberInfo& to);
  // What is sent for it: `left_ms` are left to the deadline.
  std::string Encode(const Try& attempt, std::uint32_t left_ms);
  // How long a try is waited for; Duration::max() where only the deadline ends that.
  Duration Patience() const;

  // The node answered that it does not take the command (IsRefusal): nothing was written.
  void OnRefused(const Try& attempt, ErrorCode code);
  // No answer came. False: what it did is not known and it must not be sent again; it is answered.
  bool OnLost(const Try& attempt, const Error& error, TimePoint now);

  // Whether the last try of a write got lost. Then it may be tried again only once Reconsider says so.
  bool lost() const { return lost_.has_value(); }
  enum class Standing : std::uint8_t {
    kMayBeTried,  // the process that was asked is gone
    kMustWait,    // it may be about to execute the command, or be found to be gone
    kFailed,      // it lives on: the command is answered
  };
  Standing Reconsider(const ClusterView* view, TimePoint now);

 private:
  struct Lost {
    Standing StandingBy(const ClusterView* view, TimePoint now) const;
    Try attempt;
    TimePoint at;
  };

  const Charge charge_;
  bool maybe_applied_ = false;
  std::optional<Lost> lost_;
  // The node that was asked last does not own the key, and knows better than this one who does.
  bool may_pass_on_ = false;
  // Tries of a read that were given up before its deadline.
  std::uint8_t impatient_tries_ = 0;
};

using PendingCommandPtr = std::shared_ptr<PendingCommand>;

// Nothing was written: whoever owns the key now will take the command.
constexpr bool IsRefusal(ErrorCode code) {
  return code == ErrorCode::kNotOwner || code == ErrorCode::kUnavailable ||
         code == ErrorCode::kClosed;
}

}  // namespace gyre
