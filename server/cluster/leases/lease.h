// --consistency majority: who may act as the owner of a partition, whatever gossip believes. Pure:
// (now, event) -> datagrams, and leases that end by themselves.
//
// Ownership (ownership.h) decides who *should* own, by gossip, which two sides of a network
// partition answer differently. This machine decides who *may act*: execute commands and let their
// replies go. It is a lock for each partition, kept by majority vote (as in Chubby's and
// PaxosLease's leases), and nothing in its safety depends on gossip or on who is thought dead.
//
//   owner A                      each ring member X, and A itself
//     | every kRenew: request(seq, claims: bitmap, taking: bitmap)
//     |------------------------->|  p is granted to A unless another's promise of p still runs,
//     |                          |  or another was promised p since A was, and A does not take it
//     |<-------------------------|  granted: bitmap; X's promise to A runs for kHold from now
//     | p is leased until (the time the request was *sent*) + kLease, once a majority granted it
//
//  1. X's promise begins after A's request was sent and kHold > kLease: as long as A's lease runs,
//     a majority has promised p to A and grants it to nobody else. Two majorities share a member.
//     So there is one lease of p at most, at any time. Which majorities meet while the ring changes
//     is the business of lease_rings.h.
//  2. A acts on p only under the lease, by a clock read before and *after* each command
//     (lease_table.h): what a paused process began is thrown away. A write that waits for
//     acknowledgements is OK only if the lease held without a gap from its execution until then.
//  3. A lease is given back by the next request that does not claim it (a planned handover: the old
//     owner has stopped and settled before), or runs out. A taker (`taking`: by the rules of
//     Ownership) is promised p as soon as nobody's promise runs. An owner that was away claims what
//     it had without taking it: it gets it only from those who promised p to nobody since. If it is
//     refused it has lost p, and pulls.
//  4. A lease names an epoch (cluster.proto): the life of a node's copies. A member that knows of
//     the epoch's death grants it nothing. A death counts for Ownership (death_fences.h) only once
//     a majority knows of it. So a node whose copies an owner no longer waits for cannot take over
//     with them: the majority that let the owner go on, and the one that it needs, share a member.
//  5. Versions follow leases. A lease bounds the time that its owner may stamp (stamp_limit); who
//     promises p to the next hands him the bound, and his clock is moved beyond it before he acts.
//     So whatever an old owner left behind unacknowledged is older than what the new one writes,
//     even if wall clocks jumped, and replication and repair, which keep the newer, never undo a
//     write.
//  6. Members forget when they restart: a node promises nothing for kHold after its start.
//
// Only intervals of monotonic clocks are compared, never two clocks: kHold / kLease bounds how much
// faster a voter's clock may run than an owner's (8 %).
//
// Cost: each node sends N - 1 datagrams of P / 8 bytes and as many answers every kRenew; while it
// lacks a lease, the first ones faster. Meant for clusters of up to some 50 nodes.
// Not covered: a machine whose monotonic clock stops while its processes live on (a virtual machine
// that is suspended and resumed with a live network); two copies of one data directory; a request
// that is on its way for longer than a lease, past newer ones of the same node; a node that
// restarts within one lease *and* forgets with it who was promised last, where that was the one
// member that two majorities had in common.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/statistic.h"
#include "leases/lease_rings.h"
#include "proto/node_id.h"
#include "proto/partition_set.h"
#include "proto/slot.h"

namespace gyre::wire {
class LeaseRequest;
class LeaseReply;
}  // namespace gyre::wire

