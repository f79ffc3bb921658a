#include "worker.h"

#include <pthread.h>

#include <utility>

namespace gyre {
namespace {

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

Result<std::unique_ptr<Worker>> Worker::Create(const WorkerShared& shared, EventLoop& loop) {
  std::unique_ptr<Worker> worker(new Worker(shared, loop));
  if (Status listening = worker->Listen(shared); !listening) {
    return tl::unexpected(listening.error());
  }
  return worker;
}

Worker::Worker(const WorkerShared& shared, EventLoop& loop)
    : loop_(loop),
      runtime_(shared.runtime),
      part_(shared.runtime.MakeWorker(loop)),
      peers_(part_.peers),
      operator_(shared.runtime, loop, shared.self),
      dispatcher_(Services{.engine = shared.engine,
                           .views = shared.runtime.views(),
                           .sessions = shared.sessions,
                           .replication = shared.runtime.replication(),
                           .report = shared.report,
                           .settings = shared.settings,
                           .replicator = part_.replicator,
                           .transport = part_.transport,
                           .peers = peers_,
                           .ring = operator_,
                           .client_memory = &shared.memory,
                           .unix_now = [&loop] { return loop.unix_now(); },
                           .steady_now = [&loop] { return loop.now(); }},
                  DispatcherOptions{
                      .write_acks = shared.config.write_acks,
                      .replicas_stand_in = shared.config.consistency == Consistency::kAvailable}),
      server_(loop, shared.sessions, LimitsFor(shared.config, shared.memory, shared.admission)),
      last_beat_ns_(SteadyNow().time_since_epoch().count()) {}

Worker::~Worker() = default;

Status Worker::Listen(const WorkerShared& shared) {
  const Config& config = shared.config;
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
    Status listening =
        server_.Listen({.host = config.host,
                        .port = port.number,
                        .protocol = port.protocol,
                        .cluster_port = port.cluster_port,
                        .codec = port.codec,
                        .handler = &dispatcher_,
                        .keys = port.protocol == Protocol::kNative ? shared.keys : nullptr,
                        .proxied = config.proxy_protocol && port.protocol != Protocol::kNative,
                        .pause_detector = &shared.pause_detector});
    if (!listening) return listening;
  }
  return {};
}

void Worker::Start() {
  thread_ = std::thread([this] {
    pthread_setname_np(pthread_self(), "gyre-worker");
    loop_.Run();
  });
}

void Worker::SetIdleTimeout(Duration timeout) {
  loop_.Post([this, timeout] { server_.SetIdleTimeout(timeout); });
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

void Worker::Beat() {
  loop_.Post([this] {
    last_beat_ns_.store(SteadyNow().time_since_epoch().count());
    server_.NotePause();
  });
}

}  // namespace gyre
