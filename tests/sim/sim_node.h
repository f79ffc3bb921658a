// One node in the world: the parts of production, on virtual time. What cluster_runtime and the
// dispatcher do with threads and sockets stands here in a few lines: membership's shell
// (sim_node_membership.cc), the way to the control part, and the rule by which a command runs at
// the owner (sim_node_commands.cc). The threads of production are links of their own here, so that
// what they send may overtake each other: two worker loops, the control part, the background part.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "control/coordinator.h"
#include "control/peer_service.h"
#include "membership/membership.h"
#include "peer/relay_transport.h"
#include "repair/repair.h"
#include "repair/transfer.h"
#include "replication/replicator_impl.h"
#include "sim/operation.h"
#include "sim/world.h"
#include "support/test_signer.h"

namespace gyre::sim {

struct ClusterOptions {
  std::uint32_t partitions = 32;
  std::uint32_t replicas = 2;
  std::uint32_t write_acks = 2;
  std::size_t memory_bytes = std::size_t{8} << 20;
  // Else values are so large, and the memory of every second node so small, that nodes evict, and
  // not the same: misses are no fault, but nothing that was overwritten or removed may come back.
  bool evicts = false;
  std::size_t queue_bytes_max = std::size_t{1} << 20;
  UnixMillis tombstone_ttl_ms = 10 * 60 * 1000;
  MembershipOptions membership;  // with --consistency
  ReplicatorFaults replicator_faults;
  CoordinatorFaults coordinator_faults;
  bool snapshots = false;  // --snapshot-on-exit
  // A fault: replicas are not told of a deletion of what the owner lacks.
  bool delete_only_what_is_here = false;
  bool act_when_stale = false;  // a fault: an owner that was stopped goes on as if it had not been
};

inline Address AddressOf(NodeIndex node) { return {"10.0.0." + std::to_string(node), 7700}; }
inline NodeIndex NodeAt(const Address& address) {
  return static_cast<NodeIndex>(std::stoul(address.host.substr(address.host.rfind('.') + 1)));
}

class SimNode final : public ControlPort, public PullPort {
 public:
  static constexpr World::Link kLoops = 2;  // worker loops: links 0 and 1
  static constexpr World::Link kControlLink = kLoops;
  static constexpr World::Link kBackgroundLink = kLoops + 1;

  // What the node's last life left behind.
  struct LeftBehind {
    std::string snapshot;  // empty: none
    RememberedRing ring;
  };
  SimNode(World& world, NodeIndex index, const ClusterOptions& options, std::uint64_t incarnation,
          bool founder, LeftBehind left = {});

  // The world must route to this node already (World::Boot).
  void Start(std::vector<Address> seeds);

  // ---- From the world ----
  void OnRequest(FrameType type, const std::string& payload,
                 std::function<void(std::string)> reply);
  void OnDatagram(NodeIndex from, const std::string& bytes);
  void OnLinkDown(NodeIndex to, std::uint64_t epoch);
  // As this node knows it; 0: not at all.
  std::uint64_t EpochOf(NodeIndex other) const;
  void OnLinkSilent(const NodeId& to);

  // ---- Commands ----
  // The dispatcher's rule: the owner checks its role and writes under one lock; others forward.
  void Execute(const Operation& operation, TimePoint deadline,
               const std::function<void(Answer)>& reply);

  // ---- What it is made of ----
  NodeIndex index() const { return index_; }
  const NodeId& id() const { return id_; }
  ClusterViewPtr view() { return views_.Load(); }
  Engine& engine() { return *engine_; }
  Coordinator& coordinator() { return *coordinator_; }
  Membership& membership() { return *membership_; }
  ReplicatorStats replicator_stats() const;
  Repair& repair() { return *repair_; }
  Transfer& transfer() { return *transfer_; }
  Role role(PartitionId partition);
  // Whether it would execute a command of the partition now.
  bool Acts(PartitionId partition);
  // Of a write that it would order now.
  Version NextVersion(PartitionId partition);
  // This node's copy of a record, for a failure's message.
  std::string Copy(const std::string& key_bytes);
  // Called with the partition of each write that this node orders, and the operation.
  std::function<void(PartitionId, const Operation&)> on_write;

 private:
  // What a thread reaches the others by.
  struct Links {
    Links(SimNode& node, World::Link link)
        : direct(node.world_, node.index_, link),
          transport(
              node.id_, direct, node.views_, [&node] { return node.world_.now(); },
              [&node](const NodeId& id) { node.OnLinkSilent(id); }) {}
    SimTransport direct;
    RelayTransport transport;
  };
  struct Loop {
    explicit Loop(SimNode& node, World::Link link) : links(node, link) {}
    Links links;
    std::unique_ptr<ReplicatorImpl> replicator;
    std::unique_ptr<PeerService> service;
  };
  struct Done;  // what a command came to, before its acknowledgement

  void MakeEngine();
  void MakeParts(std::uint64_t incarnation, bool founder, RestoredCopies restored,
                 RememberedRing remembered);
  void TickEngine();
  Loop& AnyLoop();

  // sim_node_commands.cc
  void Forward(const Operation& operation, const NodeId& owner, Loop& loop, TimePoint deadline,
               const std::function<void(Answer)>& reply);
  bool Run(const Operation& operation, const Key& key, Loop& loop,
           const std::function<void(Answer)>& reply);
  Done Apply(const Operation& operation, const Key& key, Shard& shard, Replicator& replicator)
      GYRE_REQUIRES(shard.mutex());
  std::string By(PartitionId partition) const;

  // ControlPort: what PeerService passes on.
  void Handle(std::string payload, ControlPort::Done done) override;
  // PullPort.
  void Start(PartitionId partition, const NodeId& source, std::uint64_t pull) override {
    transfer_->Start(partition, source, pull);
  }
  void Stop(PartitionId partition) override { transfer_->Stop(partition); }
  void Recover(PartitionId partition, const NodeId& node) override {
    repair_->Recover(partition, node);
  }

  // sim_node_membership.cc
  void Perform(MembershipActions actions);
  void Perform(SendDatagram& action);
  void Perform(const StartPushPull& action);
  void Perform(const AskConfirmDown& action);
  void Perform(const StateChanged& action);
  void Perform(const DeclaredDead& action);
  void Perform(const LeaseHeard& action);
  void Perform(const LogLine& line);
  void TickMembership();

  World& world_;
  const NodeIndex index_;
  const NodeId id_;
  const TestSigner signer_{id_};
  const ClusterOptions options_;
  ViewPublisher views_;
  int performing_ = 0;  // how deep
  Links control_;
  Links background_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ReplicationTable> table_;
  std::unique_ptr<LeaseTable> leases_;  // --consistency majority
  std::unique_ptr<Membership> membership_;
  std::array<Loop, kLoops> loops_;
  std::unique_ptr<Transfer> transfer_;
  std::unique_ptr<Repair> repair_;
  std::unique_ptr<Coordinator> coordinator_;
};

}  // namespace gyre::sim
