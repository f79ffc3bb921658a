#include "node_admin.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "control/restart_check.h"
#include "node_rebalance.h"
#include "process_figures.h"

namespace gyre {
namespace {

using Json = nlohmann::ordered_json;

void Add(ServerStats& sum, const ServerStats& one) {
  sum.connections += one.connections;
  sum.accepted += one.accepted;
  sum.rejected += one.rejected;
  sum.accept_errors += one.accept_errors;
  sum.closed_slow += one.closed_slow;
  sum.closed_memory += one.closed_memory;
  sum.protocol_errors += one.protocol_errors;
  sum.requests += one.requests;
  sum.bytes_in += one.bytes_in;
  sum.bytes_out += one.bytes_out;
  sum.pauses += one.pauses;
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
                       {"state", view.StateName(i)},
                       {"on_ring", static_cast<bool>(view.on_ring[i])},
                       {"drained", view.IsDrained(i)},
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
  const auto unowned = std::count(view.owner.begin(), view.owner.end(), kNoMember);
  return {{"partitions", view.partition_count},
          {"replicas", view.replicas},
          {"unowned", unowned},
          {"under_replicated", view.UnderReplicated()},
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
                     const ClientMemory& memory, const Keyring* keys,
                     const std::vector<std::unique_ptr<Worker>>& workers)
    : config_(config),
      identity_(identity),
      sessions_(sessions),
      engine_(engine),
      runtime_(runtime),
      snapshot_(snapshot),
      client_memory_(memory),
      keys_(keys),
      workers_(workers),
      started_ms_(UnixNow()) {}

std::int64_t NodeAdmin::UptimeSeconds() const { return (UnixNow() - started_ms_) / 1000; }

NodeAdmin::Counters NodeAdmin::Now() {
  Counters counters{engine_.stats(), {}, {}};
  counters.commands.resize(CommandTable::Get().commands().size());
  for (const auto& worker : workers_) {
    Add(counters.server, worker->server_stats());
    const std::vector<CommandCounts> counts = worker->dispatcher().command_stats();
    for (std::size_t i = 0; i < counts.size(); ++i) counters.commands[i] += counts[i];
  }
  return counters;
}

NodeAdmin::Counters NodeAdmin::SinceReset() {
  Counters counters = Now();
  MutexLock lock(mutex_);
  counters.storage.hits -= baseline_.storage.hits;
  counters.storage.misses -= baseline_.storage.misses;
  counters.storage.evicted -= baseline_.storage.evicted;
  counters.storage.expired -= baseline_.storage.expired;
  counters.storage.refused_memory -= baseline_.storage.refused_memory;
  counters.server.accepted -= baseline_.server.accepted;
  counters.server.rejected -= baseline_.server.rejected;
  counters.server.requests -= baseline_.server.requests;
  counters.server.bytes_in -= baseline_.server.bytes_in;
  counters.server.bytes_out -= baseline_.server.bytes_out;
  for (std::size_t i = 0; i < baseline_.commands.size(); ++i) {
    counters.commands[i] -= baseline_.commands[i];
  }
  return counters;
}

void NodeAdmin::ResetStats() {
  const Counters now = Now();
  MutexLock lock(mutex_);
  baseline_ = now;
  used_bytes_peak_ = now.storage.bytes_used;
}

void NodeAdmin::Sample(TimePoint now) {
  const Counters counters = Now();
  MutexLock lock(mutex_);
  used_bytes_peak_ = std::max(used_bytes_peak_, counters.storage.bytes_used);
  samples_[sampled_++ % samples_.size()] = {now, counters.server.requests, counters.server.bytes_in,
                                            counters.server.bytes_out};
}

// Between the oldest sample that is kept and the newest.
NodeAdmin::Rates NodeAdmin::CurrentRates() {
  MutexLock lock(mutex_);
  if (sampled_ < 2) return {};
  const Traffic& newest = samples_[(sampled_ - 1) % samples_.size()];
  const Traffic& oldest = samples_[sampled_ < samples_.size() ? 0 : sampled_ % samples_.size()];
  const double seconds = std::chrono::duration<double>(newest.at - oldest.at).count();
  if (seconds <= 0) return {};
  return {static_cast<double>(newest.requests - oldest.requests) / seconds,
          static_cast<double>(newest.bytes_in - oldest.bytes_in) / seconds,
          static_cast<double>(newest.bytes_out - oldest.bytes_out) / seconds};
}

std::string NodeAdmin::StatusJson() {
  const Counters counters = Now();
  const ClusterStats cluster = runtime_.stats();
  Json status = {{"name", config_.name},
                 {"cluster", config_.cluster_name},
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

void NodeAdmin::Undrain(const NodeId& node, Done done) {
  runtime_.Undrain(node, OnCallersLoop(std::move(done)));
}

void NodeAdmin::Remove(const NodeId& node, Done done) {
  runtime_.Remove(node, OnCallersLoop(std::move(done)));
}

std::string NodeAdmin::RestartCheckJson(const NodeId& node) {
  const ClusterViewPtr view = runtime_.views().Load();
  const MemberIndex member = view == nullptr ? kNoMember : view->Find(node);
  RestartCheck check;
  if (member == kNoMember) {
    check.reasons.emplace_back("the node is not known here");
  } else {
    check = CheckRestart(*view, member, config_.write_acks,
                         config_.consistency == Consistency::kMajority);
  }
  return Json{{"node", member == kNoMember ? node.ToString() : view->members[member].name},
              {"safe", check.safe()},
              {"reasons", check.reasons}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
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
