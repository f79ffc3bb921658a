#include "ops/metrics_page.h"

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "ops/metrics.h"

namespace gyre {
namespace {

// The names that every exporter of a process uses, for dashboards that know no other; beside ours,
// which were there before.
void WriteProcess(const ProcessStats& process, MetricsWriter& out) {
  WriteStatistics(process, out);
  out.Seconds("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
              Duration(process.cpu_ns));
  const auto gauge = [&out](std::string_view name, std::string_view help, double value) {
    out.Gauge(name, help, value);
  };
  gauge("process_resident_memory_bytes", "Resident memory size in bytes.",
        static_cast<double>(process.resident_bytes));
  gauge("process_open_fds", "Number of open file descriptors.",
        static_cast<double>(process.open_files));
  gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.",
        static_cast<double>(process.started_ms) / 1000);
}

void WriteTraffic(const TrafficByAsker& traffic, MetricsWriter& out) {
  const auto each = [&traffic](auto&& write) {
    for (std::size_t i = 0; i < traffic.size(); ++i) {
      if (traffic[i].open) write(traffic[i], MetricLabels{{"protocol", kAskerNames[i]}});
    }
  };
  each([&out](const TrafficCounts& counts, const MetricLabels& labels) {
    out.Histogram(
        "gyre_request_duration_seconds",
        "Time from when a request was read until its reply was written, or finished where "
        "it came later; peer: what other nodes ask.",
        counts.durations, labels);
  });
  each([&out](const TrafficCounts& counts, const MetricLabels& labels) {
    out.Histogram("gyre_request_bytes",
                  "Sizes of requests; those that one read brought count with their mean.",
                  counts.request_bytes, labels);
  });
  each([&out](const TrafficCounts& counts, const MetricLabels& labels) {
    out.Histogram("gyre_reply_bytes", "Sizes of replies as they left.", counts.reply_bytes, labels);
  });
}

// Of the commands that were called: most are never.
void WriteCommands(const MetricsSource& node, MetricsWriter& out) {
  const auto each = [&node](auto&& write) {
    for (std::size_t i = 0; i < node.commands.size(); ++i) {
      if (node.commands[i].calls + node.commands[i].rejected == 0) continue;
      write(i, MetricLabels{{"command", node.command_names[i]}});
    }
  };
  each([&](std::size_t i, const MetricLabels& labels) {
    out.Histogram(
        "gyre_command_duration_seconds",
        "Time that this node's loops spent on calls, without what a call waited for; calls "
        "of one command in a row count with their mean.",
        node.command_durations[i], labels);
  });
  each([&](std::size_t i, const MetricLabels& labels) {
    out.Counter("gyre_command_errors_total", "Calls that failed here and at once.",
                node.commands[i].errors, labels);
  });
  each([&](std::size_t i, const MetricLabels& labels) {
    out.Counter("gyre_command_rejected_total",
                "Calls that were not executed: too many or too few arguments, for one.",
                node.commands[i].rejected, labels);
  });
}

void WriteLoops(const std::vector<DurationHistogram::Snapshot>& loops, MetricsWriter& out) {
  for (std::size_t i = 0; i < loops.size(); ++i) {
    const std::string index = std::to_string(i);
    out.Histogram("gyre_loop_busy_seconds",
                  "Time that a worker loop spent in one iteration: how long other clients waited.",
                  loops[i], {{"loop", index}});
  }
  for (std::size_t i = 0; i < loops.size(); ++i) {
    const std::string index = std::to_string(i);
    out.Seconds("gyre_loop_busy_seconds_total",
                "Time that a worker loop was at work; its rate is the share of a core, 1 at most.",
                loops[i].sum, {{"loop", index}});
  }
  for (std::size_t i = 0; i < loops.size(); ++i) {
    const std::string index = std::to_string(i);
    out.Gauge("gyre_loop_busy_max_seconds", "Longest iteration since the start.",
              std::chrono::duration<double>(loops[i].max).count(), {{"loop", index}});
  }
}

void WriteClocks(const std::vector<ClockOffset>& clocks, MetricsWriter& out) {
  for (const ClockOffset& clock : clocks) {
    const std::string peer = clock.id.ToString();
    out.Gauge("gyre_clock_offset_seconds", "How far a peer's wall clock is ahead of this node's.",
              std::chrono::duration<double>(clock.offset).count(), {{"peer", peer}});
  }
}

void WriteProgress(const TransferProgress& progress, MetricsWriter& out) {
  const auto gauge = [&out](std::string_view name, std::string_view help, auto value,
                            const MetricLabels& labels = {}) {
    out.Gauge(name, help, static_cast<double>(value), labels);
  };
  const std::string_view left = "Partitions that this node still has to fill, by kind.";
  gauge("gyre_rebalance_partitions_left", left, progress.moves_left, {{"kind", "move"}});
  gauge("gyre_rebalance_partitions_left", left, progress.partitions_left - progress.moves_left,
        {{"kind", "repair"}});
  gauge("gyre_rebalance_progress_ratio", "What this node has of what it is to fill, 1 when done.",
        ProgressPercent(progress) / 100);
  gauge("gyre_rebalance_bytes_left", "Bytes that this node still has to fill, estimated.",
        progress.bytes_left);
  gauge("gyre_rebalance_bytes_done", "Bytes that it has of the present fill, estimated.",
        progress.bytes_done);
  gauge("gyre_rebalance_bytes_per_second", "Rate of the last seconds.", progress.bytes_per_second);
  gauge("gyre_rebalance_eta_seconds", "Seconds until it is done at that rate; -1: it stands still.",
        SecondsLeft(progress) ? static_cast<double>(*SecondsLeft(progress)) : -1.0);
  gauge("gyre_rebalance_paused", "1: moves are paused, by gyre rebalance pause.",
        progress.paused ? 1 : 0);
  gauge("gyre_rebalance_limit_bytes_per_second", "Limit of moves to this node; 0: none.",
        progress.limit_bytes_per_second);
}

void WriteSnapshot(const SnapshotStats& stats, MetricsWriter& out) {
  for (const std::string_view name : SnapshotStats::kOutcomes) {
    out.Gauge("gyre_snapshot_outcome", "What became of the last life's snapshot at the start.",
              name == stats.outcome_name() ? 1 : 0, {{"outcome", name}});
  }
  out.Gauge("gyre_snapshot_loaded_records", "Records loaded from the snapshot, with tombstones.",
            static_cast<double>(stats.records));
  out.Gauge("gyre_snapshot_loaded_bytes", "Bytes of the snapshot that was loaded.",
            static_cast<double>(stats.bytes));
  out.Gauge("gyre_snapshot_load_seconds", "How long loading the snapshot took.", stats.seconds);
}

void WriteView(const ClusterView& view, MetricsWriter& out) {
  for (const std::string_view state : {"alive", "suspect", "dead", "stopped", "drained"}) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < view.members.size(); ++i) count += view.StateName(i) == state;
    out.Gauge("gyre_members", "Members as this node sees them.", static_cast<double>(count),
              {{"state", state}});
  }
  out.Gauge("gyre_ring_members", "Nodes that hold a place on the ring.",
            static_cast<double>(std::count(view.on_ring.begin(), view.on_ring.end(), true)));
  out.Gauge("gyre_ring_partitions_unowned", "Partitions without an owner, as this node sees them.",
            static_cast<double>(std::count(view.owner.begin(), view.owner.end(), kNoMember)));
  out.Gauge(
      "gyre_ring_partitions_under_replicated",
      "Partitions with fewer complete copies than --replicas, or than a smaller ring has nodes.",
      static_cast<double>(view.UnderReplicated()));
}

