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
#include "node_admin.h"
#include "node_snapshot.h"
#include "ops/admin_http.h"
#include "ops/config.h"
#include "ops/identity.h"
#include "ops/ring_file.h"
#include "signals.h"
#include "storage/engine.h"
#include "worker.h"

namespace gyre {

class Node {
 public:
  // Opens all ports; an error is one line that says what to change.
  static Result<std::unique_ptr<Node>> Create(const Config& config);
  ~Node();

  // Serves until SIGTERM or SIGINT: then hands ownership over, finishes what is in flight, and
  // returns. A second signal cuts it short.
  void Run();

 private:
  explicit Node(const Config& config);
  Status Init();
  RestoredCopies RestoreSnapshot();
  Result<RememberedRing> RecallRing();
  Status CheckPorts() const;
  Status ListenHttp();
  void OnSignal();
  void OnReload();
  void StopWorkers();
  void WatchWorkers();
  // The reason why the node is not ready, or empty. Once ready, it is so until it stops.
  std::string NotReady();
  std::string NotReadyYet();
  bool WorkersAlive() const;
  std::string Metrics();

  const Config config_;
  Identity identity_;
  SessionRegistry sessions_;
  ClientMemory client_memory_;
  HeapTrim heap_trim_;
  PauseDetector pause_detector_;
  Admission admission_;
  std::unique_ptr<EventLoop> admin_loop_;
  std::vector<std::unique_ptr<EventLoop>> worker_loops_;
  std::unique_ptr<Keyring> keys_;  // null: without --gossip-key
  std::unique_ptr<NodeSigner> signer_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<NodeSnapshot> snapshot_;
  std::unique_ptr<RingFile> ring_file_;  // null: without --data-dir
  std::unique_ptr<ClusterRuntime> runtime_;
  std::unique_ptr<NodeAdmin> admin_;
  std::vector<std::unique_ptr<Worker>> workers_;
  AdminHttp http_;
  std::unique_ptr<Server> http_server_;
  std::unique_ptr<Signals> signals_;
  std::unique_ptr<Timer> watch_;
  std::unique_ptr<Timer> pause_beat_;

  // Admin loop only.
  bool stopping_ = false;
  bool was_ready_ = false;
};

}  // namespace gyre
