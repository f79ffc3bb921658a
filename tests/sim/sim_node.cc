#include "sim/sim_node.h"

#include <algorithm>
#include <utility>

#include "proto_gen/cluster.pb.h"
#include "sim/sim_snapshot.h"

namespace gyre::sim {
namespace {

// As the background thread of production does.
constexpr Duration kEngineTick = milliseconds(100);
constexpr std::size_t kEngineBudget = 1000;
constexpr std::size_t kMemoryOfEvictors = std::size_t{1280} << 10;

}  // namespace

SimNode::SimNode(World& world, NodeIndex index, const ClusterOptions& options,
                 std::uint64_t incarnation, bool founder, LeftBehind left)
    : world_(world),
      index_(index),
      id_(IdOf(index)),
      options_(options),
      is_old_(options.is_old != nullptr && options.is_old(index)),
      key_hash_(left.key_hash),
      control_(*this, kControlLink),
      background_(*this, kBackgroundLink),
      loops_{Loop(*this, 0), Loop(*this, 1)} {
  MakeEngine(left.key_hash);
  RestoredCopies restored;
  if (!left.snapshot.empty()) {
    restored = LoadSnapshot(*engine_, id_, world_.unix_now(index_), left.snapshot);
  }
  MakeParts(incarnation, founder, std::move(restored), std::move(left));
}

void SimNode::MakeEngine(std::shared_ptr<const KeyHash> key_hash) {
  EngineOptions options;
  options.key_hash = std::move(key_hash);
  options.memory_bytes = options_.memory_bytes;
  if (options_.evicts && index_ % 2 == 0) options.memory_bytes = kMemoryOfEvictors;
  options.value_bytes_max = 64 * 1024;
  options.partition_count = options_.partitions;
  options.shard_count = 1;
  options.tombstone_ttl_ms = options_.tombstone_ttl_ms;
  engine_ = std::move(*Engine::Create(options));
  table_ = std::make_unique<ReplicationTable>(
      TableOptionsFor(*engine_, options_.membership.majority), [this] { return world_.now(); });
}

void SimNode::MakeParts(std::uint64_t incarnation, bool founder, RestoredCopies restored,
                        LeftBehind left) {
  MemberInfo self;
  self.id = id_;
  self.name = "n" + std::to_string(index_);
  self.host = AddressOf(index_).host;
  self.port = AddressOf(index_).port;
  self.incarnation = incarnation;
  MembershipOptions membership = options_.membership;
  membership.seed = world_.random().Next();
  membership.signer = &signer_;
  if (is_old_) membership.level = kLevelRecords;
  membership.remembered = std::move(left.ring);
  membership.remembered_settings = std::move(left.settings);
  if (options_.dates) {
    membership.wall_clock = [this] {
      return std::chrono::microseconds(std::chrono::milliseconds(world_.unix_now(index_)));
    };
  }
  membership_ =
      std::make_unique<Membership>(membership, self, options_.partitions, options_.replicas);

  const auto clock = [this] { return world_.now(); };
  const auto wall_clock = [this] { return world_.unix_now(index_); };
  ReplicatorOptions replicator;
  replicator.replicas = options_.replicas;
  replicator.write_acks = options_.write_acks;
  replicator.queue_bytes_max = options_.queue_bytes_max;
  for (Loop& loop : loops_) {
    loop.replicator = std::make_unique<ReplicatorImpl>(replicator, *engine_, *table_, views_,
                                                       loop.links.transport, clock);
    loop.replicator->set_faults(options_.replicator_faults);
    loop.service = std::make_unique<PeerService>(*engine_, *table_, views_, *this, wall_clock);
    loop.service->RelayThrough(loop.links.direct);
    Transport& transport = loop.links.transport;
    loop.service->set_tasks(
        {[&transport](std::function<void()> task) { transport.After(Duration{}, std::move(task)); },
         [&transport](Duration delay, std::function<void()> task) {
           transport.After(delay, std::move(task));
         }});
    loop.service->groups().set_faults(options_.receiver_faults);
    loop.service->set_replicator(*loop.replicator);
    MakeDispatcher(loop);
  }
  teller_ = std::make_unique<EvictionTeller>(*engine_, *table_, *loops_[0].replicator);
  transfer_ = std::make_unique<Transfer>(
      options_.transfer, id_, *engine_, background_.transport,
      [this](PartitionId partition, std::uint64_t pull, bool filled) {
        coordinator_->OnPulled(partition, pull, filled);
      },
      clock, wall_clock, &views_);
  transfer_->set_streams(*table_);
  repair_ = std::make_unique<Repair>(RepairOptions{.yields = !table_->fence.uses_leases()}, id_,
                                     *engine_, views_, background_.transport, wall_clock);
  repair_->set_streams(*table_, *loops_[0].replicator);
  repair_->on_recovered = [this](PartitionId partition, const NodeId& node,
                                 RecoveryOutcome outcome) {
    coordinator_->OnRecovered(partition, node, outcome);
  };
  OwnershipOptions ownership;
  ownership.founder = founder;
  ownership.majority = table_->fence.uses_leases();
  ownership.returns = membership.remembered.others(id_) > 0;
  ownership.return_patience = ownership.majority ? Duration::max() : membership.evict_after;
  ownership.return_grace = membership.evict_after;
  ownership.restored = std::move(restored);
  coordinator_ = std::make_unique<Coordinator>(
      ownership, id_,
      Coordinator::Parts{*engine_, *table_, views_, control_.transport, *membership_, *this,
                         [this](MembershipActions actions) { Perform(std::move(actions)); }, clock,
                         wall_clock,
                         [this](std::size_t count) {
                           std::string bytes(count, '\0');
                           for (char& byte : bytes) {
                             byte = static_cast<char>(world_.random().Next());
                           }
                           return bytes;
                         },
                         [this](const std::shared_ptr<const KeyHash>& hash) { key_hash_ = hash; }});
  coordinator_->set_faults(options_.coordinator_faults);
}

void SimNode::Start(std::vector<Address> seeds) {
  SetSeeds(std::move(seeds));
  coordinator_->Start();
  repair_->Start();
  TickMembership();
  TickEngine();
}

void SimNode::TickEngine() {
  for (std::uint32_t i = 0; i < engine_->shard_count(); ++i) {
    Shard& shard = engine_->shard(i);
    MutexLock lock(shard.mutex());
    shard.Tick(world_.unix_now(index_), kEngineBudget);
    teller_->Tell(i, shard, world_.now());
  }
  loops_[0].replicator->Flush();
  world_.At(index_, kEngineTick, [this] { TickEngine(); });
}

void SimNode::OnRequest(NodeIndex from, FrameType type, const std::string& payload,
                        std::function<void(std::string)> reply) {
  if (type == FrameType::kPeerRequest) {
    wire::PeerRequest request;
    if (is_old_ && request.ParseFromString(payload) && request.has_replicate_groups()) {
      return reply(EncodePeerError({ErrorCode::kUnknownCommand, "unknown peer request"}));
    }
    return AnyLoop().service->Handle(payload, std::move(reply));
  }
  OnForwarded(from, payload, std::move(reply));
}

// What PeerService passes on: membership's, and the coordinator's.
void SimNode::Handle(std::string payload, ControlPort::Done done) {
  wire::PeerRequest request;
  if (!request.ParseFromString(payload)) return done("");
  wire::PeerReply reply;
  if (request.has_push_pull()) {
    Result<std::string> answer = std::string();
    Perform(membership_->OnPushPull(world_.now(), request.push_pull().SerializeAsString(), answer));
    if (answer) {
      (void)reply.mutable_push_pull()->ParseFromString(*answer);
    } else {
      reply.mutable_error()->set_message(answer.error().message);
    }
    return done(reply.SerializeAsString());
  }
  if (request.has_confirm_down()) {
    const std::optional<NodeId> suspect = NodeId::FromBytes(request.confirm_down().id());
    reply.mutable_confirm_down()->set_down(suspect &&
                                           membership_->SeemsDown(world_.now(), *suspect));
    return done(reply.SerializeAsString());
  }
  coordinator_->Handle(payload, std::move(done));
}

SimNode::Loop& SimNode::AnyLoop() { return loops_[world_.random().Below(kLoops)]; }

ReplicatorStats SimNode::replicator_stats() const {
  ReplicatorStats sum;
  for (const Loop& loop : loops_) sum += loop.replicator->stats();
  return sum;
}

Role SimNode::role(PartitionId partition) {
  Shard& shard = engine_->ShardOf(partition);
  MutexLock lock(shard.mutex());
  return shard.info(partition).role;
}

bool SimNode::IsRehashed(PartitionId partition) {
  Shard& shard = engine_->ShardOf(partition);
  MutexLock lock(shard.mutex());
  return &shard.key_hash(partition) == &engine_->key_hash();
}

bool SimNode::Acts(PartitionId partition) {
  return role(partition) == Role::kOwner && table_->fence.HasLease(partition);
}

Version SimNode::NextVersion(PartitionId partition) {
  Shard& shard = engine_->ShardOf(partition);
  MutexLock lock(shard.mutex());
  return shard.NextVersion(world_.unix_now(index_));
}

std::string SimNode::Copy(const std::string& key_bytes) {
  const Key key = engine_->KeyOf(key_bytes);
  Shard& shard = engine_->ShardOf(key.partition);
  MutexLock lock(shard.mutex());
  const RecordView record = shard.Peek(key);
  if (!record) return "nothing";
  return (record.is_tombstone() ? std::string("tombstone") : std::string(record.value())) + " of " +
         std::to_string(MillisOf(record.version()) % 1'000'000) + " ms by byte " +
         std::to_string(record.version() & 0xff);
}

}  // namespace gyre::sim
