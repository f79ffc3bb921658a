#include "node.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/memory_reserve.h"
#include "ops/cluster_metrics.h"
#include "ops/gossip_key_file.h"
#include "ops/open_files.h"

namespace gyre {
namespace {

// After the handover, how long requests that are under way have to finish.
constexpr Duration kDrainGrace = std::chrono::seconds(3);
constexpr Duration kBeatInterval = std::chrono::seconds(1);
constexpr Duration kPauseBeatInterval = std::chrono::milliseconds(250);
// A worker that gives no sign of life for this long makes the node unhealthy.
constexpr Duration kBeatOverdue = std::chrono::seconds(10);

// As many connections as there are files for: one too many is then refused with a reason, where
// otherwise it would wait, accepted by nobody.
Config FitToOpenFiles(Config config) {
  const std::size_t files = RaiseOpenFilesLimit();
  const bool asked = config.connections_max != 0;
  const std::size_t wanted = asked ? config.connections_max : kConnectionsDefault;
  const std::size_t room = ConnectionsWithin(files, config.threads, wanted);
  if (asked && room < wanted) {
    GYRE_LOG_WARN(
        "the limit of {} open files leaves room for {} connections, fewer than --max-connections "
        "{}: raise it (ulimit -Hn, LimitNOFILE=)",
        files, room, wanted);
  }
  config.connections_max = room;
  return config;
}

MemberInfo SelfOf(const Config& config, const Identity& identity) {
  MemberInfo self;
  self.id = identity.id;
  self.name = config.name;
  self.host = config.advertise.host;
  self.port = config.advertise.port;
  self.resp_port = config.resp_port;
  self.resp_cluster_port = config.resp_cluster_port;
  self.memcached_port = config.memcached_port;
  self.http_port = config.http_port;
  self.zone = config.zone;
  self.weight = config.weight;
  self.incarnation = identity.incarnation;
  return self;
}

EngineOptions EngineOptionsOf(const Config& config) {
  EngineOptions options;
  options.memory_bytes = config.memory_bytes;
  options.value_bytes_max = config.value_bytes_max;
  options.partition_count = config.partitions;
  options.threads = config.threads;
  options.tombstone_ttl_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(config.tombstone_ttl).count();
  return options;
}

ClusterRuntimeOptions RuntimeOptionsOf(const Config& config, const Identity& identity,
                                       Keyring* keys, const Signer& signer,
                                       RememberedRing remembered, ClientMemory* memory) {
  ClusterRuntimeOptions options;
  options.self = SelfOf(config, identity);
  options.listen = {config.host, config.port};
  options.membership.cluster_name = config.cluster_name;
  options.membership.evict_after = config.evict_after;
  options.membership.majority = config.consistency == Consistency::kMajority;
  options.membership.seed = std::hash<NodeId>{}(identity.id) ^ identity.incarnation;
  options.membership.wall_clock = [] {
    return std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::system_clock::now().time_since_epoch());
  };
  for (const HostPort& seed : config.join) options.seeds.push_back({seed.host, seed.port});
  for (const RememberedMember& member : remembered.members) {
    if (options.seeds.size() == kSeedsMax) break;
    const Address last{member.host, member.port};
    const bool known =
        std::find(options.seeds.begin(), options.seeds.end(), last) != options.seeds.end();
    if (!known && !member.entry.removed && member.entry.id != identity.id) {
      options.seeds.push_back(last);
    }
  }
  options.membership.remembered = std::move(remembered);
  options.replicator.replicas = config.replicas;
  options.replicator.write_acks = config.write_acks;
  options.keys = keys;
  options.signer = &signer;
  options.client_memory = memory;
  options.link_queue_bytes_max =
      std::min(options.link_queue_bytes_max,
               std::max(memory->limit() / 4, 2 * config.value_bytes_max + kFrameSlackBytes));
  options.transfer_bytes_per_second = config.rebalance_limit;
  return options;
}

}  // namespace

Result<std::unique_ptr<Node>> Node::Create(const Config& config) {
  std::unique_ptr<Node> node(new Node(FitToOpenFiles(config)));
  if (Status ready = node->Init(); !ready) return tl::unexpected(ready.error());
  return node;
}

