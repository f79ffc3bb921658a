// One worker: a loop, its thread, and everything that runs on it. A request is answered on the loop
// that read it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <thread>

#include "base/client_memory.h"
#include "base/clock.h"
#include "cluster_net/cluster_runtime.h"
#include "command/dispatcher.h"
#include "net/admission.h"
#include "net/event_loop.h"
#include "net/server.h"
#include "ops/config.h"
#include "proto/node_id.h"
#include "ring_operator.h"

namespace gyre {

// What all workers work with.
struct WorkerShared {
  const Config& config;
  const NodeId& self;
  ClusterRuntime& runtime;
  Engine& engine;
  SessionRegistry& sessions;
  NodeReport& report;
  NodeSettings& settings;
  ClientMemory& memory;
  Keyring* keys;  // null: none
  const PauseDetector& pause_detector;
  Admission& admission;
};

class Worker {
 public:
  // Makes the loop's part of the cluster, and opens the ports of the configuration. All that
  // `shared` refers to outlives the worker.
  static Result<std::unique_ptr<Worker>> Create(const WorkerShared& shared, EventLoop& loop);
  // After Join.
  ~Worker();

  void Start();
  // Stops listening, answers what came in, closes, and ends the loop; at `grace` from now whatever
  // is left is cut. Any thread.
  void Stop(Duration grace);
  void Join();

  // Any thread; in a moment, for all its clients.
  void SetIdleTimeout(Duration timeout);

  // Any thread.
  ServerStats server_stats() const { return server_.stats(); }
  TrafficByAsker traffic() const { return server_.traffic(); }
  DurationHistogram::Snapshot busy() const { return loop_.busy(); }
  const Dispatcher& dispatcher() const { return dispatcher_; }
  // Asks the loop for a sign of life (`last_beat` is when it last gave one), and to look what waited
  // through a pause.
  void Beat();
  TimePoint last_beat() const { return TimePoint(Duration(last_beat_ns_.load())); }

 private:
  // PeerService behind the contract of the command module.
  class Peers final : public PeerHandler {
   public:
    explicit Peers(PeerService& service) : service_(service) {}
    void Handle(std::string_view payload, std::optional<NodeId>& speaker,
                std::function<void(std::string)> reply) override {
      service_.Receive(payload, speaker, std::move(reply));
    }

   private:
    PeerService& service_;
  };

  Worker(const WorkerShared& shared, EventLoop& loop);
  Status Listen(const WorkerShared& shared);

  // Immutable after construction; in dependency order, so that destruction is shutdown.
  EventLoop& loop_;
  ClusterRuntime& runtime_;
  WorkerPart& part_;
  Peers peers_;
  RuntimeOperator operator_;
  Dispatcher dispatcher_;
  Server server_;

  std::atomic<Duration::rep> last_beat_ns_;
  std::thread thread_;
};

}  // namespace gyre
