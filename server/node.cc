#include "node.h"

#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "base/log.h"
#include "base/memory_reserve.h"
#include "ops/gossip_key_file.h"
#include "ops/link_speed.h"
#include "ops/metrics.h"
#include "ops/open_files.h"
#include "ops/scrape_targets.h"
#include "ops/ui_assets.h"

namespace gyre {
namespace {

// After the handover, how long requests that are under way have to finish.
constexpr Duration kDrainGrace = std::chrono::seconds(3);
// What a stop takes beside --stop-timeout: the last handovers, kAgentPatience, and kDrainGrace twice.
constexpr Duration kStopSlack = std::chrono::seconds(15);
// A snapshot is written in one go, by the disk's speed.
constexpr Duration kSnapshotPatience = std::chrono::minutes(15);
constexpr Duration kBeatInterval = std::chrono::seconds(1);
// Whoever started the node waits for this.
constexpr Duration kUntilReadyInterval = std::chrono::milliseconds(25);
constexpr Duration kPauseBeatInterval = std::chrono::milliseconds(250);
// How long a stop waits, once all is handed over, for balancers to ask and hear of it.
constexpr Duration kAgentPatience = std::chrono::seconds(5);
constexpr Duration kAgentInterval = std::chrono::milliseconds(50);

// What clients of --http-port may make the node hold, beside --client-memory: some scrapes at a time.
constexpr std::size_t kHttpMemoryBytes = std::size_t{16} << 20;

// A loop that gives no sign of life for this long makes the node unhealthy.
constexpr Duration kBeatOverdue = std::chrono::seconds(10);
constexpr const char* kSilentLoop = "a loop does not answer";

// As many connections as there are files for: one too many is then refused with a reason, where
// otherwise it would wait, accepted by nobody.
Config FitToOpenFiles(Config config) {
  const std::size_t files = RaiseOpenFilesLimit();
  const bool asked = config.connections_max != 0;
  const std::size_t wanted = asked ? config.connections_max : kConnectionsDefault;
  const std::size_t room = ConnectionsWithin(files, config.threads, wanted);
  if (asked && room < wanted) {
    LogWarn(
        "the limit of open files leaves room for fewer than --max-connections: raise it (ulimit "
        "-Hn, LimitNOFILE=)",
        {{"open_files", files}, {"connections", room}, {"max_connections", wanted}});
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
                                       RememberedRing remembered, std::vector<Setting> settings,
                                       ClientMemory* memory) {
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
  options.membership.remembered_settings = std::move(settings);
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

std::uint64_t NetworkLimitOf(const Config& config) {
  return config.network_limit != 0 ? config.network_limit
                                   : LinkBytesPerSecond(config.advertise.host);
}

}  // namespace

Result<std::unique_ptr<Node>> Node::Create(const Config& config, const ConfigSources& sources,
                                           ServiceManager& service_manager) {
  std::unique_ptr<Node> node(new Node(FitToOpenFiles(config), sources, service_manager));
  if (Status ready = node->Init(); !ready) return tl::unexpected(ready.error());
  return node;
}

Node::Node(const Config& config, const ConfigSources& sources, ServiceManager& service_manager)
    : config_(config),
      service_manager_(service_manager),
      parameters_(config_, sources),
      client_memory_(config.client_memory_bytes),
      http_memory_(kHttpMemoryBytes),
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

  EngineOptions engine_options = EngineOptionsOf(config_);
  engine_options.key_hash = RecallKeyHash();
  Result<std::unique_ptr<Engine>> engine = Engine::Create(engine_options);
  if (!engine) return tl::unexpected(engine.error());
  engine_ = std::move(*engine);

  snapshot_ = std::make_unique<NodeSnapshot>(config_.data_dir,
                                             SnapshotOwner{identity_.id, config_.cluster_name});
  Result<RememberedRing> remembered = RecallRing();
  if (!remembered) return tl::unexpected(remembered.error());
  ClusterRuntimeOptions runtime_options =
      RuntimeOptionsOf(config_, identity_, keys_.get(), *signer_, std::move(*remembered),
                       RecallSettings(), &client_memory_);
  if (ring_file_ != nullptr) {
    runtime_options.on_ring = [this](const RememberedRing& ring) { ring_file_->Keep(ring); };
  }
  runtime_options.on_settings = [this](const SettingsMap& settings) {
    parameters_.TakeRing(settings);
    if (settings_file_ != nullptr) settings_file_->Keep(settings);
  };
  runtime_options.on_key_hash = [this](const std::shared_ptr<const KeyHash>& hash) {
    if (key_hash_file_ != nullptr) key_hash_file_->Keep(hash);
  };
  runtime_options.page = [this](NodePageKind kind, std::function<void(std::string)> done) {
    admin_loop_->Post([this, kind, done = std::move(done)] { done(PageFor(kind)); });
  };
  runtime_options.restored = RestoreSnapshot();
  Result<std::unique_ptr<ClusterRuntime>> runtime =
      ClusterRuntime::Create(std::move(runtime_options), *engine_);
  if (!runtime) return tl::unexpected(runtime.error());
  runtime_ = std::move(*runtime);

  reporter_ = std::make_unique<NodeReporter>(NodeParts{.config = config_,
                                                       .identity = identity_,
                                                       .snapshot = snapshot_->stats(),
                                                       .sessions = sessions_,
                                                       .engine = *engine_,
                                                       .runtime = *runtime_,
                                                       .client_memory = client_memory_,
                                                       .http_memory = http_memory_,
                                                       .pause_detector = pause_detector_,
                                                       .keys = keys_.get(),
                                                       .ring_file = ring_file_.get(),
                                                       .settings_file = settings_file_.get(),
                                                       .key_hash_file = key_hash_file_.get(),
                                                       .parameters = parameters_,
                                                       .advice = advice_,
                                                       .network_limit = NetworkLimitOf(config_),
                                                       .workers = workers_});
  for (const auto& loop : worker_loops_) {
    Result<std::unique_ptr<Worker>> worker = Worker::Create({.config = config_,
                                                             .self = identity_.id,
                                                             .runtime = *runtime_,
                                                             .engine = *engine_,
                                                             .sessions = sessions_,
                                                             .report = *reporter_,
                                                             .settings = parameters_,
                                                             .memory = client_memory_,
                                                             .keys = keys_.get(),
                                                             .pause_detector = pause_detector_,
                                                             .admission = admission_},
                                                            *loop);
    if (!worker) return tl::unexpected(worker.error());
    workers_.push_back(std::move(*worker));
  }
  parameters_.on_change = [this](const Config& config) { ApplyConfig(config); };
  ApplyConfig(parameters_.Now());
  if (Status listening = ListenHttp(); !listening) return listening;
  if (Status listening = ListenAgent(); !listening) return listening;

  Result<std::unique_ptr<Signals>> signals = Signals::Create(
      *admin_loop_, [this] { OnSignal(); }, [this] { OnReload(); });
  if (!signals) return tl::unexpected(signals.error());
  signals_ = std::move(*signals);
  watch_ = std::make_unique<Timer>(*admin_loop_);
  agent_wait_ = std::make_unique<Timer>(*admin_loop_);

  pause_beat_ = std::make_unique<Timer>(*admin_loop_);
  until_ready_ = std::make_unique<Timer>(*admin_loop_);
  // Last: where the start fails before, the snapshot stays.
  return snapshot_->Consume();
}

Result<RememberedRing> Node::RecallRing() {
  if (config_.data_dir.empty()) return RememberedRing{};
  ring_file_ = std::make_unique<RingFile>(config_.data_dir, config_.cluster_name, identity_.id,
                                          file_writer_);
  Result<std::optional<RememberedRing>> ring = ring_file_->Read();
  if (!ring && config_.join.empty()) {
    return Fail(ring.error().code,
                ring.error().message +
                    "; name nodes of the ring with --join, or delete the file to "
                    "begin a cluster");
  }
  if (!ring) {
    LogWarn("the remembered ring cannot be read: going on with --join alone",
            {{"error", ring.error().message}});
    return RememberedRing{};
  }
  if (!*ring) return RememberedRing{};
  if (const std::size_t others = (*ring)->others(identity_.id); others > 0) {
    LogInfo("going back to the ring that was left", {{"other_nodes", others}});
  }
  return std::move(**ring);
}

std::vector<Setting> Node::RecallSettings() {
  if (config_.data_dir.empty()) return {};
  settings_file_ =
      std::make_unique<SettingsFile>(config_.data_dir, config_.cluster_name, file_writer_);
  return settings_file_->Read();
}

std::shared_ptr<const KeyHash> Node::RecallKeyHash() {
  if (config_.data_dir.empty()) return nullptr;
  key_hash_file_ =
      std::make_unique<KeyHashFile>(config_.data_dir, config_.cluster_name, file_writer_);
  return key_hash_file_->Read();
}

void Node::ApplyConfig(const Config& config) {
  for (const auto& worker : workers_) worker->SetIdleTimeout(config.idle_timeout);
  runtime_->SetEvictAfter(config.evict_after);
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
      {config_.http_port, "--http-port"},
      {config_.agent_port, "--agent-port"}};
  for (const auto& [port, flag] : ports) {
    if (port == 0) continue;
    if (Status free = CheckPortFree(config_.host, port, flag); !free) return free;
  }
  return {};
}

Status Node::ListenHttp() {
  ConnectionLimits limits;
  limits.admission = &admission_;
  limits.memory = &http_memory_;
  http_server_ = std::make_unique<Server>(*admin_loop_, sessions_, limits);
  ring_metrics_ =
      std::make_unique<RingMetrics>(*runtime_, *admin_loop_, [this] { return MetricsPage(); });
  ring_status_ = std::make_unique<RingStatus>(*runtime_, *admin_loop_, *reporter_, identity_.id);
  scaling_watch_ = std::make_unique<ScalingWatch>(*admin_loop_, *ring_status_, advice_, config_);
  if (config_.http_port == 0) return {};
  http_.Route("/health", [this](const HttpRequest&) {
    return LoopsAlive() ? HttpResponse::Text(200, "ok\n")
                        : HttpResponse::Text(503, std::string(kSilentLoop) + "\n");
  });
  http_.Route("/ready", [this](const HttpRequest&) {
    const std::string reason = NotReady();
    return reason.empty() ? HttpResponse::Text(200, "ready\n")
                          : HttpResponse::Text(503, reason + "\n");
  });
  http_.RouteLate("/metrics", [this](const HttpRequest& request, auto done) {
    const auto answer = [done = std::move(done)](const std::string& page) {
      done({.status = 200, .content_type = std::string(MetricsWriter::kContentType), .body = page});
    };
    if (!HasParameter(request.query, "ring=1")) return answer(MetricsPage());
    ring_metrics_->Gather(answer);
  });
  http_.Route("/sd", [this](const HttpRequest&) {
    // Before it has joined it knows itself alone: whoever asks keeps what it was told before.
    const ClusterViewPtr view = runtime_->views().Load();
    if (view == nullptr || !was_ready_) return HttpResponse::Text(503, "not yet in the cluster\n");
    return HttpResponse::Json(200, ScrapeTargetsJson(*view, config_.cluster_name) + "\n");
  });
  http_.Route("/status", [this](const HttpRequest&) {
    return HttpResponse::Json(200, reporter_->StatusJson() + "\n");
  });
  RouteUi(http_, [this](const HttpRequest& request, auto done) {
    ring_status_->Gather(HasParameter(request.query, "history=1"),
                         [done = std::move(done)](const std::string& json) {
                           done(HttpResponse::Json(200, json + "\n"));
                         });
  });
  return http_server_->Listen({.host = config_.host,
                               .port = config_.http_port,
                               .protocol = Protocol::kHttp,
                               .cluster_port = false,
                               .codec = MakeHttpCodecFactory({}),
                               .handler = &http_});
}

Status Node::ListenAgent() {
  if (config_.agent_port == 0) return {};
  auto agent = AgentPort::Open(*admin_loop_, config_.host, config_.agent_port, [this] {
    return AgentState{.leaves = stopping_ || runtime_->stats().readiness.drained,
                      .not_ready = NotReady(),
                      .busy_ratio = reporter_->BusyRatio()};
  });
  if (!agent) return tl::unexpected(agent.error());
  agent_port_ = std::move(*agent);
  return {};
}

std::string Node::PageFor(NodePageKind kind) {
  if (kind == NodePageKind::kMetrics) return MetricsPage();
  return reporter_->OwnStatusJson(kind == NodePageKind::kStatusWithHistory);
}

std::string Node::MetricsPage() { return reporter_->Metrics(NotReady().empty()); }

void Node::Run() {
  for (const auto& worker : workers_) worker->Start();
  if (Status started = runtime_->Start(); !started) {
    LogError("cannot start the cluster runtime", {{"error", started.error().message}});
    StopWorkers();
  } else {
    LogInfo("serving", {{"name", config_.name},
                        {"id", identity_.id.ToString()},
                        {"host", config_.host},
                        {"port", config_.port},
                        {"advertise", FormatHostPort(config_.advertise)},
                        {"resp_port", config_.resp_port},
                        {"resp_cluster_port", config_.resp_cluster_port},
                        {"memcached_port", config_.memcached_port},
                        {"http_port", config_.http_port},
                        {"memory_mib", config_.memory_bytes >> 20},
                        {"threads", config_.threads}});
  }
  watch_->Start(kBeatInterval, kBeatInterval, [this] { WatchWorkers(); });
  pause_beat_->Start(Duration{}, kPauseBeatInterval, [this, seen = 0U]() mutable {
    pause_detector_.Beat(SteadyNow());
    MemoryReserve::Renew();
    if (heap_trim_.Due(SteadyNow(), client_memory_.used())) malloc_trim(0);
    reporter_->Sample(SteadyNow());
    // At once after a pause: what clients send later did not wait through it.
    const std::uint32_t pauses = pause_detector_.Pauses(SteadyNow());
    if (pauses != std::exchange(seen, pauses)) WatchWorkers();
    TellServiceManager();
  });
  scaling_watch_->Start();
  until_ready_->Start(kUntilReadyInterval, kUntilReadyInterval, [this] {
    if (was_ready_) return until_ready_->Stop();
    TellServiceManager();
  });
  admin_loop_->Run();
  for (const auto& worker : workers_) worker->Join();
  runtime_->Stop();
  if (config_.snapshot_on_exit) {
    signals_.reset();  // another signal ends the process, and the writing with it
    service_manager_.ExtendStop(kSnapshotPatience);
    snapshot_->Write(*engine_);
  }
  LogInfo("stopped");
}

void Node::OnSignal() {
  if (std::exchange(stopping_, true)) {
    LogWarn("second signal: stopping at once");
    StopWorkers();
    return;
  }
  LogInfo("stopping: handing over what this node owns");
  const Duration stop_timeout = parameters_.Now().stop_timeout;
  service_manager_.BeginStop(stop_timeout + kStopSlack);
  // Workers go on serving, so that clients see nothing while ownership moves.
  const StopOptions options{stop_timeout, config_.snapshot_on_exit};
  runtime_->BeginStop(options, [this] { admin_loop_->Post([this] { StopWhenAgentsKnow(); }); });
}

// A balancer that has not heard of the stop would send clients to closed ports.
void Node::StopWhenAgentsKnow() {
  if (agent_port_ == nullptr || agent_port_->AllKnow()) return StopWorkers();
  agent_wait_->Start(kAgentInterval, kAgentInterval, [this, end = SteadyNow() + kAgentPatience] {
    if (!agent_port_->AllKnow() && SteadyNow() < end) return;
    agent_wait_->Stop();
    StopWorkers();
  });
}

void Node::OnReload() {
  service_manager_.BeginReload(SteadyNow());
  ReadKeysAgain();
  service_manager_.EndReload();
}

// Rotation of the key without a restart.
void Node::ReadKeysAgain() {
  if (keys_ == nullptr) {
    LogInfo("SIGHUP: there is nothing to read again (it is for --gossip-key)");
    return;
  }
  Result<std::vector<GossipKey>> keys = ReadGossipKeyFile(config_.gossip_key);
  if (!keys) {
    LogError("the gossip keys stay as they were", {{"error", keys.error().message}});
    return;
  }
  keys_->Replace(std::move(*keys));
  LogInfo("gossip keys read again, the one to send with first",
          {{"fingerprints", keys_->Fingerprints()}});
}

void Node::StopWorkers() {
  for (const auto& worker : workers_) worker->Stop(kDrainGrace);
  http_server_->Drain(admin_loop_->now() + kDrainGrace, [this] { admin_loop_->Stop(); });
}

void Node::WatchWorkers() {
  for (const auto& worker : workers_) worker->Beat();
  (void)NotReady();  // that it became ready is noted, asked or not
}

bool Node::LoopsAlive() const {
  const TimePoint overdue = SteadyNow() - kBeatOverdue;
  return runtime_->last_turn() > overdue &&
         std::all_of(workers_.begin(), workers_.end(),
                     [&](const auto& worker) { return worker->last_beat() > overdue; });
}

// What they say is what /ready and /health say. While a stop goes on the loops still turn, and end one
// by one at its end.
void Node::TellServiceManager() {
  if (stopping_ || LoopsAlive()) service_manager_.Alive(SteadyNow());
  if (stopping_) return;
  if (const std::string reason = NotReady(); !reason.empty()) service_manager_.Waits(reason);
}

std::string Node::NotReady() {
  if (stopping_) return "stopping";
  if (runtime_->stats().readiness.drained) was_ready_ = false;  // undrained, it fills first
  std::string reason = was_ready_ ? "" : NotReadyYet();
  if (!reason.empty()) return reason;
  was_ready_ = true;
  if (!LoopsAlive()) return kSilentLoop;
  service_manager_.Ready();
  return "";
}

std::string Node::NotReadyYet() {
  const ClusterStats stats = runtime_->stats();
  if (std::string reason = WaitsFor(stats.readiness); !reason.empty()) return reason;
  const ClusterViewPtr view = runtime_->views().Load();
  if (view == nullptr || view->self == kNoMember) return "not yet in the cluster";
  if (stats.majority && (stats.leases.held < stats.leases.claims || stats.leases.majority == 0)) {
    return "this node does not see a majority of the ring (--consistency majority)";
  }
  return "";
}

}  // namespace gyre