Node::Node(const Config& config)
    : config_(config),
      client_memory_(config.client_memory_bytes),
      admission_(config.connections_max, config.connections_of_address_max) {}

Node::~Node() {
  // Workers that never ran, because a later step of the start failed.
  for (const auto& worker : workers_) worker->Join();
}

Status Node::Init() {
  if (!config_.gossip_key.empty()) {
    Result<std::vector<GossipKey>> keys = ReadGossipKeyFile(config_.gossip_key);
    if (!keys) return tl::unexpected(keys.error());
    keys_ = std::make_unique<Keyring>(std::move(*keys));
  }
  if (Status free = CheckPorts(); !free) return free;
  Result<Identity> identity = LoadIdentity(config_.data_dir, UnixNow());
  if (!identity) return tl::unexpected(identity.error());
  identity_ = *identity;
  signer_ = std::make_unique<NodeSigner>(identity_.seed);

  for (std::uint32_t i = 0; i <= config_.threads; ++i) {
    Result<std::unique_ptr<EventLoop>> loop = EventLoop::Create();
    if (!loop) return tl::unexpected(loop.error());
    if (i == 0) {
      admin_loop_ = std::move(*loop);
    } else {
      worker_loops_.push_back(std::move(*loop));
    }
  }

  Result<std::unique_ptr<Engine>> engine = Engine::Create(EngineOptionsOf(config_));
  if (!engine) return tl::unexpected(engine.error());
  engine_ = std::move(*engine);

  snapshot_ = std::make_unique<NodeSnapshot>(config_.data_dir,
                                             SnapshotOwner{identity_.id, config_.cluster_name});
  Result<RememberedRing> remembered = RecallRing();
  if (!remembered) return tl::unexpected(remembered.error());
  ClusterRuntimeOptions runtime_options = RuntimeOptionsOf(
      config_, identity_, keys_.get(), *signer_, std::move(*remembered), &client_memory_);
  if (ring_file_ != nullptr) {
    runtime_options.on_ring = [this](const RememberedRing& ring) { ring_file_->Keep(ring); };
  }
  runtime_options.restored = RestoreSnapshot();
  Result<std::unique_ptr<ClusterRuntime>> runtime =
      ClusterRuntime::Create(std::move(runtime_options), *engine_);
  if (!runtime) return tl::unexpected(runtime.error());
  runtime_ = std::move(*runtime);

  admin_ = std::make_unique<NodeAdmin>(config_, identity_, sessions_, *engine_, *runtime_,
                                       snapshot_->stats(), client_memory_, keys_.get(), workers_);
  for (const auto& loop : worker_loops_) {
    Result<std::unique_ptr<Worker>> worker =
        Worker::Create(config_, *loop, *runtime_, *engine_, sessions_, *admin_, client_memory_,
                       keys_.get(), pause_detector_, admission_);
    if (!worker) return tl::unexpected(worker.error());
    workers_.push_back(std::move(*worker));
  }
  if (Status listening = ListenHttp(); !listening) return listening;

  Result<std::unique_ptr<Signals>> signals = Signals::Create(
      *admin_loop_, [this] { OnSignal(); }, [this] { OnReload(); });
  if (!signals) return tl::unexpected(signals.error());
  signals_ = std::move(*signals);
  watch_ = std::make_unique<Timer>(*admin_loop_);
  pause_beat_ = std::make_unique<Timer>(*admin_loop_);
  // Last: where the start fails before, the snapshot stays.
  return snapshot_->Consume();
}

Result<RememberedRing> Node::RecallRing() {
  if (config_.data_dir.empty()) return RememberedRing{};
  ring_file_ = std::make_unique<RingFile>(config_.data_dir, config_.cluster_name, identity_.id);
  Result<std::optional<RememberedRing>> ring = ring_file_->Read();
  if (!ring && config_.join.empty()) {
    return Fail(ring.error().code,
                ring.error().message +
                    "; name nodes of the ring with --join, or delete the file to "
                    "begin a cluster");
  }
  if (!ring) {
    GYRE_LOG_WARN("{}; going on with --join alone", ring.error().message);
    return RememberedRing{};
  }
  if (!*ring) return RememberedRing{};
  if (const std::size_t others = (*ring)->others(identity_.id); others > 0) {
    GYRE_LOG_INFO("going back to the ring that was left, other nodes={}", others);
  }
  return std::move(**ring);
}

