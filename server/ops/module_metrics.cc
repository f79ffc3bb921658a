// One table for each module's Stats: which field is written under which name.
#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "base/log.h"
#include "base/memory_reserve.h"
#include "ops/metrics.h"

namespace gyre {
namespace {

enum class Type : std::uint8_t { kCounter, kGauge };

template <typename Stats>
struct Row {
  const char* name;
  Type type;
  std::uint64_t Stats::*field;
  const char* help;
};

template <typename Stats>
void Write(const Row<Stats>& row, const Stats& stats, const MetricLabels& labels,
           MetricsWriter& out) {
  if (row.type == Type::kCounter) {
    out.Counter(row.name, row.help, stats.*row.field, labels);
  } else {
    out.Gauge(row.name, row.help, static_cast<double>(stats.*row.field), labels);
  }
}

template <typename Stats, std::size_t kRows>
void WriteOne(const Row<Stats> (&rows)[kRows], const Stats& stats, MetricsWriter& out) {
  for (const Row<Stats>& row : rows) Write(row, stats, {}, out);
}

// Samples of one name stand together, so rows go outside, loops inside.
template <typename Stats, std::size_t kRows>
void WriteLoops(const Row<Stats> (&rows)[kRows], const std::vector<Stats>& loops,
                MetricsWriter& out) {
  for (const Row<Stats>& row : rows) {
    for (std::size_t i = 0; i < loops.size(); ++i) {
      const std::string index = std::to_string(i);
      Write(row, loops[i], {{"loop", index}}, out);
    }
  }
}

constexpr Row<ShardStats> kShardRows[] = {
    {"gyre_hits_total", Type::kCounter, &ShardStats::hits, "Reads that found a live record."},
    {"gyre_misses_total", Type::kCounter, &ShardStats::misses, "Reads that found none."},
    {"gyre_evicted_total", Type::kCounter, &ShardStats::evicted,
     "Records evicted to stay within --memory."},
    {"gyre_expired_total", Type::kCounter, &ShardStats::expired,
     "Records reclaimed after their time."},
    {"gyre_tombstones_evicted_total", Type::kCounter, &ShardStats::tombstones_evicted,
     "Remembered deletions that went before --tombstone-ttl, for room: they may take an eighth of "
     "--memory."},
    {"gyre_refused_memory_total", Type::kCounter, &ShardStats::refused_memory,
     "Stores that found no room even after eviction."},
    {"gyre_tables_rebuilt_total", Type::kCounter, &ShardStats::tables_rebuilt,
     "Tables of the index, one a partition, that were rebuilt to grow or to shrink."},
    {"gyre_pages_moved_total", Type::kCounter, &ShardStats::pages_moved,
     "Arena pages moved between size classes."},
    {"gyre_records", Type::kGauge, &ShardStats::records, "Live records."},
    {"gyre_tombstones", Type::kGauge, &ShardStats::tombstones, "Remembered deletions."},
    {"gyre_memory_used_bytes", Type::kGauge, &ShardStats::bytes_used,
     "Arena bytes in use, index included."},
    {"gyre_memory_limit_bytes", Type::kGauge, &ShardStats::bytes_limit, "--memory."},
};

constexpr Row<ServerStats> kServerRows[] = {
    {"gyre_connections", Type::kGauge, &ServerStats::connections, "Open client connections."},
    {"gyre_connections_accepted_total", Type::kCounter, &ServerStats::accepted,
     "Connections accepted."},
    {"gyre_connections_rejected_total", Type::kCounter, &ServerStats::rejected,
     "Connections refused because too many were open."},
    {"gyre_accept_errors_total", Type::kCounter, &ServerStats::accept_errors,
     "Failed accepts, mostly for want of file descriptors."},
    {"gyre_idle_clients_closed_total", Type::kCounter, &ServerStats::closed_idle,
     "Connections closed because their client was idle (--idle-timeout)."},
    {"gyre_slow_clients_closed_total", Type::kCounter, &ServerStats::closed_slow,
     "Connections closed because their client did not read its replies."},
    {"gyre_clients_closed_for_memory_total", Type::kCounter, &ServerStats::closed_memory,
     "Connections closed because they held most when the memory for clients was full."},
    {"gyre_protocol_errors_total", Type::kCounter, &ServerStats::protocol_errors,
     "Connections closed because of malformed input."},
    {"gyre_requests_total", Type::kCounter, &ServerStats::requests, "Requests handled."},
    {"gyre_received_bytes_total", Type::kCounter, &ServerStats::bytes_in, "Bytes from clients."},
    {"gyre_sent_bytes_total", Type::kCounter, &ServerStats::bytes_out, "Bytes to clients."},
    {"gyre_connection_pauses_total", Type::kCounter, &ServerStats::pauses,
     "Times that requests waited for their client to read earlier replies."},
};

constexpr Row<ReplicatorStats> kReplicatorRows[] = {
    {"gyre_replication_sent_total", Type::kCounter, &ReplicatorStats::mutations_sent,
     "Mutations sent to other holders."},
    {"gyre_replication_acknowledged_total", Type::kCounter, &ReplicatorStats::mutations_acked,
     "Mutations that a holder acknowledged."},
    {"gyre_replication_dropped_total", Type::kCounter, &ReplicatorStats::mutations_dropped,
     "Mutations given up because the holder died or its queue was full."},
    {"gyre_replication_resyncs_total", Type::kCounter, &ReplicatorStats::resyncs,
     "Partitions that a holder was told to fetch again."},
    {"gyre_replication_late_total", Type::kCounter, &ReplicatorStats::acks_late,
     "Writes that ended as unknown outcome."},
    {"gyre_replication_queue_bytes", Type::kGauge, &ReplicatorStats::queue_bytes,
     "Mutations not yet acknowledged."},
};

constexpr Row<MembershipStats> kMembershipRows[] = {
    {"gyre_gossip_probes_total", Type::kCounter, &MembershipStats::probes, "Probes sent."},
    {"gyre_gossip_probes_failed_total", Type::kCounter, &MembershipStats::probes_failed,
     "Probes that nobody answered, directly or indirectly."},
    {"gyre_gossip_suspicions_total", Type::kCounter, &MembershipStats::suspicions,
     "Members that became suspect."},
    {"gyre_gossip_deaths_total", Type::kCounter, &MembershipStats::deaths,
     "Members declared dead."},
    {"gyre_gossip_refutations_total", Type::kCounter, &MembershipStats::refutations,
     "Times that this node denied its own suspicion or death."},
    {"gyre_gossip_datagrams_dropped_total", Type::kCounter, &MembershipStats::datagrams_dropped,
     "Datagrams that were malformed, of another cluster or another version."},
    {"gyre_gossip_datagrams_strange_total", Type::kCounter, &MembershipStats::datagrams_strange,
     "Datagrams dropped: their sender is no member."},
    {"gyre_gossip_datagrams_forged_total", Type::kCounter, &MembershipStats::datagrams_forged,
     "Datagrams dropped: not by the member that they name, not for this node, or of an older "
     "life."},
    {"gyre_gossip_newcomers_refused_total", Type::kCounter, &MembershipStats::newcomers_refused,
     "Calls to nodes that want to join which did not find them at the address that they tell."},
    {"gyre_gossip_records_refused_total", Type::kCounter, &MembershipStats::records_refused,
     "What peers said that lies far ahead of this node's clock, or leaps."},
    {"gyre_gossip_push_pulls_total", Type::kCounter, &MembershipStats::push_pulls,
     "Exchanges of what two states differ in."},
    {"gyre_gossip_push_pull_bytes_total", Type::kCounter, &MembershipStats::push_pull_bytes_sent,
     "Bytes sent in such exchanges."},
    {"gyre_gossip_datagrams_total", Type::kCounter, &MembershipStats::datagrams_sent,
     "Gossip datagrams sent."},
    {"gyre_gossip_datagram_bytes_total", Type::kCounter, &MembershipStats::datagram_bytes_sent,
     "Bytes sent in them."},
    {"gyre_gossip_awareness", Type::kGauge, &MembershipStats::awareness,
     "Lifeguard's score of this node's own health; 0 is healthy."},
    {"gyre_clock_alarms", Type::kGauge, &MembershipStats::clock_alarms,
     "Peers whose wall clock is off by more than half a second."},
};

double ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  double pages_total = 0;
  double pages_resident = 0;
  statm >> pages_total >> pages_resident;
  return pages_resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double OpenFiles() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  double count = -3;                              // ".", ".." and the directory itself
  while (readdir(directory) != nullptr) ++count;  // NOLINT(concurrency-mt-unsafe): own DIR
  closedir(directory);
  return count;
}

// This process's start, in seconds since the epoch, taken when the program was loaded.
const UnixMillis kStartedMs = UnixNow();

}  // namespace

