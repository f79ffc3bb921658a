// One node in the world: the parts of production, on virtual time. What cluster_runtime and the
// dispatcher do with threads and sockets stands here in a few lines: membership's shell, the way to
// the control part, and the rule by which a command runs at the owner.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "cluster/coordinator.h"
#include "cluster/membership.h"
#include "cluster/peer_service.h"
#include "cluster/relay_transport.h"
#include "cluster/repair.h"
#include "cluster/replicator_impl.h"
#include "cluster/transfer.h"
#include "proto_gen/cluster.pb.h"
#include "sim/world.h"

namespace gyre::sim {

struct ClusterOptions {
  std::uint32_t partitions = 32;
  std::uint32_t replicas = 2;
  std::uint32_t write_acks = 2;
  std::size_t memory_bytes = std::size_t{8} << 20;
  std::size_t queue_bytes_max = std::size_t{1} << 20;
  MembershipOptions membership;
  ReplicatorFaults replicator_faults;
  CoordinatorFaults coordinator_faults;
};

inline Address AddressOf(NodeIndex node) { return {"10.0.0." + std::to_string(node), 7700}; }
inline NodeIndex NodeAt(const Address& address) {
  return static_cast<NodeIndex>(std::stoul(address.host.substr(address.host.rfind('.') + 1)));
}

struct Operation {
  enum class Kind : char { kSet = 'S', kGet = 'G', kDelete = 'D' };
  Kind kind = Kind::kGet;
  std::uint32_t hops = 0;
  std::string key;
  std::string value;
};

// What a command came to.
struct Answer {
  enum class Kind : char {
    kOk = 'O',
    kValue = 'V',
    kMiss = 'M',
    kUnknown = 'U',   // a write that may or may not last
    kRefused = 'R',   // nothing was done
    kNotOwner = 'N',  // nothing was done, ask another
  };
  Kind kind = Kind::kRefused;
  std::string value;
  std::string by = {};  // the node and partition that a read was answered from
};

class SimNode final : public ControlPort, public PullPort {
 public:
  SimNode(World& world, NodeIndex index, const ClusterOptions& options, std::uint64_t incarnation,
          bool founder)
      : world_(world),
        index_(index),
        id_(IdOf(index)),
        options_(options),
        links_(world, index),
        transport_(id_, links_, views_, [&world] { return world.now(); }) {
    EngineOptions engine_options;
    engine_options.memory_bytes = options.memory_bytes;
    engine_options.value_bytes_max = 64 * 1024;
    engine_options.partition_count = options.partitions;
    engine_options.shard_count = 1;
    engine_options.version_node = static_cast<std::uint8_t>(index);
    engine_ = std::move(*Engine::Create(engine_options));
    table_ = std::make_unique<ReplicationTable>(options.partitions);

    MemberInfo self;
    self.id = id_;
    self.name = "n" + std::to_string(index);
    self.host = AddressOf(index).host;
    self.port = AddressOf(index).port;
    self.incarnation = incarnation;
    MembershipOptions membership = options.membership;
    membership.seed = world.random().Next();
    membership_ =
        std::make_unique<Membership>(membership, self, options.partitions, options.replicas);

    const auto clock = [&world] { return world.now(); };
    const auto wall_clock = [&world] { return world.unix_now(); };
    ReplicatorOptions replicator;
    replicator.replicas = options.replicas;
    replicator.write_acks = options.write_acks;
    replicator.queue_bytes_max = options.queue_bytes_max;
    replicator_ =
        std::make_unique<ReplicatorImpl>(replicator, *engine_, *table_, views_, transport_, clock);
    replicator_->set_faults(options.replicator_faults);
    service_ = std::make_unique<PeerService>(*engine_, *table_, views_, *this, wall_clock);
    service_->RelayThrough(links_);
    transfer_ = std::make_unique<Transfer>(
        TransferOptions{}, id_, *engine_, transport_,
        [this](PartitionId partition, std::uint64_t pull, bool filled) {
          coordinator_->OnPulled(partition, pull, filled);
        },
        clock, wall_clock);
    repair_ =
        std::make_unique<Repair>(RepairOptions{}, id_, *engine_, views_, transport_, wall_clock);
    repair_->on_recovered = [this](PartitionId partition, const NodeId& node, bool agreed) {
      coordinator_->OnRecovered(partition, node, agreed);
    };
    OwnershipOptions ownership;
    ownership.founder = founder;
    coordinator_ = std::make_unique<Coordinator>(
        ownership, id_,
        Coordinator::Parts{*engine_, *table_, views_, transport_, *membership_, *this,
                           [this](MembershipActions actions) { Perform(std::move(actions)); },
                           clock});
    coordinator_->set_faults(options.coordinator_faults);
  }

