// Nodes with a real engine, replicator and peer service in the simulator's world, and a hand-made
// view: the data side of the cluster without its decisions.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/peer_service.h"
#include "replication/replicator_impl.h"
#include "sim/world.h"
#include "storage/version.h"

namespace gyre {

// The first version of a time.
constexpr Version VersionAt(UnixMillis time) {
  return static_cast<Version>(time) << (kVersionCountBits + kVersionNodeBits);
}

class NoControl final : public ControlPort {
 public:
  void Handle(std::string payload, Done done) override {
    handled.push_back(std::move(payload));
    done(reply);
  }
  std::vector<std::string> handled;
  std::string reply;
};

struct DataNode {
  DataNode(sim::World& the_world, sim::NodeIndex node, std::uint32_t partitions,
           ReplicatorOptions options)
      : world(the_world), index(node), id(sim::IdOf(node)), transport(the_world, node, 0) {
    EngineOptions engine_options;
    engine_options.memory_bytes = std::size_t{8} << 20;
    engine_options.value_bytes_max = std::size_t{1} << 20;
    engine_options.partition_count = partitions;
    engine_options.shard_count = 2;
    engine_options.version_node = static_cast<std::uint8_t>(node);
    engine = std::move(*Engine::Create(engine_options));
    table = std::make_unique<ReplicationTable>(TableOptionsFor(*engine));
    table->ordered = true;
    table->forgets = true;
    replicator = std::make_unique<ReplicatorImpl>(options, *engine, *table, views, transport,
                                                  [this] { return world.now(); });
    service = std::make_unique<PeerService>(*engine, *table, views, control,
                                            [this] { return world.unix_now(); });
    service->set_tasks(
        {[this](std::function<void()> task) { transport.After(Duration{}, std::move(task)); },
         [this](Duration delay, std::function<void()> task) {
           transport.After(delay, std::move(task));
         }});
    for (PartitionId partition = 0; partition < partitions; ++partition) {
      Shard& shard = engine->ShardOf(partition);
      MutexLock lock(shard.mutex());
      shard.SetKeepsTombstones(partition, true);
    }
  }

  void SetRole(PartitionId partition, Role role) {
    Shard& shard = engine->ShardOf(partition);
    MutexLock lock(shard.mutex());
    shard.SetRole(partition, role);
  }
  void SetTargets(PartitionId partition, const std::vector<ReplicaSet::Target>& targets) {
    MutexLock lock(engine->ShardOf(partition).mutex());
    ReplicaSet& set = table->sets[partition];
    set.count = 0;
    set.all_serve = !targets.empty();
    for (const ReplicaSet::Target& target : targets) set.targets[set.count++] = target;
    table->revision.fetch_add(1);
  }
  ReplicaSet Targets(PartitionId partition) {
    MutexLock lock(engine->ShardOf(partition).mutex());
    return table->sets[partition];
  }

  Replicator::Ticket Write(const std::string& key, const std::string& value) {
    const Key k = engine->KeyOf(key);
    Shard& shard = engine->ShardOf(k.partition);
    MutexLock lock(shard.mutex());
    const auto stored =
        shard.Store(k, value, kNeverExpires, 0, shard.NextVersion(world.unix_now()));
    EXPECT_TRUE(stored);
    return replicator->SubmitOne(Effect::Put(k, *stored));
  }
  Replicator::Ticket Delete(const std::string& key) {
    const Key k = engine->KeyOf(key);
    Shard& shard = engine->ShardOf(k.partition);
    MutexLock lock(shard.mutex());
    const Version version = shard.NextVersion(world.unix_now());
    shard.Remove(k, version, world.unix_now());
    return replicator->SubmitOne(Effect::Remove(k, version));
  }
  // "-" for a miss.
  std::string Read(const std::string& key) {
    const Key k = engine->KeyOf(key);
    Shard& shard = engine->ShardOf(k.partition);
    MutexLock lock(shard.mutex());
    const RecordView record = shard.Find(k, world.unix_now());
    if (!record) return "-";
    std::string value;
    record.ForEachChunk([&value](std::string_view piece) { value += piece; });
    return value;
  }
  Status Check(PartitionId partition, std::uint32_t acks) {
    MutexLock lock(engine->ShardOf(partition).mutex());
    return replicator->Check(partition, acks);
  }

