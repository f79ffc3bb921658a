// Who is in the cluster and who is alive: SWIM with Lifeguard, as a pure state machine.
//
// Papers: Das, Gupta, Motivala, "SWIM", DSN 2002; Dadgar, Phillips, Currey, "Lifeguard", 2017,
// arXiv:1707.00788.
//
// A member is a register whose higher (incarnation, state) wins; in the order of the states:
//
//              probe failed                timeout, or link refused at two nodes
//    kAlive ----------------> kSuspect -----------------------------------> kDead
//      ^   <-------------------   |                                           |
//      |    refuted: the member   +--- Stop --> kStopped --- address taken ---+
//      |    says incarnation + 1                    |                         |
//      +----------- a restart, or the member heard of its death: a higher incarnation
//
// Only the member itself raises its incarnation, so any two nodes that exchange what they know
// agree, in whatever order the news came. A death is never softened on the way: the member must
// learn of it, because its writes may have gone elsewhere (DeclaredDead). Whoever knows of a death
// that the member did not acknowledge says so in each datagram to it, and does not count its
// holdings: those belong to an *epoch*, which begins with the process and after a death, not with a
// refuted suspicion.
//
// How a failure is found
//   probe      each interval one member, round-robin in shuffled order: Ping; after the timeout
//              IndirectPing through k others (a Nack says that the helper is well, the target
//              silent); at the end of the interval: suspect.
//   suspicion  lasts between `min` and `max`, the shorter the more nodes suspect by themselves
//              (suspicion.h). A node that hears of one probes the suspect next. The suspect is told
//              first, again and again by its accusers, and refutes.
//   awareness  a node that fails at too much distrusts itself and slows down (awareness.h).
//   doubt      a node that nobody at all answers, of several, is probably cut off itself, one way
//              or both. It gives the suspects a second term, and another when it is answered again;
//              it does not spread its verdicts, and takes them back when it learns that the others
//              had declared it dead. The others take no verdict from it before. So a node whose
//              cable is half cut harms nobody. (Where all the others were lost, they hear of it
//              when they come back: it took over from them.)
//   link down  a process that is gone refuses connections: with another node that sees the same, no
//              timer is needed. With no third node to ask, a second refused attempt will do.
//   silence    a node that leaves requests without an answer is probed next.
//
// How news spread
//   broadcasts ride on every datagram and go out each gossip interval while there are any
//              (broadcast_queue.h).
//   push/pull  exchanges over TCP those sections of the state whose digests differ: to join; now
//              and then; and with a peer whose state digest, which every datagram carries, stays
//              different for longer than news take. So what does not fit in a datagram or was lost
//              is repaired within a second.
//   retries    seeds and dead members are tried for ever: a healed partition merges by itself.
//
// Who is believed
//   A node speaks only for itself. Where it stands, in which life, what it holds, its place on the
//   ring: each of these is signed by it (signer.h), whoever passes it on, and so is each message by
//   its sender, for its receiver. Who is no member is not answered, beyond its own name.
//   newcomer   an unknown node, or a known one at a new address, is let in once it was called at
//              the address that it tells (a push/pull of ours, which it signed), or when a second
//              member says so. Whoever knows nobody yet takes the state of the node that it joins.
//   death      by what this node sees itself (its own probe failed, its own link is refused) and one
//              witness, or two witnesses; two claims of one sender are one.
//   removal    of another from the ring: only of one that is down in one's own eyes. A live node
//              that is told of its removal leaves the ring by its own word: so drains spread.
//   settings   of any member of the ring: whoever may change them is told so by an operator there.
//   A member that lies can still say that it, itself, has declared others dead: they take stock
//   anew (DeclaredDead), as after a real one.
//
// The ring is a set of last-writer-wins registers. A member leaves it when somebody says so, or
// when it was dead for `evict_after` in the eyes of a node that has a majority of the ring in view:
// a minority must not shrink the ring until it is one. A node that was evicted and comes back takes
// its place again; one that was drained does not, restarted or not, until it is undrained. A member
// that is stopped keeps its place without limit. A new identity at the address of an old one means
// that the old one's data directory is lost: the old one is dead at once, and evicted after
// kTakeoverGrace instead (so that two nodes that swapped addresses can say so).
//
// The ring's settings (settings/settings.h) are last-writer-wins registers, too, each signed by the
// node at which it was changed, which has or had a place on the ring. They spread as other news do;
// datagrams carry a digest of their own of them, so that a node which does not know settings yet,
// of an older release, is not asked for them again and again.
//
// Each entry of the ring names the byte that its node puts into the versions that it stamps
// (storage/version.h). A node that joins takes the one that its id begins with, or the next that no
// entry has had as far as is known. Of two that took the same, neither having heard of the other,
// the one with the higher id takes another. So a ring has kRingNodesMax nodes at most: one more
// says so and waits for a place.
//
// Cost for each node and second: two or three datagrams for probes, `gossip_fanout` a gossip
// interval while there is news; neither grows with N, and a broadcast is sent retransmit_multiplier
// * log10(N + 1) times. A push/pull of equal states costs the digests of kStateSections sections.
//
// Clocks
//   An answered probe is also an NTP exchange (RFC 5905, section 8): the answer has the other's
//   wall clock, which lay midway between ping and answer if both ways took alike; the error is at
//   most half the round trip. Of the last kClockSamples the one with the shortest round trip
//   counts.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/log_event.h"
#include "base/statistic.h"
#include "cluster/level.h"
#include "membership/remembered_ring.h"
#include "membership/signer.h"
#include "membership/state.h"
#include "proto/key_hash_id.h"
#include "proto/result.h"
#include "settings/settings.h"
#include "settings/settings_stats.h"

