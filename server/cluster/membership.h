// Who is in the cluster and who is alive: SWIM with Lifeguard, as a pure state machine.
//
// (The theory, papers and parameters stand here; see the room's README.)
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "cluster/state.h"
#include "proto/result.h"

namespace gyre {

struct MembershipOptions {
  std::string cluster_name = "gyre";
  Duration probe_interval = std::chrono::milliseconds(500);
  Duration probe_timeout = std::chrono::milliseconds(200);
  int indirect_probes = 3;
  int suspicion_multiplier = 4;      // of log10(N) probe intervals: the least time a suspect has
  int suspicion_max_multiplier = 6;  // of that, where nobody confirms
  int retransmit_multiplier = 4;     // of log10(N+1): how often a broadcast is sent
  int awareness_max = 8;             // Lifeguard's local health multiplier
  Duration push_pull_interval = std::chrono::seconds(10);
  Duration rejoin_interval = std::chrono::seconds(2);  // seeds and dead members are tried again
  Duration evict_after = std::chrono::minutes(5);      // --evict-after: a dead node leaves the ring
  std::size_t datagram_bytes_max = 1400;
  std::uint64_t seed = 1;  // of the generator that chooses probe targets
};

struct Address {
  std::string host;
  std::uint16_t port = 0;
  friend bool operator==(const Address&, const Address&) = default;
};

// What the shell must do. Returned by every event; order matters.
struct SendDatagram {
  Address to;
  std::string bytes;
};
// Exchange whole states with a node (PeerRequest push_pull over TCP); the reply comes back to OnPushPullReply,
// a failure to OnPushPullFailed.
struct StartPushPull {
  Address to;
  std::string payload;  // encoded PushPull
};
// Ask another member whether its link to `suspect` is down, too; a yes comes back to OnConfirmedDown.
struct AskConfirmDown {
  NodeId via;
  NodeId suspect;
  std::uint64_t incarnation = 0;
};
// `state()` changed: members, ring or holdings.
struct StateChanged {};
// This node had been declared dead by others while it was alive: what it holds may be stale.
struct DeclaredDead {};
// Something for the log; already worded.
struct LogLine {
  bool warning = false;
  std::string text;
};
using MembershipAction =
    std::variant<SendDatagram, StartPushPull, AskConfirmDown, StateChanged, DeclaredDead, LogLine>;
using MembershipActions = std::vector<MembershipAction>;

struct MembershipStats {
  std::uint64_t probes = 0;
  std::uint64_t probes_failed = 0;
  std::uint64_t suspicions = 0;
  std::uint64_t deaths = 0;
  std::uint64_t refutations = 0;
  std::uint64_t datagrams_dropped = 0;  // malformed, foreign cluster, unknown version
  std::uint64_t push_pulls = 0;
  std::uint64_t awareness = 0;  // gauge: Lifeguard's score, 0 is healthy
};

// One thread. `now` never runs backwards.
class Membership {
 public:
  // `self` with its id, addresses, zone, weight and incarnation; alive, not yet on the ring.
  Membership(MembershipOptions options, MemberInfo self, std::uint32_t partition_count,
             std::uint32_t replicas);
  ~Membership();

  const ClusterState& state() const;
  MembershipStats stats() const;

  // When to call Tick at the latest.
  TimePoint next_tick() const;
  MembershipActions Tick(TimePoint now);

  // Seeds as addresses, tried until one answers, and again for ever (a healed partition merges by itself).
  // An address of this node itself is ignored once it is recognised.
  MembershipActions SetSeeds(TimePoint now, std::vector<Address> seeds);
  // True once a push/pull with another node succeeded, or there are no seeds but this node itself.
  bool joined() const;

  MembershipActions OnDatagram(TimePoint now, const Address& from, std::string_view bytes);
  // A peer's push/pull: `reply` gets the encoded PushPull to answer, or why it is refused (foreign cluster,
  // other constants).
  MembershipActions OnPushPull(TimePoint now, std::string_view payload, Result<std::string>& reply);
  MembershipActions OnPushPullReply(TimePoint now, const Address& from, std::string_view payload);
  MembershipActions OnPushPullFailed(TimePoint now, const Address& to, const Error& error);
  // A TCP link of this node to `id` was refused or reset: with one other node's confirmation it is dead.
  MembershipActions OnLinkDown(TimePoint now, const NodeId& id);
  MembershipActions OnConfirmedDown(TimePoint now, const NodeId& id, std::uint64_t incarnation);
  // Whether this node's link to `id` failed lately and it has not been heard since: the answer to a ConfirmDown.
  bool SeemsDown(TimePoint now, const NodeId& id) const;

  // This node's own entries.
  MembershipActions SetHoldings(TimePoint now, PartitionSet complete, PartitionSet owned);
  MembershipActions JoinRing(TimePoint now);
  // This node, or (gyre remove, drain of another) any.
  MembershipActions LeaveRing(TimePoint now, const NodeId& id);
  // Says goodbye: state kStopped, told at once to several members.
  MembershipActions Stop(TimePoint now);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gyre
