// The operator's commands: status, ring, locate, ping.
#include <chrono>

#include "client/shell/command_line.h"
#include "client/shell/drain.h"
#include "client/shell/rebalance.h"
#include "client/shell/status_view.h"
#include "client/shell/table.h"

namespace gyre::client {
namespace {

// Instead of a limit: each node's own.
constexpr char kOwnLimits[] = "default";

struct NoArguments {};

void DeclareNothing(CLI::App&, NoArguments&) {}

int Status(const Session& session, const NoArguments&) {
  const Result<Value> reply = session.client.Execute({"STATUS"});
  if (!reply) return session.Report(reply.error());
  Json status = Json::parse(reply->text, nullptr, /*allow_exceptions=*/false);
  if (status.is_discarded()) {
    return session.Report({ErrorCode::kProtocol, "the node's status is not JSON"});
  }
  // The node's own word is replaced by that of all.
  if (Json rebalance = AskRebalance(session.client); rebalance.is_object() && status.is_object()) {
    status["rebalance"] = std::move(rebalance);
  }
  if (session.json) {
    session.PrintJson(status);
  } else {
    PrintStatus(status, session.out);
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

int Ring(const Session& session, const NoArguments&) {
  const Result<RingInfo> ring = session.client.RefreshRing();
  if (!ring) return session.Report(ring.error());
  if (session.json) {
    Json nodes = Json::array();
    for (const NodeInfo& node : ring->nodes) nodes.push_back(NodeJson(node));
    session.PrintJson({{"digest", ring->digest},
                       {"partitions", ring->partition_count},
                       {"replicas", ring->replicas},
                       {"nodes", nodes}});
    return kExitDone;
  }
  session.out << ring->nodes.size() << " nodes, " << ring->partition_count << " partitions, "
              << ring->replicas << " copies of each key\n\n";
  TextTable table({"node", "address", "zone", "weight", "state", "owns", "holds"});
  std::uint32_t owned = 0;
  for (const NodeInfo& node : ring->nodes) {
    owned += node.partitions_owned;
    table.AddRow({node.name, node.address, node.zone.empty() ? "-" : node.zone,
                  std::to_string(node.weight), node.state, std::to_string(node.partitions_owned),
                  std::to_string(node.partitions_held)});
  }
  table.Print(session.out);
  if (owned < ring->partition_count) {
    session.out << "\n" << ring->partition_count - owned << " partitions have no owner now\n";
  }
  return kExitDone;
}

struct KeyArguments {
  std::string key;
};

int Locate(const Session& session, const KeyArguments& arguments) {
  const Result<Value> reply = session.client.Execute({"LOCATE", arguments.key});
  if (!reply) return session.Report(reply.error());
  const Json location = ToJson(*reply);
  if (session.json) {
    session.PrintJson(location);
  } else {
    PrintStatus(location, session.out);
  }
  return kExitDone;
}

int Ping(const Session& session, const NoArguments&) {
  const auto begin = std::chrono::steady_clock::now();
  const Result<Value> pong = session.client.Execute({"PING"});
  if (!pong) return session.Report(pong.error());
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  if (session.json) {
    session.PrintJson({{"ok", true}, {"ms", took.count()}});
  } else {
    session.out << "PONG (" << took.count() << " ms)\n";
  }
  return kExitDone;
}

// What `gyre rebalance limit` takes: a size, which becomes bytes, or "default".
CLI::Validator RebalanceLimit() {
  return CLI::Validator(
      [size = CLI::AsSizeValue(false)](std::string& text) {
        if (CLI::detail::to_lower(text) == kOwnLimits) {
          text = kOwnLimits;
          return std::string();
        }
        return size(text);
      },
      "SIZE|default");
}

}  // namespace

void AddClusterCommands(CommandLine& line) {
  line.Add<NoArguments>("status", "Shows the cluster's health and figures", DeclareNothing, Status);
  line.Add<NoArguments>("ring", "Shows the nodes and what they own", DeclareNothing, Ring);
  line.Add<KeyArguments>(
      "locate", "Shows where a key lives",
      [](CLI::App& command, KeyArguments& arguments) {
        command.add_option("key", arguments.key)->required();
      },
      Locate);
  line.Add<NoArguments>("ping", "Asks the node whether it is there", DeclareNothing, Ping);
  const auto declare_leave = [](CLI::App& command, LeaveArguments& arguments) {
    command.add_option("node", arguments.node, "Its name, id or HOST:PORT (see: gyre ring)")
        ->required();
    command.add_option("--timeout", arguments.timeout_seconds, "Seconds to wait")
        ->check(CLI::Range(1, 7 * 24 * 3600))
        ->capture_default_str();
  };
  line.Add<LeaveArguments>("drain", "Empties a node and takes it from the ring, for good",
                           declare_leave, Drain);
  line.Add<RebalanceArguments>(
      "rebalance", "Shows how far the moving of data has come; pauses, resumes or limits it",
      [](CLI::App& command, RebalanceArguments& arguments) {
        auto* action =
            command
                .add_option("action", arguments.action,
                            "pause, resume or limit, for all nodes. What a death made necessary is "
                            "never held up. Without it: show")
                ->check(CLI::IsMember({"pause", "resume", "limit"}));
        command
            .add_option("limit", arguments.limit,
                        "Bytes a second that each node moves, like 50MiB; 0 for no limit, default "
                        "for each node's own --rebalance-limit")
            ->transform(RebalanceLimit())
            ->needs(action);
        command.parse_complete_callback([&arguments] {
          if (arguments.limit.starts_with('-')) {
            throw CLI::ValidationError("a limit is a number of bytes, 0 for none, or default");
          }
          if ((arguments.action == "limit") == arguments.limit.empty()) {
            throw CLI::ValidationError(
                arguments.action == "limit"
                    ? "limit wants bytes a second: gyre rebalance limit 50MiB"
                    : "only limit takes a size");
          }
        });
      },
      Rebalance);
  line.Add<LeaveArguments>("remove", "Takes a dead node from the ring, for good", declare_leave,
                           Remove);
}

}  // namespace gyre::client
