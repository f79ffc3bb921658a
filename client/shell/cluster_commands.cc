// The operator's commands: status, ring, locate, ping, drain, undrain, ...
#include <chrono>

#include "client/shell/cluster_reply.h"
#include "client/shell/command_line.h"
#include "client/shell/drain.h"
#include "client/shell/rebalance.h"
#include "client/shell/restart_check.h"
#include "client/shell/status_view.h"
#include "client/shell/table.h"
#include "client/shell/words.h"

namespace gyre::client {
namespace {

// Instead of a limit: each node's own.
constexpr char kOwnLimits[] = "default";

constexpr char kGroup[] = "Operator's commands";

int Status(const ShellContext& shell, const Arguments&) {
  const Result<Value> reply = shell.client.Execute({"STATUS"}, shell.call);
  if (!reply) return shell.Report(reply.error());
  Json status = Json::parse(reply->text, nullptr, /*allow_exceptions=*/false);
  if (status.is_discarded()) {
    return shell.Report({ErrorCode::kProtocol, "the node's status is not JSON"});
  }
  // The node's own word is replaced by that of all.
  if (Json rebalance = AskRebalance(shell.client); rebalance.is_object() && status.is_object()) {
    status["rebalance"] = std::move(rebalance);
  }
  if (shell.json) {
    shell.PrintJson(status);
  } else {
    PrintStatus(status, shell.out);
  }
  return kExitDone;
}

Json NodeJson(const NodeInfo& node) {
  return {{"name", node.name},
          {"id", node.id},
          {"address", node.address},
          {"zone", node.zone},
          {"state", node.state},
          {"weight", node.weight},
          {"partitions_owned", node.partitions_owned},
          {"partitions_held", node.partitions_held}};
}

int Ring(const ShellContext& shell, const Arguments&) {
  const Result<RingInfo> ring = shell.client.RefreshRing(shell.call);
  if (!ring) return shell.Report(ring.error());
  if (shell.json) {
    Json nodes = Json::array();
    for (const NodeInfo& node : ring->nodes) nodes.push_back(NodeJson(node));
    shell.PrintJson({{"digest", ring->digest},
                     {"partitions", ring->partition_count},
                     {"replicas", ring->replicas},
                     {"nodes", nodes}});
    return kExitDone;
  }
  shell.out << ring->nodes.size() << " nodes, " << ring->partition_count << " partitions, "
            << ring->replicas << " copies of each key\n\n";
  TextTable table({"node", "address", "zone", "weight", "state", "owns", "holds"});
  std::uint32_t owned = 0;
  for (const NodeInfo& node : ring->nodes) {
    owned += node.partitions_owned;
    table.AddRow({node.name, node.address, node.zone.empty() ? "-" : node.zone,
                  std::to_string(node.weight), node.state, std::to_string(node.partitions_owned),
                  std::to_string(node.partitions_held)});
  }
  table.Print(shell.out);
  if (owned < ring->partition_count) {
    shell.out << "\n" << ring->partition_count - owned << " partitions have no owner now\n";
  }
  return kExitDone;
}

int Locate(const ShellContext& shell, const Arguments& arguments) {
  const Result<Value> reply = shell.client.Execute({"LOCATE", arguments.words[0]}, shell.call);
  if (!reply) return shell.Report(reply.error());
  const Json location = ToJson(*reply);
  if (shell.json) {
    shell.PrintJson(location);
  } else {
    PrintStatus(location, shell.out);
  }
  return kExitDone;
}

int Ping(const ShellContext& shell, const Arguments& arguments) {
  if (!arguments.words.empty()) return RunOnCluster(shell, "PING", arguments.words);
  const auto begin = std::chrono::steady_clock::now();
  const Result<Value> pong = shell.client.Execute({"PING"}, shell.call);
  if (!pong) return shell.Report(pong.error());
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  if (shell.json) {
    shell.PrintJson({{"ok", true}, {"ms", took.count()}});
  } else {
    shell.out << "PONG (" << took.count() << " ms)\n";
  }
  return kExitDone;
}

// "limit" takes a size, which becomes bytes, or "default".
std::string CheckRebalance(RebalanceArguments& arguments) {
  std::vector<std::string>& words = arguments.words;
  if (words.empty()) return "";
  const bool limits = words[0] == "limit";
  if (!limits && words[0] != "pause" && words[0] != "resume") {
    return "rebalance takes pause, resume or limit, not '" + words[0] + "'";
  }
  if (limits != (words.size() == 2)) {
    return limits ? "limit wants bytes a second: gyre rebalance limit 50MiB"
                  : "only limit takes a size";
  }
  if (!limits) return "";
  if (ToLower(words[1]) == kOwnLimits) {
    words[1] = kOwnLimits;
    return "";
  }
  try {
    const std::string wrong = CLI::AsSizeValue(false)(words[1]);
    if (wrong.empty() && !words[1].starts_with('-')) return "";
  } catch (const CLI::ValidationError&) {  // an unknown unit
  }
  return "a limit is a number of bytes like 50MiB, 0 for none, or default";
}

void DeclareLeave(CLI::App& command, LeaveArguments& arguments) {
  command.add_option("--timeout", arguments.timeout_seconds, "Seconds to wait")
      ->check(CLI::Range(1, 7 * 24 * 3600))
      ->capture_default_str();
}

}  // namespace

void AddClusterCommands(CommandLine& line) {
  line.Add<Arguments>({"status", "", "Shows the cluster's health and figures", kGroup}, nullptr,
                      Status);
  line.Add<Arguments>({"ring", "", "Shows the nodes and what they own", kGroup}, nullptr, Ring);
  line.Add<Arguments>({"locate", "KEY", "Shows where a key lives", kGroup}, nullptr, Locate);
  line.Add<Arguments>({"ping", "[MESSAGE]", "Asks the node whether it is there", kGroup}, nullptr,
                      Ping);
  line.Add<LeaveArguments>({"drain", "NODE",
                            "Empties a node (its name, id or HOST:PORT) and takes it from the "
                            "ring: started again or not, it stays off until gyre undrain",
                            kGroup},
                           DeclareLeave, Drain);
  line.Add<Arguments>({"undrain", "NODE",
                       "Lets a drained node (its name, id or HOST:PORT) take its place on the ring "
                       "again, at once or when it starts",
                       kGroup},
                      nullptr, Undrain);
  line.Add<LeaveArguments>({"remove", "NODE",
                            "Takes a dead node (its name, id or HOST:PORT) from the ring; started "
                            "again, it joins as a new one does",
                            kGroup},
                           DeclareLeave, Remove);
  line.Add<Arguments>(
      {"restart-check", "NODE",
       "Says whether a node (its name, id or HOST:PORT) may be restarted now: exit 0 if so, 1 with "
       "the "
       "reasons if not (it is the last holder of something, writes would fail, another node is "
       "filling). For a rolling restart: repeat it until it is safe, restart, wait for /ready, "
       "next",
       kGroup},
      nullptr, RestartCheck);
  line.Add<RebalanceArguments>(
      {"rebalance", "[pause|resume|limit [SIZE|default]]",
       "Shows how far the moving of data has come; pauses, resumes or limits it (bytes a second "
       "that each node moves, like 50MiB, 0 for no limit, default for each node's own "
       "--rebalance-limit). What a death made necessary is never held up",
       kGroup},
      nullptr, Rebalance, CheckRebalance);
}

}  // namespace gyre::client
