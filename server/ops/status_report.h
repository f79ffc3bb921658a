// How a node stands, for `gyre status` and /status, and whether it may be restarted: JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/view.h"
#include "control/cluster_stats.h"
#include "ops/config.h"
#include "ops/config_parameters.h"
#include "ops/figure_history.h"
#include "ops/identity.h"
#include "ops/recent_traffic.h"
#include "ops/snapshot_stats.h"
#include "ops/stats_history.h"
#include "proto/hit_curve.h"
#include "proto/node_id.h"

namespace gyre {

// A node at one moment.
struct StatusSource {
  const Config& config;
  const Identity& identity;
  const SnapshotStats& snapshot;

  std::string_view version;
  std::int64_t uptime_seconds = 0;
  std::uint64_t clients = 0;  // connected
  std::uint64_t resident_bytes = 0;
  NodeFigures figures;  // since the start
  RecentFigures recent;
  HitCurve hits;
  std::uint64_t network_limit = 0;         // bytes a second of its link, each way; 0: not known
  std::optional<std::size_t> gossip_keys;  // with --gossip-key: how many
  ClusterStats cluster;
  ClusterViewPtr view;  // null: before the first
  RingParameterFigures ring_parameters;
};

std::string StatusJson(const StatusSource& node);

// What of it concerns the node alone (no members, no moves): what other nodes get that ask for all
// of them. With `history`, which may be null, also {"history": {"step_seconds", and lists, oldest
// first, of requests_per_second, reads_per_second, latency_p99_seconds, hit_ratio,
// memory_used_bytes}}.
std::string OwnStatusJson(const StatusSource& node, const std::vector<FigurePoint>* history);

// Of the member `node`; `view` may be null.
std::string RestartCheckJson(const Config& config, const ClusterView* view, const NodeId& node);

}  // namespace gyre
