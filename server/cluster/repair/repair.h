// Anti-entropy: the owner of a partition compares it with its complete holders and evens out what
// differs.
//
//   digests, many partitions in one request     equal: agreed
//        | differ
//   Compare: digests of ranges of the key hash (range_comparison.h)
//        | of the ranges that differ
//   Versions: (key hash, version) of the holder's records, page by page; the same here
//        |
//   newer here: sent (Replicate)    newer there: fetched (Fetch)    missing on one side: the rule
//
// The rule. A record that only one side has was either lost on the other side, or rightly removed
// there. It is shipped only if the other side cannot have removed it:
//   - by eviction: the record's version is above the other side's `newest_evicted` for the
//     partition. (No record of a higher version was ever evicted there.) A lost write that is older
//     than that stays lost on that side, as an evicted one would: a cache may forget, it must not
//     undo an eviction at each round.
//   - by deletion: a deletion leaves a tombstone of a higher version for the tombstone TTL, and a
//     tombstone is a record: the sides then differ by version and the newer wins. Once it is
//     reclaimed, only its absence is left. So a record must be younger than the TTL, or both sides
//     must have agreed within the TTL: whatever was deleted since then still has its tombstone.
//     Where all holders had a deletion it is forgotten earlier: a record that is not newer than what
//     was forgotten there (`newest_forgotten`), and is not there, was deleted.
// A record that both have, in different versions, always gets the newer: neither eviction nor
// deletion explains an older version. What was written within the last second may simply be on its
// way and is left for the next round. Expired records are skipped by both walks.
//
// A recovery is the same for one partition, at once and whatever its records' age: this node took
// it over from an owner that died (nothing can be on its way), or settled a copy that may have what
// nobody else has. After a death a record that only one side has may be older than what the other
// had: it missed the last write of the owner, a deletion perhaps, and the other evicted that since.
// If the other has evicted anything of these last moments, the record is void: here it goes, there
// the other pulls again (RecoveryOutcome::kOutdated) and forgets it.
//   Where nobody had the partition whole, as after a stop of the whole ring, the other copies are from
// snapshots or half pulled. They take part all the same: what one of them alone has may be the last
// that was acknowledged, and from here nobody may pull before the recovery is over.
//
// What is sent stands in this node's stream already, or is older than what that keeps. What is fetched
// does not: it is a write of an owner before this one, which died before all copies had it. It becomes a
// group of this owner's (ReplicationTable::NoteTaken), at once, or as the first one of its term.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/statistic.h"
#include "base/tally.h"
#include "cluster/recovery.h"
#include "cluster/transport.h"
#include "cluster/view.h"
#include "proto_gen/cluster.pb.h"
#include "replication/replicator.h"
#include "storage/engine.h"

namespace gyre {

struct RepairOptions {
  // Digests compared, for each complete holder; 0: no repair.
  std::uint32_t partitions_per_second = 256;
  std::size_t jobs_max = 2;         // partitions evened out at once
  std::size_t recoveries_max = 64;  // likewise, of those that commands may wait for
  Duration call_timeout = std::chrono::seconds(2);
  UnixMillis young_ms = 1000;  // what is younger may be on its way
  // A complete copy has all writes of its owner that are older: one that misses them for so long is
  // pulled again, or dead.
  UnixMillis missed_ms = 10'000;
  // A recovery gives way to another node that claims the partition, too. Not where leases decide:
  // there the claim says nothing, and the copy must be compared.
  bool yields = true;
};

struct RepairStats {
  std::uint64_t compared = 0;
  std::uint64_t different = 0;
  std::uint64_t differing = 0;
  std::uint64_t listed = 0;
  std::uint64_t divergent = 0;
  std::uint64_t sent = 0;
  std::uint64_t fetched = 0;
  std::uint64_t withheld = 0;
  std::uint64_t versions_refused = 0;  // shown with those of PeerServiceStats