// The signals of this node, and what is advised for the ring. Of what is not known there is no sample.
void WriteScaling(const MetricsSource& node, MetricsWriter& out) {
  const auto gauge = [&out](std::string_view name, std::string_view help, double value,
                            const MetricLabels& labels = {}) {
    out.Gauge(name, help, value, labels);
  };
  const std::size_t loops = std::max<std::size_t>(node.busy.size(), 1);
  gauge("gyre_busy_ratio", "Of the time of the worker loops, in the last ten seconds.",
        node.recent.loops_busy / static_cast<double>(loops));
  const std::string_view network =
      "What this node sends and receives, of clients and peers, in the last ten seconds.";
  gauge("gyre_network_bytes_per_second", network, node.recent.network_in_bytes_per_second,
        {{"direction", "in"}});
  gauge("gyre_network_bytes_per_second", network, node.recent.network_out_bytes_per_second,
        {{"direction", "out"}});
  if (node.network_limit > 0) {
    gauge("gyre_network_limit_bytes_per_second", "--network-limit, or the speed of the link.",
          static_cast<double>(node.network_limit));
  }
  const Advice& advice = node.advice;
  if (advice.nodes == 0) return;
  const std::string_view marginal =
      "Hit ratio of the ring that one node more would gain, or one fewer lose (below 0).";
  if (advice.gain) gauge("gyre_marginal_hit_ratio", marginal, *advice.gain, {{"nodes", "+1"}});
  if (advice.loss) gauge("gyre_marginal_hit_ratio", marginal, *advice.loss, {{"nodes", "-1"}});
  gauge("gyre_advised_nodes",
        "Nodes that the ring should have, as this node sees it; as many as there are, where "
        "nothing is advised.",
        static_cast<double>(advice.advised));
  for (std::size_t i = 0; i < advice.signals.size(); ++i) {
    if (!advice.signals[i].known) continue;
    gauge("gyre_advice_wanted_nodes", "Nodes that a signal asks for at this moment, out only.",
          static_cast<double>(advice.signals[i].nodes), {{"signal", kSignalNames[i]}});
  }
  for (std::size_t i = 0; i < advice.signals.size(); ++i) {
    gauge("gyre_advice_allows_scale_in", "1: the signal has nothing against one node fewer.",
          advice.signals[i].allows_in ? 1 : 0, {{"signal", kSignalNames[i]}});
  }
  for (std::size_t i = 0; i < kObstacleNames.size(); ++i) {
    const bool stands = std::any_of(
        advice.against.begin(), advice.against.end(),
        [i](const Against& each) { return static_cast<std::size_t>(each.obstacle) == i; });
    gauge("gyre_advice_against", "1: this stands against another number of nodes.", stands ? 1 : 0,
          {{"reason", kObstacleNames[i]}});
  }
}

