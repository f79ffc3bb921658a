#include "node_admin.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/log.h"
#include "command/glob.h"
#include "node_rebalance.h"

namespace gyre {
namespace {

using Json = nlohmann::ordered_json;

// Clients that ask for a Redis version adapt to what it could do; the commands here are those of
// this release.
constexpr char kRedisCompatibleVersion[] = "7.0.0";

std::size_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
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

Admin::Fields CpuFields() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return {{"used_cpu_sys", Seconds(usage.ru_stime)}, {"used_cpu_user", Seconds(usage.ru_utime)}};
}

void Add(ServerStats& sum, const ServerStats& one) {
  sum.connections += one.connections;
  sum.accepted += one.accepted;
  sum.rejected += one.rejected;
  sum.accept_errors += one.accept_errors;
  sum.closed_slow += one.closed_slow;
  sum.protocol_errors += one.protocol_errors;
  sum.requests += one.requests;
  sum.bytes_in += one.bytes_in;
  sum.bytes_out += one.bytes_out;
  sum.pauses += one.pauses;
}

std::string_view StateName(MemberState state) {
  switch (state) {
    case MemberState::kAlive:
      return "alive";
    case MemberState::kSuspect:
      return "suspect";
    case MemberState::kDead:
      return "dead";
    case MemberState::kStopped:
      return "stopped";
  }
  return "unknown";
}

// How far another member's clock is ahead of this node's; null where it was not measured.
Json ClockAheadMs(const NodeId& id, const MembershipStats& stats) {
  for (const ClockOffset& clock : stats.clock_offsets) {
    if (clock.id != id) continue;
    return std::round(std::chrono::duration<double, std::milli>(clock.offset).count() * 10) / 10;
  }
  return nullptr;
}

Json MembersJson(const ClusterView& view, const MembershipStats& stats) {
  std::vector<std::uint32_t> owned(view.members.size());
  std::vector<std::uint32_t> holds(view.members.size());
  for (const MemberIndex owner : view.owner) {
    if (owner != kNoMember) ++owned[owner];
  }
  for (const auto& holders : view.complete) {
    for (const MemberIndex holder : holders) ++holds[holder];
  }
  Json members = Json::array();
  for (std::size_t i = 0; i < view.members.size(); ++i) {
    const MemberInfo& member = view.members[i];
    members.push_back({{"name", member.name},
                       {"id", member.id.ToString()},
                       {"self", i == view.self},
                       {"state", StateName(member.state)},
                       {"on_ring", static_cast<bool>(view.on_ring[i])},
                       {"zone", member.zone},
                       {"weight", member.weight},
                       {"host", member.host},
                       {"port", member.port},
                       {"resp_port", member.resp_port},
                       {"resp_cluster_port", member.resp_cluster_port},
                       {"memcached_port", member.memcached_port},
                       {"http_port", member.http_port},
                       {"incarnation", member.incarnation},
                       {"owned_partitions", owned[i]},
                       {"complete_partitions", holds[i]},
                       {"clock_ahead_ms", ClockAheadMs(member.id, stats)}});
  }
  return members;
}

Json LeaseJson(const LeaseStats& stats) {
  return {{"majority_in_view", stats.majority},
          {"claimed", stats.claims},
          {"held", stats.held},
          {"remaining_ms", stats.remaining_ms},
          {"lapses", stats.lapses},
          {"refusals", stats.refusals},
          {"overruns", stats.overruns},
          {"deaths_unconfirmed", stats.unfenced_deaths}};
}

Json RingJson(const ClusterView& view, const ClusterStats& stats) {
  std::uint32_t unowned = 0;
  std::uint32_t under_replicated = 0;
  const auto on_ring_serving = [&] {
    std::size_t count = 0;
    for (std::size_t i = 0; i < view.members.size(); ++i) {
      if (view.on_ring[i] && view.members[i].serving()) ++count;
    }
    return count;
  }();
  const std::size_t wanted = std::min<std::size_t>(view.replicas, on_ring_serving);
  for (std::size_t p = 0; p < view.owner.size(); ++p) {
    if (view.owner[p] == kNoMember) ++unowned;
    if (view.complete[p].size() < wanted) ++under_replicated;
  }
  return {{"partitions", view.partition_count},
          {"replicas", view.replicas},
          {"unowned", unowned},
          {"under_replicated", under_replicated},
          {"digest", view.digest},
          {"owned_here", stats.ownership.owned},
          {"warming_here", stats.ownership.warming},
          {"transfers_left_here", stats.transfer.partitions_left},
          {"transferred_bytes", stats.transfer.bytes},
          {"transferred_records", stats.transfer.records},
          {"matched_records", stats.transfer.records_matched},
          {"offered_records", stats.transfer.records_offered},
          {"forgotten_records", stats.transfer.records_forgotten},
          {"restored_here", stats.ownership.restored},
          {"takeovers", stats.ownership.takeovers},
          {"losses", stats.ownership.losses}};
}

}  // namespace

