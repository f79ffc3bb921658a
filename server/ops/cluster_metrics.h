// The cluster's figures as Prometheus samples: what this node owns, fills and repairs, and how it
// sees the ring.
#pragma once

#include "cluster/view.h"
#include "control/cluster_stats.h"
#include "ops/metrics.h"
#include "ops/ring_file.h"
#include "ops/snapshot_stats.h"

namespace gyre {

void WriteClusterMetrics(const ClusterStats& stats, MetricsWriter& out);
void WriteRingFileMetrics(const RingFileStats& stats, MetricsWriter& out);
void WriteSnapshotMetrics(const SnapshotStats& stats, MetricsWriter& out);
void WriteViewMetrics(const ClusterView& view, MetricsWriter& out);

}  // namespace gyre