void WriteCluster(const ClusterStats& stats, MetricsWriter& out) {
  // The sum of all loops, which has always stood there as that of one.
  WriteStatistics(std::vector{stats.replication}, out);
  WriteStatistics(stats.receivers, out);
  WriteStatistics(stats.streams, out);
  WriteStatistics(stats.peers, out);
  WriteStatistics(stats.ownership, out);
  WriteStatistics(stats.transfer, out);
  WriteProgress(stats.transfer.progress, out);
  WriteStatistics(stats.load, out);
  WriteStatistics(stats.repair, out);
  if (stats.majority) WriteStatistics(stats.leases, out);
  WriteStatistics(stats.relay, out);
}

}  // namespace

std::string MetricsPage(const MetricsSource& node) {
  MetricsWriter out;
  out.Gauge("gyre_build_info", "The release that runs; always 1.", 1, {{"version", node.version}});
  WriteProcess(node.process, out);
  WriteStatistics(node.storage, out);
  WriteStatistics(node.servers, out);
  WriteStatistics(node.routers, out);
  WriteStatistics(node.client_memory, out);
  out.Gauge("gyre_http_memory_bytes",
            "Memory held for clients of --http-port, which has a small budget of its own beside "
            "--client-memory.",
            static_cast<double>(node.http_memory_bytes));
  WriteTraffic(node.traffic, out);
  WriteCommands(node, out);
  WriteLoops(node.busy, out);
  WriteStatistics(node.cluster.membership, out);
  WriteClocks(node.cluster.membership.clock_offsets, out);
  WriteStatistics(node.cluster.settings, out);
  out.Gauge("gyre_ring_parameters_refused",
            "Parameters that the ring sets and this node cannot take; its log says why.",
            static_cast<double>(node.ring_parameters.refused));
  out.Gauge("gyre_ring_parameters_overridden",
            "Parameters that the ring sets and CONFIG SET overrides at this node.",
            static_cast<double>(node.ring_parameters.overridden));
  if (node.crypto) WriteStatistics(*node.crypto, out);
  WriteCluster(node.cluster, out);
  WriteSnapshot(node.snapshot, out);
  if (node.ring_file) WriteStatistics(*node.ring_file, out);
  if (node.settings_file) WriteStatistics(*node.settings_file, out);
  if (node.key_hash_file) WriteStatistics(*node.key_hash_file, out);
  out.Gauge("gyre_ready", "1 where /ready says 200.", node.ready ? 1 : 0);
  if (node.view != nullptr) WriteView(*node.view, out);
  WriteScaling(node, out);
  return out.Take();
}

}  // namespace gyre
