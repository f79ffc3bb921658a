// The operator's commands: status, ring, locate, ping, drain, undrain, ...
#include <chrono>

#include "client/shell/advice.h"
#include "client/shell/cluster_picture.h"
#include "client/shell/cluster_reply.h"
#include "client/shell/cluster_view.h"
#include "client/shell/command_line.h"
#include "client/shell/doctor.h"
#include "client/shell/drain.h"
#include "client/shell/node_config.h"
#include "client/shell/rebalance.h"
#include "client/shell/restart_check.h"
#include "client/shell/ring_config.h"
#include "client/shell/status_view.h"
#include "client/shell/table.h"
#include "client/shell/top.h"
#include "client/shell/words.h"

namespace gyre::client {
namespace {

// Instead of a limit: each node's own.
constexpr char kOwnLimits[] = "default";

struct StatusArguments : Arguments {
  bool all = false;
};

void DeclareStatus(CLI::App& command, StatusArguments& arguments) {
  command.add_flag("--all", arguments.all, "Everything that the node which is asked tells");
}

int Status(const ShellContext& shell, const StatusArguments& arguments) {
  Result<ClusterPicture> picture = AskCluster(shell);
  if (!picture) return shell.Report(picture.error());
  const Verdict verdict = Judge(picture->status);
  if (shell.json) {
    Json document = ToJson(verdict);
    document.update(picture->asked);
    Json nodes = Json::array();
    for (const NodeStatus& node : picture->status.nodes) nodes.push_back(ToJson(node));
    document["nodes"] = std::move(nodes);
    shell.PrintJson(document);
  } else {
    PrintClusterStatus(picture->status, verdict, shell.screen, shell.out);
    if (arguments.all) {
      shell.out << "\n";
      PrintStatus(picture->asked, shell.out);
    }
  }
  return verdict.health == Health::kOk ? kExitDone : kExitRefused;
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
  const Result<ClusterPicture> picture = AskCluster(shell);
  if (!picture) return shell.Report(picture.error());
  PrintRing(picture->status, shell.screen, shell.out);
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

void DeclareRemove(CLI::App& command, LeaveArguments& arguments) {
  DeclareLeave(command, arguments);
  command.add_flag("--yes", arguments.yes, "Do not ask at the terminal for the cluster's name");
}

void DeclareConfig(CLI::App& command, ConfigArguments& arguments) {
  command.add_option("--node", arguments.node,
                     "Of this node alone (its name, id or HOST:PORT), not of each");
  command.add_flag("--ring", arguments.ring,
                   "What the ring says to all of its nodes, those that come later, too, for good: "
                   "get [PATTERN], set NAME VALUE ..., unset NAME ...");
}

int Config(const ShellContext& shell, const ConfigArguments& arguments) {
  const std::string subcommand = ToLower(arguments.words[0]);
  if (subcommand == "diff") return ConfigDiff(shell);
  if (arguments.ring) return RingConfigCommand(shell, arguments);
  if (subcommand == "get" || subcommand == "set" || subcommand == "unset" ||
      subcommand == "resetstat") {
    return NodeConfigCommand(shell, arguments);
  }
  return RunOnCluster(shell, "CONFIG", arguments.words);
}

std::string CheckConfig(ConfigArguments& arguments) {
  const std::string subcommand = ToLower(arguments.words[0]);
  const std::size_t more = arguments.words.size() - 1;
  if (subcommand == "diff" && more > 0) return "config diff takes nothing more";
  if (subcommand == "diff" && !arguments.node.empty()) return "config diff is of all nodes";
  if (arguments.ring) {
    if (!arguments.node.empty()) return "--ring is of all nodes, --node of one: say one of them";
    if (subcommand != "get" && subcommand != "set" && subcommand != "unset") {
      return "--ring is for config get, set and unset";
    }
    if (subcommand == "get" && more > 1) return "config get --ring takes one PATTERN";
  } else if (subcommand == "get" && more == 0) {
    return "config get takes PATTERN ...";
  }
  if (subcommand == "unset" && more == 0) return "config unset takes NAME ...";
  if (subcommand == "set" && (more == 0 || more % 2 != 0)) return "config set takes NAME VALUE ...";
  if (subcommand == "resetstat" && more > 0) return "config resetstat takes nothing more";
  return "";
}

void DeclareTop(CLI::App& command, TopArguments& arguments) {
  command.add_option("--interval", arguments.interval, "Seconds between two frames")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  command.add_option("--count", arguments.count, "Frames to show; 0: until q or Ctrl-C")
      ->capture_default_str();
}

}  // namespace

void AddClusterCommands(CommandLine& line) {
  line.Add<StatusArguments>(
      {"status", "",
       "Says how the cluster is, what is wrong and what to do or not to do, and shows its nodes: "
       "exit 0 if all is well, 1 if it is degraded or down, 3 if it cannot be reached",
       kOperatorGroup},
      DeclareStatus, Status);
  line.Add<Arguments>({"ring", "", "Shows the nodes and what they own", kOperatorGroup}, nullptr,
                      Ring);
  line.Add<TopArguments>(
      {"top", "",
       "Shows what the cluster does, anew each second: commands, hits, latency, evictions, moves, "
       "errors. q quits, s sorts, n shows one node",
       kOperatorGroup},
      DeclareTop, Top);
  line.Add<Arguments>({"doctor", "",
                       "Looks for what is wrong or will be: the ring, clocks, releases, ports that "
                       "cannot be reached, options that differ, zones; and says what to do. Exit 0 "
                       "if nothing is, else 1",
                       kOperatorGroup},
                      nullptr, Doctor);
  line.Add<ConfigArguments>(
      {"config", "SUBCOMMAND [ARGUMENT ...]",
       "get PATTERN, set NAME VALUE (until a node restarts), unset NAME, resetstat: of each node "
       "of "
       "the ring, or of --node; with --ring what holds for all nodes, for good; diff: in what the "
       "nodes are configured differently",
       kOperatorGroup},
      DeclareConfig, Config, CheckConfig);
  line.Add<Arguments>({"locate", "KEY", "Shows where a key lives", kOperatorGroup}, nullptr,
                      Locate);
  line.Add<Arguments>({"ping", "[MESSAGE]", "Asks the node whether it is there", kOperatorGroup},
                      nullptr, Ping);
  line.Add<LeaveArguments>({"drain", "NODE",
                            "Empties a node (its name, id or HOST:PORT) and takes it from the "
                            "ring: started again or not, it stays off until gyre undrain",
                            kOperatorGroup},
                           DeclareLeave, Drain);
  line.Add<Arguments>({"undrain", "NODE",
                       "Lets a drained node (its name, id or HOST:PORT) take its place on the ring "
                       "again, at once or when it starts",
                       kOperatorGroup},
                      nullptr, Undrain);
  line.Add<LeaveArguments>({"remove", "NODE",
                            "Takes a dead node (its name, id or HOST:PORT) from the ring; started "
                            "again, it joins as a new one does",
                            kOperatorGroup},
                           DeclareRemove, Remove);
  line.Add<Arguments>(
      {"restart-check", "NODE",
       "Says whether a node (its name, id or HOST:PORT) may be restarted now: exit 0 if so, 1 with "
       "the "
       "reasons if not (it is the last holder of something, writes would fail, another node is "
       "filling). For a rolling restart: repeat it until it is safe, restart, wait for /ready, "
       "next",
       kOperatorGroup},
      nullptr, RestartCheck);
  line.Add<Arguments>({"advise", "",
                       "Says how many nodes the ring needs and why: what a node more would gain in "
                       "hits, how busy the nodes and their links are, and what stands against a "
                       "change. Exit 0 if it has what it needs, 1 if another number is advised or "
                       "nothing can be said",
                       kOperatorGroup},
                      nullptr, Advise);
  line.Add<RebalanceArguments>(
      {"rebalance", "[pause|resume|limit [SIZE|default]]",
       "Shows how far the moving of data has come; pauses, resumes or limits it (bytes a second "
       "that each node moves, like 50MiB, 0 for no limit, default for each node's own "
       "--rebalance-limit). What a death made necessary is never held up",
       kOperatorGroup},
      nullptr, Rebalance, CheckRebalance);
}

}  // namespace gyre::client
