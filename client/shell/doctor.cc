#include "client/shell/doctor.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include "client/shell/cluster_picture.h"
#include "client/shell/screen.h"
#include "client/shell/table.h"
#include "proto/human.h"

namespace gyre::client {
namespace {

using Look = Check::Result;

// What a node has for itself.
constexpr std::array<std::string_view, 20> kOwnParameters = {
    "name",      "host",      "advertise", "native-port", "resp-port",  "resp-cluster-port",
    "http-port", "join",      "zone",      "weight",      "gossip-key", "memcached-port",
    "data-dir",  "bind",      "port",      "dir",         "maxclients", "max-connections",
    "threads",   "io-threads"};
// What must be the same for the ring to behave as one.
constexpr std::array<std::string_view, 7> kRingParameters = {
    "replicas",  "write-acks",    "consistency", "partitions",
    "max-value", "tombstone-ttl", "evict-after"};

constexpr double kSlowSeconds = 0.05;
constexpr std::chrono::milliseconds kConnectPatience{500};

bool Contains(const auto& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string NameOf(const NodeStatus& node) { return node.name.empty() ? node.address : node.name; }

std::string Parameter(const NodeConfig& config, const std::string& name) {
  if (!config) return {};
  const auto found = config->find(name);
  return found == config->end() ? std::string() : found->second;
}

std::string Values(const ConfigDifference& difference) {
  std::string text;
  for (const auto& [node, value] : difference.values) {
    text += (text.empty() ? "" : ", ") + node + " " + (value.empty() ? "(none)" : value);
  }
  return text;
}

class Examiner {
 public:
  explicit Examiner(const Examination& examination) : of_(examination) {}

  std::vector<Check> Take() {
    Health();
    Reachable();
    Ports();
    Options();
    Zones();
    Durable();
    Encrypted();
    return std::move(checks_);
  }

 private:
  void Say(Check::Result result, std::string code, std::string text) {
    checks_.push_back({result, std::move(code), std::move(text)});
  }
  // One line for all is well, unless something was said since `before`.
  void OkUnlessSaid(std::size_t before, std::string code, std::string text) {
    if (checks_.size() == before) Say(Look::kOk, std::move(code), std::move(text));
  }
  template <typename Visit>
  void ForEachServing(Visit&& visit) {
    for (std::size_t i = 0; i < of_.status.nodes.size(); ++i) {
      if (of_.status.nodes[i].serves()) visit(of_.status.nodes[i], i);
    }
  }

  void Health() {
    const std::size_t before = checks_.size();
    for (const Finding& finding : Judge(of_.status).findings) {
      Say(finding.health == Health::kOk ? Look::kNote : Look::kProblem, finding.code, finding.text);
    }
    OkUnlessSaid(before, "ring_whole",
                 "the ring is whole: every partition has an owner and all its copies, clocks and "
                 "releases agree");
  }

  void Reachable() {
    const std::size_t before = checks_.size();
    double slowest = 0;
    ForEachServing([&](const NodeStatus& node, std::size_t i) {
      if (i >= of_.answer_seconds.size() || !of_.answer_seconds[i]) return;  // said already
      slowest = std::max(slowest, *of_.answer_seconds[i]);
      if (*of_.answer_seconds[i] < kSlowSeconds) return;
      Say(Look::kNote, "node_slow",
          NameOf(node) + " takes " + HumanLatency(*of_.answer_seconds[i]) +
              " to answer a PING from here: is it, or the network, overloaded?");
    });
    OkUnlessSaid(before, "nodes_answer",
                 "all nodes answer from here, the slowest in " + HumanLatency(slowest));
  }

  void Ports() {
    const std::size_t before = checks_.size();
    ForEachServing([&](const NodeStatus& node, std::size_t i) {
      if (i >= of_.deaf_ports.size()) return;
      for (const std::string& port : of_.deaf_ports[i]) {
        Say(Look::kProblem, "port_deaf",
            NameOf(node) + "'s " + port +
                ": is it bound to another address (--host), or behind a "
                "firewall?");
      }
    });
    OkUnlessSaid(before, "ports_open", "all ports that the nodes tell can be reached from here");
  }

  void Options() {
    const std::size_t before = checks_.size();
    for (const ConfigDifference& one : CompareConfigs(of_.status.nodes, of_.configs)) {
      const bool of_ring = Contains(kRingParameters, one.name);
      Say(of_ring ? Look::kProblem : Look::kNote, "options_differ",
          "--" + one.name + " differs: " + Values(one) +
              (of_ring ? ". Give all nodes the same: what a client is promised depends on the node "
                         "that it asks"
                       : ""));
    }
    OkUnlessSaid(before, "options_agree", "all nodes are configured alike");
  }

  void Zones() {
    std::set<std::string> zones;
    std::size_t members = 0;
    for (const NodeStatus& node : of_.status.nodes) {
      if (node.drained || !node.on_ring) continue;
      zones.insert(node.zone);
      ++members;
    }
    if (of_.status.replicas < 2 || members < 2) {
      return Say(Look::kNote, "single_copy",
                 "each key has one copy: the death of a node loses what it has (--replicas, and "
                 "nodes to hold them)");
    }
    if (zones.size() < of_.status.replicas) {
      return Say(Look::kNote, "zones_few",
                 std::to_string(of_.status.replicas) + " copies, but " +
                     std::to_string(zones.size()) + (zones.size() == 1 ? " zone" : " zones") +
                     ": the loss of one may take all copies of a key (--zone)");
    }
    Say(Look::kOk, "zones_enough",
        "copies of a key are in " + std::to_string(of_.status.replicas) + " different zones");
  }

  void Durable() {
    const std::size_t before = checks_.size();
    ForEachServing([&](const NodeStatus& node, std::size_t i) {
      if (i >= of_.configs.size() || !of_.configs[i]) return;
      if (!Parameter(of_.configs[i], "data-dir").empty()) return;
      Say(Look::kNote, "no_data_dir",
          NameOf(node) + " has no --data-dir: started again it is a new node and is filled anew");
    });
    OkUnlessSaid(before, "identities_kept", "all nodes keep their identity across restarts");
  }

  void Encrypted() {
    const std::size_t before = checks_.size();
    ForEachServing([&](const NodeStatus& node, std::size_t i) {
      if (i >= of_.own.size() || !of_.own[i].is_object()) return;
      const Json gossip = of_.own[i].value("gossip", Json::object());
      if (!gossip.is_object() || gossip.value("encrypted", true)) return;
      const bool local = node.address.starts_with("127.") || node.address.starts_with("[::1]");
      if (local) return;
      Say(Look::kProblem, "gossip_clear",
          NameOf(node) +
              " speaks with its peers in the clear, beyond this machine: give all nodes "
              "the same --gossip-key");
    });
    OkUnlessSaid(before, "gossip_private",
                 "what nodes say to each other is encrypted, or stays on this machine");
  }

  const Examination& of_;
  std::vector<Check> checks_;
};

// Why no connection can be made; empty: one can.
std::string TryConnect(const std::string& host, std::uint64_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int status = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (status != 0) return gai_strerror(status);
  std::string why = "no address";
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    const int link = socket(each->ai_family, each->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link < 0) {
      why = std::strerror(errno);  // NOLINT(concurrency-mt-unsafe)
      continue;
    }
    int error = connect(link, each->ai_addr, each->ai_addrlen) == 0 ? 0 : errno;
    if (error == EINPROGRESS) {
      pollfd wait{link, POLLOUT, 0};
      const int ready = poll(&wait, 1, static_cast<int>(kConnectPatience.count()));
      socklen_t size = sizeof error;
      if (ready <= 0) {
        error = ETIMEDOUT;
      } else {
        getsockopt(link, SOL_SOCKET, SO_ERROR, &error, &size);
      }
    }
    close(link);
    if (error == 0) {
      freeaddrinfo(found);
      return {};
    }
    why = std::strerror(error);  // NOLINT(concurrency-mt-unsafe)
  }
  freeaddrinfo(found);
  return why;
}

std::vector<std::string> DeafPorts(const Json& member) {
  std::vector<std::string> deaf;
  const std::string host = member.value("host", "");
  for (const auto& [field, title] : {std::pair{"resp_port", "RESP"},
                                     {"resp_cluster_port", "Redis Cluster"},
                                     {"memcached_port", "memcached"},
                                     {"http_port", "HTTP"}}) {
    const Json port = member.value(field, Json());
    if (!port.is_number_unsigned() || port == 0) continue;
    if (const std::string why = TryConnect(host, port); !why.empty()) {
      deaf.push_back(std::string(title) + " port " + host + ":" + port.dump() +
                     " cannot be reached from here: " + why);
    }
  }
  return deaf;
}

Result<Examination> Examine(const ShellContext& shell) {
  Result<ClusterPicture> picture = AskCluster(shell);
  if (!picture) return picture.error();
  Examination examination;
  examination.status = std::move(picture->status);
  examination.own = std::move(picture->answers);
  const std::vector<NodeStatus>& nodes = examination.status.nodes;
  for (const auto& reply : AskEach(shell, nodes, {"CONFIG", "GET", "*"})) {
    examination.configs.push_back(reply ? NodeConfig(ReadConfig(*reply)) : NodeConfig());
  }
  const Json members = picture->asked.value("members", Json::array());
  for (const NodeStatus& node : nodes) {
    examination.answer_seconds.emplace_back();
    examination.deaf_ports.emplace_back();
    if (!node.serves()) continue;
    const auto begin = std::chrono::steady_clock::now();
    if (shell.client.ExecuteOn(node.address, {"PING"}, shell.call)) {
      examination.answer_seconds.back() =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    }
    for (const Json& member : members) {
      if (member.is_object() && member.value("id", "") == node.id) {
        examination.deaf_ports.back() = DeafPorts(member);
      }
    }
  }
  return examination;
}

}  // namespace

std::map<std::string, std::string> ReadConfig(const Value& reply) {
  std::map<std::string, std::string> parameters;
  for (std::size_t i = 0; i + 1 < reply.elements.size(); i += 2) {
    parameters[reply.elements[i].text] = reply.elements[i + 1].text;
  }
  return parameters;
}

std::vector<ConfigDifference> CompareConfigs(const std::vector<NodeStatus>& nodes,
                                             const std::vector<NodeConfig>& configs) {
  std::map<std::string, std::map<std::string, std::string>> all;  // [parameter][node]
  std::size_t answered = 0;
  for (std::size_t i = 0; i < nodes.size() && i < configs.size(); ++i) {
    if (!configs[i]) continue;
    ++answered;
    for (const auto& [name, value] : *configs[i]) {
      if (!Contains(kOwnParameters, name)) all[name][NameOf(nodes[i])] = value;
    }
  }
  std::vector<ConfigDifference> differences;
  for (auto& [name, values] : all) {
    // Some have no such parameter: another release.
    const bool everywhere = values.size() == answered;
    const std::string& first = values.begin()->second;
    const bool same = std::all_of(values.begin(), values.end(),
                                  [&first](const auto& one) { return one.second == first; });
    if (!everywhere || !same) differences.push_back({name, std::move(values)});
  }
  return differences;
}

std::vector<Check> Diagnose(const Examination& examination) { return Examiner(examination).Take(); }

int Doctor(const ShellContext& shell, const Arguments&) {
  const Result<Examination> examination = Examine(shell);
  if (!examination) return shell.Report(examination.error());
  const std::vector<Check> checks = Diagnose(*examination);
  const bool healthy = std::none_of(checks.begin(), checks.end(), [](const Check& check) {
    return check.result == Look::kProblem;
  });
  static constexpr const char* kNames[] = {"ok", "note", "problem"};
  if (shell.json) {
    Json list = Json::array();
    for (const Check& check : checks) {
      list.push_back({{"result", kNames[static_cast<std::size_t>(check.result)]},
                      {"code", check.code},
                      {"text", check.text}});
    }
    shell.PrintJson({{"healthy", healthy}, {"checks", std::move(list)}});
  } else {
    static constexpr const char* kMarks[] = {"ok  ", "note", "!   "};
    static constexpr Colour kColours[] = {Colour::kGood, Colour::kFaint, Colour::kBad};
    for (const Check& check : checks) {
      const auto index = static_cast<std::size_t>(check.result);
      shell.out << Coloured(shell.screen, kColours[index], kMarks[index]) << " " << check.text
                << "\n";
    }
  }
  return healthy ? kExitDone : kExitRefused;
}

int ConfigDiff(const ShellContext& shell) {
  const Result<ClusterPicture> picture = AskCluster(shell);
  if (!picture) return shell.Report(picture.error());
  const std::vector<NodeStatus>& nodes = picture->status.nodes;
  std::vector<NodeConfig> configs;
  for (const auto& reply : AskEach(shell, nodes, {"CONFIG", "GET", "*"})) {
    configs.push_back(reply ? NodeConfig(ReadConfig(*reply)) : NodeConfig());
  }
  const std::vector<ConfigDifference> differences = CompareConfigs(nodes, configs);
  if (shell.json) {
    Json document = Json::object();
    for (const ConfigDifference& one : differences) document[one.name] = one.values;
    shell.PrintJson(document);
  } else if (differences.empty()) {
    shell.out << "all nodes that answer are configured alike\n";
  } else {
    TextTable table({"PARAMETER", "NODE", "VALUE"});
    for (const ConfigDifference& one : differences) {
      bool first = true;
      for (const auto& [node, value] : one.values) {
        table.AddRow(
            {std::exchange(first, false) ? one.name : "", node, value.empty() ? "-" : value});
      }
    }
    table.Print(shell.out);
  }
  return differences.empty() ? kExitDone : kExitRefused;
}

}  // namespace gyre::client