RestoredCopies Node::RestoreSnapshot() {
  RestoredCopies copies;
  const std::optional<RestoredSnapshot> restored = snapshot_->Restore(*engine_);
  if (!restored) return copies;
  copies.as_of = restored->as_of;
  copies.partitions = PartitionSet(config_.partitions);
  for (PartitionId partition : restored->partitions) copies.partitions.Set(partition);
  return copies;
}

Status Node::CheckPorts() const {
  const std::pair<std::uint16_t, const char*> ports[] = {
      {config_.port, "--port"},
      {config_.resp_port, "--resp-port"},
      {config_.resp_cluster_port, "--resp-cluster-port"},
      {config_.memcached_port, "--memcached-port"},
      {config_.http_port, "--http-port"}};
  for (const auto& [port, flag] : ports) {
    if (port == 0) continue;
    if (Status free = CheckPortFree(config_.host, port, flag); !free) return free;
  }
  return {};
}

Status Node::ListenHttp() {
  ConnectionLimits limits;
  limits.admission = &admission_;
  limits.memory = &client_memory_;
  http_server_ = std::make_unique<Server>(*admin_loop_, sessions_, limits);
  if (config_.http_port == 0) return {};
  http_.Route("/health", [this](const HttpRequest&) {
    return WorkersAlive() ? HttpResponse::Text(200, "ok\n")
                          : HttpResponse::Text(503, "a worker loop does not answer\n");
  });
  http_.Route("/ready", [this](const HttpRequest&) {
    const std::string reason = NotReady();
    return reason.empty() ? HttpResponse::Text(200, "ready\n")
                          : HttpResponse::Text(503, reason + "\n");
  });
  http_.Route("/metrics", [this](const HttpRequest&) {
    return HttpResponse{200, std::string(MetricsWriter::kContentType), Metrics()};
  });
  http_.Route("/status", [this](const HttpRequest&) {
    return HttpResponse::Json(200, admin_->StatusJson() + "\n");
  });
  return http_server_->Listen({.host = config_.host,
                               .port = config_.http_port,
                               .protocol = Protocol::kHttp,
                               .cluster_port = false,
                               .codec = MakeHttpCodecFactory({}),
                               .handler = &http_});
}

void Node::Run() {
  for (const auto& worker : workers_) worker->Start();
  if (Status started = runtime_->Start(); !started) {
    GYRE_LOG_ERROR("cannot start the cluster runtime: {}", started.error().message);
    StopWorkers();
  } else {
    GYRE_LOG_INFO(
        "serving name={} id={} host={} port={} advertise={}:{} resp={} resp-cluster={} "
        "memcached={} http={} "
        "memory_mib={} threads={}",
        config_.name, identity_.id.ToString(), config_.host, config_.port, config_.advertise.host,
        config_.advertise.port, config_.resp_port, config_.resp_cluster_port,
        config_.memcached_port, config_.http_port, config_.memory_bytes >> 20, config_.threads);
  }
  watch_->Start(kBeatInterval, kBeatInterval, [this] { WatchWorkers(); });
  pause_beat_->Start(Duration{}, kPauseBeatInterval, [this, seen = 0U]() mutable {
    pause_detector_.Beat(SteadyNow());
    MemoryReserve::Renew();
    if (heap_trim_.Due(SteadyNow(), client_memory_.used())) malloc_trim(0);
    admin_->Sample(SteadyNow());
    // At once after a pause: what clients send later did not wait through it.
    const std::uint32_t pauses = pause_detector_.Pauses(SteadyNow());
    if (pauses != std::exchange(seen, pauses)) WatchWorkers();
  });
  admin_loop_->Run();
  for (const auto& worker : workers_) worker->Join();
  runtime_->Stop();
  if (config_.snapshot_on_exit) {
    signals_.reset();  // another signal ends the process, and the writing with it
    snapshot_->Write(*engine_);
  }
  GYRE_LOG_INFO("stopped");
}