namespace gyre {

// Bounds. What comes from a peer beyond them is refused.
inline constexpr std::size_t kPushPullBytesMax = std::size_t{16} << 20;
inline constexpr std::size_t kSeedsMax = 64;
// Nodes that want to be let in at a time, and calls to them at a time.
inline constexpr std::size_t kNewcomersMax = 64;
inline constexpr std::size_t kCallBacksMax = 4;
// A new identity took the address of a ring member: how long that one may still show up elsewhere.
inline constexpr Duration kTakeoverGrace = std::chrono::seconds(5);
// Changes of the ring's settings (settings.h): made at this node, at once and each second; and told
// by another, as many at once as there can be, and each second.
inline constexpr std::size_t kSettingChangesMax = 64;
inline constexpr std::size_t kSettingChangesPerSecond = 16;
inline constexpr std::size_t kSettingsHeardPerSecond = 128;
// Of the state, for push/pulls.
inline constexpr std::size_t kStateSections = 64;
// Probes of a peer of which the one with the shortest round trip tells its clock.
inline constexpr std::size_t kClockSamples = 5;
// A clock that is further off is warned of.
inline constexpr Duration kClockOffsetMax = std::chrono::milliseconds(500);

struct MembershipOptions {
  std::string cluster_name = "gyre";
  // With the multiplier below, a silent node of seven is dead within 3.9 s of falling silent, at
  // any phase of the probes (tests/cluster/membership/membership_cut_test.cc); half of them within 2.3 s.
  Duration probe_interval = std::chrono::milliseconds(400);
  Duration probe_timeout = std::chrono::milliseconds(200);
  int indirect_probes = 3;
  int suspicion_multiplier = 4;      // of log10(N) probe intervals: the least time a suspect has
  int suspicion_max_multiplier = 6;  // of that, where nobody confirms
  int retransmit_multiplier = 4;     // of log10(N+1): how often a broadcast is sent
  int awareness_max = 8;             // Lifeguard's local health multiplier
  Duration gossip_interval =
      std::chrono::milliseconds(100);  // between datagrams that only carry news
  int gossip_fanout = 3;               // members that get them
  Duration push_pull_interval = std::chrono::seconds(10);
  Duration rejoin_interval = std::chrono::seconds(2);  // seeds and dead members are tried again
  std::uint32_t level = kLevel;                        // what this node can (cluster/level.h)
  Duration evict_after = std::chrono::minutes(5);      // --evict-after: a dead node leaves the ring
  std::size_t datagram_bytes_max = 1400;
  std::uint64_t seed = 1;  // of the generator that chooses probe targets
  // The wall clock, unix time; clock offsets are not measured without.
  std::function<std::chrono::microseconds()> wall_clock;
  bool majority = false;  // --consistency majority: the same on all nodes
  // This node's; outlives the machine. Without one, all is believed as it is said (for tests of
  // other things).
  const Signer* signer = nullptr;
  // The ring of this node's last life, to which it goes back. Its members count as dead until
  // something is heard of them.
  RememberedRing remembered;
  // The ring's settings, as its last life had them.
  std::vector<Setting> remembered_settings;
};

struct Address {
  std::string host;
  std::uint16_t port = 0;
  friend bool operator==(const Address&, const Address&) = default;
  std::string ToString() const { return host + ":" + std::to_string(port); }
};

// What the shell must do. Returned by every event; order matters.
struct SendDatagram {
  Address to;
  std::string bytes;
};
// Exchange whole states with a node (PeerRequest push_pull over TCP); the reply comes back to
// OnPushPullReply, a failure to OnPushPullFailed.
struct StartPushPull {
  Address to;
  std::string payload;  // encoded PushPull
};
// Ask another member whether its link to `suspect` is down, too; a yes comes back to
// OnConfirmedDown.
struct AskConfirmDown {
  NodeId via;
  NodeId suspect;
  std::uint64_t incarnation = 0;
};
// `state()` changed: members, ring or holdings.
struct StateChanged {};
// `settings()` changed.
struct SettingsChanged {};
// This node had been declared dead by others while it was alive: what it holds may be stale.
struct DeclaredDead {};
// A LeaseMessage of another member (lease.h).
struct LeaseHeard {
  NodeId from;
  std::string payload;
};

using MembershipAction = std::variant<SendDatagram, StartPushPull, AskConfirmDown, StateChanged,
                                      SettingsChanged, DeclaredDead, LeaseHeard, LogEvent>;
using MembershipActions = std::vector<MembershipAction>;

// How far another node's wall clock is ahead of this one's, or behind (negative).
struct ClockOffset {
  NodeId id;
  Duration offset{};
  Duration round_trip{};  // of the sample; the error is at most half of it
};

// A member that is dead, as this node knows it.
struct DeadMember {
  NodeId id;
  Duration since{};  // so long ago it was declared dead
  // In so much time it is evicted from the ring; empty: it is not on it, or no majority of the ring is
  // in view, so that nobody is evicted.
  std::optional<Duration> evict_in;
};

struct MembershipStats {
  std::uint64_t probes = 0;
  std::uint64_t probes_failed = 0;
  std::uint64_t suspicions = 0;
  std::uint64_t deaths = 0;
  std::uint64_t refutations = 0;
  std::uint64_t datagrams_dropped = 0;
  std::uint64_t datagrams_strange = 0;
  std::uint64_t datagrams_forged = 0;
  std::uint64_t newcomers_refused = 0;
  std::uint64_t too_old_refused = 0;
  std::uint64_t records_refused = 0;
  std::uint64_t push_pulls = 0;
  std::uint64_t push_pull_bytes_sent = 0;
  std::uint64_t datagrams_sent = 0;
  std::uint64_t datagram_bytes_sent = 0;
  std::uint64_t awareness = 0;
  std::uint64_t clock_alarms = 0;
  std::uint64_t evictions = 0;             // from the ring, by this node
  std::vector<ClockOffset> clock_offsets;  // of serving peers that were measured
  std::vector<DeadMember> dead;