namespace gyre {

// How long a lease lets its owner act: less than the 2 s in which a silent node is declared dead at
// the earliest, so that the lease of a dead owner has run out when its heir is found.
inline constexpr Duration kLease = std::chrono::milliseconds(1200);
// How long a voter keeps its promise.
inline constexpr Duration kLeaseHold = std::chrono::milliseconds(1300);
inline constexpr Duration kLeaseRenew = std::chrono::milliseconds(300);
// Between requests while a claim is not leased: doubled each time up to kLeaseRenew.
inline constexpr Duration kLeaseHurry = std::chrono::milliseconds(20);
// See lease_rings.h, 4. Longer than dead members and seeds are tried again (rejoin_interval).
inline constexpr Duration kLeaseQuiet = std::chrono::milliseconds(2500);
// How far the clock may run beyond the time of a request before stamping has to wait for the next.
inline constexpr UnixMillis kStampRoomMs = 2000;

// What the membership knows that a vote depends on.
struct LeaseFacts {
  Ring ring;
  std::uint64_t epoch = 0;                      // this node's
  std::map<NodeId, std::uint64_t> dead_epochs;  // members: epochs up to this were declared dead
};

struct SendLease {
  NodeId to;
  std::string payload;  // a LeaseMessage
};
using LeaseSends = std::vector<SendLease>;

struct LeaseStats {
  std::uint64_t majority = 0;
  std::uint64_t claims = 0;
  std::uint64_t held = 0;
  std::uint64_t remaining_ms = 0;
  std::uint64_t lapses = 0;
  std::uint64_t refusals = 0;
  std::uint64_t overruns = 0;
  std::uint64_t unfenced_deaths = 0;

