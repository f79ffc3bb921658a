#include "worker.h"

#include <pthread.h>

#include <utility>

namespace gyre {
namespace {

thread_local EventLoop* current_loop = nullptr;

// The loops keep in empty buffers at most this fraction of the memory for clients.
constexpr std::size_t kPooledFraction = 16;

ConnectionLimits LimitsFor(const Config& config, ClientMemory& memory, Admission& admission) {
  ConnectionLimits limits;
  limits.admission = &admission;
  limits.idle_timeout = config.idle_timeout;
  // One reply with the largest value must fit.
  limits.output_bytes_max =
      std::max(limits.output_bytes_max, 2 * config.value_bytes_max + kFrameSlackBytes);
  limits.memory = &memory;
  limits.pooled_bytes_max =
      std::min(limits.pooled_bytes_max, memory.limit() / (kPooledFraction * config.threads));
  return limits;
}

CodecLimits CodecLimitsFor(const Config& config) {
  CodecLimits limits;
  limits.value_bytes_max = config.value_bytes_max;
  // MSET of many values is one request: let it hold a few of the largest.
  limits.request_bytes_max = std::min(4 * config.value_bytes_max + kFrameSlackBytes,
                                      ClientMemory::LargeOf(config.client_memory_bytes));
  return limits;
}

}  // namespace

Result<std::unique_ptr<Worker>> Worker::Create(const Config& config, EventLoop& loop,
                                               ClusterRuntime& runtime, Engine& engine,
                                               SessionRegistry& sessions, Admin& admin,
                                               ClientMemory& memory, Keyring* keys,
                                               const PauseDetector& pause_detector,
                                               Admission& admission) {
  std::unique_ptr<Worker> worker(
      new Worker(config, loop, runtime, engine, sessions, admin, memory, admission));
  if (Status listening = worker->Listen(config, keys, pause_detector); !listening) {
    return tl::unexpected(listening.error());
  }
  return worker;
}

Worker::Worker(const Config& config, EventLoop& loop, ClusterRuntime& runtime, Engine& engine,
               SessionRegistry& sessions, Admin& admin, ClientMemory& memory, Admission& admission)
    : loop_(loop),
      runtime_(runtime),
      part_(runtime.MakeWorker(loop)),
      peers_(part_.peers),
      dispatcher_(
          Services{.engine = engine,
                   .views = runtime.views(),
                   .sessions = sessions,
                   .replication = runtime.replication(),
                   .admin = admin,
                   .replicator = part_.replicator,
                   .transport = part_.transport,
                   .peers = peers_,
                   .leases = runtime.leases(),
                   .client_memory = &memory,
                   .unix_now = [&loop] { return loop.unix_now(); },
                   .steady_now = [&loop] { return loop.now(); }},
          DispatcherOptions{.write_acks = config.write_acks,
                            .replicas_stand_in = config.consistency == Consistency::kAvailable}),
      server_(loop, sessions, LimitsFor(config, memory, admission)),
      last_beat_ns_(SteadyNow().time_since_epoch().count()) {}

Worker::~Worker() = default;

Status Worker::Listen(const Config& config, Keyring* keys, const PauseDetector& pause_detector) {
  struct Port {
    std::uint16_t number;
    Protocol protocol;
    bool cluster_port;
    CodecFactory codec;
  };
  const CodecLimits limits = CodecLimitsFor(config);
  const Port ports[] = {
      {config.port, Protocol::kNative, false, MakeNativeCodecFactory(limits)},
      {config.resp_port, Protocol::kResp, false, MakeRespCodecFactory(limits)},
      {config.resp_cluster_port, Protocol::kResp, true, MakeRespCodecFactory(limits)},
      {config.memcached_port, Protocol::kMemcached, false, MakeMemcachedCodecFactory(limits)},
  };
  for (const Port& port : ports) {
    if (port.number == 0) continue;
    Status listening = server_.Listen({.host = config.host,
                                       .port = port.number,
                                       .protocol = port.protocol,
                                       .cluster_port = port.cluster_port,
                                       .codec = port.codec,
                                       .handler = &dispatcher_,
                                       .keys = port.protocol == Protocol::kNative ? keys : nullptr,
                                       .pause_detector = &pause_detector});
    if (!listening) return listening;
  }
  return {};
}

void Worker::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "gyre-worker");
    current_loop = &loop_;
    loop_.Run();
  });
}

void Worker::Stop(Duration grace) {
  loop_.Post([this, grace] {
    server_.Drain(loop_.now() + grace, [this] {
      runtime_.CloseWorker(part_);
      loop_.Stop();
    });
  });
}

void Worker::Join() {
  if (thread_.joinable()) thread_.join();
}

EventLoop* Worker::CurrentLoop() { return current_loop; }

void Worker::Beat() {
  loop_.Post([this] {
    last_beat_ns_.store(SteadyNow().time_since_epoch().count());
    server_.NotePause();
  });
}

}  // namespace gyre
