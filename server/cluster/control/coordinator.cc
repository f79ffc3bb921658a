#include "control/coordinator.h"

#include <algorithm>

#include "base/log.h"
#include "peer/peer_bounds.h"
#include "peer/peer_codec.h"

namespace gyre {
namespace {

constexpr Duration kCoordinatorTick = std::chrono::milliseconds(25);
constexpr Duration kBatchDelay = std::chrono::milliseconds(2);
// So often at most others are told what this node holds: gossip carries it no faster, and each time it is
// signed here and verified by everybody. A fill changes it hundreds of times a second.
constexpr Duration kHoldingsGap = std::chrono::milliseconds(20);
// Commands of a partition wait so long at most while it is settled for another node.
constexpr Duration kSettleTimeout = std::chrono::milliseconds(300);
// Lease requests of one life, before their numbers reach into those of a life begun later.
constexpr int kSequenceBits = 20;

// The first grant of each partition that there is.
std::vector<OwnershipGrant> ToGrants(const google::protobuf::RepeatedPtrField<wire::Grant>& field,
                                     std::uint32_t partition_count) {
  std::vector<OwnershipGrant> grants;
  std::vector<bool> seen(partition_count);
  for (const wire::Grant& grant : field) {
    if (grant.partition() >= partition_count || seen[grant.partition()] ||
        grant.complete_size() > kHoldersMax) {
      continue;
    }
    seen[grant.partition()] = true;
    OwnershipGrant& each = grants.emplace_back();
    each.partition = grant.partition();
    for (const std::string& id : grant.complete()) {
      if (const std::optional<NodeId> node = NodeId::FromBytes(id)) each.complete.push_back(*node);
    }
  }
  return grants;
}

}  // namespace

Coordinator::Coordinator(OwnershipOptions options, NodeId self, Parts parts)
    : self_(self),
      parts_(std::move(parts)),
      lease_table_(parts_.table.fence.leases()),
      ownership_(options, self, parts_.engine.options().partition_count),
      settle_(parts_.table, parts_.transport, parts_.clock) {
  if (lease_table_ == nullptr) return;
  const std::uint32_t partitions = parts_.engine.options().partition_count;
  claims_ = taking_ = held_ = PartitionSet(partitions);
  // Unix milliseconds, so that the next life's are higher.
  const std::uint64_t life = parts_.membership.state().members.at(self).incarnation;
  leases_ = std::make_unique<Leases>(self, partitions, life << kSequenceBits, lease_table_->Now());
}

Coordinator::~Coordinator() { *alive_ = false; }

std::vector<PartitionId> Coordinator::ToList(
    const google::protobuf::RepeatedField<std::uint32_t>& partitions) const {
  return KnownPartitions(partitions, partition_count());
}

void Coordinator::Start() {
  started_ = true;
  parts_.membership.SayKeyHash(parts_.engine.key_hash().id());
  state_changed_ = true;
  NoteVersionNode();
  Work();
  ScheduleTick();
}

void Coordinator::ScheduleTick() {
  After(kCoordinatorTick, [this] {
    Tick();
    ScheduleTick();
  });
}

void Coordinator::Tick() {
  TickLeases();
  NoteLevel();
  TickKeyHash();
  JoinIfNeeded();
  Apply(ownership_.Tick(now()));
  CheckDrains();
  CheckLeave();
  if (now() >= next_resync_) SendResyncs();
}

void Coordinator::After(Duration delay, std::function<void()> task) {
  parts_.transport.After(delay, [alive = alive_, task = std::move(task)] {
    if (*alive) task();
  });
}

// ---- Membership -------------------------------------------------------------------------------

void Coordinator::OnStateChanged() {
  state_changed_ = true;
  NoteVersionNode();  // at once: no further write may get one that is another's
  ScheduleWork();
}

void Coordinator::OnPulled(PartitionId partition, std::uint64_t pull, bool filled) {
  pulls_ended_.push_back({partition, pull, filled});
  ScheduleWork();
}

void Coordinator::OnRecovered(PartitionId partition, const NodeId& node, RecoveryOutcome outcome) {
  if (outcome == RecoveryOutcome::kOutdated) MarkLagging(partition, node);
  recoveries_ended_.push_back({partition, node, outcome});
  ScheduleWork();
}

// A join brings thousands of small events. Each decision looks at every partition, so they are
// taken together.
void Coordinator::ScheduleWork() {
  if (!started_ || work_scheduled_) return;
  work_scheduled_ = true;
  After(kBatchDelay, [this] { Work(); });
}

void Coordinator::Work() {
  work_scheduled_ = false;
  if (std::exchange(state_changed_, false)) {
    NoteLeaseFacts();
    NoteState();
    DropGoneTargets();
    Apply(ownership_.OnState(now(), state()));
  }
  if (!pulls_ended_.empty()) {
    Apply(ownership_.OnPullsEnded(now(), std::exchange(pulls_ended_, {})));
  }
  if (!recoveries_ended_.empty()) {
    Apply(ownership_.OnRecovered(now(), std::exchange(recoveries_ended_, {})));
  }
}

void Coordinator::NoteState() {
  const ClusterState& state = parts_.membership.state();
  const auto members = std::count_if(state.ring.begin(), state.ring.end(),
                                     [](const auto& entry) { return !entry.second.removed; });
  KeepTombstones(members > 1 && state.replicas > 1);
  NoteLevel();
  const auto me = state.ring.find(self_);
  const bool has_place = me != state.ring.end() && !me->second.removed;
  if (has_place && parts_.membership.joined()) join_pending_ = false;  // not only remembered
}

// The byte of this node's entry in the ring. Each shard's clock goes on, so that none of its versions
// is stamped twice.
void Coordinator::NoteVersionNode() {
  const auto& ring = parts_.membership.state().ring;
  const auto me = ring.find(self_);
  if (me == ring.end() || version_node_ == me->second.version_node) return;
  version_node_ = me->second.version_node;
  for (std::uint32_t i = 0; i < parts_.engine.shard_count(); ++i) {
    Shard& shard = parts_.engine.shard(i);
    MutexLock lock(shard.mutex());
    shard.SetVersionNode(*version_node_);
  }
}

Readiness Coordinator::readiness() const {
  Readiness readiness = ownership_.readiness();
  const bool has_place = started_ && parts_.membership.joined() && !join_pending_;
  readiness.joined = readiness.joined || has_place;
  readiness.settings_unknown = !parts_.membership.settings_known();
  readiness.ring_full = parts_.membership.ring_full();
  readiness.moves_paused = parts_.membership.state().rebalance.paused;
  return readiness;
}

void Coordinator::JoinIfNeeded() {
  if (!(join_pending_ || parts_.membership.ring_full()) || stop_done_ != nullptr ||
      !parts_.membership.joined())
    return;
  // Before it votes it would only make the majority harder to reach.
  if (leases_ && !leases_->votes(lease_table_->Now())) return;
  join_pending_ = false;
  parts_.perform(parts_.membership.JoinRing(now()));
}

void Coordinator::OnDeclaredDead() {
  parts_.table.fence.self().Overrule();
  // While it was away, it may have been evicted from the ring.
  const ClusterView& view = ownership_.view();
  join_pending_ = view.self != kNoMember && view.on_ring[view.self];
  Work();
  next_holdings_ = {};  // others must not believe for a moment what it said of its copies before
  Apply(ownership_.OnDeclaredDead(now()));
}

// Once all members can, an order is kept from then on.
void Coordinator::NoteLevel() {
  const std::uint32_t level = parts_.membership.RingLevel();
  parts_.table.ordered.store(level >= kLevelStreams, std::memory_order_relaxed);
  parts_.table.forgets.store(level >= kLevelForgetting, std::memory_order_relaxed);
}

void Coordinator::KeepTombstones(bool keep) {
  if (keeps_tombstones_ == keep) return;
  keeps_tombstones_ = keep;
  for (PartitionId partition = 0; partition < parts_.engine.options().partition_count;
       ++partition) {
    Shard& shard = parts_.engine.ShardOf(partition);
    MutexLock lock(shard.mutex());
    shard.SetKeepsTombstones(partition, keep || parts_.table.sets[partition].count != 0);
  }
}

// ---- Carrying out -----------------------------------------------------------------------------

// Actions may cause events (publishing holdings changes the state). Those wait for their turn, so
// that no action overtakes an older one.
void Coordinator::Apply(OwnershipActions actions) {
  pending_.push_back(std::move(actions));
  if (applying_) return;
  applying_ = true;
  while (!pending_.empty()) {
    OwnershipActions batch = std::move(pending_.front());
    pending_.erase(pending_.begin());
    for (OwnershipAction& action : batch) {
      std::visit([this](auto& each) { Perform(each); }, action);
    }
  }
  applying_ = false;
  NoteClaims();
}

void Coordinator::Perform(const SetRole& action) {
  if (faults_.skip_fence && action.role == Role::kHandingOver) return;
  if (IsLogged(LogLevel::kDebug)) {
    LogDebug("role", {{"of", self_.ToString().substr(0, 8)},
                      {"partition", action.partition},
                      {"role", static_cast<int>(action.role)}});
  }
  Shard& shard = parts_.engine.ShardOf(action.partition);
  MutexLock lock(shard.mutex());
  shard.SetRole(action.partition, action.role);
  const bool orders = action.role == Role::kOwner || action.role == Role::kHandingOver;
  if (action.role == Role::kRecovering) {
    parts_.table.sets[action.partition].CloseTerm();
  } else if (!orders) {
    parts_.table.EndTerm(action.partition);
  }
  const bool has_targets = parts_.table.sets[action.partition].count != 0;
  shard.SetKeepsTombstones(action.partition, keeps_tombstones_ || has_targets);
}

void Coordinator::Perform(const DropCopy& action) {
  Shard& shard = parts_.engine.ShardOf(action.partition);
  MutexLock lock(shard.mutex());
  shard.Drop(action.partition);
  parts_.table.DropCopy(action.partition);
}

// Nobody remembers what was deleted before, so whoever has records of before may bring them.
void Coordinator::Perform(const BeginEmpty& action) {
  const UnixMillis now = parts_.wall_clock();
  Shard& shard = parts_.engine.ShardOf(action.partition);
  MutexLock lock(shard.mutex());
  shard.SetOutage(action.partition, {now, now});
}

void Coordinator::Perform(const StartPull& action) {
  parts_.pulls.Start(action.partition, action.source, action.pull, action.writes_only);
}

void Coordinator::Perform(const StopPull& action) { parts_.pulls.Stop(action.partition); }

void Coordinator::Perform(const StartRecovery& action) {
  parts_.pulls.Recover(action.partition, action.node);
}

void Coordinator::Perform(SendHandover& action) {
  wire::PeerRequest request;
  wire::Handover& body = *request.mutable_handover();
  body.set_from(std::string(self_.raw()));
  body.mutable_partitions()->Add(action.partitions.begin(), action.partitions.end());
  body.mutable_stale()->Add(action.stale.begin(), action.stale.end());
  body.set_epoch(parts_.membership.epoch());
  Call(
      action.to, request, kCallTimeout,
      [this, to = action.to, asked = action.partitions](const wire::PeerReply* reply) {
        wire::HandoverReply answer;
        if (reply != nullptr && reply->has_handover()) answer = reply->handover();
        Apply(ownership_.OnHandoverReply(now(), to, ToGrants(answer.granted(), partition_count()),
                                         ToList(answer.settled()), ToList(answer.missed()), asked));
      });
}

// At once, unless it was done a moment ago in this life.
void Coordinator::Perform(PublishHoldings& action) {
  const bool told_soon = untold_.has_value();
  untold_ = std::move(action);
  if (now() >= next_holdings_ || told_epoch_ != parts_.membership.epoch()) return TellHoldings();
  if (!told_soon) After(next_holdings_ - now(), [this] { TellHoldings(); });
}

void Coordinator::TellHoldings() {
  if (!untold_) return;
  PublishHoldings holdings = *std::exchange(untold_, std::nullopt);
  next_holdings_ = now() + kHoldingsGap;
  told_epoch_ = parts_.membership.epoch();
  parts_.perform(parts_.membership.SetHoldings(now(), std::move(holdings.complete),
                                               std::move(holdings.owned),
                                               std::move(holdings.restored)));
}

void Coordinator::Perform(PublishView& action) { parts_.views.Publish(std::move(action.view)); }

void Coordinator::Perform(const LogEvent& action) { Log(action); }

void Coordinator::Call(const NodeId& to, const wire::PeerRequest& request, Duration timeout,
                       std::function<void(const wire::PeerReply*)> done) {
  parts_.transport.Call(to, FrameType::kPeerRequest, request.SerializeAsString(), timeout,
                        [alive = alive_, done = std::move(done)](Result<std::string_view> bytes) {
                          if (!*alive) return;
                          wire::PeerReply reply;
                          const bool heard =
                              bytes &&
                              reply.ParseFromArray(bytes->data(), static_cast<int>(bytes->size()));
                          done(heard ? &reply : nullptr);
                        });
}

// ---- Requests of other nodes ------------------------------------------------------------------

void Coordinator::Handle(const std::string& payload, ControlPort::Done done) {
  wire::PeerRequest request;
  if (!request.ParseFromString(payload)) {
    return done(EncodePeerError({ErrorCode::kProtocol, "malformed peer request"}));
  }
  if (!started_ || stopped_) {
    return done(EncodePeerError({ErrorCode::kClosed, "this node is not part of the ring now"}));
  }
  Work();  // the sender may know more than was decided on so far
  if (request.has_handover()) return OnHandover(request.handover(), std::move(done));
  if (request.has_take_over()) return OnTakeOver(request.take_over(), done);
  if (request.has_resync()) return OnResync(request.resync(), done);
  if (request.has_drained()) return OnDrained(done);
  if (request.has_key_hash_secret()) return OnKeyHashSecret(done);
  done(EncodePeerError({ErrorCode::kUnknownCommand, "unknown peer request"}));
}

void Coordinator::OnHandover(const wire::Handover& request, const ControlPort::Done& done) {
  const std::optional<NodeId> from = NodeId::FromBytes(request.from());
  if (!from) return done(EncodePeerError({ErrorCode::kProtocol, "handover without a sender"}));
  if (request.epoch() != 0 && request.epoch() != EpochOf(*from)) {
    return done(EncodePeerError(
        {ErrorCode::kUnavailable, "this life of the node is not known here yet: ask again"}));
  }
  wire::PeerReply reply;
  wire::HandoverReply& body = *reply.mutable_handover();
  // Whoever missed writes must pull again: for that nobody's commands need to wait.
  std::vector<PartitionId> asked = ToList(request.partitions());
  const auto missed = std::stable_partition(asked.begin(), asked.end(), [&](PartitionId partition) {
    return !ownership_.owns(partition) || !MissedWrites(partition, *from);
  });
  body.mutable_missed()->Add(missed, asked.end());
  asked.erase(missed, asked.end());
  Ownership::HandoverStart start = ownership_.BeginHandover(now(), *from, asked);
  for (PartitionId partition : start.already_granted) WriteGrant(partition, *body.add_granted());
  Apply(std::move(start.actions));
  const Settlement settlement{*from, EpochOf(*from), ToList(request.stale()), std::move(reply),
                              done};
  if (faults_.skip_fence) return FinishHandover(settlement, std::move(start.settling), {});
  settle_.Wait(
      std::move(start.settling), kSettleTimeout,
      [this, settlement](std::vector<PartitionId> drained, std::vector<PartitionId> undrained) {
        FinishHandover(settlement, std::move(drained), std::move(undrained));
      });
}

void Coordinator::FinishHandover(const Settlement& settlement, std::vector<PartitionId> drained,
                                 std::vector<PartitionId> undrained) {
  const NodeId& from = settlement.from;
  wire::PeerReply reply = settlement.reply;
  wire::HandoverReply& body = *reply.mutable_handover();
  if (EpochOf(from) != settlement.epoch) {  // it began a new life meanwhile
    undrained.insert(undrained.end(), drained.begin(), drained.end());
    drained.clear();
  }
  const auto missed =
      std::stable_partition(drained.begin(), drained.end(),
                            [&](PartitionId partition) { return !MissedWrites(partition, from); });
  body.mutable_missed()->Add(missed, drained.end());
  undrained.insert(undrained.end(), missed, drained.end());
  drained.erase(missed, drained.end());
  // Who does not know whether it still owns has nothing to grant and nobody's copy to vouch for.
  const auto unleased = std::stable_partition(
      drained.begin(), drained.end(), [this](PartitionId partition) { return Leased(partition); });
  undrained.insert(undrained.end(), unleased, drained.end());
  drained.erase(unleased, drained.end());
  Ownership::HandoverEnd end = ownership_.FinishHandover(now(), from, drained, undrained);
  for (PartitionId partition : end.granted) WriteGrant(partition, *body.add_granted());
  body.mutable_settled()->Add(end.settled.begin(), end.settled.end());
  if (faults_.skip_fence) {
    std::erase_if(end.actions, [](const OwnershipAction& action) {
      return std::holds_alternative<SetRole>(action);
    });
  }
  Apply(std::move(end.actions));
  for (PartitionId partition : settlement.stale) {
    const bool settled =
        std::find(end.settled.begin(), end.settled.end(), partition) != end.settled.end();
    if (settled) parts_.pulls.Recover(partition, from);
  }
  settlement.done(reply.SerializeAsString());
}

// The targets stay as they were while this node ordered the writes, until it does so again.
void Coordinator::WriteGrant(PartitionId partition, wire::Grant& grant) {
  grant.set_partition(partition);
  grant.add_complete(std::string(self_.raw()));
  MutexLock lock(parts_.engine.ShardOf(partition).mutex());
  const ReplicaSet& set = parts_.table.sets[partition];
  for (std::uint8_t i = 0; i < set.count; ++i) {
    if (set.targets[i].complete) grant.add_complete(std::string(set.targets[i].node.raw()));
  }
}

// As this node knows it; 0: not at all.
std::uint64_t Coordinator::EpochOf(const NodeId& node) const {
  const auto& members = parts_.membership.state().members;
  const auto member = members.find(node);
  return member == members.end() ? 0 : member->second.epoch;
}

// Whether `node` is not, to this owner's own knowledge, up to date.
bool Coordinator::MissedWrites(PartitionId partition, const NodeId& node) const {
  MutexLock lock(parts_.engine.ShardOf(partition).mutex());
  const ReplicaSet& set = parts_.table.sets[partition];
  for (std::uint8_t i = 0; i < set.count; ++i) {
    const ReplicaSet::Target& target = set.targets[i];
    if (target.node == node) {
      return !target.complete && target.standing != ReplicaSet::Standing::kPulling;
    }
  }
  return true;
}

void Coordinator::OnTakeOver(const wire::TakeOver& request, const ControlPort::Done& done) {
  const std::optional<NodeId> from = NodeId::FromBytes(request.from());
  if (!from) return done(EncodePeerError({ErrorCode::kProtocol, "take-over without a sender"}));
  std::vector<PartitionId> taken;
  const bool meant = request.to_epoch() == 0 || request.to_epoch() == parts_.membership.epoch();
  if (meant) {
    Apply(
        ownership_.OnTakeOver(now(), *from, ToGrants(request.grants(), partition_count()), taken));
  }
  wire::PeerReply reply;
  reply.mutable_take_over()->mutable_taken()->Add(taken.begin(), taken.end());
  done(reply.SerializeAsString());
}

void Coordinator::OnResync(const wire::Resync& request, const ControlPort::Done& done) {
  const std::optional<NodeId> from = NodeId::FromBytes(request.from());
  if (!from) return done(EncodePeerError({ErrorCode::kProtocol, "resync without a sender"}));
  Apply(ownership_.OnResync(now(), *from, ToList(request.partitions())));
  wire::PeerReply reply;
  reply.mutable_resync();
  done(reply.SerializeAsString());
}

}  // namespace gyre
