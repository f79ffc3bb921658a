// What the parts of the cluster count, for metrics and status. Counters only grow; gauges are marked.
#pragma once

#include <cstdint>

#include "control/peer_service.h"
#include "leases/lease.h"
#include "membership/membership.h"
#include "ownership/ownership.h"
#include "ownership/readiness.h"
#include "peer/relay_transport.h"
#include "repair/repair.h"
#include "repair/transfer.h"
#include "replication/replicator.h"

namespace gyre {

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
