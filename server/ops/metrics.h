// Prometheus text exposition format 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/client_memory.h"
#include "crypto/keyring.h"
#include "membership/membership.h"
#include "net/duration_histogram.h"
#include "net/server.h"
#include "replication/replicator.h"
#include "storage/shard.h"

namespace gyre {

using MetricLabel = std::pair<std::string_view, std::string_view>;
using MetricLabels = std::vector<MetricLabel>;

// Writes samples one after the other. Samples of one name must come one after the other (the format
// wants them grouped): HELP and TYPE stand before the first. Not thread-safe.
class MetricsWriter {
 public:
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

  // `name` ends in _total by convention.
  void Counter(std::string_view name, std::string_view help, std::uint64_t value,
               const MetricLabels& labels = {});
  void CounterSeconds(std::string_view name, std::string_view help, double value,
                      const MetricLabels& labels = {});
  void Gauge(std::string_view name, std::string_view help, double value,
             const MetricLabels& labels = {});
  // In seconds: `name`_bucket, _sum, _count.
  void Histogram(std::string_view name, std::string_view help,
                 const DurationHistogram::Snapshot& histogram, const MetricLabels& labels = {});

  std::string Take() { return std::move(text_); }

 private:
  void Head(std::string_view name, std::string_view help, std::string_view type);
  // Everything of a sample that stands before its value.
  void Begin(std::string_view name, std::string_view suffix, const MetricLabels& labels,
             const MetricLabel* extra);
  void Sample(std::string_view name, std::string_view suffix, const MetricLabels& labels,
              const MetricLabel* extra, double value);

  std::string text_;
  std::string last_name_;
};

// One function for each module's Stats. Vectors have one entry a loop: samples carry the label
// loop="<index>".
void WriteShardMetrics(const ShardStats& stats, MetricsWriter& out);
void WriteServerMetrics(const std::vector<ServerStats>& loops, MetricsWriter& out);
void WriteLoopMetrics(const std::vector<DurationHistogram::Snapshot>& loops, MetricsWriter& out);
void WriteClientMemoryMetrics(const ClientMemory& memory, MetricsWriter& out);
void WriteReplicatorMetrics(const std::vector<ReplicatorStats>& loops, MetricsWriter& out);
void WriteMembershipMetrics(const MembershipStats& stats, MetricsWriter& out);
// With --gossip-key.
void WriteCryptoMetrics(const CryptoStats& stats, MetricsWriter& out);
// gyre_build_info, start time, resident memory, CPU seconds, open files, lost log lines and pauses of
// this process.
void WriteProcessMetrics(std::string_view version, std::uint32_t pauses, MetricsWriter& out);

}  // namespace gyre
