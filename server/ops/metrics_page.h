// The page of /metrics: which Stats stand on it, in which order. What is a field of one is said by
// its row (base/statistic.h); what is computed from several, or has a label of its own making, here.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/client_memory.h"
#include "base/duration_histogram.h"
#include "cluster/view.h"
#include "command/command_counts.h"
#include "control/cluster_stats.h"
#include "crypto/keyring.h"
#include "net/server.h"
#include "net/traffic.h"
#include "ops/config_parameters.h"
#include "ops/key_hash_file.h"
#include "ops/process_stats.h"
#include "ops/recent_traffic.h"
#include "ops/ring_file.h"
#include "ops/settings_file.h"
#include "ops/snapshot_stats.h"
#include "proto/scaling_advisor.h"
#include "storage/shard.h"

namespace gyre {

// A node at one moment. Vectors have one entry a loop.
struct MetricsSource {
  std::string_view version;
  ProcessStats process;
  ShardStats storage;
  std::vector<ServerStats> servers;
  std::vector<RouterStats> routers;
  ClientMemoryStats client_memory;
  std::uint64_t http_memory_bytes = 0;
  std::vector<DurationHistogram::Snapshot> busy;
  // Of all loops. Commands by Command::index, under these names.
  TrafficByAsker traffic;
  std::vector<std::string_view> command_names;
  std::vector<CommandCounts> commands;
  std::vector<CommandHistogram::Snapshot> command_durations;
  std::optional<CryptoStats> crypto;  // with --gossip-key
  ClusterStats cluster;
  SnapshotStats snapshot;
  std::optional<RingFileStats> ring_file;          // with --data-dir
  std::optional<SettingsFileStats> settings_file;  // likewise
  std::optional<KeyHashFileStats> key_hash_file;   // likewise
  RingParameterFigures ring_parameters;
  bool ready = false;
  ClusterViewPtr view;  // null: before the first
  RecentFigures recent;
  std::uint64_t network_limit = 0;  // as in StatusSource
  Advice advice;
};

std::string MetricsPage(const MetricsSource& node);

}  // namespace gyre