  static constexpr Statistic<RepairStats> kStatistics[] = {
      {&RepairStats::compared,
       {.name = "gyre_repair_compared_total", .help = "Digests compared with another holder."}},
      {&RepairStats::different,
       {.name = "gyre_repair_different_total", .help = "Of those, the ones that differed."}},
      {&RepairStats::differing,
       {.kind = StatKind::kGauge,
        .name = "gyre_repair_copies_differing",
        .help = "Copies of partitions that were found to differ and are still to be evened out."}},
      {&RepairStats::listed,
       {.name = "gyre_repair_records_listed_total",
        .help =
            "Records of other holders whose versions were looked at to find those that differ."}},
      {&RepairStats::divergent,
       {.name = "gyre_repair_records_divergent_total",
        .help = "Records found in different states on two holders: after a network partition, or "
                "lost on the way."}},
      {&RepairStats::sent,
       {.name = "gyre_repair_records_sent_total",
        .help = "Records sent to a holder that lacked them."}},
      {&RepairStats::fetched,
       {.name = "gyre_repair_records_fetched_total", .help = "Records fetched from a holder."}},
      {&RepairStats::withheld,
       {.name = "gyre_repair_records_withheld_total",
        .help = "Records not sent, because the other side may have evicted them."}},
      {&RepairStats::versions_refused, {}},
  };
};
static_assert(AllDescribed<RepairStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

// What one side has of a partition.
struct RepairSide {
  std::unordered_map<std::uint64_t, Version> versions;  // [key hash]
  Version newest_evicted = 0;
  Version newest_forgotten = 0;
};

struct RepairPlan {
  std::vector<std::uint64_t> send;   // key hashes: newer here
  std::vector<std::uint64_t> fetch;  // newer there
  std::uint64_t withheld = 0;
  // Of the withheld, those that may be older than what the other side has evicted.
  std::vector<std::uint64_t> void_here;
  std::uint64_t void_there = 0;
};

// The rule above, pure. `reliable_from`: records of this time or later cannot have been deleted
// without a trace. `missed_from`: either side may have missed writes of this time or later, and the
// owner cannot bring them any more.
RepairPlan PlanRepair(const RepairSide& here, const RepairSide& there, UnixMillis reliable_from,
                      UnixMillis young_from,
                      UnixMillis missed_from = std::numeric_limits<UnixMillis>::max());

class Repair {
 public:
  // One loop, the one of `transport`. All outlive it.
  Repair(RepairOptions options, NodeId self, Engine& engine, ViewPublisher& views,
         Transport& transport, std::function<UnixMillis()> wall_clock = UnixNow);
  ~Repair();

  // What an owner here takes from another copy is told by its stream. Of the same loop, and outlive it.
  void set_streams(ReplicationTable& table, Replicator& replicator) {
    table_ = &table;
    replicator_ = &replicator;
  }
  void Start();

  // Compares `partition` with `node`'s copy soon, ahead of the rounds; on_recovered tells the end.
  void Recover(PartitionId partition, const NodeId& node);
  // Set before the first Recover.
  std::function<void(PartitionId partition, const NodeId& node, RecoveryOutcome outcome)>
      on_recovered;

  // Any thread.
  RepairStats stats() const { return counters_.Read(); }

 private:
  struct Job;
  using JobPtr = std::shared_ptr<Job>;
  struct Pair {
    PartitionId partition = 0;
    NodeId node;
    friend auto operator<=>(const Pair&, const Pair&) = default;
  };

  void Round();
  void CompareDigests(const NodeId& node, const std::vector<PartitionId>& partitions);
  void OnDigests(const NodeId& node, const wire::DigestsReply& digests);
  bool IsComparable(const wire::PartitionDigest& digest);
  // Whether the partition's digest is the same here; counts.
  bool Agrees(const Pair& pair, const wire::PartitionDigest& digest);
  void CompareForRecovery();
  void OnRecoveryDigests(const NodeId& node, std::vector<PartitionId> partitions,
                         const wire::DigestsReply& digests);
  void BeginRecoveries();
  bool GoesFirst(const NodeId& node, const wire::PartitionDigest& digest) const;
  void EndRecovery(const Pair& pair, RecoveryOutcome outcome);
  void CountDiffering();
  void Begin(const Pair& pair, bool recovers);
  void AskRanges(const JobPtr& job);
  void AskVersions(const JobPtr& job);
  void AskEvicted(const JobPtr& job);
  bool ReadHere(const JobPtr& job);
  void Even(const JobPtr& job);
  void ForgetRemovals(const JobPtr& job);
  void ForgetVoid(const JobPtr& job);
  void SendNext(const JobPtr& job);
  void FetchNext(const JobPtr& job);
  bool ApplyFetched(const JobPtr& job, std::string_view reply, WalkPosition& next);
  void TellTaken(PartitionId partition);
  void End(const JobPtr& job, bool agreed);
  bool Owns(PartitionId partition);
  void Call(const NodeId& to, const wire::PeerRequest& request,
            std::function<void(const wire::PeerReply*)> done);
  void After(Duration delay, std::function<void()> task);

  const RepairOptions options_;
  const NodeId self_;
  Engine& engine_;
  ViewPublisher& views_;
  Transport& transport_;
  const std::function<UnixMillis()> wall_clock_;

  ReplicationTable* table_ = nullptr;
  Replicator* replicator_ = nullptr;

  PartitionId next_ = 0;
  std::vector<Pair> differing_;  // to be evened out
  std::map<Pair, JobPtr> jobs_;
  std::map<Pair, UnixMillis> agreed_;  // when both sides last had the same
  std::vector<Pair> to_recover_;       // to be compared on the next turn
  std::deque<Pair> recovering_;        // differing, no job yet
  std::size_t recoveries_ = 0;         // jobs among `jobs_`
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  Tally<RepairStats> counters_;
};

}  // namespace gyre