  static constexpr Statistic<MembershipStats> kStatistics[] = {
      {&MembershipStats::probes, {.name = "gyre_gossip_probes_total", .help = "Probes sent."}},
      {&MembershipStats::probes_failed,
       {.name = "gyre_gossip_probes_failed_total",
        .help = "Probes that nobody answered, directly or indirectly."}},
      {&MembershipStats::suspicions,
       {.name = "gyre_gossip_suspicions_total", .help = "Members that became suspect."}},
      {&MembershipStats::deaths,
       {.name = "gyre_gossip_deaths_total", .help = "Members declared dead."}},
      {&MembershipStats::refutations,
       {.name = "gyre_gossip_refutations_total",
        .help = "Times that this node denied its own suspicion or death."}},
      {&MembershipStats::datagrams_dropped,
       {.name = "gyre_gossip_datagrams_dropped_total",
        .help = "Datagrams that were malformed, of another cluster or another version."}},
      {&MembershipStats::datagrams_strange,
       {.name = "gyre_gossip_datagrams_strange_total",
        .help = "Datagrams dropped: their sender is no member."}},
      {&MembershipStats::datagrams_forged,
       {.name = "gyre_gossip_datagrams_forged_total",
        .help = "Datagrams dropped: not by the member that they name, not for this node, or of an "
                "older life."}},
      {&MembershipStats::newcomers_refused,
       {.name = "gyre_gossip_newcomers_refused_total",
        .help = "Calls to nodes that want to join which did not find them at the address that they "
                "tell."}},
      {&MembershipStats::too_old_refused,
       {.name = "gyre_gossip_too_old_refused_total",
        .help = "Messages of nodes refused whose release is older than what the ring does: upgrade "
                "them."}},
      {&MembershipStats::records_refused,
       {.name = "gyre_gossip_records_refused_total",
        .help = "What peers said that lies far ahead of this node's clock, or leaps."}},
      {&MembershipStats::push_pulls,
       {.name = "gyre_gossip_push_pulls_total", .help = "Exchanges of what two states differ in."}},
      {&MembershipStats::push_pull_bytes_sent,
       {.unit = StatUnit::kBytes,
        .name = "gyre_gossip_push_pull_bytes_total",
        .help = "Bytes sent in such exchanges."}},
      {&MembershipStats::datagrams_sent,
       {.name = "gyre_gossip_datagrams_total", .help = "Gossip datagrams sent."}},
      {&MembershipStats::datagram_bytes_sent,
       {.unit = StatUnit::kBytes,
        .name = "gyre_gossip_datagram_bytes_total",
        .help = "Bytes sent in them."}},
      {&MembershipStats::awareness,
       {.kind = StatKind::kGauge,
        .name = "gyre_gossip_awareness",
        .help = "Lifeguard's score of this node's own health; 0 is healthy."}},
      {&MembershipStats::clock_alarms,
       {.kind = StatKind::kGauge,
        .name = "gyre_clock_alarms",
        .help = "Peers whose wall clock is off by more than half a second."}},
      {&MembershipStats::evictions, {}},
  };
};
static_assert(AllDescribed<MembershipStats>(sizeof(MembershipStats::clock_offsets) +
                                            sizeof(MembershipStats::dead)),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

// One thread. `now` never runs backwards.
class Membership {
 public:
  // `self` with its id, addresses, zone, weight and incarnation; alive, not yet on the ring.
  Membership(MembershipOptions options, MemberInfo self, std::uint32_t partition_count,
             std::uint32_t replicas);
  ~Membership();

  const ClusterState& state() const;
  // Of all members but this node.
  std::map<NodeId, MemberLife> lives() const;
  // This node's.
  std::uint64_t epoch() const;
  MembershipStats stats() const;
  // What holds for the whole ring, by name.
  const SettingsMap& settings() const;
  // It has the ring's settings as another node had them in this life, or met no other node yet.
  bool settings_known() const;
  SettingsStats settings_stats() const;

  // When to call Tick at the latest.
  TimePoint next_tick() const;
  MembershipActions Tick(TimePoint now);

  // Seeds as addresses, tried until one answers, and again for ever (a healed partition merges by
  // itself). An address of this node itself is ignored once it is recognised.
  MembershipActions SetSeeds(TimePoint now, std::vector<Address> seeds);
  // What all nodes can that serve or hold a place on the ring (cluster/level.h), as far as they said so. It
  // never falls once it was raised among several: who cannot as much is refused from then on.
  std::uint32_t RingLevel() const;
  // What this node hashes keys with, as its datagrams say it from now on.
  void SayKeyHash(const KeyHashId& hash);
  // What another member said of itself in its last datagram; nothing yet: a level of 0.
  struct Ability {
    NodeId id;
    bool serves = false;
    std::uint32_t level = 0;
    KeyHashId key_hash;
  };
  // Of those that serve or hold a place on the ring.
  std::vector<Ability> abilities() const;
  // When the newest ping that another member answered was sent: up to then others heard this node
  // (self_fence.h). TimePoint::max() where no other member serves.
  TimePoint confirmed_at() const;
  // True once a push/pull with another node succeeded, or there are no seeds but this node itself,
  // or it is the whole of the ring that it remembers.
  bool joined() const;
  // This node wants a place on the ring and there is none: JoinRing again, later.
  bool ring_full() const;

  MembershipActions OnDatagram(TimePoint now, const Address& from, std::string_view bytes);
  // Carries an encoded LeaseMessage to a member, in a datagram.
  MembershipActions SendLease(TimePoint now, const NodeId& to, const std::string& payload);
  // A peer's push/pull: `reply` gets the encoded PushPull to answer, or why it is refused (foreign
  // cluster, other constants).
  MembershipActions OnPushPull(TimePoint now, std::string_view payload, Result<std::string>& reply);
  // `leads_elsewhere`: `from` is a name of several addresses, so that meeting oneself there does not
  // mean that nobody else is there.
  MembershipActions OnPushPullReply(TimePoint now, const Address& from, std::string_view payload,
                                    bool leads_elsewhere = false);
  MembershipActions OnPushPullFailed(TimePoint now, const Address& to, const Error& error);
  // A TCP link of this node to `id` was refused or reset: with one other node's confirmation it is
  // dead. `epoch`: the member's, as it was known here when the link began to connect. News of a
  // life that is over may be late (another loop's, a busy one's): they only lead to another
  // attempt.
  MembershipActions OnLinkDown(TimePoint now, const NodeId& id, std::uint64_t epoch);
  // Requests to `id` are outstanding and nothing comes from it: it is probed out of turn.
  MembershipActions OnLinkSilent(TimePoint now, const NodeId& id);
  MembershipActions OnConfirmedDown(TimePoint now, const NodeId& id, std::uint64_t incarnation);
  // Whether this node's link to `id` failed lately and it has not been heard since: the answer to a
  // ConfirmDown.
  bool SeemsDown(TimePoint now, const NodeId& id) const;

  // This node's own entries.
  MembershipActions SetHoldings(TimePoint now, PartitionSet complete, PartitionSet owned,
                                RestoredCopies restored = {});
  // It is about to stop: from now on others prepare to have what it has (Holdings.leaving).
  MembershipActions Leave(TimePoint now);
  MembershipActions JoinRing(TimePoint now);
  // Takes a node off the ring, this one or any (gyre remove).
  MembershipActions LeaveRing(TimePoint now, const NodeId& id);
  // So that it stays off, restarted or not, until Undrain.
  MembershipActions Drain(TimePoint now, const NodeId& id);
  // A drained node may take its place again: it does so by itself, now or when it starts.
  MembershipActions Undrain(TimePoint now, const NodeId& id);
  // What the operator wants of rebalancing, for the whole cluster: it spreads as the ring does, and
  // who joins or comes back learns it with the rest of the state.
  MembershipActions SetRebalance(TimePoint now, const RebalanceChange& change);
  // Changes the ring's settings, all of the changes or none: this node has them at once, the others
  // a moment later, and who joins or comes back with the rest of the state. `outcome`: why they are
  // refused, worded for the operator.
  MembershipActions ChangeSettings(TimePoint now, const std::vector<SettingChange>& changes,
                                   Status& outcome);
  // MembershipOptions::evict_after from now on, for those that are dead, too.
  void SetEvictAfter(Duration evict_after);
  // Says goodbye: state kStopped, told at once to several members.
  MembershipActions Stop(TimePoint now);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gyre
