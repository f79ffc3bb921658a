#include "ops/status_report.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "control/restart_check.h"
#include "ops/rebalance_report.h"
#include "proto/or_null.h"

namespace gyre {
namespace {

using Json = nlohmann::ordered_json;

// How far another member's clock is ahead of this node's; null where it was not measured.
Json ClockAheadMs(const NodeId& id, const MembershipStats& stats) {
  for (const ClockOffset& clock : stats.clock_offsets) {
    if (clock.id != id) continue;
    return std::round(std::chrono::duration<double, std::milli>(clock.offset).count() * 10) / 10;
  }
  return nullptr;
}

double Tenths(double number) { return std::round(number * 10) / 10; }

double Rounded(Duration duration) {
  return Tenths(std::chrono::duration<double>(duration).count());
}

// Of a member that is dead: since when, and when it leaves the ring.
void AddDeath(const NodeId& id, const MembershipStats& stats, Json& member) {
  for (const DeadMember& dead : stats.dead) {
    if (dead.id != id) continue;
    member["since_seconds"] = Rounded(dead.since);
    member["evict_in_seconds"] = dead.evict_in ? Json(Rounded(*dead.evict_in)) : Json(nullptr);
  }
}

Json MembersJson(const ClusterView& view, const MembershipStats& stats) {
  std::vector<std::uint32_t> owned(view.members.size());
  std::vector<std::uint32_t> holds(view.members.size());
  for (const MemberIndex owner : view.owner) {
    if (owner != kNoMember) ++owned[owner];
  }
  std::vector<std::uint32_t> last(view.members.size());
  for (const auto& holders : view.complete) {
    if (holders.size() == 1) ++last[holders.front()];
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
                       {"last_holder_partitions", last[i]},
                       {"clock_ahead_ms", ClockAheadMs(member.id, stats)}});
    if (member.state == MemberState::kDead) AddDeath(member.id, stats, members.back());
  }
  return members;
}