  // The world must route to this node already (World::Boot).
  void Start(std::vector<Address> seeds) {
    Perform(membership_->SetSeeds(world_.now(), std::move(seeds)));
    coordinator_->Start();
    repair_->Start();
    TickMembership();
  }

  // ---- From the world ----
  void OnRequest(FrameType type, const std::string& payload,
                 std::function<void(std::string)> reply) {
    if (type == FrameType::kPeerRequest) return service_->Handle(payload, std::move(reply));
    Execute(Decode(payload), world_.now() + seconds(1), [reply](const Answer& answer) {
      reply(static_cast<char>(answer.kind) + answer.value + "\n" + answer.by);
    });
  }
  void OnDatagram(NodeIndex from, const std::string& bytes) {
    Perform(membership_->OnDatagram(world_.now(), AddressOf(from), bytes));
  }
  void OnLinkDown(NodeIndex to) { Perform(membership_->OnLinkDown(world_.now(), IdOf(to))); }

  // ---- Commands ----
  // The dispatcher's rule: the owner checks its role and writes under one lock; others forward.
  void Execute(const Operation& operation, TimePoint deadline, std::function<void(Answer)> reply) {
    if (world_.now() >= deadline) return reply({Answer::Kind::kRefused, "late"});
    const auto retry = [this, operation, deadline, reply](Duration pause) {
      transport_.After(pause,
                       [this, operation, deadline, reply] { Execute(operation, deadline, reply); });
    };
    const ClusterViewPtr view = views_.Load();
    const Key key = engine_->KeyOf(operation.key);
    const MemberIndex owner = view == nullptr ? kNoMember : view->owner[key.partition];
    if (owner == kNoMember) return retry(milliseconds(5));
    if (owner == view->self) {
      if (!Run(operation, key, reply)) retry(milliseconds(2));
      return;
    }
    if (operation.hops >= kForwardHopsMax) return reply({Answer::Kind::kNotOwner, ""});
    Operation forwarded = operation;
    ++forwarded.hops;
    transport_.Call(view->members[owner].id, FrameType::kRequest, Encode(forwarded), seconds(2),
                    [retry, operation, reply](Result<std::string_view> bytes) {
                      const bool is_read = operation.kind == Operation::Kind::kGet;
                      if (!bytes) {
                        const bool unsent = bytes.error().code == ErrorCode::kUnavailable;
                        if (unsent || is_read) return retry(milliseconds(5));
                        return reply({Answer::Kind::kUnknown, bytes.error().message});
                      }
                      const std::size_t end = bytes->find('\n');
                      const Answer answer{static_cast<Answer::Kind>((*bytes)[0]),
                                          std::string(bytes->substr(1, end - 1)),
                                          std::string(bytes->substr(end + 1))};
                      if (answer.kind == Answer::Kind::kNotOwner) return retry(milliseconds(2));
                      reply(answer);
                    });
  }

