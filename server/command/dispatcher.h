// Answers requests: finds the command's row, checks what the row says, and hands it to its handler
// by way of the router. One for each worker loop, used on its thread only, but for `command_stats`.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "command/admin.h"
#include "command/command_table.h"
#include "command/foreseen.h"
#include "command/router.h"
#include "command/services.h"
#include "protocol/handler.h"

namespace gyre {

struct CommandCounts {
  std::uint64_t calls = 0;
  std::uint64_t errors =
      0;  // failed here and at once; what failed later or elsewhere is counted there
};

class Dispatcher final : public Handler {
 public:
  // All that `services` refers to outlives the dispatcher; callbacks of transport, replicator and
  // admin may come after its end and do nothing then.
  explicit Dispatcher(const Services& services, const DispatcherOptions& options = {});

  void Handle(const Request& request, Session& session, Responder& responder) override;
  void Foresee(std::span<const Request> requests) override;
  void EndOfBatch() override {
    foreseen_.Clear();
    router_.EndTurn();
  }

  // Any thread. By Command::index.
  std::vector<CommandCounts> command_stats() const;
  void ResetStats();
  // Loop thread.
  const RouterStats& router_stats() const { return router_.stats(); }

 private:
  struct Counters {
    std::atomic<std::uint64_t> calls{0};
    std::atomic<std::uint64_t> errors{0};
  };

  void HandlePeer(const Request& request, Responder& responder);
  // False, and the error is the reply, if the row does not admit the request.
  bool Admit(const Command* command, const Request& request, const Session& session,
             Responder& responder);

  const CommandTable& table_;
  PeerHandler& peers_;
  Router router_;
  std::vector<Counters> counters_;  // [Command::index]
  Foreseen foreseen_;
};

// INFO commandstats: "cmdstat_get" -> "calls=5,...", for commands that were called, summed over the
// loops' dispatchers. Any thread.
Admin::Fields CommandStatsFields(const std::vector<const Dispatcher*>& dispatchers);

}  // namespace gyre
