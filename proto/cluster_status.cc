#include "proto/cluster_status.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "proto/human.h"
#include "proto/or_null.h"

namespace gyre {
namespace {

using Json = nlohmann::ordered_json;

// Clocks stamp versions: apart by more, and the wrong one of two writes may win (server/ops'
// gyre_clock_alarms).
constexpr double kClockApartMs = 500;

const Json* Find(const Json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

std::optional<double> Number(const Json& object, const char* name) {
  const Json* const value = Find(object, name);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->get<double>();
}

// One that can be; what is below 0, or no number, is left out.
std::optional<double> Amount(const Json& object, const char* name) {
  const std::optional<double> number = Number(object, name);
  return number && *number >= 0 && std::isfinite(*number) ? number : std::nullopt;
}

std::uint64_t Count(const Json& object, const char* name) {
  const double number = Number(object, name).value_or(0);
  return number > 0 ? static_cast<std::uint64_t>(std::min(number, 1e18)) : 0;
}

std::string Text(const Json& object, const char* name) {
  const Json* const value = Find(object, name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

bool Flag(const Json& object, const char* name, bool otherwise = false) {
  const Json* const value = Find(object, name);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : otherwise;
}

std::string Address(const std::string& host, std::uint64_t port) {
  const bool ipv6 = host.find(':') != std::string::npos;
  return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

// A curve of another length is of another release, and says nothing.
HitCurve ReadCurve(const Json& load) {
  HitCurve curve;
  const Json* const gained = Find(load, "hits_gained");
  if (gained == nullptr || !gained->is_array() || gained->size() != curve.gained.size()) return {};
  for (std::size_t point = 0; point < curve.gained.size(); ++point) {
    const Json& one = (*gained)[point];
    if (!one.is_number()) return {};
    curve.gained[point] = std::clamp(one.get<double>(), -1.0, 1.0);
  }
  curve.sampled = std::max(Number(load, "sampled_reads").value_or(0), 0.0);
  return curve;
}

NodeLoad ReadLoad(const Json& json) {
  NodeLoad load;
  load.busy_ratio = Amount(json, "busy_ratio");
  load.network_bytes_per_second = Amount(json, "network_bytes_per_second");
  load.network_limit = Amount(json, "network_limit_bytes_per_second");
  load.evictions_per_second = Amount(json, "evictions_per_second");
  load.hits = ReadCurve(json);
  return load;
}

NodeStatus ReadMember(const Json& member) {
  NodeStatus node;
  node.name = Text(member, "name");
  node.id = Text(member, "id");
  const std::string host = Text(member, "host");
  node.address = Address(host, Count(member, "port"));
  const std::uint64_t http_port = Count(member, "http_port");
  if (http_port != 0) node.http_address = Address(host, http_port);
  node.zone = Text(member, "zone");
  node.state = Text(member, "state");
  node.on_ring = Flag(member, "on_ring", true);
  node.drained = Flag(member, "drained");
  node.owned = Count(member, "owned_partitions");
  node.complete = Count(member, "complete_partitions");
  node.last_holder = Count(member, "last_holder_partitions");
  node.since_seconds = Number(member, "since_seconds");
  node.evict_in_seconds = Number(member, "evict_in_seconds");
  node.clock_ahead_ms = Number(member, "clock_ahead_ms");
  return node;
}

void ReadMoves(const Json& rebalance, ClusterStatus& status) {
  status.moves_paused = Flag(rebalance, "paused");
  if (Count(rebalance, "partitions_left") > 0) {
    status.whole_in_seconds = Number(rebalance, "eta_seconds");
  }
  const Json* const nodes = Find(rebalance, "nodes");
  if (nodes == nullptr || !nodes->is_array()) return;
  for (const Json& one : *nodes) {
    const std::string name = Text(one, "name");
    const auto node = std::find_if(status.nodes.begin(), status.nodes.end(),
                                   [&](const NodeStatus& each) { return each.name == name; });
    if (node == status.nodes.end() || Count(one, "partitions_left") == 0) continue;
    node->filled_percent = Number(one, "progress_percent");
    node->moving_bytes_per_second = Number(one, "bytes_per_second");
    node->eta_seconds = Number(one, "eta_seconds");
  }
}

std::string Named(const NodeStatus& node) { return node.name.empty() ? node.address : node.name; }

std::string Counted(std::uint64_t count, const std::string& one) {
  return std::to_string(count) + " " + one + (count == 1 ? "" : "s");
}

// The judge of one cluster: each method looks at one thing.
class Judgement {
 public:
  explicit Judgement(const ClusterStatus& status) : status_(status) {}

  Verdict Take() {
    Partitions();
    Deaths();
    Suspects();
    Silent();
    LastHolders();
    Clocks();
    Losses();
    Snapshots();
    Moves();
    Settings();
    Versions();
    for (const Finding& finding : verdict_.findings) {
      verdict_.health = std::max(verdict_.health, finding.health);
    }
    return std::move(verdict_);
  }

 private:
  void Say(Health health, std::string code, std::string text) {
    verdict_.findings.push_back({health, std::move(code), std::move(text)});
  }

  void Partitions() {
    const std::string of = " of " + std::to_string(status_.partitions) + " partitions";
    if (status_.majority_lost) {
      Say(Health::kDown, "majority_lost",
          status_.asked +
              " does not see a majority of the ring and refuses its keys: bring nodes "
              "back or mend the network; gyre remove only nodes that are gone for good");
    }
    if (status_.unowned > 0) {
      Say(Health::kDown, "partitions_unowned",
          std::to_string(status_.unowned) + of +
              " have no owner: their keys can be neither read nor written; start the nodes that "
              "hold them");
    }
    if (status_.under_replicated == 0) return;
    std::string text = std::to_string(status_.under_replicated) + of + " lack a copy";
    if (status_.moves_paused) {
      text += "; moves are paused: gyre rebalance resume";
    } else if (status_.whole_in_seconds) {
      text += "; whole again in ~" + HumanDuration(std::ceil(*status_.whole_in_seconds));
    } else if (status_.serving_nodes() < status_.replicas) {
      text += ": " + std::to_string(status_.replicas) + " copies want as many nodes, " +
              std::to_string(status_.serving_nodes()) + " there; add one";
    }
    Say(Health::kDegraded, "copies_missing", text);
  }

  void Deaths() {
    for (const NodeStatus& node : status_.nodes) {
      const bool gone = node.state == "dead" || (node.state == "stopped" && !node.drained);
      if (!gone || !node.on_ring) continue;
      std::string text = Named(node) + " " + node.state;
      if (node.since_seconds) text += " " + HumanDuration(*node.since_seconds);
      text += " (" + (node.zone.empty() ? "" : node.zone + ", ") + node.address + ")";
      if (node.evict_in_seconds) {
        text += ": start it, else it leaves the ring in " + HumanDuration(*node.evict_in_seconds);
      } else {
        text += ": start it, or gyre remove " + Named(node);
      }
      Say(Health::kDegraded, node.state == "dead" ? "node_dead" : "node_stopped", text);
    }
  }

  void Suspects() {
    for (const NodeStatus& node : status_.nodes) {
      if (node.state != "suspect") continue;
      Say(Health::kDegraded, "node_suspect",
          Named(node) + " does not answer its peers: dead or back within seconds");
    }
  }

  void Silent() {
    for (const NodeStatus& node : status_.nodes) {
      if (node.state != "alive" || node.answered || node.error.empty()) continue;
      Say(Health::kDegraded, "node_unreachable",
          Named(node) + " is alive for its peers, but not from here: " + node.error);
    }
  }

  // Whoever is the last to have something whole must not go away now.
  void LastHolders() {
    const auto on_ring = std::count_if(status_.nodes.begin(), status_.nodes.end(),
                                       [](const NodeStatus& node) { return node.on_ring; });
    if (status_.replicas < 2 || on_ring < 2) return;  // a ring of one has what it can have
    for (const NodeStatus& node : status_.nodes) {
      if (node.last_holder == 0 || !node.serves()) continue;
      Say(Health::kDegraded, "last_holder",
          "do NOT restart " + Named(node) + ": last holder of " +
              Counted(node.last_holder, "partition"));
    }
  }

  void Clocks() {
    for (const NodeStatus& node : status_.nodes) {
      if (!node.serves() || std::abs(node.clock_ahead_ms.value_or(0)) < kClockApartMs) continue;
      const bool ahead = *node.clock_ahead_ms > 0;
      Say(Health::kDegraded, "clock_apart",
          Named(node) + "'s clock is " + HumanLatency(std::abs(*node.clock_ahead_ms) / 1000) +
              (ahead ? " ahead of " : " behind ") + status_.asked +
              "'s: check NTP, of two writes the wrong one may win");
    }
  }

  void Losses() {
    for (const NodeStatus& node : status_.nodes) {
      if (node.losses.value_or(0) > 0) {
        Say(Health::kOk, "partitions_lost",
            Counted(static_cast<std::uint64_t>(*node.losses), "partition") + " began empty at " +
                Named(node) + " since it started: all nodes that had them whole were gone");
      }
    }
  }

  void Snapshots() {
    for (const NodeStatus& node : status_.nodes) {
      if (node.snapshot_trouble.empty()) continue;
      Say(Health::kOk, "snapshot_not_restored",
          Named(node) + " started without its snapshot: " + node.snapshot_trouble);
    }
  }

  void Moves() {
    if (status_.moves_paused && status_.under_replicated == 0) {
      Say(Health::kOk, "moves_paused", "moves are paused: gyre rebalance resume");
    }
  }

  void Settings() {
    std::map<std::string, std::size_t> digests;
    for (const NodeStatus& node : status_.nodes) {
      if (node.settings_refused > 0) {
        Say(Health::kDegraded, "settings_refused",
            Named(node) + " cannot take " + Counted(node.settings_refused, "parameter") +
                " that the ring sets: gyre config get --ring says why");
      }
      if (node.answered && !node.settings_digest.empty()) ++digests[node.settings_digest];
    }
    if (digests.size() < 2) return;
    Say(Health::kOk, "settings_differ",
        "the ring's settings are not the same on all nodes yet: if that lasts, a node refuses one "
        "(its log says why)");
  }

  void Versions() {
    std::map<std::string, std::string> nodes;  // [version]
    for (const NodeStatus& node : status_.nodes) {
      if (node.version.empty()) continue;
      std::string& names = nodes[node.version];
      names += (names.empty() ? "" : " ") + Named(node);
    }
    if (nodes.size() < 2) return;
    std::string text = "releases differ:";
    for (const auto& [version, names] : nodes) text += " " + version + " (" + names + ")";
    Say(Health::kOk, "versions_differ", text + ": finish the upgrade");
  }

  const ClusterStatus& status_;
  Verdict verdict_;
};

}  // namespace

std::string NodeStatus::condition() const {
  if (drained) return "drained";
  if (state == "alive" && !on_ring) return "joining";
  if (state == "alive" && filled_percent) return "filling";
  return state;
}

std::size_t ClusterStatus::wanted_nodes() const {
  return static_cast<std::size_t>(std::count_if(
      nodes.begin(), nodes.end(), [](const NodeStatus& node) { return !node.drained; }));
}

std::size_t ClusterStatus::serving_nodes() const {
  return static_cast<std::size_t>(
      std::count_if(nodes.begin(), nodes.end(),
                    [](const NodeStatus& node) { return node.serves() && !node.drained; }));
}

ClusterStatus ReadClusterStatus(const Json& asked, const Json& rebalance) {
  ClusterStatus status;
  status.cluster = Text(asked, "cluster");
  status.asked = Text(asked, "name");
  if (const auto acks = Number(asked, "write_acks")) {
    status.write_acks = static_cast<std::uint64_t>(*acks);
  }
  if (const Json* const ring = Find(asked, "ring")) {
    status.partitions = Count(*ring, "partitions");
    status.replicas = Count(*ring, "replicas");
    status.unowned = Count(*ring, "unowned");
    status.under_replicated = Count(*ring, "under_replicated");
  }
  if (const Json* const lease = Find(asked, "lease")) {
    status.majority_lost = !Flag(*lease, "majority_in_view", true);
  }
  const Json* const members = Find(asked, "members");
  if (members != nullptr && members->is_array()) {
    for (const Json& member : *members) {
      if (member.is_object()) status.nodes.push_back(ReadMember(member));
    }
  }
  std::sort(status.nodes.begin(), status.nodes.end(),
            [](const NodeStatus& a, const NodeStatus& b) { return a.name < b.name; });
  ReadMoves(rebalance, status);
  return status;
}

void AddNodeStatus(NodeStatus& node, const Json& own) {
  node.answered = own.is_object();
  if (!node.answered) {
    node.error = "its status is not JSON";
    return;
  }
  node.version = Text(own, "version");
  node.uptime_seconds = Number(own, "uptime_seconds");
  if (const Json* const memory = Find(own, "memory")) {
    node.memory_used = Number(*memory, "used_bytes");
    node.memory_limit = Number(*memory, "limit_bytes");
  }
  node.requests_per_second = Number(own, "requests_per_second");
  node.reads_per_second = Number(own, "reads_per_second");
  node.hit_ratio = Number(own, "hit_ratio");
  node.latency_p99_seconds = Number(own, "latency_p99_seconds");
  node.records = Number(own, "records");
  node.connections = Number(own, "connections");
  if (const Json* const load = Find(own, "load")) node.load = ReadLoad(*load);
  if (const Json* const ring = Find(own, "ring")) node.losses = Number(*ring, "losses");
  if (const Json* const settings = Find(own, "ring_settings")) {
    node.settings_digest = Text(*settings, "digest");
    node.settings_refused = Count(*settings, "refused_here");
  }
  if (const Json* const snapshot = Find(own, "snapshot")) {
    const std::string last = Text(*snapshot, "last");
    if (last == "refused" || last == "unfinished")
      node.snapshot_trouble = Text(*snapshot, "reason");
  }
}

Verdict Judge(const ClusterStatus& status) { return Judgement(status).Take(); }

const char* NameOf(Health health) {
  static constexpr const char* kNames[] = {"OK", "DEGRADED", "DOWN"};
  return kNames[static_cast<std::size_t>(health)];
}

Json ToJson(const Verdict& verdict) {
  Json findings = Json::array();
  for (const Finding& finding : verdict.findings) {
    findings.push_back(
        {{"severity", finding.health == Health::kOk ? "note" : NameOf(finding.health)},
         {"code", finding.code},
         {"text", finding.text}});
  }
  return {{"verdict", NameOf(verdict.health)}, {"findings", std::move(findings)}};
}

Json ToJson(const NodeStatus& node) {
  return {{"name", node.name},
          {"id", node.id},
          {"address", node.address},
          {"zone", node.zone},
          {"state", node.drained ? "drained" : node.state},
          {"answered", node.answered},
          {"version", node.version},
          {"uptime_seconds", OrNull<Json>(node.uptime_seconds)},
          {"memory_used_bytes", OrNull<Json>(node.memory_used)},
          {"memory_limit_bytes", OrNull<Json>(node.memory_limit)},
          {"requests_per_second", OrNull<Json>(node.requests_per_second)},
          {"hit_ratio", OrNull<Json>(node.hit_ratio)},
          {"latency_p99_seconds", OrNull<Json>(node.latency_p99_seconds)},
          {"records", OrNull<Json>(node.records)},
          {"connections", OrNull<Json>(node.connections)},
          {"owned_partitions", node.owned},
          {"complete_partitions", node.complete},
          {"last_holder_partitions", node.last_holder},
          {"filled_percent", OrNull<Json>(node.filled_percent)}};
}

}  // namespace gyre
