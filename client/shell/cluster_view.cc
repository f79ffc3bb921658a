#include "client/shell/cluster_view.h"

#include <algorithm>
#include <map>
#include <string>

#include "client/shell/table.h"
#include "proto/human.h"

namespace gyre::client {
namespace {

constexpr std::size_t kMemoryBarCells = 6;
constexpr std::size_t kRingBarCells = 24;

Colour ColourOf(Health health) {
  switch (health) {
    case Health::kOk:
      return Colour::kGood;
    case Health::kDegraded:
      return Colour::kWarning;
    case Health::kDown:
      return Colour::kBad;
  }
  return Colour::kNone;
}

Colour ColourOfState(const std::string& state) {
  if (state == "alive") return Colour::kGood;
  if (state == "dead") return Colour::kBad;
  return state == "drained" || state == "stopped" ? Colour::kFaint : Colour::kWarning;
}

// The version of most nodes.
std::string CommonVersion(const ClusterStatus& status) {
  std::map<std::string, int> counts;
  for (const NodeStatus& node : status.nodes) {
    if (!node.version.empty()) ++counts[node.version];
  }
  std::string common;
  int most = 0;
  for (const auto& [version, count] : counts) {
    if (count < most) continue;
    common = version;
    most = count;
  }
  return common;
}

std::string VersionsOf(const ClusterStatus& status) {
  const std::string common = CommonVersion(status);
  if (common.empty()) return {};
  std::string others;
  for (const NodeStatus& node : status.nodes) {
    if (node.version.empty() || node.version == common) continue;
    others += (others.empty() ? "" : ", ") + node.name + ": " + node.version;
  }
  return others.empty() ? common : common + " (" + others + ")";
}

std::string HeadLine(const ClusterStatus& status, const Verdict& verdict, const Screen& screen) {
  const std::string dot(screen.separator());
  std::string line = Coloured(screen, ColourOf(verdict.health), NameOf(verdict.health));
  line += "  cluster " + status.cluster;
  line += dot + std::to_string(status.serving_nodes()) + "/" +
          std::to_string(status.wanted_nodes()) + " up";
  if (status.replicas > 0) line += dot + "copies " + std::to_string(status.replicas);
  if (status.write_acks) line += dot + "acks " + std::to_string(*status.write_acks);
  if (const std::string versions = VersionsOf(status); !versions.empty()) line += dot + versions;
  return line;
}

std::string MemoryOf(const NodeStatus& node, const Screen& screen) {
  if (!node.memory_used || node.memory_limit.value_or(0) <= 0) return "-";
  const double share = *node.memory_used / *node.memory_limit;
  std::string percent = HumanPercent(share, 0);
  percent.insert(0, 4 - std::min<std::size_t>(4, percent.size()), ' ');
  return percent + " " + Bar(screen, share, kMemoryBarCells);
}

std::string OrDash(const std::optional<double>& number, std::string (*show)(double)) {
  return number ? show(*number) : "-";
}

}  // namespace

void PrintClusterStatus(const ClusterStatus& status, const Verdict& verdict, const Screen& screen,
                        std::ostream& out) {
  out << HeadLine(status, verdict, screen) << "\n";
  for (const Finding& finding : verdict.findings) {
    const bool note = finding.health == Health::kOk;
    out << " "
        << Coloured(screen, note ? Colour::kFaint : ColourOf(finding.health), note ? "-" : "!")
        << " " << finding.text << "\n";
  }
  TextTable table({"NODE", "ZONE", "STATE", "UP", "VERSION", "MEM", "OPS/s", "HIT", "p99", "KEYS"});
  for (const NodeStatus& node : status.nodes) {
    const std::string state = node.condition();
    table.AddRow(
        {node.name, node.zone.empty() ? "-" : node.zone,
         Coloured(screen, ColourOfState(state), state), OrDash(node.uptime_seconds, HumanDuration),
         node.version.empty() ? "-" : node.version, MemoryOf(node, screen),
         OrDash(node.requests_per_second, HumanCount),
         OrDash(node.hit_ratio, [](double ratio) { return HumanPercent(ratio); }),
         OrDash(node.latency_p99_seconds, HumanLatency), OrDash(node.records, HumanCount)});
  }
  table.Print(out);
}

void PrintRing(const ClusterStatus& status, const Screen& screen, std::ostream& out) {
  out << status.partitions << " partitions" << screen.separator() << status.replicas
      << " copies of each key";
  if (status.unowned > 0) {
    out << screen.separator()
        << Coloured(screen, Colour::kBad, std::to_string(status.unowned) + " without an owner");
  }
  if (status.under_replicated > 0) {
    out << screen.separator()
        << Coloured(screen, Colour::kWarning,
                    std::to_string(status.under_replicated) + " lack a copy");
  }
  out << "\n";
  std::uint64_t most = 1;
  for (const NodeStatus& node : status.nodes) most = std::max(most, node.complete);
  TextTable table({"NODE", "ZONE", "HOLDS", "OWN", "HOLD", "STATE"});
  for (const NodeStatus& node : status.nodes) {
    std::string state = node.condition();
    const Colour colour = ColourOfState(state);
    if (node.drained && node.complete == 0) {
      state += ", off the ring: stop it, or gyre undrain " + node.name;
    }
    if (node.filled_percent) {
      state += " " + HumanPercent(*node.filled_percent / 100, 0);
      if (node.moving_bytes_per_second) {
        state += " " + HumanBytes(*node.moving_bytes_per_second) + "/s";
      }
      if (node.eta_seconds) state += " " + HumanDuration(*node.eta_seconds);
    }
    const double share = static_cast<double>(node.complete) / static_cast<double>(most);
    // A full bar is the node that holds most: it may be full.
    const std::string bar =
        node.complete == most ? Bar(screen, 2, kRingBarCells) : Bar(screen, share, kRingBarCells);
    table.AddRow({node.name, node.zone.empty() ? "-" : node.zone, bar, std::to_string(node.owned),
                  std::to_string(node.complete), Coloured(screen, colour, state)});
  }
  table.Print(out);
}

}  // namespace gyre::client