NodeAdmin::NodeAdmin(const Config& config, const Identity& identity, SessionRegistry& sessions,
                     Engine& engine, ClusterRuntime& runtime, const SnapshotStats& snapshot,
                     const Keyring* keys, const std::vector<std::unique_ptr<Worker>>& workers)
    : config_(config),
      identity_(identity),
      sessions_(sessions),
      engine_(engine),
      runtime_(runtime),
      snapshot_(snapshot),
      keys_(keys),
      workers_(workers),
      started_ms_(UnixNow()) {}

std::int64_t NodeAdmin::UptimeSeconds() const { return (UnixNow() - started_ms_) / 1000; }

NodeAdmin::Counters NodeAdmin::Now() {
  Counters counters{engine_.stats(), {}};
  for (const auto& worker : workers_) Add(counters.server, worker->server_stats());
  return counters;
}

NodeAdmin::Counters NodeAdmin::SinceReset() {
  Counters counters = Now();
  MutexLock lock(mutex_);
  counters.storage.hits -= baseline_.storage.hits;
  counters.storage.misses -= baseline_.storage.misses;
  counters.storage.evicted -= baseline_.storage.evicted;
  counters.storage.expired -= baseline_.storage.expired;
  counters.server.accepted -= baseline_.server.accepted;
  counters.server.rejected -= baseline_.server.rejected;
  counters.server.requests -= baseline_.server.requests;
  counters.server.bytes_in -= baseline_.server.bytes_in;
  counters.server.bytes_out -= baseline_.server.bytes_out;
  return counters;
}

void NodeAdmin::ResetStats() {
  const Counters now = Now();
  MutexLock lock(mutex_);
  baseline_ = now;
}

Admin::Fields NodeAdmin::Info(std::string_view section) {
  if (section == "server") return ServerFields();
  if (section == "clients") return ClientFields();
  if (section == "memory") return MemoryFields();
  if (section == "stats") return StatsFields();
  if (section == "replication") return {{"role", "master"}, {"connected_slaves", "0"}};
  if (section == "cpu") return CpuFields();
  if (section == "commandstats") {
    std::vector<const Dispatcher*> dispatchers;
    for (const auto& worker : workers_) dispatchers.push_back(&worker->dispatcher());
    return CommandStatsFields(dispatchers);
  }
  return {};
}

Admin::Fields NodeAdmin::ServerFields() const {
  utsname system{};
  ::uname(&system);
  const std::int64_t uptime = UptimeSeconds();
  return {{"redis_version", kRedisCompatibleVersion},
          {"gyre_version", GYRE_VERSION},
          {"node_name", config_.name},
          {"node_id", identity_.id.ToString()},
          {"os", std::string(system.sysname) + " " + system.release + " " + system.machine},
          {"arch_bits", std::to_string(8 * sizeof(void*))},
          {"process_id", std::to_string(::getpid())},
          {"run_id", identity_.id.ToRedisId()},
          {"tcp_port", std::to_string(config_.resp_port)},
          {"io_threads_active", std::to_string(config_.threads)},
          {"uptime_in_seconds", std::to_string(uptime)},
          {"uptime_in_days", std::to_string(uptime / (24 * 3600))}};
}

Admin::Fields NodeAdmin::ClientFields() {
  return {{"connected_clients", std::to_string(sessions_.count())},
          {"maxclients", std::to_string(config_.connections_max)},
          {"blocked_clients", "0"}};
}

Admin::Fields NodeAdmin::MemoryFields() {
  const ShardStats storage = engine_.stats();
  const std::size_t resident = ResidentBytes();
  return {{"used_memory", std::to_string(storage.bytes_used)},
          {"used_memory_human", HumanBytes(storage.bytes_used)},
          {"used_memory_rss", std::to_string(resident)},
          {"used_memory_rss_human", HumanBytes(resident)},
          {"maxmemory", std::to_string(config_.memory_bytes)},
          {"maxmemory_human", HumanBytes(config_.memory_bytes)},
          {"maxmemory_policy", "allkeys-lfu"},
          {"mem_allocator", "gyre-slab"}};
}

