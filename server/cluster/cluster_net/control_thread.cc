#include "cluster_net/control_thread.h"

#include <pthread.h>

#include "crypto/datagram_seal.h"
#include "crypto/random_bytes.h"
#include "peer/peer_codec.h"

namespace gyre {
namespace {

constexpr Duration kStatsInterval = std::chrono::milliseconds(250);

}  // namespace

ControlThread::ControlThread(const ClusterRuntimeOptions& options)
    : seeds_(options.seeds),
      ring_(options.membership.remembered),
      on_ring_(options.on_ring),
      on_settings_(options.on_settings),
      page_(options.page) {}

Result<std::unique_ptr<ControlThread>> ControlThread::Create(const ClusterRuntimeOptions& options,
                                                             Engine& engine,
                                                             ReplicationTable& table,
                                                             ViewPublisher& views,
                                                             PullPort& pulls) {
  std::unique_ptr<ControlThread> thread(new ControlThread(options));
  ControlThread* self = thread.get();
  Result<std::unique_ptr<EventLoop>> loop = EventLoop::Create();
  if (!loop) return tl::unexpected<Error>(loop.error());
  self->loop_ = std::move(*loop);
  self->links_ = std::make_unique<NetTransport>(
      *self->loop_, views,
      NetTransportOptions{.keys = options.keys, .signer = options.signer, .self = options.self.id},
      [self](const NodeId& id, std::uint64_t epoch) { self->gossip_->LinkDown(id, epoch); });
  self->transport_ = std::make_unique<RelayTransport>(
      options.self.id, *self->links_, views, [self] { return self->loop_->now(); },
      [self](const NodeId& id) { self->OnLinkSilent(id); });
  MembershipOptions membership = options.membership;
  membership.signer = options.signer;
  if (options.keys != nullptr) membership.datagram_bytes_max -= kDatagramSealBytes;
  self->membership_ = std::make_unique<Membership>(
      membership, options.self, engine.options().partition_count, options.replicator.replicas);
  Gossip::Hooks hooks;
  hooks.on_state_changed = [self] {
    self->coordinator_->OnStateChanged();
    self->NoteRebalance();
    self->NoteRing();
  };
  hooks.on_settings_changed = [self] { self->NoteSettings(); };
  hooks.on_declared_dead = [self] { self->coordinator_->OnDeclaredDead(); };
  hooks.on_performed = [self, &table] {
    table.fence.self().Confirm(self->membership_->confirmed_at());
  };
  hooks.on_lease = [self](const NodeId& from, const std::string& payload) {
    self->coordinator_->OnLeaseMessage(from, payload);
  };
  self->gossip_ = std::make_unique<Gossip>(*self->loop_, *self->membership_, std::move(hooks),
                                           options.keys, options.signer);
  const Address listen =
      options.listen.host.empty() ? Address{options.self.host, options.self.port} : options.listen;
  if (Status bound = self->gossip_->Bind(listen.host, listen.port); !bound) {
    return Fail(bound.error().code, bound.error().message + ": choose another --port");
  }
  OwnershipOptions ownership;
  ownership.founder = options.seeds.empty();
  ownership.restored = options.restored;
  ownership.majority = table.fence.uses_leases();
  ownership.returns = options.membership.remembered.others(options.self.id) > 0;
  ownership.return_patience = ownership.majority ? Duration::max() : options.membership.evict_after;
  ownership.return_grace = options.membership.evict_after;
  self->coordinator_ = std::make_unique<Coordinator>(
      ownership, options.self.id,
      Coordinator::Parts{
          engine, table, views, *self->transport_, *self->membership_, pulls,
          [self](MembershipActions actions) { self->gossip_->Perform(std::move(actions)); },
          [self] { return self->loop_->now(); }, UnixNow, RandomBytes, options.on_key_hash});
  self->stats_timer_ = std::make_unique<Timer>(*self->loop_);
  if (self->membership_->settings().count() > 0) self->NoteSettings();
  return thread;
}

ControlThread::~ControlThread() { Stop(); }

void ControlThread::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "gyre-control");
    coordinator_->Start();
    gossip_->Start(seeds_);
    stats_timer_->Start(Duration{}, kStatsInterval, [this] { TakeStats(); });
    loop_->Run();
  });
}

void ControlThread::Stop() {
  if (!thread_.joinable()) return;
  loop_->Post([this] {
    stats_timer_->Stop();
    links_->Close();
  });
  loop_->Stop();
  thread_.join();
}

void ControlThread::Handle(std::string payload, ControlPort::Done done) {
  loop_->Post([this, payload = std::move(payload), done = std::move(done)]() mutable {
    HandleHere(payload, std::move(done));
  });
}

void ControlThread::HandleHere(const std::string& payload, ControlPort::Done done) {
  wire::PeerRequest request;
  if (!request.ParseFromString(payload)) {
    return done(EncodePeerError({ErrorCode::kProtocol, "malformed peer request"}));
  }
  if (request.has_push_pull()) {
    const Result<std::string> answer =
        gossip_->HandlePushPull(request.push_pull().SerializeAsString());
    wire::PeerReply reply;
    if (!answer) return done(EncodePeerError(answer.error()));
    if (!reply.mutable_push_pull()->ParseFromString(*answer)) {
      return done(EncodePeerError({ErrorCode::kInternal, "the answer cannot be encoded"}));
    }
    return done(reply.SerializeAsString());
  }
  if (request.has_confirm_down()) {
    const std::optional<NodeId> id = NodeId::FromBytes(request.confirm_down().id());
    if (!id) return done(EncodePeerError({ErrorCode::kProtocol, "question about no node"}));
    gossip_->HandleConfirmDown(*id, request.confirm_down().incarnation(), [done](bool down) {
      wire::PeerReply reply;
      reply.mutable_confirm_down()->set_down(down);
      done(reply.SerializeAsString());
    });
    return;
  }
  if (request.has_progress()) {
    wire::PeerReply reply;
    ToWire(progress(), *reply.mutable_progress());
    return done(reply.SerializeAsString());
  }
  if (request.has_metrics()) return HandlePage(NodePageKind::kMetrics, std::move(done));
  if (request.has_status()) {
    return HandlePage(
        request.status().history() ? NodePageKind::kStatusWithHistory : NodePageKind::kStatus,
        std::move(done));
  }
  coordinator_->Handle(payload, std::move(done));
}