  static constexpr Statistic<LeaseStats> kStatistics[] = {
      {&LeaseStats::majority,
       {.kind = StatKind::kGauge,
        .name = "gyre_lease_majority",
        .help = "1 if a majority of the ring answered this node within the length of a lease."}},
      {&LeaseStats::claims,
       {.kind = StatKind::kGauge,
        .name = "gyre_lease_claimed",
        .help = "Partitions that this node should act for."}},
      {&LeaseStats::held,
       {.kind = StatKind::kGauge,
        .name = "gyre_lease_held",
        .help = "Of them, those for which it holds a lease."}},
      {&LeaseStats::remaining_ms,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kMilliseconds,
        .name = "gyre_lease_remaining_seconds",
        .help = "Until the first of its leases runs out."}},
      {&LeaseStats::lapses,
       {.name = "gyre_lease_lapses_total",
        .help = "Leases that ran out although they were still claimed."}},
      {&LeaseStats::refusals,
       {.name = "gyre_lease_refusals_total",
        .help = "Attempts at a command that found no lease: they wait."}},
      {&LeaseStats::overruns,
       {.name = "gyre_lease_overruns_total",
        .help = "Commands whose lease ran out while they ran or waited for acknowledgements."}},
      {&LeaseStats::unfenced_deaths,
       {.kind = StatKind::kGauge,
        .name = "gyre_lease_deaths_unconfirmed",
        .help = "Members that this node counts as dead, and no majority does yet."}},
  };
};
static_assert(AllDescribed<LeaseStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

class Leases {
 public:
  struct Lease {
    TimePoint start{};
    TimePoint until{};  // never shorter than it was, but by giving it back
    UnixMillis stamp_limit = 0;
  };

  // `first_sequence`: higher than any that an earlier life of this node used (its incarnation, a
  // time, shifted left). `started`: when this process began to run.
  Leases(NodeId self, std::uint32_t partition_count, std::uint64_t first_sequence,
         TimePoint started);

  // ---- Events. `now` must be read afresh: a promise that is dated too early ends too early. ----
  void SetFacts(TimePoint now, LeaseFacts facts);
  // What this node should act for, and what of it was taken by the rules of Ownership and never
  // leased since. Gives back at once what is no longer claimed: it must not be acted on any more.
  LeaseSends SetClaims(TimePoint now, const PartitionSet& claims, const PartitionSet& taking,
                       UnixMillis stamp);
  // `stamp`: the highest time that this node may have stamped.
  LeaseSends Tick(TimePoint now, UnixMillis stamp);
  LeaseSends OnMessage(TimePoint now, const NodeId& from, std::string_view payload);
  // See LeaseRings::Settle.
  void SettleRing(TimePoint now) { rings_.Settle(now); }
  // Asks others about these deaths with the next request.
  void AskAbout(const std::map<NodeId, std::uint64_t>& deaths);

  // Asks again soon: this node's clock was moved.
  void AskSoon() { ask_at_ = TimePoint{}; }

  // ---- What it knows ----
  // Whether Tick would send.
  bool Due(TimePoint now) const { return now >= ask_at_; }
  const std::vector<Lease>& leases() const { return leases_; }
  bool Holds(PartitionId partition, TimePoint now) const { return now < leases_[partition].until; }
  // Claimed without taking, and promised to another by so many that no majority is left.
  std::vector<PartitionId> Lost(TimePoint now) const;
  // No version beyond it may be stamped under the leases.
  UnixMillis stamp_limit(TimePoint now) const;
  // This node's clocks must be beyond it before it acts under its leases.
  UnixMillis stamp_floor() const { return stamp_floor_; }
  // Of the deaths that were asked about: those that a majority knows of.
  std::map<NodeId, std::uint64_t> ConfirmedDeaths() const;
  bool HasMajority(TimePoint now) const;
  // Young nodes do not vote.
  bool votes(TimePoint now) const { return now >= votes_from_; }
  const LeaseRings& rings() const { return rings_; }
  LeaseStats stats(TimePoint now) const;

 private:
  // The voter: what was promised to one member.
  struct Promise {
    std::uint64_t sequence = 0;
    PartitionSet granted;
    TimePoint until{};
    UnixMillis stamp_limit = 0;
  };
  // The asker.
  struct Pending {
    TimePoint sent_at{};
    std::uint64_t ring = 0;
    PartitionSet claims;
    PartitionSet taking;
    UnixMillis stamp_limit = 0;
  };
  struct Grant {
    TimePoint sent_at{};
    std::uint64_t ring = 0;
    PartitionSet granted;
    PartitionSet refused;  // promised to another
    PartitionSet lost;     // of them, those that this node claimed without taking them
    UnixMillis stamp_limit = 0;
  };

  LeaseSends Ask(TimePoint now, UnixMillis stamp);
  wire::LeaseReply Vote(TimePoint now, const NodeId& from, const wire::LeaseRequest& request);
  void PromiseTo(TimePoint now, const NodeId& from, Promise& promise, const PartitionSet& claims,
                 const PartitionSet& taking, wire::LeaseReply& reply);
  void OnReply(TimePoint now, const NodeId& from, const wire::LeaseReply& reply);
  PartitionSet Taking(TimePoint now) const;
  void Evaluate();
  void Extend(PartitionId partition, const Grant& oldest);
  void NoteLapses(TimePoint now);
  bool LacksOne(TimePoint now) const;

  const NodeId self_;
  const std::uint32_t partition_count_;
  const TimePoint votes_from_;
  LeaseFacts facts_;
  LeaseRings rings_;

  std::map<NodeId, Promise> promises_;
  std::vector<NodeId> promised_last_;       // [partition] to whom; all zeroes: to nobody yet
  std::vector<UnixMillis> promised_stamp_;  // [partition] the bound of those before him

  PartitionSet claims_;
  PartitionSet taking_;
  std::uint64_t sequence_;
  TimePoint ask_at_{};
  Duration hurry_ = kLeaseHurry;
  std::map<std::uint64_t, Pending> pending_;
  std::map<NodeId, Grant> grants_;
  std::vector<Lease> leases_;  // [partition]
  PartitionSet held_;          // as of the last Tick
  std::uint64_t lapses_ = 0;
  UnixMillis stamp_floor_ = 0;
  std::map<NodeId, std::uint64_t> deaths_;                   // asked about
  std::map<NodeId, std::map<NodeId, std::uint64_t>> known_;  // member -> deaths that it knows of
};

}  // namespace gyre
