// INFO and memcached's stats. A figure that has no true meaning here is left out, so that nobody
// builds an alarm on it.
#include <sys/utsname.h>

#include <chrono>
#include <cstdio>
#include <utility>

#include "command/command_table.h"
#include "command/version.h"
#include "node_admin.h"
#include "process_figures.h"

namespace gyre {
namespace {

// Connections that "stats conns" describes at most.
constexpr std::size_t kConnectionsShownMax = 1000;
constexpr std::size_t kConnectionsAtOnce = 128;

std::string Number(std::uint64_t value) { return std::to_string(value); }

std::string Decimals(double value) {
  char text[48];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

std::string HumanBytes(std::uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "K", "M", "G", "T"};
  auto amount = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (amount >= 1024 && unit + 1 < std::size(kUnits)) {
    amount /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f%s" : "%.2f%s", amount, kUnits[unit]);
  return text;
}

std::string Seconds(const timeval& time) {
  char text[48];
  std::snprintf(text, sizeof text, "%lld.%06ld", static_cast<long long>(time.tv_sec),
                static_cast<long>(time.tv_usec));
  return text;
}

std::size_t SystemBytes() {
  return static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
}

Admin::Fields CpuFields() {
  const rusage self = UsageOf(RUSAGE_SELF);
  const rusage children = UsageOf(RUSAGE_CHILDREN);
  return {{"used_cpu_sys", Seconds(self.ru_stime)},
          {"used_cpu_user", Seconds(self.ru_utime)},
          {"used_cpu_sys_children", Seconds(children.ru_stime)},
          {"used_cpu_user_children", Seconds(children.ru_utime)}};
}

// To Redis's tools each node is a master without replicas: its copies are on other masters.
Admin::Fields ReplicationFields() {
  return {{"role", "master"},
          {"connected_slaves", "0"},
          {"master_failover_state", "no-failover"},
          {"repl_backlog_active", "0"}};
}

// The sum over some commands of one of their counts.
std::uint64_t SumOf(const std::vector<CommandCounts>& counts, std::uint64_t CommandCounts::*count,
                    std::initializer_list<std::string_view> names) {
  std::uint64_t sum = 0;
  for (const std::string_view name : names) {
    const Command* const command = CommandTable::Get().Find(name);
    if (command != nullptr && command->index < counts.size()) sum += counts[command->index].*count;
  }
  return sum;
}

}  // namespace

Admin::Fields NodeAdmin::Info(std::string_view section) {
  if (section == "server") return ServerFields();
  if (section == "clients") return ClientFields();
  if (section == "memory") return MemoryFields();
  if (section == "persistence") return PersistenceFields();
  if (section == "stats") return StatsFields();
  if (section == "replication") return ReplicationFields();
  if (section == "cpu") return CpuFields();
  if (section == "commandstats") return CommandStatsFields(SinceReset().commands);
  return {};
}

Admin::Fields NodeAdmin::ServerFields() const {
  utsname system{};
  ::uname(&system);
  const std::int64_t uptime = UptimeSeconds();
  return {{"redis_version", std::string(kRedisVersion)},
          {"gyre_version", GYRE_VERSION},
          {"node_name", config_.name},
          {"node_id", identity_.id.ToString()},
          {"os", std::string(system.sysname) + " " + system.release + " " + system.machine},
          {"arch_bits", Number(8 * sizeof(void*))},
          {"multiplexing_api", "epoll"},
          {"gcc_version", __VERSION__},
          {"process_id", std::to_string(::getpid())},
          {"run_id", identity_.id.ToRedisId()},
          {"tcp_port", Number(config_.resp_port)},
          {"server_time_usec", std::to_string(UnixNow() * 1000)},
          {"uptime_in_seconds", std::to_string(uptime)},
          {"uptime_in_days", std::to_string(uptime / (24 * 3600))},
          {"io_threads_active", config_.threads > 1 ? "1" : "0"}};
}

Admin::Fields NodeAdmin::ClientFields() {
  return {{"connected_clients", Number(sessions_.count())},
          {"maxclients", Number(config_.connections_max)},
          {"blocked_clients", "0"},
          {"tracking_clients", "0"}};
}

Admin::Fields NodeAdmin::MemoryFields() {
  const ShardStats storage = engine_.stats();
  const std::size_t resident = ResidentBytes();
  const std::size_t system = SystemBytes();
  std::uint64_t peak = 0;
  {
    MutexLock lock(mutex_);
    used_bytes_peak_ = std::max(used_bytes_peak_, storage.bytes_used);
    peak = used_bytes_peak_;
  }
  const auto percent = [](double part, double whole) {
    return Decimals(whole > 0 ? 100 * part / whole : 100) + "%";
  };
  const auto used = static_cast<double>(storage.bytes_used);
  return {
      {"used_memory", Number(storage.bytes_used)},
      {"used_memory_human", HumanBytes(storage.bytes_used)},
      {"used_memory_rss", Number(resident)},
      {"used_memory_rss_human", HumanBytes(resident)},
      {"used_memory_peak", Number(peak)},
      {"used_memory_peak_human", HumanBytes(peak)},
      {"used_memory_peak_perc", percent(used, static_cast<double>(peak))},
      {"total_system_memory", Number(system)},
      {"total_system_memory_human", HumanBytes(system)},
      {"used_memory_lua", "0"},
      {"number_of_cached_scripts", "0"},
      {"maxmemory", Number(config_.memory_bytes)},
      {"maxmemory_human", HumanBytes(config_.memory_bytes)},
      {"maxmemory_policy", "allkeys-lfu"},
      {"maxmemory_clients", Number(client_memory_.limit())},
      {"mem_clients_normal", Number(client_memory_.used())},
      {"mem_fragmentation_ratio", Decimals(used > 0 ? static_cast<double>(resident) / used : 0)},
      {"mem_fragmentation_bytes", std::to_string(static_cast<std::int64_t>(resident) -
                                                 static_cast<std::int64_t>(storage.bytes_used))},
      {"mem_replication_backlog", "0"},
      {"mem_aof_buffer", "0"},
      {"mem_allocator", "gyre-slab"},
      {"active_defrag_running", "0"}};
}

// A node writes a snapshot when it stops, and reads it before it opens its ports.
Admin::Fields NodeAdmin::PersistenceFields() const {
  Fields fields = {
      {"loading", "0"},     {"async_loading", "0"},           {"rdb_bgsave_in_progress", "0"},
      {"aof_enabled", "0"}, {"aof_rewrite_in_progress", "0"}, {"aof_rewrite_scheduled", "0"}};
  if (snapshot_.taken_ms > 0) {
    fields.emplace_back("rdb_last_save_time", std::to_string(snapshot_.taken_ms / 1000));
    fields.emplace_back("rdb_last_load_keys_loaded", Number(snapshot_.records));
  }
  return fields;
}

Admin::Fields NodeAdmin::StatsFields() {
  const Counters counters = SinceReset();
  const Rates rates = CurrentRates();
  std::uint64_t failed = 0;
  for (const CommandCounts& one : counters.commands) failed += one.errors + one.rejected;
  return {{"total_connections_received", Number(counters.server.accepted)},
          {"total_commands_processed", Number(counters.server.requests)},
          {"instantaneous_ops_per_sec", Number(static_cast<std::uint64_t>(rates.requests))},
          {"total_net_input_bytes", Number(counters.server.bytes_in)},
          {"total_net_output_bytes", Number(counters.server.bytes_out)},
          {"instantaneous_input_kbps", Decimals(rates.bytes_in / 1024)},
          {"instantaneous_output_kbps", Decimals(rates.bytes_out / 1024)},
          {"rejected_connections", Number(counters.server.rejected)},
          {"sync_full", "0"},
          {"sync_partial_ok", "0"},
          {"sync_partial_err", "0"},
          {"expired_keys", Number(counters.storage.expired)},
          {"evicted_keys", Number(counters.storage.evicted)},
          {"keyspace_hits", Number(counters.storage.hits)},
          {"keyspace_misses", Number(counters.storage.misses)},
          {"pubsub_channels", "0"},
          {"pubsub_patterns", "0"},
          {"latest_fork_usec", "0"},
          {"total_forks", "0"},
          {"total_error_replies", Number(failed)}};
}

// ---- memcached ----------------------------------------------------------------------------------

std::optional<Admin::Fields> NodeAdmin::MemcachedStats(std::string_view argument) {
  if (argument.empty()) return MemcachedGeneral();
  if (argument == "settings") return MemcachedSettings();
  if (argument == "slabs") return MemcachedSlabs();
  if (argument == "items") return Fields{};  // memcached's classes of age are not ours
  if (argument == "sizes") return Fields{{"sizes_status", "disabled"}};
  if (argument == "conns") return MemcachedConnections();
  return std::nullopt;
}

Admin::Fields NodeAdmin::MemcachedGeneral() {
  const Counters counters = SinceReset();
  const rusage usage = UsageOf(RUSAGE_SELF);
  const std::vector<CommandCounts>& commands = counters.commands;
  const auto sum = [&commands](std::uint64_t CommandCounts::*count,
                               std::initializer_list<std::string_view> names) {
    return Number(SumOf(commands, count, names));
  };
  constexpr auto kCalls = &CommandCounts::calls;
  constexpr auto kFound = &CommandCounts::found;
  constexpr auto kMissing = &CommandCounts::missing;
  return {{"pid", std::to_string(::getpid())},
          {"uptime", std::to_string(UptimeSeconds())},
          {"time", std::to_string(UnixNow() / 1000)},
          {"version", std::string(kMemcachedVersion)},
          {"gyre_version", GYRE_VERSION},
          {"pointer_size", Number(8 * sizeof(void*))},
          {"rusage_user", Seconds(usage.ru_utime)},
          {"rusage_system", Seconds(usage.ru_stime)},
          {"max_connections", Number(config_.connections_max)},
          {"curr_connections", Number(sessions_.count())},
          {"total_connections", Number(counters.server.accepted)},
          {"rejected_connections", Number(counters.server.rejected)},
          {"cmd_get", Number(counters.storage.hits + counters.storage.misses)},
          {"cmd_set", sum(kCalls, {"mc.set", "mc.refused", "mc.add", "mc.replace", "mc.append",
                                   "mc.prepend", "mc.cas", "set"})},
          {"cmd_flush", sum(kCalls, {"mc.flush_all", "flushall", "flushdb"})},
          {"cmd_touch", Number(SumOf(commands, kFound, {"mc.touch", "mc.gat", "mc.gats"}) +
                               SumOf(commands, kMissing, {"mc.touch", "mc.gat", "mc.gats"}))},
          {"cmd_meta", "0"},
          {"get_hits", Number(counters.storage.hits)},
          {"get_misses", Number(counters.storage.misses)},
          {"delete_misses", sum(kMissing, {"mc.delete"})},
          {"delete_hits", sum(kFound, {"mc.delete"})},
          {"incr_misses", sum(kMissing, {"mc.incr"})},
          {"incr_hits", sum(kFound, {"mc.incr"})},
          {"decr_misses", sum(kMissing, {"mc.decr"})},
          {"decr_hits", sum(kFound, {"mc.decr"})},
          {"cas_misses", sum(kMissing, {"mc.cas"})},
          {"cas_hits", sum(kFound, {"mc.cas"})},
          {"cas_badval", sum(&CommandCounts::mismatched, {"mc.cas"})},
          {"touch_hits", sum(kFound, {"mc.touch", "mc.gat", "mc.gats"})},
          {"touch_misses", sum(kMissing, {"mc.touch", "mc.gat", "mc.gats"})},
          {"store_too_large", sum(kCalls, {"mc.refused"})},
          {"store_no_memory", Number(counters.storage.refused_memory)},
          {"auth_cmds", "0"},
          {"auth_errors", "0"},
          {"bytes_read", Number(counters.server.bytes_in)},
          {"bytes_written", Number(counters.server.bytes_out)},
          {"limit_maxbytes", Number(config_.memory_bytes)},
          {"accepting_conns", "1"},
          {"threads", Number(config_.threads)},
          {"slabs_moved", Number(counters.storage.pages_moved)},
          {"bytes", Number(counters.storage.bytes_used)},
          {"curr_items", Number(counters.storage.records)},
          {"evictions", Number(counters.storage.evicted)},
          {"reclaimed", Number(counters.storage.expired)}};
}

Admin::Fields NodeAdmin::MemcachedSettings() const {
  return {{"maxbytes", Number(config_.memory_bytes)},
          {"maxconns", Number(config_.connections_max)},
          {"tcpport", Number(config_.memcached_port)},
          {"udpport", "0"},
          {"inter", config_.host},
          {"evictions", "on"},
          {"domain_socket", "NULL"},
          {"shutdown_command", "no"},
          {"num_threads", Number(config_.threads)},
          {"detail_enabled", "no"},
          {"cas_enabled", "yes"},
          {"binding_protocol", "ascii"},
          {"auth_enabled_sasl", "no"},
          {"auth_enabled_ascii", "no"},
          {"item_size_max", Number(config_.value_bytes_max)},
          {"maxconns_fast", "yes"},
          {"idle_timeout",
           std::to_string(std::chrono::ceil<std::chrono::seconds>(config_.idle_timeout).count())},
          {"slab_reassign", "yes"},
          {"flush_enabled", "yes"},
          {"dump_enabled", "no"},
          {"track_sizes", "no"},
          {"ssl_enabled", "no"}};
}

// Size classes that have pages, summed over the shards, which have the same classes.
Admin::Fields NodeAdmin::MemcachedSlabs() {
  const std::vector<SlabClassUse> classes = engine_.slab_classes();
  Fields fields;
  std::size_t active = 0;
  std::uint64_t bytes = 0;
  for (std::size_t id = 0; id < classes.size(); ++id) {
    const SlabClassUse& use = classes[id];
    if (use.pages == 0) continue;
    const std::uint64_t slots = use.pages * use.slots_a_page;
    const auto add = [&fields, id](const char* name, std::uint64_t value) {
      fields.emplace_back(std::to_string(id + 1) + ":" + name, Number(value));
    };
    add("chunk_size", use.slot_bytes);
    add("chunks_per_page", use.slots_a_page);
    add("total_pages", use.pages);
    add("total_chunks", slots);
    add("used_chunks", use.slots_used);
    add("free_chunks", slots - std::min(slots, use.slots_used));
    ++active;
    bytes += use.pages * use.page_bytes;
  }
  fields.emplace_back("active_slabs", Number(active));
  fields.emplace_back("total_malloced", Number(bytes));
  return fields;
}

Admin::Fields NodeAdmin::MemcachedConnections() {
  Fields fields;
  std::size_t shown = 0;
  const UnixMillis now = UnixNow();
  const auto show = [&](const Session& session) {
    if (session.protocol != Protocol::kMemcached || shown == kConnectionsShownMax) return;
    ++shown;
    const std::string id = std::to_string(session.id);
    const UnixMillis active = session.last_active_ms.load(std::memory_order_relaxed);
    fields.emplace_back(id + ":addr", "tcp:" + session.peer_address);
    fields.emplace_back(id + ":listen_addr", "tcp:" + session.local_address);
    fields.emplace_back(id + ":secs_since_last_cmd",
                        std::to_string(std::max<UnixMillis>(now - active, 0) / 1000));
  };
  // The registry's lock is held for a few at a time.
  std::uint64_t next = 0;
  do {
    next = sessions_.ForEachFrom(next, kConnectionsAtOnce, show);
  } while (next != 0 && shown < kConnectionsShownMax);
  return fields;
}

}  // namespace gyre