Json LeaseJson(const LeaseStats& stats) {
  return {{"majority_in_view", stats.majority != 0},
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
          {"standing_by_here", stats.ownership.standing_by},
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

// How hard it works: for whoever judges how many nodes there should be (proto/scaling_advisor.h).
Json LoadJson(const StatusSource& node) {
  const RecentFigures& recent = node.recent;
  Json gained = Json::array();
  for (const double each : node.hits.gained) gained.push_back(std::round(each * 1e5) / 1e5);
  const std::size_t loops = std::max<std::size_t>(node.figures.loops, 1);
  return {{"busy_ratio", std::round(recent.loops_busy / static_cast<double>(loops) * 1e4) / 1e4},
          {"network_bytes_per_second", std::round(std::max(recent.network_in_bytes_per_second,
                                                           recent.network_out_bytes_per_second))},
          {"network_limit_bytes_per_second",
           node.network_limit == 0 ? Json(nullptr) : Json(node.network_limit)},
          {"evictions_per_second", Tenths(recent.evictions_per_second)},
          {"sampled_reads", std::round(node.hits.sampled)},
          {"hits_gained", std::move(gained)}};
}

// Without "members", "rebalance" and "lease", which are of the cluster as the node sees it.
Json OwnJson(const StatusSource& node) {
  Json status = {
      {"name", node.config.name},
      {"cluster", node.config.cluster_name},
      {"id", node.identity.id.ToString()},
      {"version", node.version},
      {"uptime_seconds", node.uptime_seconds},
      {"consistency", node.config.consistency == Consistency::kMajority ? "majority" : "available"},
      {"write_acks", node.config.write_acks},
      {"requests_per_second", node.recent.requests_per_second},
      {"reads_per_second", node.recent.reads_per_second},
      {"latency_p99_seconds", OrNull<Json>(node.recent.latency_p99_seconds)},
      {"hit_ratio", OrNull<Json>(node.recent.hit_ratio)},
      {"memory",
       {{"limit_bytes", node.config.memory_bytes},
        {"used_bytes", node.figures.storage.bytes_used},
        {"resident_bytes", node.resident_bytes}}},
      {"records", node.figures.storage.records},
      {"tombstones", node.figures.storage.tombstones},
      {"hits", node.figures.storage.hits},
      {"misses", node.figures.storage.misses},
      {"evicted", node.figures.storage.evicted},
      {"expired", node.figures.storage.expired},
      {"refused_memory", node.figures.storage.refused_memory},
      {"connections", node.clients},
      {"requests", node.figures.server.requests}};
  status["load"] = LoadJson(node);
  status["snapshot"] = {{"on_exit", node.config.snapshot_on_exit},
                        {"last", node.snapshot.outcome_name()},
                        {"reason", node.snapshot.reason},
                        {"records", node.snapshot.records},
                        {"bytes", node.snapshot.bytes},
                        {"load_seconds", node.snapshot.seconds},
                        {"taken_ms", node.snapshot.taken_ms}};
  // How many keys, never which: `gyre status` is for everyone who may connect.
  status["gossip"] = {{"encrypted", node.gossip_keys.has_value()},
                      {"keys", node.gossip_keys.value_or(0)}};
  const SettingsStats& settings = node.cluster.settings;
  status["ring_settings"] = {{"count", settings.live},
                             {"bytes", settings.bytes},
                             {"digest", DigestText(settings.digest)},
                             {"refused_here", node.ring_parameters.refused},
                             {"overridden_here", node.ring_parameters.overridden}};
  if (node.view != nullptr) status["ring"] = RingJson(*node.view, node.cluster);
  return status;
}

Json HistoryJson(const std::vector<FigurePoint>& points) {
  Json requests = Json::array();
  Json reads = Json::array();
  Json latency = Json::array();
  Json hits = Json::array();
  Json memory = Json::array();
  for (const FigurePoint& point : points) {
    requests.push_back(Tenths(point.recent.requests_per_second));
    reads.push_back(Tenths(point.recent.reads_per_second));
    latency.push_back(OrNull<Json>(point.recent.latency_p99_seconds));
    hits.push_back(OrNull<Json>(point.recent.hit_ratio));
    memory.push_back(point.used_bytes);
  }
  return {{"step_seconds", std::chrono::duration<double>(FigureHistory::kStep).count()},
          {"requests_per_second", std::move(requests)},
          {"reads_per_second", std::move(reads)},
          {"latency_p99_seconds", std::move(latency)},
          {"hit_ratio", std::move(hits)},
          {"memory_used_bytes", std::move(memory)}};
}

}  // namespace

std::string OwnStatusJson(const StatusSource& node, const std::vector<FigurePoint>* history) {
  Json status = OwnJson(node);
  if (history != nullptr) status["history"] = HistoryJson(*history);
  return JsonText(status);
}

std::string StatusJson(const StatusSource& node) {
  Json status = OwnJson(node);
  if (const ClusterView* const view = node.view.get(); view != nullptr) {
    status["rebalance"] = ProgressJson(node.cluster.transfer.progress);
    status["members"] = MembersJson(*view, node.cluster.membership);
  }
  if (node.cluster.majority) status["lease"] = LeaseJson(node.cluster.leases);
  return JsonText(status);
}

std::string RestartCheckJson(const Config& config, const ClusterView* view, const NodeId& node) {
  const MemberIndex member = view == nullptr ? kNoMember : view->Find(node);
  RestartCheck check;
  if (member == kNoMember) {
    check.reasons.emplace_back("the node is not known here");
  } else {
    check = CheckRestart(*view, member, config.write_acks,
                         config.consistency == Consistency::kMajority);
  }
  return JsonText({{"node", member == kNoMember ? node.ToString() : view->members[member].name},
                   {"safe", check.safe()},
                   {"reasons", check.reasons}});
}

}  // namespace gyre