void WriteShardMetrics(const ShardStats& stats, MetricsWriter& out) {
  WriteOne(kShardRows, stats, out);
}

void WriteServerMetrics(const std::vector<ServerStats>& loops, MetricsWriter& out) {
  WriteLoops(kServerRows, loops, out);
}

void WriteClientMemoryMetrics(const ClientMemory& memory, MetricsWriter& out) {
  for (std::size_t i = 0; i < ClientMemory::kKinds; ++i) {
    const auto kind = static_cast<ClientMemory::Kind>(i);
    out.Gauge("gyre_client_memory_bytes",
              "Memory held for clients: buffers of connections, arguments of requests that wait, "
              "gathered replies, frames on links to other nodes.",
              static_cast<double>(memory.account(kind).bytes()),
              {{"kind", ClientMemory::kKindNames[i]}});
  }
  out.Gauge("gyre_client_memory_limit_bytes", "--client-memory.",
            static_cast<double>(memory.limit()));
  out.Gauge("gyre_client_memory_waiting", "Clients that wait for room in it.",
            static_cast<double>(memory.waiting()));
  out.Counter("gyre_client_memory_refused_total",
              "Blocks for requests and replies that found no room; they waited, or were refused.",
              memory.refused());
}

void WriteReplicatorMetrics(const std::vector<ReplicatorStats>& loops, MetricsWriter& out) {
  WriteLoops(kReplicatorRows, loops, out);
}

