// One node in the world: the parts of production, on virtual time, its dispatchers included
// (sim_node_commands.cc). What cluster_runtime does with threads and sockets stands here in a few
// lines: membership's shell (sim_node_membership.cc) and the way to the control part. The threads of
// production are links of their own here, so that what they send may overtake each other: two
// worker loops, the control part, the background part.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "command/dispatcher.h"
#include "command/fakes.h"
#include "control/coordinator.h"
#include "control/peer_service.h"
#include "history/history.h"
#include "membership/membership.h"
#include "peer/relay_transport.h"
#include "repair/repair.h"
#include "repair/transfer.h"
#include "replication/eviction_teller.h"
#include "replication/replicator_impl.h"
#include "sim/operation.h"
#include "sim/watched_replicator.h"
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
  TransferOptions transfer;
  UnixMillis tombstone_ttl_ms = 10 * 60 * 1000;
  MembershipOptions membership;  // with --consistency
  ReplicatorFaults replicator_faults;
  GroupReceiverFaults receiver_faults;
  CoordinatorFaults coordinator_faults;
  bool snapshots = false;    // --snapshot-on-exit
  history::Promise promise;  // what the judge asks for
  bool dates = false;        // membership knows the wall clocks, which differ
  // Nodes of the release before, which knows of no order: what they would say of a group they say, and
  // what they can they tell. Asked when one starts.
  std::function<bool(NodeIndex)> is_old;
  // A fault: replicas are not told of a deletion of what the node that was asked lacks.
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
    std::vector<Setting> settings;
    std::shared_ptr<const KeyHash> key_hash;
  };
  SimNode(World& world, NodeIndex index, const ClusterOptions& options, std::uint64_t incarnation,
          bool founder, LeftBehind left = {});

  // The world must route to this node already (World::Boot).
  void Start(std::vector<Address> seeds);
  void SetSeeds(std::vector<Address> seeds) {
    Perform(membership_->SetSeeds(world_.now(), std::move(seeds)));
  }

  // ---- From the world ----
  void OnRequest(NodeIndex from, FrameType type, const std::string& payload,
                 std::function<void(std::string)> reply);
  void OnDatagram(NodeIndex from, const std::string& bytes);
  void OnLinkDown(NodeIndex to, std::uint64_t epoch);
  // As this node knows it; 0: not at all.
  std::uint64_t EpochOf(NodeIndex other) const;
  void OnLinkSilent(const NodeId& to);

  // kill -9: nothing is answered any more. The object stays until the world has forgotten it.
  void Die() { life_.reset(); }

  // ---- Commands ----
  // As a client of this node. `reply` comes once, from within the call or later; never, if the node
  // dies first.
  void Execute(const Operation& operation, TimePoint deadline, std::function<void(Answer)> reply);

  // `gyre config set --ring`, or unset, at this node.
  Status ChangeSetting(const std::string& name, std::optional<std::string> value);

  // ---- What it is made of ----
  NodeIndex index() const { return index_; }
  const NodeId& id() const { return id_; }
  ClusterViewPtr view() { return views_.Load(); }
  Engine& engine() { return *engine_; }
  ReplicationTable& table() { return *table_; }
  Coordinator& coordinator() { return *coordinator_; }
  Membership& membership() { return *membership_; }
  ReplicatorStats replicator_stats() const;
  Repair& repair() { return *repair_; }
  Transfer& transfer() { return *transfer_; }
  const std::shared_ptr<const KeyHash>& key_hash() const { return key_hash_; }
  // Whether the copy is in the order of the node's hash.
  bool IsRehashed(PartitionId partition);
  Role role(PartitionId partition);
  // Whether it would execute a command of the partition now.
  bool Acts(PartitionId partition);
  // Whether it sends its writes in the order of their streams.
  bool Orders() const { return table_->ordered.load(); }
  // Of a write that it would order now.
  Version NextVersion(PartitionId partition);
  // This node's copy of a record, for a failure's message.
  std::string Copy(const std::string& key_bytes);
  // Called with each write that this node orders.
  std::function<void(const SubmittedWrite&)> on_write;

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
  struct Loop final : PeerHandler {
    explicit Loop(SimNode& node, World::Link link) : links(node, link) {}
    void Handle(std::string_view payload, std::optional<NodeId>& speaker,
                std::function<void(std::string)> reply) override;
    Links links;
    std::unique_ptr<ReplicatorImpl> replicator;
    std::unique_ptr<WatchedReplicator> watched;
    std::unique_ptr<PeerService> service;
    Session clients;  // all of them
    Session peers;    // the one that asked last
    std::unique_ptr<Dispatcher> dispatcher;
  };

  void MakeEngine(std::shared_ptr<const KeyHash> key_hash);
  void MakeParts(std::uint64_t incarnation, bool founder, RestoredCopies restored, LeftBehind left);
  void TickEngine();
  Loop& AnyLoop();

  // sim_node_commands.cc
  void MakeDispatcher(Loop& loop);
  void Run(Loop& loop, Session& session, Request& request, std::function<void(Reply)> done);
  void OnForwarded(NodeIndex from, std::string_view payload,
                   std::function<void(std::string)> reply);

  // ControlPort: what PeerService passes on.
  void Handle(std::string payload, ControlPort::Done done) override;
  // PullPort.
  void Start(PartitionId partition, const NodeId& source, std::uint64_t pull,
             bool writes_only) override {
    transfer_->Start(partition, source, pull, writes_only);
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
  void Perform(const SettingsChanged& action);
  void Perform(const DeclaredDead& action);
  void Perform(const LeaseHeard& action);
  void Perform(const LogEvent& event);
  void TickMembership();

  World& world_;
  const NodeIndex index_;
  const NodeId id_;
  const TestSigner signer_{id_};
  const ClusterOptions options_;
  const bool is_old_;
  std::shared_ptr<const KeyHash> key_hash_;                // as --data-dir has it
  std::shared_ptr<bool> life_ = std::make_shared<bool>();  // callbacks hold it weakly
  ViewPublisher views_;
  SessionRegistry sessions_;
  testing::FakeReport report_;
  testing::FakeSettings settings_;
  testing::FakeRing ring_;
  int performing_ = 0;  // how deep
  Links control_;
  Links background_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ReplicationTable> table_;
  std::unique_ptr<Membership> membership_;
  std::array<Loop, kLoops> loops_;
  std::unique_ptr<Transfer> transfer_;
  std::unique_ptr<EvictionTeller> teller_;
  std::unique_ptr<Repair> repair_;
  std::unique_ptr<Coordinator> coordinator_;
};

}  // namespace gyre::sim