Admin::Fields NodeAdmin::StatsFields() {
  const Counters counters = SinceReset();
  return {{"total_connections_received", std::to_string(counters.server.accepted)},
          {"total_commands_processed", std::to_string(counters.server.requests)},
          {"total_net_input_bytes", std::to_string(counters.server.bytes_in)},
          {"total_net_output_bytes", std::to_string(counters.server.bytes_out)},
          {"rejected_connections", std::to_string(counters.server.rejected)},
          {"expired_keys", std::to_string(counters.storage.expired)},
          {"evicted_keys", std::to_string(counters.storage.evicted)},
          {"keyspace_hits", std::to_string(counters.storage.hits)},
          {"keyspace_misses", std::to_string(counters.storage.misses)}};
}

Admin::Fields NodeAdmin::MemcachedStats(std::string_view argument) {
  if (argument == "settings") {
    return {{"maxbytes", std::to_string(config_.memory_bytes)},
            {"maxconns", std::to_string(config_.connections_max)},
            {"tcpport", std::to_string(config_.memcached_port)},
            {"udpport", "0"},
            {"num_threads", std::to_string(config_.threads)},
            {"item_size_max", std::to_string(config_.value_bytes_max)},
            {"evictions", "on"},
            {"cas_enabled", "yes"}};
  }
  if (argument == "reset") {
    ResetStats();
    return {};
  }
  if (!argument.empty()) return {};
  const Counters counters = SinceReset();
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto number = [](std::uint64_t value) { return std::to_string(value); };
  return {{"pid", std::to_string(::getpid())},
          {"uptime", std::to_string(UptimeSeconds())},
          {"time", std::to_string(UnixNow() / 1000)},
          {"version", GYRE_VERSION},
          {"pointer_size", number(8 * sizeof(void*))},
          {"rusage_user", Seconds(usage.ru_utime)},
          {"rusage_system", Seconds(usage.ru_stime)},
          {"curr_connections", number(sessions_.count())},
          {"total_connections", number(counters.server.accepted)},
          {"rejected_connections", number(counters.server.rejected)},
          {"get_hits", number(counters.storage.hits)},
          {"get_misses", number(counters.storage.misses)},
          {"cmd_get", number(counters.storage.hits + counters.storage.misses)},
          {"cmd_set", number(StoreCalls())},
          {"bytes_read", number(counters.server.bytes_in)},
          {"bytes_written", number(counters.server.bytes_out)},
          {"limit_maxbytes", std::to_string(config_.memory_bytes)},
          {"threads", std::to_string(config_.threads)},
          {"bytes", number(counters.storage.bytes_used)},
          {"curr_items", number(counters.storage.records)},
          {"evictions", number(counters.storage.evicted)},
          {"reclaimed", number(counters.storage.expired)}};
}

Admin::Fields NodeAdmin::Parameters() const {
  const auto number = [](std::uint64_t value) { return std::to_string(value); };
  return {// Gyre's own, named as on the command line.
          {"name", config_.name},
          {"host", config_.host},
          {"native-port", number(config_.port)},
          {"resp-port", number(config_.resp_port)},
          {"resp-cluster-port", number(config_.resp_cluster_port)},
          {"memcached-port", number(config_.memcached_port)},
          {"http-port", number(config_.http_port)},
          {"memory", number(config_.memory_bytes)},
          {"max-value", number(config_.value_bytes_max)},
          {"threads", number(config_.threads)},
          {"max-connections", number(config_.connections_max)},
          {"replicas", number(config_.replicas)},
          {"write-acks", number(config_.write_acks)},
          {"partitions", number(config_.partitions)},
          {"zone", config_.zone},
          {"weight", number(config_.weight)},
          {"cluster-name", config_.cluster_name},
          {"data-dir", config_.data_dir},
          {"snapshot-on-exit", config_.snapshot_on_exit ? "yes" : "no"},
          {"rebalance-limit", number(config_.rebalance_limit)},
          {"log-level", std::string(spdlog::level::to_string_view(spdlog::get_level()).data())},
          // What Redis's tools ask for.
          {"port", number(config_.resp_port)},
          {"bind", config_.host},
          {"dir", config_.data_dir},
          {"databases", "1"},
          {"maxmemory", number(config_.memory_bytes)},
          {"maxmemory-policy", "allkeys-lfu"},
          {"maxclients", number(config_.connections_max)},
          {"proto-max-bulk-len", number(config_.value_bytes_max)},
          {"save", ""},
          {"appendonly", "no"},
          {"timeout", "0"}};
}

// Calls of the commands that store a value, as memcached counts them.
std::uint64_t NodeAdmin::StoreCalls() const {
  static constexpr std::string_view kStores[] = {"mc.set",     "mc.add", "mc.replace", "mc.append",
                                                 "mc.prepend", "mc.cas", "set"};
  std::uint64_t calls = 0;
  for (const std::string_view name : kStores) {
    const Command* command = CommandTable::Get().Find(name);
    if (command == nullptr) continue;
    for (const auto& worker : workers_) {
      calls += worker->dispatcher().command_stats()[command->index].calls;
    }
  }
  return calls;
}

