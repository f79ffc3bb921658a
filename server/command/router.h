// Brings a command to whoever may answer it, and its reply back.
//
//   this node is the owner           another is                  nobody is, just now
//   ------------------------------   -------------------------   ----------------------------------
//   run it under the shard's lock,   forward it (or -MOVED, or   wait in the RetryQueue, look at
//   replicate, await the acks        kNotOwner if not wanted)    view and role again every few
//                                                                milliseconds
//
// The role under the shard's lock decides; the view only says where else to go. A handover or a
// failover is therefore a delay to the client, not an error. What ends the wait is the deadline,
// and then the error says whether anything may have been written: a write whose sending got lost is
// never answered with OK unless it was sent again, and is only sent again if that leaves the same
// state (MayRepeat).
//
// While an owner is suspected to be gone, a complete copy stands in for it and answers reads; and a
// forwarded read is not left with a node that stays silent: it is sent again before its deadline,
// perhaps to somebody else by then.
//
// A folded command (MGET, DEL, ...) whose keys are all here runs in one step with all their shards
// locked. (Reads whose reply grows large are given up, and begun anew in pieces, which are a step
// each and are read when the client has taken those before: StreamKeys.) Else it is scattered: keys of other nodes travel as one command a node, keys of this node
// run one by one, each in a part that waits and retries by itself; a Gather puts the replies
// together.
//
// A command of more keys than kTogetherMax is divided into commands of so many, a step each
// (NextTurn); what its connection sent behind it waits until it is done.
//
// Everything here runs on one loop. The transport outlives the router; its callbacks may come after
// it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "command/command.h"
#include "command/executor.h"
#include "command/gather.h"
#include "command/lookahead.h"
#include "command/pending_command.h"
#include "command/prefetcher.h"
#include "command/retry_queue.h"
#include "command/services.h"
#include "protocol/handler.h"

namespace gyre {

struct RouterStats {
  std::uint64_t forwarded = 0;  // sent to another node
  std::uint64_t waited = 0;     // had to wait for an owner
  std::uint64_t retried = 0;    // sent again after a failure
  std::uint64_t scattered = 0;  // commands divided into parts
  std::uint64_t moved = 0;      // -MOVED
};

class Router {
 public:
  Router(const Services& services, const DispatcherOptions& options);
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  const Services& services() const { return services_; }
  const DispatcherOptions& options() const { return options_; }
  const RouterStats& stats() const { return stats_; }
  // Any thread.
  const LookupCounters& lookups(std::size_t index) const { return executor_.lookups(index); }
  // What replies that are put together here are charged to; null: nobody.
  ClientMemoryAccount* gathered() const {
    return ClientMemory::AccountOf(services_.client_memory, ClientMemory::Kind::kGathered);
  }

  // The time of this batch.
  UnixMillis now() {
    if (now_ == 0) now_ = services_.unix_now();
    return now_;
  }
  // The newest view, null before the first; valid until the next call. The indices of members are of
  // one view: between two calls it may be another, with fewer members or without an owner.
  const ClusterView* view() {
    if (services_.views.revision() != view_revision_) [[unlikely]]
      LoadView();
    return view_.get();
  }
  // Sends what was gathered for peers; the next request reads the clock again.
  void EndTurn();

  // The key of a request that has exactly one; nothing for others.
  std::optional<Key> OnlyKey(const Command* command, const Request& request) const;
  // Brings the records of several keys on their way into the CPU's cache.
  void Prefetch(const Lookahead& lookahead) { prefetcher_.Run(lookahead); }
  // Runs, forwards or queues a keyed or folded command. True if it failed at once. `key`: its
  // OnlyKey, where it is known already, else null.
  bool Run(const Command& command, const Request& request, const Key* key, Session& session,
           Responder& responder);

  // Asks the cluster, as a client of this node would: `args` is a keyed or folded command. `done`
  // is called once, from within the call or later.
  void Ask(Arguments args, TimePoint deadline, std::function<void(Reply)> done);
  // Sends a command to one node, once. A failure to reach it comes as a Reply of kError.
  void AskNode(const NodeId& node, Arguments args, TimePoint deadline,
               std::function<void(Reply)> done);
  // Likewise, but the answer goes to a client.
  void Answer(Arguments args, TimePoint deadline, PendingReply reply);
  // Runs `work` on a later turn of the loop, unless the router is gone by then.
  void Later(Duration delay, std::function<void()> work);
  // Likewise one bounded step of something that takes longer. All such steps share a few
  // milliseconds of each turn, in the order in which they were asked for; the rest of the turn is
  // for the requests that came.
  void NextTurn(std::function<void()> step);

  TimePoint DeadlineOf(const Request& request) const;
  // The newest write that was made for a request whose session may be gone.
  Replicator::Ticket newest_pending_ticket() const { return newest_pending_ticket_; }
  // Ends `reply` once the write has its acks.
  void Settle(Replicator::Ticket ticket, std::uint32_t acks, PendingReply reply);

 private:
  struct Token {};  // callbacks hold it weakly: it is gone when the router is
  struct LocalWork;
  struct Chunks;
  struct KeyStream;