  // ---- What it is made of ----
  NodeIndex index() const { return index_; }
  const NodeId& id() const { return id_; }
  ClusterViewPtr view() { return views_.Load(); }
  Coordinator& coordinator() { return *coordinator_; }
  Membership& membership() { return *membership_; }
  Replicator& replicator() { return *replicator_; }
  Repair& repair() { return *repair_; }
  Transfer& transfer() { return *transfer_; }
  Role role(PartitionId partition) {
    Shard& shard = engine_->ShardOf(partition);
    MutexLock lock(shard.mutex());
    return shard.info(partition).role;
  }
  // This node's copy of a record, for a failure's message.
  std::string Copy(const std::string& key_bytes) {
    const Key key = engine_->KeyOf(key_bytes);
    Shard& shard = engine_->ShardOf(key.partition);
    MutexLock lock(shard.mutex());
    const Record record = shard.Peek(key);
    if (!record) return "nothing";
    return (record.is_tombstone() ? std::string("tombstone") : std::string(record.value())) +
           " of " + std::to_string(MillisOf(record.version()) % 1'000'000) + " ms by n" +
           std::to_string(record.version() & 0xff);
  }
  // Called with the partition of each write that this node orders.
  std::function<void(PartitionId)> on_write;

 private:
  static std::string Encode(const Operation& operation) {
    return std::string(1, static_cast<char>(operation.kind)) +
           static_cast<char>('0' + operation.hops) + operation.key + "\n" + operation.value;
  }
  static Operation Decode(const std::string& bytes) {
    const std::size_t end = bytes.find('\n');
    return {static_cast<Operation::Kind>(bytes[0]), static_cast<std::uint32_t>(bytes[1] - '0'),
            bytes.substr(2, end - 2), bytes.substr(end + 1)};
  }

  // False: this node does not order the partition's writes now.
  bool Run(const Operation& operation, const Key& key, const std::function<void(Answer)>& reply) {
    const UnixMillis now = world_.unix_now();
    const std::string by =
        "n" + std::to_string(index_) + " for partition " + std::to_string(key.partition);
    Replicator::Ticket ticket = 0;
    std::optional<Answer> answer;  // already known
    {
      Shard& shard = engine_->ShardOf(key.partition);
      MutexLock lock(shard.mutex());
      if (shard.info(key.partition).role != Role::kOwner) return false;
      if (operation.kind == Operation::Kind::kGet) {
        const Record record = shard.Find(key, now);
        answer = record ? Answer{Answer::Kind::kValue, std::string(record.value()), by}
                        : Answer{Answer::Kind::kMiss, "", by};
      } else if (!replicator_->Check(key.partition, 0)) {
        answer = Answer{Answer::Kind::kRefused, "too few replicas", by};
      } else if (operation.kind == Operation::Kind::kSet) {
        const Result<Record> stored =
            shard.Store(key, operation.value, kNeverExpires, 0, shard.NextVersion(now));
        if (stored) {
          ticket = replicator_->Submit(key.partition, *stored);
        } else {
          answer = Answer{Answer::Kind::kRefused, stored.error().message, by};
        }
      } else {
        const Shard::Removed removed = shard.Remove(key, shard.NextVersion(now), now);
        if (!removed.existed) answer = Answer{Answer::Kind::kMiss, "", by};
        if (removed.tombstone) ticket = replicator_->Submit(key.partition, removed.tombstone);
      }
    }
    if (answer) {
      reply(*answer);
      return true;
    }
    if (on_write) on_write(key.partition);
    replicator_->Await(ticket, 0, [reply](Status status) {
      reply({status ? Answer::Kind::kOk : Answer::Kind::kUnknown,
             status ? "" : status.error().message});
    });
    replicator_->Flush();
    return true;
  }