void Node::OnSignal() {
  if (std::exchange(stopping_, true)) {
    GYRE_LOG_WARN("second signal: stopping at once");
    StopWorkers();
    return;
  }
  GYRE_LOG_INFO("stopping: handing over what this node owns");
  // Workers go on serving, so that clients see nothing while ownership moves.
  const StopOptions options{config_.stop_timeout, config_.snapshot_on_exit};
  runtime_->BeginStop(options, [this] { admin_loop_->Post([this] { StopWorkers(); }); });
}

// Rotation of the key without a restart.
void Node::OnReload() {
  if (keys_ == nullptr) {
    GYRE_LOG_INFO("SIGHUP: there is nothing to read again (it is for --gossip-key)");
    return;
  }
  Result<std::vector<GossipKey>> keys = ReadGossipKeyFile(config_.gossip_key);
  if (!keys) {
    GYRE_LOG_ERROR("the gossip keys stay as they were: {}", keys.error().message);
    return;
  }
  keys_->Replace(std::move(*keys));
  GYRE_LOG_INFO("gossip keys read again, the one to send with first fingerprints={}",
                keys_->Fingerprints());
}

void Node::StopWorkers() {
  for (const auto& worker : workers_) worker->Stop(kDrainGrace);
  http_server_->Drain(admin_loop_->now() + kDrainGrace, [this] { admin_loop_->Stop(); });
}

void Node::WatchWorkers() {
  for (const auto& worker : workers_) worker->Beat();
  (void)NotReady();  // that it became ready is noted, asked or not
}

bool Node::WorkersAlive() const {
  const TimePoint overdue = SteadyNow() - kBeatOverdue;
  return std::all_of(workers_.begin(), workers_.end(),
                     [&](const auto& worker) { return worker->last_beat() > overdue; });
}

std::string Node::NotReady() {
  if (stopping_) return "stopping";
  if (runtime_->stats().readiness.drained) was_ready_ = false;  // undrained, it fills first
  std::string reason = was_ready_ ? "" : NotReadyYet();
  if (!reason.empty()) return reason;
  was_ready_ = true;
  return WorkersAlive() ? "" : "a worker loop does not answer";
}

std::string Node::NotReadyYet() {
  const ClusterStats stats = runtime_->stats();
  if (std::string reason = WaitsFor(stats.readiness); !reason.empty()) return reason;
  const ClusterViewPtr view = runtime_->views().Load();
  if (view == nullptr || view->self == kNoMember) return "not yet in the cluster";
  if (stats.majority && (stats.leases.held < stats.leases.claims || !stats.leases.majority)) {
    return "this node does not see a majority of the ring (--consistency majority)";
  }
  return "";
}

std::string Node::Metrics() {
  std::vector<ServerStats> servers;
  std::vector<DurationHistogram::Snapshot> busy;
  for (const auto& worker : workers_) {
    servers.push_back(worker->server_stats());
    busy.push_back(worker->busy());
  }
  const ClusterStats cluster = runtime_->stats();
  MetricsWriter out;
  WriteProcessMetrics(GYRE_VERSION, pause_detector_.Pauses(SteadyNow()), out);
  WriteShardMetrics(engine_->stats(), out);
  WriteServerMetrics(servers, out);
  WriteClientMemoryMetrics(client_memory_, out);
  WriteLoopMetrics(busy, out);
  WriteMembershipMetrics(cluster.membership, out);
  if (keys_ != nullptr) WriteCryptoMetrics(keys_->stats(), out);
  WriteReplicatorMetrics({cluster.replication}, out);
  WriteClusterMetrics(cluster, out);
  WriteSnapshotMetrics(snapshot_->stats(), out);
  if (ring_file_ != nullptr) WriteRingFileMetrics(ring_file_->stats(), out);
  out.Gauge("gyre_ready", "1 where /ready says 200.", NotReady().empty() ? 1 : 0);
  if (const ClusterViewPtr view = runtime_->views().Load(); view != nullptr) {
    WriteViewMetrics(*view, out);
  }
  return out.Take();
}

}  // namespace gyre