  sim::World& world;
  const sim::NodeIndex index;
  const NodeId id;
  sim::SimTransport transport;
  ViewPublisher views;
  NoControl control;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<ReplicationTable> table;
  std::unique_ptr<ReplicatorImpl> replicator;
  std::unique_ptr<PeerService> service;
};

class DataTest : public testing::Test {
 protected:
  static constexpr std::uint32_t kPartitions = 8;

  explicit DataTest(std::size_t nodes = 3, std::uint32_t replicas = 2) : world(7, nodes) {
    ReplicatorOptions options;
    options.replicas = replicas;
    for (sim::NodeIndex node = 0; node < nodes; ++node) {
      this->nodes.push_back(std::make_unique<DataNode>(world, node, kPartitions, options));
      Boot(node);
    }
    PublishViews();
  }

  void Boot(sim::NodeIndex node) {
    world.Boot(node,
               [this, node](sim::NodeIndex, FrameType, const std::string& payload,
                            std::function<void(std::string)> reply) {
                 nodes[node]->service->Handle(payload, std::move(reply));
               },
               nullptr, {});
  }

  DataNode& n(std::size_t node) { return *nodes[node]; }

  // All nodes on the ring, in the states given (alive where none is).
  void PublishViews(const std::vector<MemberState>& states = {}) {
    for (auto& node : nodes) {
      auto view = std::make_shared<ClusterView>();
      view->partition_count = kPartitions;
      std::vector<std::pair<NodeId, sim::NodeIndex>> order;
      for (sim::NodeIndex each = 0; each < nodes.size(); ++each) {
        order.emplace_back(sim::IdOf(each), each);
      }
      std::sort(order.begin(), order.end());
      for (const auto& [id, each] : order) {
        MemberInfo info;
        info.id = id;
        info.incarnation = info.epoch = 1;
        if (each < states.size()) info.state = states[each];
        if (each == node->index) view->self = static_cast<MemberIndex>(view->members.size());
        view->members.push_back(info);
      }
      view->on_ring.assign(view->members.size(), true);
      view->owner.assign(kPartitions, view->Find(sim::IdOf(0)));
      view->holders.resize(kPartitions);
      view->complete.resize(kPartitions);
      for (PartitionId partition = 0; partition < kPartitions; ++partition) {
        for (MemberIndex each = 0; each < view->members.size(); ++each) {
          view->complete[partition].push_back(each);
        }
      }
      view->digest = 1;
      node->views.Publish(std::move(view));
    }
  }

  // Node 0 owns all, the others are complete replicas and targets.
  void MakeOwner(const std::vector<sim::NodeIndex>& complete,
                 const std::vector<sim::NodeIndex>& warming = {}) {
    for (PartitionId partition = 0; partition < kPartitions; ++partition) {
      std::vector<ReplicaSet::Target> targets;
      for (sim::NodeIndex node : complete) {
        targets.push_back({sim::IdOf(node), 1, ReplicaSet::Standing::kGossip, true});
        n(node).SetRole(partition, Role::kReplica);
      }
      for (sim::NodeIndex node : warming) {
        targets.push_back({sim::IdOf(node), 1, ReplicaSet::Standing::kGossip, false});
        n(node).SetRole(partition, Role::kWarming);
      }
      n(0).SetRole(partition, Role::kOwner);
      n(0).SetTargets(partition, targets);
    }
  }

  struct Outcome {
    std::optional<Status> status;
    bool ok() const { return status && status->has_value(); }
    bool unknown() const {
      return status && !status->has_value() && status->error().code == ErrorCode::kUnknownOutcome;
    }
  };
  std::shared_ptr<Outcome> WriteAndAwait(const std::string& key, const std::string& value,
                                         std::uint32_t acks) {
    auto outcome = std::make_shared<Outcome>();
    const Replicator::Ticket ticket = n(0).Write(key, value);
    n(0).replicator->Await(ticket, acks, [outcome](Status status) { outcome->status = status; });
    n(0).replicator->Flush();
    return outcome;
  }
  std::uint32_t InFlight() {
    std::uint32_t sum = 0;
    for (const auto& each : n(0).table->in_flight) sum += each.load();
    return sum;
  }

  sim::World world;
  std::vector<std::unique_ptr<DataNode>> nodes;
};

}  // namespace gyre
