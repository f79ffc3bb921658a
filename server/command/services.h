// Everything that a dispatcher works with. The node assembles one for each worker loop.
#pragma once

#include <cstdint>
#include <functional>

#include "base/client_memory.h"
#include "base/clock.h"
#include "cluster/transport.h"
#include "cluster/view.h"
#include "command/admin.h"
#include "command/peer_handler.h"
#include "protocol/session.h"
#include "replication/replicator.h"
#include "storage/engine.h"

namespace gyre {

struct Services {
  // Shared by all loops.
  Engine& engine;
  ViewPublisher& views;
  SessionRegistry& sessions;
  ReplicationTable& replication;
  NodeReport& report;
  NodeSettings& settings;

  // This loop's own.
  Replicator& replicator;
  Transport& transport;
  PeerHandler& peers;
  RingOperator& ring;

  // What requests that wait and replies that are gathered are charged to. Null: to nobody.
  ClientMemory* client_memory = nullptr;

  // Read once for each batch of requests, and for each callback of the transport.
  std::function<UnixMillis()> unix_now = UnixNow;
  // Deadlines of requests that wait.
  std::function<TimePoint()> steady_now = SteadyNow;
};

struct DispatcherOptions {
  // --write-acks: copies of a write, this node's included, before it is answered, where the request
  // does not say. Must equal ReplicatorOptions::write_acks.
  std::uint32_t write_acks = 1;
  // How long a request without a deadline of its own waits for its owner (a handover, a failover, a
  // forward).
  Duration default_deadline = std::chrono::seconds(2);
  // Complete replicas answer reads while the owner is suspected to be gone (--consistency
  // available). Where fewer copies than all acknowledge a write, such a read may be older than the
  // last write.
  bool replicas_stand_in = true;
};

}  // namespace gyre
