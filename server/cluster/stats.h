// What the cluster module counts, for metrics and status. Counters only grow; gauges are marked.
#pragma once

#include <cstdint>

#include "cluster/lease.h"
#include "cluster/membership.h"
#include "cluster/peer_service.h"
#include "cluster/progress.h"
#include "cluster/readiness.h"
#include "cluster/replicator.h"

namespace gyre {

struct OwnershipStats {
  std::uint64_t owned = 0;         // gauge: partitions whose writes this node orders
  std::uint64_t complete = 0;      // gauge: partitions that it has whole, the owned ones included
  std::uint64_t warming = 0;       // gauge: partitions that it is filling
  std::uint64_t recovering = 0;    // gauge: taken over, being compared with the other copies
  std::uint64_t handovers_in = 0;  // partitions that another owner handed over, planned
  std::uint64_t handovers_out = 0;
  std::uint64_t takeovers = 0;       // partitions taken because their owner died or stopped
  std::uint64_t takeovers_left = 0;  // of them, left to another node that took them as well
  std::uint64_t recoveries_cut_short =
      0;  // served before another copy had answered: see ownership.h
  std::uint64_t yields =
      0;  // partitions given up to a better-placed owner after a network partition
  std::uint64_t losses = 0;    // partitions declared empty because every complete holder was gone
  std::uint64_t restored = 0;  // partitions served from this node's snapshot: nobody had them
  std::uint64_t drops = 0;     // copies dropped because others hold the partition
};

struct TransferStats {
  std::uint64_t partitions_left = 0;  // gauge: to be filled, the ones in progress included
  std::uint64_t active = 0;           // gauge: being pulled now
  std::uint64_t partitions_done = 0;
  std::uint64_t repairs_done = 0;  // of those, the ones that brought back a lacking copy
  std::uint64_t pulls_failed = 0;  // begun again later
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  // Of copies that were here already (difference_pull.h):
  std::uint64_t records_matched = 0;    // not pulled, the owner has the same
  std::uint64_t records_offered = 0;    // sent to the owner, which lacked them
  std::uint64_t records_forgotten = 0;  // void: the owner may have evicted or deleted them
  Duration yielded{};                   // that sources rested for the sake of clients
  TransferProgress progress;            // gauges
  std::uint64_t versions_refused = 0;   // as in PeerServiceStats
};

struct RepairStats {
  std::uint64_t compared = 0;   // (partition, holder) pairs whose digests were compared
  std::uint64_t different = 0;  // of those, differing
  std::uint64_t differing = 0;  // gauge: pairs that are still to be evened out
  std::uint64_t divergent = 0;  // records found in different states on two holders
  std::uint64_t sent = 0;       // records shipped to a holder
  std::uint64_t fetched = 0;    // records fetched from a holder
  std::uint64_t withheld =
      0;  // records not shipped, because the other side may have evicted or forgotten them
  std::uint64_t versions_refused = 0;  // as in PeerServiceStats
};

struct RelayStats {
  std::uint64_t links_relayed = 0;  // gauge: silent ones, that calls go round
  std::uint64_t breaks = 0;         // links that fell silent
  std::uint64_t calls = 0;          // sent through another node
};

struct ClusterStats {
  MembershipStats membership;
  OwnershipStats ownership;
  ReplicatorStats replication;  // of all loops
  TransferStats transfer;
  RepairStats repair;
  RelayStats relay;                 // of all loops
  std::uint32_t load_permille = 0;  // gauge: how busy clients keep the worker loops (LoadGauge)
  PeerServiceStats peers;           // of all loops
  bool majority = false;            // --consistency majority; `leases` says something only then
  LeaseStats leases;
  Readiness readiness;
};

}  // namespace gyre
