// Answers requests: finds the command's row, checks what the row says, and hands it to its handler
// by way of the router. One for each worker loop, used on its thread only, but for `command_stats`.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/counter.h"
#include "command/admin.h"
#include "command/command_table.h"
#include "command/lookahead.h"
#include "command/router.h"
#include "command/services.h"
#include "protocol/handler.h"

namespace gyre {

struct CommandCounts {
  std::uint64_t calls = 0;
  std::uint64_t nanoseconds = 0;  // of this loop; what a call waited for is not in it
  std::uint64_t rejected = 0;     // not executed: too many or too few arguments, for one
  // Failed here and at once; what failed later or elsewhere is counted there.
  std::uint64_t errors = 0;
  // By the keyed handlers, at the owner.
  std::uint64_t found = 0;
  std::uint64_t missing = 0;
  std::uint64_t mismatched = 0;

  // Counts of several loops are added up, and those of an earlier moment taken off.
  CommandCounts& operator+=(const CommandCounts& other);
  CommandCounts& operator-=(const CommandCounts& other);
};

class Dispatcher final : public Handler {
 public:
  // All that `services` refers to outlives the dispatcher; callbacks of transport, replicator and
  // admin may come after its end and do nothing then.
  explicit Dispatcher(const Services& services, const DispatcherOptions& options = {});

  void Handle(const Request& request, Session& session, Responder& responder) override;
  void LookAhead(std::span<const Request> requests) override;
  void EndOfBatch() override {
    lookahead_.Clear();
    router_.EndTurn();
    TimeFor(nullptr);
  }

  // Any thread. By Command::index.
  std::vector<CommandCounts> command_stats() const;
  // Loop thread.
  const RouterStats& router_stats() const { return router_.stats(); }

 private:
  struct Counters {
    Counter calls;
    Counter nanoseconds;
    Counter rejected;
    Counter errors;
  };

  void HandlePeer(const Request& request, Session& session, Responder& responder);
  // False, and the error is the reply, if the row does not admit the request.
  bool Admit(const Command* command, const Request& request, const Session& session,
             Responder& responder);
  // Whether a member of the cluster proved to speak there.
  bool IsFromMember(const Session& session);
  // The time from now on is that of this command; null: of none. Calls of one command in a row are
  // timed as one, for reading the clock costs a good part of what a GET does.
  void TimeFor(Counters* counters);

  const CommandTable& table_;
  PeerHandler& peers_;
  Router router_;
  std::vector<Counters> counters_;  // [Command::index]
  Counters* timed_ = nullptr;       // of the command that runs, again and again
  TimePoint timed_since_{};
  Lookahead lookahead_;
};

// INFO commandstats: "cmdstat_get" -> "calls=5,...", for commands that were called. `counts` by
// Command::index.
Admin::Fields CommandStatsFields(const std::vector<CommandCounts>& counts);

}  // namespace gyre