  void LoadView();
  void RunSteps();
  std::uint32_t AcksOf(const Request& request) const {
    return request.write_acks != 0 ? request.write_acks : options_.write_acks;
  }
  Result<Key> KeyOf(const Command& command, std::string_view argument) const;
  Status ReadKeys(const Command& command, Arguments args, const Origin& origin,
                  std::vector<Key>& keys) const;

  // The route at once.
  bool RunOne(const Command& command, const Request& request, const Key* known, Session& session,
              Responder& responder);
  bool RunFolded(const Command& command, const Request& request, const Key* known, Session& session,
                 Responder& responder);
  // Runs the command if this node may answer for all keys; writes are counted in `tickets_`.
  Executor::Execution TryHere(const Command& command, const Request& request, const Origin& origin,
                              const std::vector<Key>& keys, ReplyWriter& reply);
  Route RouteFor(PartitionId partition, Role role, const Request& request, const Origin& origin);
  // For a command that needs all its keys on one node; an error if they are not.
  Result<Route> AtomicRouteFor(const std::vector<Key>& keys, const Request& request,
                               const Origin& origin);
  Error Refusal(Route route, const Key& key);
  // Whether this node answers the command itself although another owns the partition.
  bool StandsIn(const Command& command, PartitionId partition, Role role);
  // Who should answer the command: the owner, or who stands in for it; kNoMember if nobody is
  // known.
  MemberIndex AnswererOf(const ClusterView& known, const Command& command,
                         PartitionId partition) const;

  Executor::Execution RunHere(const Command& command, const Request& request, const Origin& origin,
                              const std::vector<Key>& keys, ReplyWriter& reply);

  // The deferred routes.
  void Resume(const PendingCommandPtr& pending);
  // False if it must wait for the partition of its first key. `line`: where it waits, if it does.
  bool TryPending(const PendingCommandPtr& pending, const std::vector<Key>& keys,
                  std::optional<PartitionId> line);
  static bool SamePartition(const std::vector<Key>& keys);
  // More keys than this in one command are not run in one step.
  static constexpr std::size_t kTogetherMax = 1024;
  // Whether the command runs on all its keys in one step where they are all here.
  static bool RunsTogether(const Command& command, const std::vector<Key>& keys);
  // Whether somebody waits for one of the partitions, `line` excepted.
  bool Blocked(const std::vector<Key>& keys, std::optional<PartitionId> line) const;
  // False for kWait.
  bool Follow(Route route, const PendingCommandPtr& pending, const Key& key);
  void Wait(PartitionId partition, const PendingCommandPtr& pending);
  void LookAgain(PartitionId partition);
  void ScheduleLook(PartitionId partition);
  void Forward(const PendingCommandPtr& pending, NodeId to, PartitionId partition);
  void OnForwarded(const PendingCommandPtr& pending, PartitionId partition,
                   const Result<std::string_view>& wire);
  void OnLost(const PendingCommandPtr& pending, PartitionId partition, const Error& error);
  void FinishFailed(const PendingCommand& pending, const Error& error);
  Error DeadlineError(PartitionId partition);
  std::size_t TreeBytesMax() const;
  void SettleAll(const Executor::Tickets& tickets, std::uint32_t acks, PendingReply reply);

  // Commands of very many keys.
  static bool NeedsChunks(const Command& command, Arguments args);
  void BeginChunks(const PendingCommandPtr& pending);
  void RunChunk(const std::shared_ptr<Chunks>& chunks);
  // A large reply of many values, read in pieces. (router_stream.cc)
  bool StreamKeys(const PendingCommandPtr& pending, std::size_t key_count);
  bool StreamPiece(const std::shared_ptr<KeyStream>& stream);
  void AskForKey(const std::shared_ptr<KeyStream>& stream);

  // Scattered commands.
  void Scatter(const PendingCommandPtr& pending, std::vector<Key> keys);
  PendingCommandPtr MakePart(const PendingCommandPtr& whole, std::vector<std::uint32_t> positions,
                             const std::shared_ptr<Gather>& gather);
  void ForwardPart(const PendingCommandPtr& pending, const NodeId& to,
                   std::vector<std::uint32_t> positions, const std::vector<Key>& keys,
                   const std::shared_ptr<Gather>& gather);
  void RunLocalParts(const std::shared_ptr<LocalWork>& work);
  void RunLocalPart(LocalWork& work, std::uint32_t position);

  // Immutable.
  const Services services_;
  const DispatcherOptions options_;

  // This loop's.
  const std::shared_ptr<ClientMemoryShare>
      share_;  // of pending commands, which may outlive the router
  Executor executor_;
  Prefetcher prefetcher_;
  RetryQueue waiting_;
  ClusterViewPtr view_;
  std::uint64_t view_revision_ = 0;
  UnixMillis now_ = 0;  // 0: to be read
  Replicator::Ticket newest_pending_ticket_ = 0;
  RouterStats stats_;
  std::deque<std::function<void()>> steps_;
  bool runs_steps_ = false;
  std::vector<Key> keys_;      // memory to use again
  Executor::Tickets tickets_;  // likewise
  std::shared_ptr<Token> alive_ = std::make_shared<Token>();
};

}  // namespace gyre