  // ControlPort: what PeerService passes on.
  void Handle(std::string payload, ControlPort::Done done) override {
    wire::PeerRequest request;
    if (!request.ParseFromString(payload)) return done("");
    wire::PeerReply reply;
    if (request.has_push_pull()) {
      Result<std::string> answer = std::string();
      Perform(
          membership_->OnPushPull(world_.now(), request.push_pull().SerializeAsString(), answer));
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

  // PullPort.
  void Start(PartitionId partition, const NodeId& source, std::uint64_t pull) override {
    transfer_->Start(partition, source, pull);
  }
  void Stop(PartitionId partition) override { transfer_->Stop(partition); }
  void Recover(PartitionId partition, const NodeId& node) override {
    repair_->Recover(partition, node);
  }

  // Membership's shell.
  void Perform(MembershipActions actions) {
    for (MembershipAction& action : actions) {
      std::visit([this](auto& each) { Perform(each); }, action);
    }
  }
  void Perform(SendDatagram& action) {
    world_.SendDatagram(index_, NodeAt(action.to), std::move(action.bytes));
  }
  void Perform(const StartPushPull& action) {
    wire::PeerRequest request;
    (void)request.mutable_push_pull()->ParseFromString(action.payload);
    const Address to = action.to;
    world_.Call(index_, NodeAt(to), FrameType::kPeerRequest, request.SerializeAsString(),
                seconds(1), [this, to](Result<std::string_view> bytes) {
                  if (!bytes) {
                    return Perform(membership_->OnPushPullFailed(world_.now(), to, bytes.error()));
                  }
                  wire::PeerReply reply;
                  (void)reply.ParseFromArray(bytes->data(), static_cast<int>(bytes->size()));
                  if (!reply.has_push_pull()) {
                    return Perform(membership_->OnPushPullFailed(
                        world_.now(), to, Error{ErrorCode::kInternal, reply.error().message()}));
                  }
                  Perform(membership_->OnPushPullReply(world_.now(), to,
                                                       reply.push_pull().SerializeAsString()));
                });
  }
  void Perform(const AskConfirmDown& action) {
    wire::PeerRequest request;
    request.mutable_confirm_down()->set_id(std::string(action.suspect.raw()));
    request.mutable_confirm_down()->set_incarnation(action.incarnation);
    transport_.Call(
        action.via, FrameType::kPeerRequest, request.SerializeAsString(), seconds(1),
        [this, action](Result<std::string_view> bytes) {
          wire::PeerReply reply;
          if (bytes && reply.ParseFromArray(bytes->data(), static_cast<int>(bytes->size())) &&
              reply.confirm_down().down()) {
            Perform(membership_->OnConfirmedDown(world_.now(), action.suspect, action.incarnation));
          }
        });
  }
  void Perform(const StateChanged&) { coordinator_->OnStateChanged(); }
  void Perform(const DeclaredDead&) {
    GYRE_LOG_DEBUG("n{} {} declared dead", index_, world_.unix_now() % 1'000'000);
    coordinator_->OnDeclaredDead();
  }
  void Perform(const LogLine& line) {
    GYRE_LOG_DEBUG("n{} {} {}", index_, world_.unix_now() % 1'000'000, line.text);
  }

  void TickMembership() {
    if (world_.now() >= membership_->next_tick()) Perform(membership_->Tick(world_.now()));
    const Duration wait = membership_->next_tick() - world_.now();
    world_.At(index_, std::clamp(wait, Duration(milliseconds(1)), Duration(milliseconds(50))),
              [this] { TickMembership(); });
  }

  World& world_;
  const NodeIndex index_;
  const NodeId id_;
  const ClusterOptions options_;
  ViewPublisher views_;
  SimTransport links_;
  RelayTransport transport_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<ReplicationTable> table_;
  std::unique_ptr<Membership> membership_;
  std::unique_ptr<ReplicatorImpl> replicator_;
  std::unique_ptr<PeerService> service_;
  std::unique_ptr<Transfer> transfer_;
  std::unique_ptr<Repair> repair_;
  std::unique_ptr<Coordinator> coordinator_;
};

}  // namespace gyre::sim
