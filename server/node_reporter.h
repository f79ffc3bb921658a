// Gathers what a node counts and how it stands, for those who word it (ops: info_report.h,
// memcached_report.h, status_report.h, metrics_page.h).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/client_memory.h"
#include "base/clock.h"
#include "base/pause_detector.h"
#include "cluster_net/cluster_runtime.h"
#include "command/admin.h"
#include "crypto/keyring.h"
#include "ops/config.h"
#include "ops/config_parameters.h"
#include "ops/figure_history.h"
#include "ops/identity.h"
#include "ops/info_report.h"
#include "ops/key_hash_file.h"
#include "ops/published_advice.h"
#include "ops/recent_traffic.h"
#include "ops/ring_file.h"
#include "ops/settings_file.h"
#include "ops/snapshot_stats.h"
#include "ops/stats_history.h"
#include "ops/status_report.h"
#include "protocol/session.h"
#include "storage/engine.h"
#include "worker.h"

namespace gyre {

// The parts of the node that it asks; all outlive it. `workers` does not change once they run.
struct NodeParts {
  const Config& config;
  const Identity& identity;
  const SnapshotStats& snapshot;
  SessionRegistry& sessions;
  Engine& engine;
  ClusterRuntime& runtime;
  const ClientMemory& client_memory;
  const ClientMemory& http_memory;
  const PauseDetector& pause_detector;
  const Keyring* keys;                // null: without --gossip-key
  const RingFile* ring_file;          // null: without --data-dir
  const SettingsFile* settings_file;  // likewise
  const KeyHashFile* key_hash_file;   // likewise
  const ConfigParameters& parameters;
  const PublishedAdvice& advice;
  const std::uint64_t network_limit;  // bytes a second of its link, each way; 0: not known
  const std::vector<std::unique_ptr<Worker>>& workers;
};

// Thread-safe.
class NodeReporter final : public NodeReport {
 public:
  explicit NodeReporter(const NodeParts& node) : node_(node), started_(UnixNow()) {}

  std::vector<Fields> Info(std::span<const std::string_view> sections) override;
  std::optional<Fields> MemcachedStats(std::string_view argument) override;
  void ResetStats() override { history_.Reset(Figures()); }
  std::string StatusJson() override;
  std::string RestartCheckJson(const NodeId& node) override;
  std::string AdviceJson() override;
  // What it says of itself to nodes that ask for all (status_report.h).
  std::string OwnStatusJson(bool with_history);
  std::vector<HotKey> ReadHotKeys() override;

  // The page of /metrics. `ready`: what /ready says.
  std::string Metrics(bool ready) const;
  // Of the time of the loops of clients, in the last seconds: 0 to 1.
  double BusyRatio() const { return history_.Rates().loops_busy; }

  // To be called a few times a second: for rates, the peak of memory, and the charts.
  void Sample(TimePoint now) {
    const NodeFigures figures = Figures();
    const ClientTotals totals = TotalsOf(figures);
    history_.Sample(now, figures);
    recent_.Sample(now, totals);
    if (minutes_.Due(now)) {
      minutes_.Add(now, {recent_.Read(now, totals), figures.storage.bytes_used});
    }
  }

 private:
  // Since the start.
  NodeFigures Figures() const;
  TrafficByAsker Traffic() const;
  ClientTotals TotalsOf(const NodeFigures& figures) const;
  InfoSource GatherInfo();
  StatusSource GatherStatus();

  const NodeParts node_;
  const UnixMillis started_;
  StatsHistory history_;
  RecentTraffic recent_;
  FigureHistory minutes_;
};

}  // namespace gyre
