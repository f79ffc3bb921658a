// The cluster module at work in a process: its threads, and what the node takes from it.
//
//   control thread      gossip, Membership, Coordinator: all decisions of this node
//   background thread   Transfer, Repair, and the storage's own maintenance (Shard::Tick)
//   worker loops        (the node's) one Transport, Replicator and PeerService each: MakeWorker
//
// They meet in three places only: posted callbacks, the ViewPublisher, and the shards' mutexes
// (which also guard the ReplicationTable).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "cluster/transport.h"
#include "cluster/view.h"
#include "control/cluster_stats.h"
#include "control/page_survey.h"
#include "control/peer_service.h"
#include "control/stop_options.h"
#include "membership/membership.h"
#include "proto/result.h"
#include "repair/progress_survey.h"
#include "replication/replicator.h"
#include "storage/engine.h"

namespace gyre {

class EventLoop;
class Keyring;
class Signer;

struct ClusterRuntimeOptions {
  // What the engine has from a snapshot.
  RestoredCopies restored;
  MemberInfo self;  // id, name, addresses, zone, weight, incarnation
  Address listen;   // where gossip listens; without a host: where `self` is told to be
  MembershipOptions membership;
  // --join, and where the members of the remembered ring were. None: this node founds a cluster and
  // declares all partitions complete at once.
  std::vector<Address> seeds;
  ReplicatorOptions replicator;  // --replicas, --write-acks
  // Bytes a second that this node pulls of what moves for balance or a drain, unless the cluster
  // was told otherwise; 0: no limit.
  std::uint64_t transfer_bytes_per_second = 0;
  // Partitions a second that are compared with their other holders; 0: no repair.
  std::uint32_t repair_partitions_per_second = 256;
  // --gossip-key: gossip and links to peers are encrypted with it; outlives the runtime. Null: in
  // the clear.
  Keyring* keys = nullptr;
  // Of `self`, by which others know what it says; outlives the runtime. Null: nobody proves
  // anything (tests).
  const Signer* signer = nullptr;
  // Called on the control thread when there is another ring to remember; must not block.
  std::function<void(const RememberedRing&)> on_ring;
  // Likewise, when the ring's settings changed; and once before Start, if the last life left any.
  std::function<void(const SettingsMap&)> on_settings;
  // Likewise, when the ring agreed on another secret for the hash of keys: to be kept over a restart.
  std::function<void(const std::shared_ptr<const KeyHash>&)> on_key_hash;
  // Another node asks for a page of this one: called on the control thread, must not block; `done`
  // gets it, later and from any thread. Null: they are refused.
  std::function<void(NodePageKind kind, std::function<void(std::string)> done)> page;
  // What waits on links for other nodes is charged to it; outlives the runtime. Null: to nobody.
  ClientMemory* client_memory = nullptr;
  // Of each worker's link to each node, not yet taken by the kernel.
  std::size_t link_queue_bytes_max = std::size_t{64} << 20;
};

// What one worker loop uses; on its thread only. Owned by the runtime.
struct WorkerPart {
  Transport& transport;
  Replicator& replicator;
  PeerService& peers;
};

class ClusterRuntime {
 public:
  // Binds the gossip port (UDP, `listen`), so that a port in use fails here. `engine`
  // outlives it.
  static Result<std::unique_ptr<ClusterRuntime>> Create(ClusterRuntimeOptions options,
                                                        Engine& engine);
  // Ends its threads. Workers must have been closed (CloseWorkers) and their loops ended.
  virtual ~ClusterRuntime() = default;

  // The parts for one worker loop. Before Start, and before the loop runs.
  virtual WorkerPart& MakeWorker(EventLoop& loop) = 0;
  // Begins to gossip: call it once this node's native port listens.
  virtual Status Start() = 0;
  // On each worker's loop thread, before that loop ends: closes the links of its part; pending
  // calls fail.
  virtual void CloseWorker(WorkerPart& part) = 0;

  // Any thread.
  virtual ViewPublisher& views() = 0;
  virtual ReplicationTable& replication() = 0;
  virtual ClusterStats stats() = 0;
  // When the slower of the runtime's own loops last turned: a few times a second, unless something
  // holds one of them up.
  virtual TimePoint last_turn() = 0;

  // Any thread; `done` is called on the control thread, once. Drain: the node leaves the ring
  // until Undrain, others take over what it holds; done when it holds nothing. Remove: a dead member
  // leaves the ring.
  virtual void Drain(const NodeId& id, std::function<void(Status)> done) = 0;
  virtual void Undrain(const NodeId& id, std::function<void(Status)> done) = 0;
  virtual void Remove(const NodeId& id, std::function<void(Status)> done) = 0;
  // Any thread; `done` on the control thread, once. What the operator wants of rebalancing: this
  // node has it when `done` comes, the others a moment later, by gossip.
  virtual void SetRebalance(const RebalanceChange& change, std::function<void(Status)> done) = 0;
  // The same of the ring's settings; an error where the change is refused, all of it.
  virtual void ChangeSettings(std::vector<SettingChange> changes,
                              std::function<void(Status)> done) = 0;
  // Any thread; in a moment. How long a dead node keeps its place on the ring.
  virtual void SetEvictAfter(Duration evict_after) = 0;
  // How far all serving nodes have come; those that do not answer within a second are named as
  // such.
  virtual void AskProgress(std::function<void(std::vector<NodeProgress>)> done) = 0;
  // That page of all others, likewise; this node's own place is empty.
  virtual void AskPages(NodePageKind kind, std::function<void(NodePages)> done) = 0;
  // SIGTERM: waits until others have what only this node has, hands ownership to complete replicas and
  // says goodbye; keeps the place on the ring.
  // Workers must go on serving (forwarding) until `done`, which comes within a bounded time.
  virtual void BeginStop(const StopOptions& options, std::function<void()> done) = 0;

  // Ends the runtime's own threads; called by the destructor of implementations, too. After the
  // workers are closed.
  virtual void Stop() = 0;
};

}  // namespace gyre