void WriteMembershipMetrics(const MembershipStats& stats, MetricsWriter& out) {
  WriteOne(kMembershipRows, stats, out);
  for (const ClockOffset& clock : stats.clock_offsets) {
    const std::string peer = clock.id.ToString();
    out.Gauge("gyre_clock_offset_seconds", "How far a peer's wall clock is ahead of this node's.",
              std::chrono::duration<double>(clock.offset).count(), {{"peer", peer}});
  }
}

void WriteLoopMetrics(const std::vector<DurationHistogram::Snapshot>& loops, MetricsWriter& out) {
  for (std::size_t i = 0; i < loops.size(); ++i) {
    const std::string index = std::to_string(i);
    out.Histogram("gyre_loop_busy_seconds",
                  "Time that a worker loop spent in one iteration: how long other clients waited.",
                  loops[i], {{"loop", index}});
  }
  for (std::size_t i = 0; i < loops.size(); ++i) {
    const std::string index = std::to_string(i);
    out.Gauge("gyre_loop_busy_max_seconds", "Longest iteration since the start.",
              std::chrono::duration<double>(loops[i].max).count(), {{"loop", index}});
  }
}

void WriteProcessMetrics(std::string_view version, std::uint32_t pauses, MetricsWriter& out) {
  out.Gauge("gyre_build_info", "The release that runs; always 1.", 1, {{"version", version}});
  out.Gauge("gyre_start_time_seconds", "Start of the process, unix time.",
            static_cast<double>(kStartedMs) / 1000);
  out.Gauge("gyre_resident_bytes", "Resident memory of the process.", ResidentBytes());
  out.CounterSeconds("gyre_cpu_seconds_total", "CPU time of the process, user and system.",
                     CpuSeconds());
  out.Counter(
      "gyre_process_pauses_total",
      "Times that the process did not run for 1.5 s or longer (stopped, suspended, starved); "
      "writes that waited meanwhile were refused, reads answered by who owned the key by then.",
      pauses);
  out.Counter(
      "gyre_memory_reserve_used_total",
      "Times that the system had no memory left, and a reserve of 8 MiB kept the node going; "
      "requests were refused meanwhile.",
      MemoryReserve::used());
  out.Counter("gyre_log_lines_dropped_total",
              "Lines of the log that were lost because their output did not take them.",
              DroppedLogLines());
  out.Gauge("gyre_open_files", "Open file descriptors.", OpenFiles());
}

}  // namespace gyre
