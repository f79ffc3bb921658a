// Brings a command to whoever may answer it, and its reply back. The router only joins the parts,
// each of which is told in its own file and knows nothing of the router:
//
//   command_keys     which keys a request has
//   executor         runs it here, as a transaction, if the roles allow it
//   long_commands    runs it here in steps, with its keys claimed
//   routing          where it goes else: a pure decision
//   pending_command  a command on its way, and what a lost try of it means
//   retry_queue      where it waits for an owner
//   forwarder        how it goes to another node
//   scatter, gather  how it is divided, and its replies put together
//   key_stream       how a reply of large values is read in pieces
//
// A command is tried here at once. If that cannot be, it becomes a pending command, which is tried
// here again, forwarded, or divided, whenever its turn comes (TryPending).
//
// A folded command (MGET, DEL, ...) whose keys are all here runs in one step with all their shards
// locked, or, with very many, in several that are one for others; else it is scattered. (Reads whose reply grows large are given up, and begun anew in
// pieces, which are a step each and are read when the client has taken those before.) What takes
// several turns of the loop holds up what its connection sent behind it.
//
// Everything here runs on one loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "command/command.h"
#include "command/command_context.h"
#include "command/command_counts.h"
#include "command/executor.h"
#include "command/forwarder.h"
#include "command/key_stream.h"
#include "command/long_commands.h"
#include "command/pending_command.h"
#include "command/prefetcher.h"
#include "command/retry_queue.h"
#include "command/scatter.h"
#include "command/services.h"
#include "protocol/handler.h"

namespace gyre {

class Router {
 public:
  // `tallies` outlive it.
  Router(const Services& services, const DispatcherOptions& options, CommandTallies& tallies);
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  CommandContext& context() { return context_; }
  // Counted on its loop.
  Tally<RouterStats>& counters() { return counters_; }
  // Any thread.
  RouterStats stats() const { return counters_.Read(); }
  // The newest write that was made for a request whose session may be gone.
  Replicator::Ticket newest_pending_ticket() const { return executor_.newest_pending_ticket(); }
  const HotKeys& hot_keys() const { return executor_.hot_keys(); }

  // Brings the records of several keys on their way into the CPU's cache.
  void Prefetch(const Lookahead& lookahead) { prefetcher_.Run(lookahead); }
  // Runs, forwards or queues a keyed or folded command. True if it failed at once. `key`: its
  // OnlyKey, where it is known already, else null.
  bool Run(const Command& command, const Request& request, const Key* key, Session& session,
           Responder& responder);

  // Asks the cluster, as a client of this node would: `args` is a keyed or folded command. `done`
  // is called once, from within the call or later.
  void Ask(Arguments args, TimePoint deadline, std::function<void(Reply)> done);
  // Likewise, but the answer goes to a client.
  void Answer(Arguments args, TimePoint deadline, PendingReply reply);
  // As Forwarder::AskNode.
  void AskNode(const NodeId& node, Arguments args, TimePoint deadline,
               std::function<void(Reply)> done) {
    forwarder_.AskNode(node, args, deadline, std::move(done));
  }

 private:
  // At once.
  bool RunOne(const Command& command, const Request& request, const Key* known, Session& session,
              Responder& responder);
  bool TakeElsewhere(Route route, const Command& command, const Request& request,
                     const Origin& origin, const Key& key, Responder& responder);
  bool RunFolded(const Command& command, const Request& request, const Key* known, Session& session,
                 Responder& responder);
  // Runs the command if this node may answer for all keys, or stands in for who may.
  Executor::Execution TryHere(const TransactionStep& command, const Request& request,
                              const Origin& origin, ReplyWriter& reply);
  Executor::Execution TryAsReplica(const Executor::Execution& refused,
                                   const TransactionStep& command, const Request& request,
                                   const Origin& origin, ReplyWriter& reply);
  // The reply of what was run at once. True if it failed.
  bool End(const Executor::Execution& done, const Request& request, Session& session,
           Responder& responder);
  Error Refuse(Route route, const Key& key);

  // Later.
  // Throws ClientMemoryFull. Before the reply is deferred: where there is no room, the request is
  // not begun.
  PendingCommand::Charge ChargeFor(const Command& command, Arguments args) const {
    return PendingCommand::Charge(share_, command, args);
  }
  PendingCommandPtr MakePending(PendingCommand::Charge charge, const Command& command,
                                const Request& request, const Origin& origin, PendingReply reply);
  void Resume(const PendingCommandPtr& pending);
  // `line`: where it waits, if it does. False if it must wait on there.
  bool TryPending(const PendingCommandPtr& pending, const std::vector<Key>& keys,
                  std::optional<PartitionId> line);
  // Lets it wait there; as above.
  bool WaitFor(PartitionId partition, const PendingCommandPtr& pending,
               std::optional<PartitionId> line);
  // The reply of what was run here.
  void End(const Executor::Execution& done, const PendingCommandPtr& pending);
  // False for kWait.
  bool Follow(Route route, const PendingCommandPtr& pending, const Key& key);

  // In the order in which they know each other.
  CommandContext context_;
  Executor executor_;
  Prefetcher prefetcher_;
  Tally<RouterStats> counters_;
  RetryQueue waiting_;
  LongCommands long_;
  Forwarder forwarder_;
  KeyStreams streams_;
  Scatter scatter_;

  // Of pending commands, which may outlive the router.
  const std::shared_ptr<ClientMemoryShare> share_;
  std::vector<Key> keys_;  // memory to use again
};

}  // namespace gyre
