// The node's answers to INFO, CONFIG, STATUS, stats, DRAIN, REMOVE and REBALANCE (command/admin.h).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "cluster_net/cluster_runtime.h"
#include "command/admin.h"
#include "ops/config.h"
#include "ops/identity.h"
#include "ops/snapshot_stats.h"
#include "protocol/session.h"
#include "secret/keyring.h"
#include "storage/engine.h"
#include "worker.h"

namespace gyre {

// Thread-safe. Everything that it is given outlives it; `workers` does not change once they run.
class NodeAdmin final : public Admin {
 public:
  // `keys`: null without --gossip-key.
  NodeAdmin(const Config& config, const Identity& identity, SessionRegistry& sessions,
            Engine& engine, ClusterRuntime& runtime, const SnapshotStats& snapshot,
            const Keyring* keys, const std::vector<std::unique_ptr<Worker>>& workers);

  Fields Info(std::string_view section) override;
  Fields MemcachedStats(std::string_view argument) override;
  Fields ConfigGet(std::string_view pattern) override;
  Status ConfigSet(std::string_view name, std::string_view value) override;
  void ResetStats() override;
  std::string StatusJson() override;
  void Drain(const NodeId& node, Done done) override;
  void Remove(const NodeId& node, Done done) override;
  void SetRebalance(const RebalanceChange& change, Done done) override;
  void RebalanceJson(std::function<void(std::string)> done) override;

 private:
  // What CONFIG RESETSTAT sets back to 0.
  struct Counters {
    ShardStats storage;
    ServerStats server;
  };
  Counters Now();
  Counters SinceReset();
  Fields ServerFields() const;
  Fields ClientFields();
  Fields MemoryFields();
  Fields StatsFields();
  Fields Parameters() const;
  std::uint64_t StoreCalls() const;
  std::int64_t UptimeSeconds() const;

  // Immutable.
  const Config& config_;
  const Identity& identity_;
  SessionRegistry& sessions_;
  Engine& engine_;
  ClusterRuntime& runtime_;
  const SnapshotStats& snapshot_;
  const Keyring* const keys_;
  const std::vector<std::unique_ptr<Worker>>& workers_;
  const UnixMillis started_ms_;

  Mutex mutex_;
  Counters baseline_ GYRE_GUARDED_BY(mutex_);
};

}  // namespace gyre