void ControlThread::HandlePage(NodePageKind kind, ControlPort::Done done) {
  if (!page_) {
    return done(EncodePeerError({ErrorCode::kUnavailable, "this node has no pages"}));
  }
  // Made elsewhere: this thread must not fall behind.
  page_(kind, ReturnTo(*loop_, std::function<void(std::string)>(
                                   [kind, done = std::move(done)](const std::string& page) {
                                     wire::PeerReply reply;
                                     if (kind == NodePageKind::kMetrics) {
                                       reply.mutable_metrics()->set_page(page);
                                     } else {
                                       reply.mutable_status()->set_page(page);
                                     }
                                     done(reply.SerializeAsString());
                                   })));
}

void ControlThread::NoteRebalance() {
  const RebalanceSetting& setting = membership_->state().rebalance;
  if (setting == rebalance_) return;
  rebalance_ = setting;
  on_rebalance(setting);
}

// Not before it has joined: what it has then is the memory itself, or a ring of its own that may
// come to nothing.
void ControlThread::NoteRing() {
  if (!on_ring_ || !membership_->joined() || membership_->state().ring.empty()) return;
  RememberedRing ring = RingToRemember(membership_->state());
  if (ring == ring_) return;
  ring_ = std::move(ring);
  on_ring_(ring_);
}

void ControlThread::NoteSettings() {
  if (on_settings_) on_settings_(membership_->settings());
}

void ControlThread::ChangeSettings(std::vector<SettingChange> changes,
                                   std::function<void(Status)> done) {
  loop_->Post([this, changes = std::move(changes), done = std::move(done)] {
    Status outcome;
    gossip_->Perform(membership_->ChangeSettings(loop_->now(), changes, outcome));
    done(outcome);
  });
}

void ControlThread::SetEvictAfter(Duration evict_after) {
  loop_->Post([this, evict_after] {
    membership_->SetEvictAfter(evict_after);
    coordinator_->SetReturnGrace(evict_after);
  });
}

void ControlThread::SetRebalance(const RebalanceChange& change, std::function<void(Status)> done) {
  loop_->Post([this, change, done = std::move(done)] {
    gossip_->Perform(membership_->SetRebalance(loop_->now(), change));
    done({});
  });
}

void ControlThread::AskProgress(std::function<void(std::vector<NodeProgress>)> done) {
  loop_->Post([this, done = std::move(done)] {
    const ClusterState& state = membership_->state();
    gyre::AskProgress(*transport_, state.members, state.self, progress(), done);
  });
}

void ControlThread::AskPages(NodePageKind kind, std::function<void(NodePages)> done) {
  loop_->Post([this, kind, done = std::move(done)] {
    gyre::AskPages(*transport_, membership_->state(), kind, done);
  });
}

void ControlThread::OnLinkDown(const NodeId& id, std::uint64_t epoch) {
  loop_->Post([this, id, epoch] { gossip_->LinkDown(id, epoch); });
}

void ControlThread::OnLinkSilent(const NodeId& id) {
  loop_->Post([this, id] { gossip_->LinkSilent(id); });
}

void ControlThread::OnRecovered(PartitionId partition, const NodeId& node,
                                RecoveryOutcome outcome) {
  loop_->Post(
      [this, partition, node, outcome] { coordinator_->OnRecovered(partition, node, outcome); });
}

void ControlThread::OnPulled(PartitionId partition, std::uint64_t pull, bool filled) {
  loop_->Post([this, partition, pull, filled] { coordinator_->OnPulled(partition, pull, filled); });
}

void ControlThread::Drain(const NodeId& id, std::function<void(Status)> done) {
  loop_->Post([this, id, done = std::move(done)] { coordinator_->Drain(id, done); });
}

void ControlThread::Undrain(const NodeId& id, std::function<void(Status)> done) {
  loop_->Post([this, id, done = std::move(done)] { coordinator_->Undrain(id, done); });
}

void ControlThread::Remove(const NodeId& id, std::function<void(Status)> done) {
  loop_->Post([this, id, done = std::move(done)] { coordinator_->Remove(id, done); });
}

void ControlThread::BeginStop(const StopOptions& options, std::function<void()> done) {
  loop_->Post([this, options, done = std::move(done)] { coordinator_->BeginStop(options, done); });
}

void ControlThread::TakeStats() {
  last_turn_ns_.store(SteadyNow().time_since_epoch().count());
  Stats stats{membership_->stats(), membership_->settings_stats(), coordinator_->stats(),
              coordinator_->lease_stats(), coordinator_->readiness()};
  MutexLock lock(mutex_);
  stats_ = stats;
}

ControlThread::Stats ControlThread::stats() {
  MutexLock lock(mutex_);
  return stats_;
}

}  // namespace gyre
