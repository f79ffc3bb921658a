// The node's answers to INFO, CONFIG, STATUS, stats, DRAIN, REMOVE and REBALANCE (command/admin.h).
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "cluster_net/cluster_runtime.h"
#include "command/admin.h"
#include "crypto/keyring.h"
#include "ops/config.h"
#include "ops/identity.h"
#include "ops/snapshot_stats.h"
#include "protocol/session.h"
#include "storage/engine.h"
#include "worker.h"

namespace gyre {

// Thread-safe. Everything that it is given outlives it; `workers` does not change once they run.
class NodeAdmin final : public Admin {
 public:
  // `keys`: null without --gossip-key.
  NodeAdmin(const Config& config, const Identity& identity, SessionRegistry& sessions,
            Engine& engine, ClusterRuntime& runtime, const SnapshotStats& snapshot,
            const ClientMemory& memory, const Keyring* keys,
            const std::vector<std::unique_ptr<Worker>>& workers);

  Fields Info(std::string_view section) override;
  std::optional<Fields> MemcachedStats(std::string_view argument) override;
  Fields ConfigGet(std::string_view pattern) override;
  Status ConfigSet(const Changes& changes) override;
  void ResetStats() override;
  std::string StatusJson() override;
  void Drain(const NodeId& node, Done done) override;
  void Undrain(const NodeId& node, Done done) override;
  void Remove(const NodeId& node, Done done) override;
  std::string RestartCheckJson(const NodeId& node) override;
  void SetRebalance(const RebalanceChange& change, Done done) override;
  void RebalanceJson(std::function<void(std::string)> done) override;

  // To be called a few times a second: for rates and the peak of memory. Any thread.
  void Sample(TimePoint now);

 private:
  // What CONFIG RESETSTAT sets back to 0.
  struct Counters {
    ShardStats storage;
    ServerStats server;
    std::vector<CommandCounts> commands;  // by Command::index
  };
  struct Traffic {
    TimePoint at{};
    std::uint64_t requests = 0;
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
  };
  // A second.
  struct Rates {
    double requests = 0;
    double bytes_in = 0;
    double bytes_out = 0;
  };
  Counters Now();
  Counters SinceReset();
  Rates CurrentRates();

  // node_info.cc
  Fields ServerFields() const;
  Fields ClientFields();
  Fields MemoryFields();
  Fields PersistenceFields() const;
  Fields StatsFields();
  Fields MemcachedGeneral();
  Fields MemcachedSettings() const;
  Fields MemcachedSlabs();
  Fields MemcachedConnections();
  // node_config.cc
  struct Parameter;
  std::vector<Parameter> Parameters() const;
  std::int64_t UptimeSeconds() const;

  // Immutable.
  const Config& config_;
  const Identity& identity_;
  SessionRegistry& sessions_;
  Engine& engine_;
  ClusterRuntime& runtime_;
  const SnapshotStats& snapshot_;
  const ClientMemory& client_memory_;
  const Keyring* const keys_;
  const std::vector<std::unique_ptr<Worker>>& workers_;
  const UnixMillis started_ms_;

  Mutex mutex_;
  Counters baseline_ GYRE_GUARDED_BY(mutex_);
  std::array<Traffic, 16> samples_ GYRE_GUARDED_BY(mutex_);
  std::size_t sampled_ GYRE_GUARDED_BY(mutex_) = 0;
  std::uint64_t used_bytes_peak_ GYRE_GUARDED_BY(mutex_) = 0;
};

}  // namespace gyre
