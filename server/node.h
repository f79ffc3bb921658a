// The node: every module, assembled. The members stand in dependency order, so that destruction is
// shutdown.
//
// The calling thread runs the admin loop (HTTP, signals, the watch over the workers); each worker
// has its own, and the cluster runtime two more.
#pragma once

#include <memory>
#include <vector>

#include "base/client_memory.h"
#include "base/heap_trim.h"
#include "base/pause_detector.h"
#include "cluster_net/cluster_runtime.h"
#include "cluster_net/node_signer.h"
#include "crypto/keyring.h"
#include "net/admission.h"
#include "net/event_loop.h"
#include "net/server.h"
#include "node_reporter.h"
#include "node_snapshot.h"
#include "ops/admin_http.h"
#include "ops/agent_check.h"
#include "ops/config.h"
#include "ops/config_parameters.h"
#include "ops/identity.h"
#include "ops/key_hash_file.h"
#include "ops/published_advice.h"
#include "ops/ring_file.h"
#include "ops/service_manager.h"
#include "ops/settings_file.h"
#include "ring_metrics.h"
#include "ring_status.h"
#include "scaling_watch.h"
#include "signals.h"
#include "storage/engine.h"
#include "worker.h"

namespace gyre {

class Node {
 public:
  // Opens all ports; an error is one line that says what to change. `sources`: where the configuration
  // comes from. `service_manager` outlives the node.
  static Result<std::unique_ptr<Node>> Create(const Config& config, const ConfigSources& sources,
                                              ServiceManager& service_manager);
  ~Node();

  // Serves until SIGTERM or SIGINT: then hands ownership over, finishes what is in flight, and
  // returns. A second signal cuts it short.
  void Run();

 private:
  Node(const Config& config, const ConfigSources& sources, ServiceManager& service_manager);
  Status Init();
  RestoredCopies RestoreSnapshot();
  Result<RememberedRing> RecallRing();
  std::vector<Setting> RecallSettings();
  std::shared_ptr<const KeyHash> RecallKeyHash();
  // What of the configuration may change while the node runs, and is not the log's.
  void ApplyConfig(const Config& config);
  Status CheckPorts() const;
  Status ListenHttp();
  Status ListenAgent();

  std::string MetricsPage();
  std::string PageFor(NodePageKind kind);
  void OnSignal();
  void OnReload();
  void ReadKeysAgain();
  void StopWhenAgentsKnow();
  void StopWorkers();

  void WatchWorkers();
  // The reason why the node is not ready, or empty. Once ready, it is so until it stops.
  std::string NotReady();
  std::string NotReadyYet();
  // Each loop gave a sign of life lately.
  bool LoopsAlive() const;
  void TellServiceManager();

  const Config config_;
  ServiceManager& service_manager_;
  ConfigParameters parameters_;
  Identity identity_;
  SessionRegistry sessions_;
  ClientMemory client_memory_;
  ClientMemory
      http_memory_;  // so that a node is observed, and probed, while clients have taken theirs
  HeapTrim heap_trim_;
  PauseDetector pause_detector_;
  Admission admission_;
  std::unique_ptr<EventLoop> admin_loop_;
  std::vector<std::unique_ptr<EventLoop>> worker_loops_;
  std::unique_ptr<Keyring> keys_;  // null: without --gossip-key
  std::unique_ptr<NodeSigner> signer_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<NodeSnapshot> snapshot_;
  FileWriter file_writer_;
  std::unique_ptr<RingFile> ring_file_;          // null: without --data-dir
  std::unique_ptr<SettingsFile> settings_file_;  // likewise
  std::unique_ptr<KeyHashFile> key_hash_file_;   // likewise
  std::unique_ptr<ClusterRuntime> runtime_;
  PublishedAdvice advice_;
  std::unique_ptr<NodeReporter> reporter_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<RingMetrics> ring_metrics_;
  std::unique_ptr<RingStatus> ring_status_;
  std::unique_ptr<ScalingWatch> scaling_watch_;
  AdminHttp http_;
  std::unique_ptr<Server> http_server_;
  std::unique_ptr<AgentPort> agent_port_;  // null: without --agent-port

  std::unique_ptr<Signals> signals_;
  std::unique_ptr<Timer> watch_;
  std::unique_ptr<Timer> agent_wait_;

  std::unique_ptr<Timer> pause_beat_;
  std::unique_ptr<Timer> until_ready_;

  // Admin loop only.
  bool stopping_ = false;
  bool was_ready_ = false;
};

}  // namespace gyre
