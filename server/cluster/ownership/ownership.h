// Who orders the writes of each partition, seen from one node: pure decisions, (now, event) ->
// actions.
//
// For each partition this node is in one phase. Storage knows the phase as a Role, which commands
// check under the shard's lock; what gossip says of the node (Holdings) follows from it.
//
//   from           to             when
//   ------------   ------------   ------------------------------------------------------------
//   Absent         Waiting        the view makes this node a holder
//                  Owner          the cluster begins, and the partition is empty everywhere
//   Waiting        Pulling        an owner is known to pull from
//   Pulling        Filled         all is pulled; failed, another owner, or to stand by: Waiting
//   Filled         Replica        the owner has settled its writes in flight with this node
//                  Owner          ... and granted it the partition
//   Replica        Recovering     the last owner is gone (TakeOver), other copies are whole
//                  Owner          ... and none is; or granted by an owner that stops
//                  Absent         no holder any more, and the holders are whole
//                  Waiting        it missed writes
//   Recovering     Owner          the other copies were compared, or are gone
//                  Replica        another node took it over, too, and goes first (repair.cc)
//   Owner          HandingOver    a better-placed node asks for it; this node stops
//                  Waiting        it yields to a better-placed owner; it was declared dead
//   HandingOver    Replica        settled, and granted to another
//                  Owner          not settled in time, or nobody took it
//
// Invariants
//  1. In a planned change there is one owner: the old one stops ordering (HandingOver), settles
//     what is in flight, becomes a replica, and only then does the new one learn that it owns.
//  2. A node is complete only if its owner said so after settling in-flight writes (Filled ->
//     Replica): hence a complete replica has every write that was ever acknowledged by the rule
//     of replicator_impl.h.
//  3. A claim (the `owned` bit) is withdrawn after a grant only once the new owner's claim is
//     seen, so that the others always see an owner. Of two claims the better-placed counts.
//  4. Ownership is taken without being given only if the last owner does not serve, or has not
//     claimed the partition for kVacancyGrace (gossip lags, and a new incarnation starts without
//     holdings).
//  5. An owner believes gossip that a node is complete only as of the moment at which its
//     ownership begins: those get every write of it. Who becomes complete later must settle with
//     it, or is told to pull again (Resync).
//  6. A copy is dropped only when the first RF serving holders are complete and one of them owns.
//  7. A handover is between two lives: what is asked in one epoch is not granted to another
//     (Handover.epoch). Else an owner that has not heard of the asker's new life yet grants to the
//     old one, takes the partition back when that turns out to be over, and both order writes.
//
// Where leases decide (--consistency majority, lease.h), all of this says who should own, and a
// lease who acts: a node that took a partition neither orders nor recovers before it has one
// (takes()), and one that had one yields only if it was given to another since (OnLeases), not to a
// better-placed claim.
//
// A new owner that takes over after a death (Recovering) has every write that all replicas
// acknowledged, but where fewer acknowledgements than replicas were asked for, another copy may
// have one that it lacks. So before it serves, it is compared with the other complete serving
// copies and both take what the other has newer. Equal digests end that in one round trip. A copy
// that dies meanwhile is no longer waited for; one that lives and does not answer, for
// `recovery_timeout`.
//
// A node that was declared dead while it lived may have missed writes: all it holds counts as stale
// (Waiting, the data kept) unless nobody else is complete; it pulls, which merges by version, and
// repair ships back what it has newer. The same holds for an owner that yields to a better-placed
// one after a network partition.
//
// A copy from a snapshot (`restored`) is such a stale copy from the start: its node went away and
// others may have gone on. Where another node orders the writes, it pulls what differs
// (difference_pull.h). Where nobody has the partition whole, the whole cluster was stopped, and a
// restored copy becomes the complete one instead of an empty partition:
//   - the newest one wins: of the serving nodes that say to have one, the one whose snapshot is
//     whole as of the latest time. It saw what the others did not: a node that stops hands its
//     partitions over, so who stopped last had every write.
//   - it waits until its picture of the cluster has not changed for `settle`, also where it founds
//     the cluster, so that nodes that are started together are compared.
//   - all other restored copies then pull from it, and bring what it lacks, by version. What it has
//     deleted does not come back, however long the cluster was down: for tombstones that time does
//     not count (Outage in storage/shard.h).
//   - where the ring is remembered, most of it must be back first (`returns`).
//   - a partition that nobody has restored begins empty, and remembers no deletions of before: a
//     node that comes later with a restored copy brings it, within the tombstone time.
//
// A node that stops with a snapshot says so (Holdings.restored while it leaves), and is expected back
// with its copies. Who would hold a partition only in its stead stands by (Waiting): it is a target of
// the owner's writes, so that acknowledgements count two nodes as ever, but fills its copy no earlier
// than `return_grace` later, or when nobody who stays has the partition whole. So a rolling restart
// moves what changed meanwhile, and nothing else. If the last whole copy is lost while the node is
// away, the node comes back with all that it had, and what was written since is where it was taken.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/log_event.h"
#include "base/statistic.h"
#include "cluster/recovery.h"
#include "cluster/replica_set.h"
#include "membership/state.h"
#include "ownership/readiness.h"
#include "ownership/view_builder.h"
#include "storage/shard.h"

