#include "ops/info_report.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "command/dispatcher.h"
#include "command/version.h"
#include "ops/foreign_page.h"
#include "ops/process_stats.h"
#include "proto/human.h"

namespace gyre {
namespace {

std::string Decimals(double value) {
  char text[48];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

// Empty where the system does not say.
std::string ExecutablePath() {
  char path[4096];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof path);
  return length > 0 ? std::string(path, static_cast<std::size_t>(length)) : std::string();
}

Fields ServerFields(const InfoSource& node) {
  utsname system{};
  ::uname(&system);
  const std::int64_t uptime = node.uptime_seconds();
  return {{"redis_version", std::string(kRedisVersion)},
          {"gyre_version", GYRE_VERSION},
          {"node_name", node.config.name},
          {"node_id", node.identity.id.ToString()},
          {"os", std::string(system.sysname) + " " + system.release + " " + system.machine},
          {"arch_bits", std::to_string(8 * sizeof(void*))},
          {"multiplexing_api", "epoll"},
          {"gcc_version", __VERSION__},
          {"process_id", std::to_string(::getpid())},
          {"run_id", node.identity.id.ToRedisId()},
          {"tcp_port", std::to_string(node.config.resp_port)},
          {"server_time_usec", std::to_string(node.now * 1000)},
          {"uptime_in_seconds", std::to_string(uptime)},
          {"uptime_in_days", std::to_string(uptime / (24 * 3600))},
          {"executable", ExecutablePath()},
          {"io_threads_active", node.config.threads > 1 ? "1" : "0"}};
}

Fields ClientFields(const InfoSource& node) {
  return {{"connected_clients", std::to_string(node.clients)},
          {"maxclients", std::to_string(node.config.connections_max)},
          {"blocked_clients", "0"},
          {"tracking_clients", "0"}};
}

Fields MemoryFields(const InfoSource& node) {
  const std::uint64_t used_bytes = node.figures.storage.bytes_used;
  const std::uint64_t resident = node.resident_bytes;
  const std::uint64_t system = node.system_bytes;
  const std::uint64_t peak = node.used_bytes_peak;
  const auto human = [](std::uint64_t bytes) {
    return RedisHumanBytes(static_cast<double>(bytes));
  };
  const auto percent = [](double part, double whole) {
    return Decimals(whole > 0 ? 100 * part / whole : 100) + "%";
  };
  const auto used = static_cast<double>(used_bytes);
  return {
      {"used_memory", std::to_string(used_bytes)},
      {"used_memory_human", human(used_bytes)},
      {"used_memory_rss", std::to_string(resident)},
      {"used_memory_rss_human", human(resident)},
      {"used_memory_peak", std::to_string(peak)},
      {"used_memory_peak_human", human(peak)},
      {"used_memory_peak_perc", percent(used, static_cast<double>(peak))},
      {"total_system_memory", std::to_string(system)},
      {"total_system_memory_human", human(system)},
      {"used_memory_lua", "0"},
      {"used_memory_scripts", "0"},
      {"number_of_cached_scripts", "0"},
      {"maxmemory", std::to_string(node.config.memory_bytes)},
      {"maxmemory_human", human(node.config.memory_bytes)},
      {"maxmemory_policy", "allkeys-lfu"},
      {"maxmemory_clients", std::to_string(node.client_memory.limit)},
      {"mem_clients_normal", std::to_string(node.client_memory.used())},
      {"mem_fragmentation_ratio", Decimals(used > 0 ? static_cast<double>(resident) / used : 0)},
      {"mem_fragmentation_bytes",
       std::to_string(static_cast<std::int64_t>(resident) - static_cast<std::int64_t>(used_bytes))},
      {"mem_not_counted_for_evict", "0"},
      {"mem_clients_slaves", "0"},
      {"mem_replication_backlog", "0"},
      {"mem_aof_buffer", "0"},
      {"mem_allocator", "gyre-slab"},
      {"active_defrag_running", "0"}};
}

// A node writes a snapshot when it stops, and reads it before it opens its ports. There are no forks, saves in the
// background or append-only files: their times are -1, Redis's word for never, and how the last one went is left out.
Fields PersistenceFields(const InfoSource& node) {
  Fields fields = {{"loading", "0"},
                   {"async_loading", "0"},
                   {"current_cow_size", "0"},
                   {"rdb_bgsave_in_progress", "0"},
                   {"rdb_last_bgsave_time_sec", "-1"},
                   {"rdb_current_bgsave_time_sec", "-1"},
                   {"rdb_last_cow_size", "0"},
                   {"aof_enabled", "0"},
                   {"aof_rewrite_in_progress", "0"},
                   {"aof_rewrite_scheduled", "0"},
                   {"aof_last_rewrite_time_sec", "-1"},
                   {"aof_current_rewrite_time_sec", "-1"},
                   {"aof_last_cow_size", "0"}};
  if (node.snapshot.taken_ms > 0) {
    fields.emplace_back("rdb_last_save_time", std::to_string(node.snapshot.taken_ms / 1000));
    fields.emplace_back("rdb_last_load_keys_loaded", std::to_string(node.snapshot.records));
  }
  return fields;
}

Fields StatsFields(const InfoSource& node) {
  std::uint64_t failed = 0;
  for (const CommandCounts& one : node.figures.commands) failed += one.errors + one.rejected;
  ForeignPage page(&StatText::redis);
  page.Know(node.figures.server);
  page.Know(node.figures.storage);
  page.Place({"total_connections_received", "total_commands_processed"});
  page.Say("instantaneous_ops_per_sec",
           std::to_string(static_cast<std::uint64_t>(node.rates.requests)));
  page.Place({"total_net_input_bytes", "total_net_output_bytes"});
  page.Say("instantaneous_input_kbps", Decimals(node.rates.bytes_in / 1024));
  page.Say("instantaneous_output_kbps", Decimals(node.rates.bytes_out / 1024));
  page.Place({"rejected_connections"});
  for (const char* none : {"sync_full", "sync_partial_ok", "sync_partial_err"}) page.Say(none, "0");
  page.Place({"expired_keys", "evicted_keys", "keyspace_hits", "keyspace_misses"});
  for (const char* none :
       {"pubsub_channels", "pubsub_patterns", "latest_fork_usec", "total_forks",
        "migrate_cached_sockets", "slave_expires_tracked_keys", "active_defrag_hits",
        "active_defrag_misses", "active_defrag_key_hits", "active_defrag_key_misses"}) {
    page.Say(none, "0");
  }
  page.Say("total_error_replies", std::to_string(failed));
  return page.Take();
}

// To Redis's tools each node is a master without replicas: its copies are on other masters.
Fields ReplicationFields() {
  return {{"role", "master"},
          {"connected_slaves", "0"},
          {"master_failover_state", "no-failover"},
          {"second_repl_offset", "-1"},
          {"repl_backlog_active", "0"},
          {"repl_backlog_size", "0"},
          {"repl_backlog_first_byte_offset", "0"},
          {"repl_backlog_histlen", "0"}};
}

Fields CpuFields(const InfoSource& node) {
  return {{"used_cpu_sys", SecondsText(node.usage.ru_stime)},
          {"used_cpu_user", SecondsText(node.usage.ru_utime)},
          {"used_cpu_sys_children", SecondsText(node.usage_of_children.ru_stime)},
          {"used_cpu_user_children", SecondsText(node.usage_of_children.ru_utime)}};
}

}  // namespace

Fields InfoFields(const InfoSource& node, std::string_view section) {
  if (section == "server") return ServerFields(node);
  if (section == "clients") return ClientFields(node);
  if (section == "memory") return MemoryFields(node);
  if (section == "persistence") return PersistenceFields(node);
  if (section == "stats") return StatsFields(node);
  if (section == "replication") return ReplicationFields();
  if (section == "cpu") return CpuFields(node);
  if (section == "commandstats") return CommandStatsFields(node.figures.commands);
  return {};
}

}  // namespace gyre
