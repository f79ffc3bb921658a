#include "ops/cluster_metrics.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace gyre {
namespace {

void WriteOwnership(const OwnershipStats& stats, MetricsWriter& out) {
  out.Gauge("gyre_partitions_owned", "Partitions whose writes this node orders.",
            static_cast<double>(stats.owned));
  out.Gauge("gyre_partitions_complete", "Partitions that this node has whole.",
            static_cast<double>(stats.complete));
  out.Gauge("gyre_partitions_warming", "Partitions that this node is filling.",
            static_cast<double>(stats.warming));
  out.Gauge("gyre_partitions_recovering",
            "Partitions taken over after a death that are being compared with their other copies; "
            "their commands wait.",
            static_cast<double>(stats.recovering));
  out.Counter("gyre_recoveries_cut_short_total",
              "Partitions served before another copy could be compared with.",
              stats.recoveries_cut_short);
  out.Counter("gyre_handovers_in_total", "Partitions handed over to this node, planned.",
              stats.handovers_in);
  out.Counter("gyre_handovers_out_total", "Partitions that this node handed over, planned.",
              stats.handovers_out);
  out.Counter("gyre_takeovers_total", "Partitions taken because their owner died or stopped.",
              stats.takeovers);
  out.Counter("gyre_takeovers_left_total",
              "Of them, partitions left to another node that had taken them as well.",
              stats.takeovers_left);
  out.Counter("gyre_ownership_yields_total",
              "Partitions given up to a better-placed owner after a network partition.",
              stats.yields);
  out.Counter("gyre_partition_losses_total",
              "Partitions declared empty because every complete holder was gone.", stats.losses);
  out.Counter("gyre_partitions_restored_total",
              "Partitions served from this node's snapshot because no other node had them whole.",
              stats.restored);
  out.Counter("gyre_partition_drops_total", "Copies dropped because other nodes hold them.",
              stats.drops);
}

void WriteTransfer(const TransferStats& stats, MetricsWriter& out) {
  out.Gauge("gyre_transfer_partitions_left", "Partitions still to be filled.",
            static_cast<double>(stats.partitions_left));
  out.Gauge("gyre_transfer_partitions_active", "Partitions being filled now.",
            static_cast<double>(stats.active));
  out.Counter("gyre_transfer_partitions_total", "Partitions filled.", stats.partitions_done);
  out.Counter("gyre_transfer_failures_total", "Fills that broke and were begun again.",
              stats.pulls_failed);
  out.Counter("gyre_transfer_records_total", "Records received while filling.", stats.records);
  out.Counter("gyre_transfer_bytes_total", "Bytes received while filling.", stats.bytes);
  out.Counter(
      "gyre_transfer_records_matched_total",
      "Records of copies that were here already and that the owner has the same: not pulled.",
      stats.records_matched);
  out.Counter("gyre_transfer_records_offered_total",
              "Records of such copies that the owner lacked, sent to it.", stats.records_offered);
  out.Counter("gyre_transfer_records_forgotten_total",
              "Records of such copies that the owner may have evicted or deleted: removed.",
              stats.records_forgotten);
  out.Counter("gyre_transfer_repairs_total",
              "Partitions filled because a copy was lacking: after a death or missed writes.",
              stats.repairs_done);
  out.Gauge("gyre_transfer_yield_seconds",
            "Seconds that sources rested between pages for the sake of clients, since the start.",
            std::chrono::duration<double>(stats.yielded).count());
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

void WriteRepair(const RepairStats& stats, MetricsWriter& out) {
  out.Counter("gyre_repair_compared_total", "Digests compared with another holder.",
              stats.compared);
  out.Counter("gyre_repair_different_total", "Of those, the ones that differed.", stats.different);
  out.Gauge("gyre_repair_copies_differing",
            "Copies of partitions that were found to differ and are still to be evened out.",
            static_cast<double>(stats.differing));
  out.Counter(
      "gyre_repair_records_divergent_total",
      "Records found in different states on two holders: after a network partition, or lost "
      "on the way.",
      stats.divergent);
  out.Counter("gyre_repair_records_sent_total", "Records sent to a holder that lacked them.",
              stats.sent);
  out.Counter("gyre_repair_records_fetched_total", "Records fetched from a holder.", stats.fetched);
  out.Counter("gyre_repair_records_withheld_total",
              "Records not sent, because the other side may have evicted them.", stats.withheld);
}

void WriteRelay(const RelayStats& stats, MetricsWriter& out) {
  out.Gauge("gyre_links_relayed",
            "Links to other nodes that are silent now, counted once a loop: calls to them go "
            "through a third node until the link carries again.",
            static_cast<double>(stats.links_relayed));
  out.Counter("gyre_link_breaks_total", "Links to other nodes that fell silent.", stats.breaks);
  out.Counter("gyre_relayed_calls_total", "Calls to other nodes sent through a third.",
              stats.calls);
}

void WriteLeases(const LeaseStats& stats, MetricsWriter& out) {
  out.Gauge("gyre_lease_majority",
            "1 if a majority of the ring answered this node within the length of a lease.",
            stats.majority ? 1 : 0);
  out.Gauge("gyre_lease_claimed", "Partitions that this node should act for.",
            static_cast<double>(stats.claims));
  out.Gauge("gyre_lease_held", "Of them, those for which it holds a lease.",
            static_cast<double>(stats.held));
  out.Gauge("gyre_lease_remaining_seconds", "Until the first of its leases runs out.",
            static_cast<double>(stats.remaining_ms) / 1000);
  out.Counter("gyre_lease_lapses_total", "Leases that ran out although they were still claimed.",
              stats.lapses);
  out.Counter("gyre_lease_refusals_total", "Attempts at a command that found no lease: they wait.",
              stats.refusals);
  out.Counter("gyre_lease_overruns_total",
              "Commands whose lease ran out while they ran or waited for acknowledgements.",
              stats.overruns);
  out.Gauge("gyre_lease_deaths_unconfirmed",
            "Members that this node counts as dead, and no majority does yet.",
            static_cast<double>(stats.unfenced_deaths));
}

}  // namespace

void WriteClusterMetrics(const ClusterStats& stats, MetricsWriter& out) {
  out.Counter("gyre_peer_requests_malformed_total", "Requests of other nodes that made no sense.",
              stats.peers.requests_malformed);
  out.Counter("gyre_peer_requests_strange_total",
              "Requests between nodes refused: who asked had not proven to be a member.",
              stats.peers.requests_strange);
  out.Counter("gyre_peer_versions_refused_total",
              "Records of other nodes refused because their versions are more than a week ahead of "
              "this node's clock: set the clocks.",
              stats.peers.versions_refused + stats.transfer.versions_refused +
                  stats.repair.versions_refused);
  WriteOwnership(stats.ownership, out);
  WriteTransfer(stats.transfer, out);
  WriteProgress(stats.transfer.progress, out);
  out.Gauge(
      "gyre_client_load_ratio",
      "Part of the worker loops' time that clients take, as pulls see it when they stand back.",
      stats.load_permille / 1000.0);
  WriteRepair(stats.repair, out);
  if (stats.majority) WriteLeases(stats.leases, out);
  WriteRelay(stats.relay, out);
}

void WriteRingFileMetrics(const RingFileStats& stats, MetricsWriter& out) {
  out.Counter("gyre_ring_file_writes_total", "Times that the ring was written to --data-dir.",
              stats.writes);
  out.Counter("gyre_ring_file_failures_total",
              "Attempts to do so that failed: after a restart this node may not find its ring.",
              stats.failures);
}

void WriteSnapshotMetrics(const SnapshotStats& stats, MetricsWriter& out) {
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

void WriteViewMetrics(const ClusterView& view, MetricsWriter& out) {
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

}  // namespace gyre