namespace gyre {

struct OwnershipOptions {
  // No complete copy anywhere: the first holder declares the partition empty once its picture of
  // the cluster has not changed for so long.
  Duration settle = std::chrono::milliseconds(1500);
  // A serving owner whose claim vanished has so long to claim again.
  Duration vacancy_grace = std::chrono::milliseconds(1000);
  // A node that was granted ownership and neither claims it nor asks again: the old owner takes it
  // back.
  Duration grant_timeout = std::chrono::seconds(5);
  // A copy that became complete only now is not known to others yet: for so long it leaves it to
  // them to take over from an owner that died.
  Duration spread = std::chrono::milliseconds(500);
  // A new owner waits so long at most for another complete copy to be compared with. Longer than a
  // silent node takes to be declared dead, which ends the wait.
  Duration recovery_timeout = std::chrono::seconds(6);
  // Between attempts to pull, to be settled, or to be compared.
  Duration retry = std::chrono::milliseconds(100);
  // A stale copy of a node that is no longer a holder is kept so long after it was settled, for
  // repair to see.
  Duration stale_linger = std::chrono::seconds(15);
  std::size_t handover_batch_max = 64;  // partitions of one Handover
  // No seeds: this node founds the cluster, every partition is complete and empty at once.
  bool founder = false;
  // This node remembers a ring of several nodes and goes back to it. Until that is there again
  // (RingIsBack) nothing begins here: somebody who is still to come may have it.
  bool returns = false;
  // So long at most; Duration::max(): without end.
  Duration return_patience = std::chrono::minutes(5);
  RestoredCopies restored;
  // A node that stopped with a snapshot is expected back for so long: nobody fills copies in its stead.
  Duration return_grace = std::chrono::minutes(5);
  // --consistency majority: who acts is decided by leases (lease.h), told by OnLeases.
  bool majority = false;
  // A partition that was taken, is claimed by another, too, and was not leased for so long is
  // yielded: the other acts.
  Duration take_patience = std::chrono::seconds(3);
};

// ---- Actions; order matters --------------------------------------------------------------------

struct SetRole {
  PartitionId partition = 0;
  Role role = Role::kAbsent;
};
// Who must get the partition's writes. `fresh`: ownership begins; what was known of targets is
// void.
struct SetTargets {
  PartitionId partition = 0;
  std::vector<ReplicaSet::Target> targets;
  bool fresh = false;
  bool all_serve = false;  // as ReplicaSet has it
};
struct MarkSettled {  // `node` is complete from now on: before the next write
  PartitionId partition = 0;
  NodeId node;
  std::uint64_t epoch = 0;
};
struct DropCopy {
  PartitionId partition = 0;
};
// The partition begins here, with nothing from before.
struct BeginEmpty {
  PartitionId partition = 0;
};
struct StartPull {
  PartitionId partition = 0;
  NodeId source;
  std::uint64_t pull = 0;    // names this attempt when it ends
  bool writes_only = false;  // filled once the source's writes come here
};
struct StopPull {
  PartitionId partition = 0;
};
// Compare the partition with `node`'s copy now and even out what differs, both ways; the end comes
// to OnRecovered.
struct StartRecovery {
  PartitionId partition = 0;
  NodeId node;
};
struct SendHandover {
  NodeId to;
  std::vector<PartitionId> partitions;
  std::vector<PartitionId> stale;  // of them, whose copies may have writes that nobody else has
};
struct SendTakeOver {
  NodeId to;
  std::vector<PartitionId> partitions;
};
// The right to order a partition's writes, and who has all of the old owner's, itself included.
struct OwnershipGrant {
  PartitionId partition = 0;
  std::vector<NodeId> complete;
};
struct PublishHoldings {
  PartitionSet complete;
  PartitionSet owned;
  RestoredCopies restored;
};
struct PublishView {
  ClusterViewPtr view;
};

using OwnershipAction =
    std::variant<SetRole, SetTargets, MarkSettled, DropCopy, BeginEmpty, StartPull, StopPull,
                 StartRecovery, SendHandover, SendTakeOver, PublishHoldings, PublishView, LogEvent>;
using OwnershipActions = std::vector<OwnershipAction>;

struct OwnershipStats {
  std::uint64_t owned = 0;
  std::uint64_t complete = 0;
  std::uint64_t warming = 0;
  std::uint64_t standing_by = 0;
  std::uint64_t recovering = 0;
  std::uint64_t recoveries_cut_short = 0;
  std::uint64_t handovers_in = 0;
  std::uint64_t handovers_out = 0;
  std::uint64_t takeovers = 0;
  std::uint64_t takeovers_left = 0;
  std::uint64_t yields = 0;
  std::uint64_t losses = 0;
  std::uint64_t restored = 0;
  std::uint64_t drops = 0;

