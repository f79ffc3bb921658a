// What the parts of the cluster count, for metrics and status.
#pragma once

#include "control/peer_service.h"
#include "leases/lease.h"
#include "membership/membership.h"
#include "ownership/ownership.h"
#include "ownership/readiness.h"
#include "peer/relay_transport.h"
#include "repair/load_gauge.h"
#include "repair/repair.h"
#include "repair/transfer.h"
#include "replication/group_receiver.h"
#include "replication/replicator.h"
#include "settings/settings_stats.h"

namespace gyre {

struct ClusterStats {
  MembershipStats membership;
  SettingsStats settings;  // of the ring
  OwnershipStats ownership;
  ReplicatorStats replication;   // of all loops
  GroupReceiverStats receivers;  // likewise
  KeptStreamStats streams;       // of all shards
  TransferStats transfer;
  RepairStats repair;
  RelayStats relay;  // of all loops
  LoadStats load;
  // Of all loops; `versions_refused` with those of transfer and repair.
  PeerServiceStats peers;
  bool majority = false;  // --consistency majority; `leases` says something only then
  LeaseStats leases;
  Readiness readiness;
};

}  // namespace gyre
