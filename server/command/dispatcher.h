// Answers requests: finds the command's row, checks what the row says, and hands it to its handler
// by way of the router. One for each worker loop, used on its thread only, but for `command_stats`.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/duration_histogram.h"
#include "command/admin.h"
#include "command/command_counts.h"
#include "command/command_table.h"
#include "command/lookahead.h"
#include "command/router.h"
#include "command/services.h"
#include "protocol/handler.h"

namespace gyre {

class Dispatcher final : public Handler {
 public:
  // All that `services` refers to outlives the dispatcher; callbacks of transport, replicator and
  // admin may come after its end and do nothing then.
  explicit Dispatcher(const Services& services, const DispatcherOptions& options = {});

  void Handle(const Request& request, Session& session, Responder& responder) override;
  void LookAhead(std::span<const Request> requests) override;
  void EndOfBatch() override {
    lookahead_.Clear();
    router_.context().EndTurn();
    TimeFor(nullptr);
  }

  // Any thread. By Command::index.
  std::vector<CommandCounts> command_stats() const;
  std::vector<CommandHistogram::Snapshot> command_durations() const;
  RouterStats router_stats() const { return router_.stats(); }
  std::vector<HotKey> hot_keys(UnixMillis now) const { return router_.hot_keys().Read(now); }

 private:
  void HandlePeer(const Request& request, Session& session, Responder& responder);
  // False, and the error is the reply, if the row does not admit the request.
  bool Admit(const Command* command, const Request& request, const Session& session,
             Responder& responder);
  // Whether a member of the cluster proved to speak there.
  bool IsFromMember(const Session& session);
  // The time from now on is that of this command; null: of none. Calls of one command in a row are
  // timed as one, for reading the clock costs a good part of what a GET does.
  void TimeFor(CommandTally* tally);

  const CommandTable& table_;
  PeerHandler& peers_;
  CommandTallies tallies_;
  std::vector<CommandHistogram> durations_;  // [Command::index]
  Router router_;
  CommandTally* timed_ = nullptr;  // of the command that runs, again and again
  TimePoint timed_since_{};
  std::uint64_t timed_from_ = 0;  // the calls before
  Lookahead lookahead_;
};

// INFO commandstats: "cmdstat_get" -> "calls=5,...", for commands that were called. `counts` by
// Command::index.
Fields CommandStatsFields(const std::vector<CommandCounts>& counts);

}  // namespace gyre