  static constexpr Statistic<OwnershipStats> kStatistics[] = {
      {&OwnershipStats::owned,
       {.kind = StatKind::kGauge,
        .name = "gyre_partitions_owned",
        .help = "Partitions whose writes this node orders."}},
      {&OwnershipStats::complete,
       {.kind = StatKind::kGauge,
        .name = "gyre_partitions_complete",
        .help = "Partitions that this node has whole."}},
      {&OwnershipStats::warming,
       {.kind = StatKind::kGauge,
        .name = "gyre_partitions_warming",
        .help = "Partitions that this node is filling, or is to fill."}},
      {&OwnershipStats::standing_by,
       {.kind = StatKind::kGauge,
        .name = "gyre_partitions_standing_by",
        .help = "Of those, the ones that wait for a node that stopped with a snapshot, which is "
                "expected back with its copies: their writes come here meanwhile."}},
      {&OwnershipStats::recovering,
       {.kind = StatKind::kGauge,
        .name = "gyre_partitions_recovering",
        .help = "Partitions taken over after a death that are being compared with their other "
                "copies; their commands wait."}},
      {&OwnershipStats::recoveries_cut_short,
       {.name = "gyre_recoveries_cut_short_total",
        .help = "Partitions served before another copy could be compared with."}},
      {&OwnershipStats::handovers_in,
       {.name = "gyre_handovers_in_total",
        .help = "Partitions handed over to this node, planned."}},
      {&OwnershipStats::handovers_out,
       {.name = "gyre_handovers_out_total",
        .help = "Partitions that this node handed over, planned."}},
      {&OwnershipStats::takeovers,
       {.name = "gyre_takeovers_total",
        .help = "Partitions taken because their owner died or stopped."}},
      {&OwnershipStats::takeovers_left,
       {.name = "gyre_takeovers_left_total",
        .help = "Of them, partitions left to another node that had taken them as well."}},
      {&OwnershipStats::yields,
       {.name = "gyre_ownership_yields_total",
        .help = "Partitions given up to a better-placed owner after a network partition."}},
      {&OwnershipStats::losses,
       {.name = "gyre_partition_losses_total",
        .help = "Partitions declared empty because every complete holder was gone."}},
      {&OwnershipStats::restored,
       {.name = "gyre_partitions_restored_total",
        .help =
            "Partitions served from this node's snapshot because no other node had them whole."}},
      {&OwnershipStats::drops,
       {.name = "gyre_partition_drops_total",
        .help = "Copies dropped because other nodes hold them."}},
  };
};
static_assert(AllDescribed<OwnershipStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

class Ownership {
 public:
  Ownership(OwnershipOptions options, NodeId self, std::uint32_t partition_count);

  // ---- Events ----
  OwnershipActions OnState(TimePoint now, const ClusterState& state);
  OwnershipActions Tick(TimePoint now);

  // Pulls have brought the whole of their partitions, or failed.
  struct PullEnd {
    PartitionId partition = 0;
    std::uint64_t pull = 0;
    bool filled = false;
  };
  OwnershipActions OnPullsEnded(TimePoint now, const std::vector<PullEnd>& ends);

  // A StartRecovery ended.
  struct RecoveryEnd {
    PartitionId partition = 0;
    NodeId node;
    RecoveryOutcome outcome = RecoveryOutcome::kFailed;
  };
  OwnershipActions OnRecovered(TimePoint now, const std::vector<RecoveryEnd>& ends);

  // The owner's side of a Handover. Begin: of `partitions`, those that must settle now (they are
  // HandingOver); `already` gets those that were granted to `from` before. Finish: how they came
  // out.
  struct HandoverStart {
    OwnershipActions actions;
    std::vector<PartitionId> settling;
    std::vector<PartitionId> already_granted;
  };
  HandoverStart BeginHandover(TimePoint now, const NodeId& from,
                              const std::vector<PartitionId>& partitions);
  struct HandoverEnd {
    OwnershipActions actions;
    std::vector<PartitionId> granted;
    std::vector<PartitionId> settled;
  };
  // `drained` have nothing in flight and `from` as an up-to-date target; `kept` have not.
  HandoverEnd FinishHandover(TimePoint now, const NodeId& from,
                             const std::vector<PartitionId>& drained,
                             const std::vector<PartitionId>& kept);

  // The other side: the answer to a SendHandover of `asked`; the others are empty if none came.
  OwnershipActions OnHandoverReply(TimePoint now, const NodeId& owner,
                                   const std::vector<OwnershipGrant>& granted,
                                   const std::vector<PartitionId>& settled,
                                   const std::vector<PartitionId>& missed,
                                   const std::vector<PartitionId>& asked);

  // A stopping owner asks this node to go on; `taken` gets those that it does.
  OwnershipActions OnTakeOver(TimePoint now, const NodeId& from,
                              const std::vector<OwnershipGrant>& grants,
                              std::vector<PartitionId>& taken);
  // The owner says that this node missed writes.
  OwnershipActions OnResync(TimePoint now, const NodeId& from,
                            const std::vector<PartitionId>& partitions);
  // --consistency majority: which partitions are leased now, and which were leased to another since
  // this node had them.
  OwnershipActions OnLeases(TimePoint now, const PartitionSet& held,
                            const std::vector<PartitionId>& lost);
  // Others had declared this node dead.
  OwnershipActions OnDeclaredDead(TimePoint now);

  // Leaving: the node is about to stop. It takes and drops nothing any more, but goes on with what it
  // has until others have that, too: `OnlyHere` are the partitions that no node that stays has
  // whole. (`up_to_date` as for HandOff.) `returns_as_of`: now, where it will be back with what it has
  // (--snapshot-on-exit); else 0.
  OwnershipActions BeginLeave(TimePoint now, UnixMillis returns_as_of = 0);
  std::vector<PartitionId> OnlyHere(
      const std::function<bool(PartitionId, const NodeId&)>& up_to_date) const;
  // Some other ring member serves and is not leaving.
  bool others_stay() const;
  // Stopping: BeginStop puts the owned partitions into HandingOver (`settling`); HandOff, once they
  // are settled, offers them to complete replicas that stay; OnTakenOver is the answer: those of
  // `asked` that were not taken are owned on. EndStop: it goes on leaving, since some were not. Resign,
  // before the goodbye: from now on others may order the writes, so this node orders none. Not where
  // nobody else serves, who goes on to its end; false then.
  OwnershipActions BeginStop(TimePoint now, std::vector<PartitionId>& settling);
  // `up_to_date` says whether a node has all writes of a partition, to this owner's own knowledge.
  OwnershipActions HandOff(TimePoint now,
                           const std::function<bool(PartitionId, const NodeId&)>& up_to_date);
  OwnershipActions OnTakenOver(TimePoint now, const NodeId& to,
                               const std::vector<PartitionId>& asked,
                               const std::vector<PartitionId>& taken);
  void EndStop();
  bool Resign(TimePoint now, OwnershipActions& actions);

  // OwnershipOptions::return_grace from now on, for those that are away, too.
  void SetReturnGrace(Duration grace) {
    options_.return_grace = grace;
    grace_ends_ = TimePoint{};  // as of the next tick
  }

  // ---- What it knows ----
  const ClusterView& view() const { return built().view; }
  OwnershipStats stats() const;
  Readiness readiness() const;  // what it knows of it
  bool holds_nothing() const;
  bool owns(PartitionId partition) const;
  // It became the owner, and had no lease of it since.
  bool takes(PartitionId partition) const;

 private:
  // ---- The phases of a partition on this node, each with what only it has ----

  struct Absent {
    static constexpr Role kRole = Role::kAbsent;
  };

  // What a copy that is not whole is worth.
  enum class Copy : std::uint8_t {
    kSound,     // all that it has is as the owner had it
    kStale,     // it may lack writes, or have some that others lack
    kRestored,  // stale, and from a snapshot
  };
  struct Warming {
    static constexpr Role kRole = Role::kWarming;
    Copy copy = Copy::kSound;
  };
  struct Waiting : Warming {  // to pull, when there is a source and `retry_at` has passed
    TimePoint retry_at{};
    bool stands_by = false;         // in the stead of a node that is expected back
    std::optional<NodeId> follows;  // standing by: who sends its writes here
  };
  struct Pulling : Warming {
    NodeId source;
    std::uint64_t pull = 0;
    bool writes_only = false;  // so as to stand by
  };
  struct Filled : Warming {  // all is pulled; not yet settled with `source`
    NodeId source;
  };

  struct Replica {
    static constexpr Role kRole = Role::kReplica;
  };

  // What an owner has from the beginning of its ownership to the end, through all three phases.
  // Nobody else may order the writes meanwhile (while handing over or recovering, it does not
  // either).
  struct Owned {
    std::vector<ReplicaSet::Target> targets;  // as last set
    TimePoint since{};
    // None: it was taken. Who granted it goes on claiming it until it sees this node's claim: an
    // echo, not to be believed until `echo_until`, which ends once that claim is heard no more.
    std::optional<NodeId> granted_by;
    TimePoint echo_until{};
    // --consistency majority. Two facts and no phases: the lease comes and goes while the node
    // orders, hands over or recovers. Neither is true where it had a lease, and that ran out.
    bool taking = false;  // see takes()
    bool leased = false;  // as of the last OnLeases
    // Some copy was not compared when it took over: it may still have what was removed.
    bool cut_short = false;
    bool all_serve = false;  // as last set
  };
  struct Owner : Owned {
    static constexpr Role kRole = Role::kOwner;
  };
  struct HandingOver : Owned {  // settling for `to`; this node itself: for whoever takes over
    static constexpr Role kRole = Role::kHandingOver;
    NodeId to;
  };
  // Another complete copy that a new owner is compared with.
  struct Source {
    NodeId node;
    std::uint64_t epoch = 0;
    bool asked = false;
    TimePoint retry_at{};
  };
  struct Recovering : Owned {  // took over; `sources` are still to be compared with
    static constexpr Role kRole = Role::kRecovering;
    std::vector<Source> sources;
    std::vector<Source> compared;  // and are to be again, if another has what they may lack
    TimePoint until{};
  };

  using Phase =
      std::variant<Absent, Waiting, Pulling, Filled, Replica, Owner, HandingOver, Recovering>;

  struct Local {
    template <typename P>
    bool Is() const {
      return std::holds_alternative<P>(phase);
    }

    Phase phase;
    // As storage was told: the phase's, but kHandingOver while a grant is expected (Expect).
    Role role = Role::kAbsent;

    // ---- What outlives a phase ----
    // A Handover is on its way; the next goes not before `ask_at`. It was sent as Filled or as a
    // Replica, but its answer may find any phase: a stopping owner can give the partition at the
    // same time (OnTakeOver). Until it comes, nothing else is begun.
    bool asked = false;
    TimePoint ask_at{};
    // A copy became whole then. Others may not know yet, whatever became of it since.
    TimePoint complete_since{};
    TimePoint linger_until{};  // a stale copy that was settled: kept so long for repair to see
    // Of the last grant to another node; LocalKnowledge::granted_to says to whom, while it matters.
    std::uint64_t granted_epoch = 0;
    TimePoint granted_at{};

    // ---- What this node saw of others, in any phase ----
    std::optional<TimePoint> vacant_since;  // nobody claims it
    bool ever_complete = false;             // somebody, somewhere, had it whole
  };

  static Role RoleOf(const Phase& phase);
  static bool IsComplete(const Phase& phase);
  static bool Orders(const Phase& phase) { return OwnedOf(phase) != nullptr; }
  // Null in other phases than an owner's.
  static const Owned* OwnedOf(const Phase& phase);
  static Owned* OwnedOf(Phase& phase);
  static bool StandsBy(const Phase& phase);
  static Copy CopyOf(const Phase& phase);             // a whole copy is sound
  static const NodeId* SourceOf(const Phase& phase);  // of Pulling and Filled; else null

  void Enter(PartitionId partition, Phase phase);
  void TellRole(PartitionId partition, Role role);
  // Between the phases of an owner: to Owner, and to HandingOver.
  void StartOrdering(PartitionId partition);
  void StopOrdering(PartitionId partition, const NodeId& to);
  // What the first phase of an ownership begins with. Null: it was taken.
  Owned BeginOwning(TimePoint now, PartitionId partition, const OwnershipGrant* grant);
  void BeGranted(TimePoint now, const NodeId& by, const OwnershipGrant& grant);
  void Recover(TimePoint now, PartitionId partition, std::vector<Source> sources);
  void LeaveTo(TimePoint now, PartitionId partition, const NodeId& node);
  void TakeOver(TimePoint now, PartitionId partition);
  void DecideRecovering(TimePoint now, PartitionId partition);
  void BecomeStale(TimePoint now, PartitionId partition);
  OwnershipActions Run(TimePoint now);
  // What a partition's picture or decision follows from, besides the members and the time, is another.
  void Changed(PartitionId partition) { changed_.Set(partition); }
  void AllChanged() { all_changed_ = true; }
  bool IsStale() const { return all_changed_ || changed_.Any(); }
  // Its decision is to be made again, whatever happens meanwhile: it depends on the time.
  void Wait(PartitionId partition) { waiting_.Set(partition); }
  bool TakeState(const ClusterState& state);
  void Rebuild();
  void NoteHeld(PartitionId partition);
  void NoteClaim(TimePoint now, PartitionId partition);
  // Nobody claims it for so long that it is no gap in gossip.
  bool IsVacant(TimePoint now, PartitionId partition) const {
    const std::optional<TimePoint>& since = locals_[partition].vacant_since;
    return since && now - *since >= options_.vacancy_grace;
  }
  void Decide(TimePoint now, PartitionId partition);
  void DecideWarming(TimePoint now, PartitionId partition, bool is_holder);
  void DecideReplica(TimePoint now, PartitionId partition, bool is_holder);
  void DecideOwner(TimePoint now, PartitionId partition);
  bool MustYield(TimePoint now, PartitionId partition);
  bool MayTake(TimePoint now, PartitionId partition) const;
  bool MayComeBack(PartitionId partition) const;
  bool MayBegin(TimePoint now, PartitionId partition) const;
  void NoteReturn(TimePoint now);
  std::optional<NodeId> NewestRestored(PartitionId partition) const;
  bool IsAbandoned(TimePoint now, PartitionId partition) const;
  void Begin(TimePoint now, PartitionId partition);
  bool MayDrop(TimePoint now, PartitionId partition) const;
  void NoteAway(TimePoint now);
  void NoteGrace(TimePoint now);
  UnixMillis RestoredAsOf() const;
  bool MayStandBy(TimePoint now, PartitionId partition) const;
  std::vector<ReplicaSet::Target> TargetsOf(PartitionId partition) const;
  void UpdateTargets(PartitionId partition);
  bool AllServe(PartitionId partition, const std::vector<ReplicaSet::Target>& targets) const;
  void BeginTargets(PartitionId partition, const Owned& owned, const OwnershipGrant* grant);
  void AskToSettle(TimePoint now);
  void Publish();
  const MemberInfo* Serving(const NodeId& id) const;
  const MemberInfo* OtherOwner(PartitionId partition) const;
  bool IsHolder(PartitionId partition, const NodeId& id) const;
  bool WantsOwnership(PartitionId partition) const;
  void Expect(PartitionId partition, bool expects);
  void Grant(TimePoint now, PartitionId partition, const MemberInfo& to);
  void NoteGrant(TimePoint now, PartitionId partition);
  void NoteStability(TimePoint now);
  void Log(LogLevel level, std::string message, LogFields fields = {}) {
    actions_.push_back(LogEvent{level, std::move(message), std::move(fields)});
  }

  const BuiltView& built() const { return builder_.built(); }
  PartitionId count() const { return static_cast<PartitionId>(locals_.size()); }

  OwnershipOptions options_;
  const NodeId self_;
  ClusterState state_;
  Placement placement_;
  std::vector<RingMember> ring_;
  std::vector<Local> locals_;              // [partition]
  std::vector<LocalKnowledge> knowledge_;  // [partition] the same, for the view
  ViewBuilder builder_;                    // of these
  // Every event ends in a Run, which looks only at partitions that these name: a fill is thousands of
  // events, each about few of them.
  PartitionSet changed_;  // since the view was built
  bool all_changed_ = true;
  PartitionSet undecided_;                  // since it was built
  PartitionSet waiting_;                    // for time to pass
  PublishHoldings held_;                    // as of the view
  std::map<NodeId, std::uint32_t> asking_;  // owner -> Handovers on their way
  std::uint64_t next_pull_ = 1;
  TimePoint stable_since_{};
  std::vector<std::uint64_t> stability_;  // ring, serving members and incarnations, as last seen
  bool founded_ = false;
  bool ring_is_back_ = false;
  bool goes_on_alone_ = false;  // it is not, but the patience is over
  std::optional<TimePoint> returns_since_;
  bool leaving_ = false;
  UnixMillis returns_as_of_ = 0;  // leaving with a snapshot
  bool stopping_ = false;
  // Ring members that stopped with a snapshot, or are about to; and when the next of them has been
  // waited for long enough.
  std::map<NodeId, TimePoint> away_since_;
  TimePoint grace_ends_ = TimePoint::max();
  std::uint64_t published_incarnation_ = 0;
  std::optional<PublishHoldings> published_;
  std::uint64_t published_digest_ = 0;
  std::vector<std::pair<NodeId, const RestoredCopies*>> restorers_;  // other serving members
  std::uint64_t restored_now_ = 0;
  std::uint64_t lost_now_ = 0;
  std::uint64_t taken_now_ = 0;
  std::uint64_t yielded_now_ = 0;
  std::uint64_t cut_short_now_ = 0;
  OwnershipStats stats_;
  OwnershipActions actions_;  // of the event being handled
};

}  // namespace gyre