Admin::Fields NodeAdmin::ConfigGet(std::string_view pattern) {
  Fields matching;
  for (auto& parameter : Parameters()) {
    if (GlobMatches(pattern, parameter.first)) matching.push_back(std::move(parameter));
  }
  return matching;
}

Status NodeAdmin::ConfigSet(std::string_view name, std::string_view value) {
  if (name == "log-level") {
    const std::string wanted(value);
    const spdlog::level::level_enum level = spdlog::level::from_str(wanted);
    if (level == spdlog::level::off && wanted != "off") {
      return Fail(ErrorCode::kInvalidArgument,
                  "log-level takes trace, debug, info, warn, error or off");
    }
    spdlog::set_level(level);
    return {};
  }
  for (const auto& [known, current] : Parameters()) {
    if (known != name) continue;
    if (current == value) return {};
    return Fail(
        ErrorCode::kInvalidArgument,
        std::string(name) + " cannot change while the node runs: restart it with the new value");
  }
  return Fail(ErrorCode::kInvalidArgument,
              "unknown parameter '" + std::string(name) + "': see CONFIG GET *");
}

std::string NodeAdmin::StatusJson() {
  const Counters counters = Now();
  const ClusterStats cluster = runtime_.stats();
  Json status = {{"name", config_.name},
                 {"id", identity_.id.ToString()},
                 {"version", GYRE_VERSION},
                 {"uptime_seconds", UptimeSeconds()},
                 {"memory",
                  {{"limit_bytes", config_.memory_bytes},
                   {"used_bytes", counters.storage.bytes_used},
                   {"resident_bytes", ResidentBytes()}}},
                 {"records", counters.storage.records},
                 {"tombstones", counters.storage.tombstones},
                 {"hits", counters.storage.hits},
                 {"misses", counters.storage.misses},
                 {"evicted", counters.storage.evicted},
                 {"expired", counters.storage.expired},
                 {"refused_memory", counters.storage.refused_memory},
                 {"connections", sessions_.count()},
                 {"requests", counters.server.requests}};
  status["snapshot"] = {{"on_exit", config_.snapshot_on_exit},
                        {"last", snapshot_.outcome_name()},
                        {"reason", snapshot_.reason},
                        {"records", snapshot_.records},
                        {"bytes", snapshot_.bytes},
                        {"load_seconds", snapshot_.seconds},
                        {"taken_ms", snapshot_.taken_ms}};
  // How many keys, never which: `gyre status` is for everyone who may connect.
  status["gossip"] = {{"encrypted", keys_ != nullptr},
                      {"keys", keys_ == nullptr ? 0 : keys_->Load()->size()}};
  if (const ClusterViewPtr view = runtime_.views().Load(); view != nullptr) {
    status["ring"] = RingJson(*view, cluster);
    status["rebalance"] = ProgressJson(cluster.transfer.progress);
    status["members"] = MembersJson(*view, cluster.membership);
  }
  if (cluster.majority) status["lease"] = LeaseJson(cluster.leases);
  return status.dump(-1, ' ', false, Json::error_handler_t::replace);
}

namespace {

// `done` as the control thread calls it, taking the answer back to the loop that asked.
template <typename Answer>
std::function<void(Answer)> OnCallersLoop(std::function<void(Answer)> done) {
  EventLoop* loop = Worker::CurrentLoop();
  return loop == nullptr ? done : ReturnTo(*loop, std::move(done));
}

}  // namespace

void NodeAdmin::Drain(const NodeId& node, Done done) {
  runtime_.Drain(node, OnCallersLoop(std::move(done)));
}

void NodeAdmin::Remove(const NodeId& node, Done done) {
  runtime_.Remove(node, OnCallersLoop(std::move(done)));
}

void NodeAdmin::SetRebalance(const RebalanceChange& change, Done done) {
  runtime_.SetRebalance(change, OnCallersLoop(std::move(done)));
}

void NodeAdmin::RebalanceJson(std::function<void(std::string)> done) {
  runtime_.AskProgress(
      [this, done = OnCallersLoop(std::move(done))](const std::vector<NodeProgress>& nodes) {
        const ClusterViewPtr view = runtime_.views().Load();
        done(RebalanceStatusJson(nodes, identity_.id, view.get())
                 .dump(-1, ' ', false, Json::error_handler_t::replace));
      });
}

}  // namespace gyre
