#include "client/shell/rebalance.h"

#include "client/shell/json_fields.h"
#include "client/shell/table.h"
#include "proto/human.h"

namespace gyre::client {
namespace {

std::string Percent(const Json& object) {
  return HumanPercent(NumberAt(object, "progress_percent") / 100);
}

std::string TimeToGo(const Json& object) {
  const Json& seconds = FieldAt(object, "eta_seconds");
  return seconds.is_number() ? seconds.dump() + " s" : "-";
}

std::string Limit(const Json& object) {
  const double limit = NumberAt(object, "limit_bytes_per_second");
  return limit == 0 ? "none" : HumanBytes(limit) + "/s";
}

std::string Count(const Json& object, const char* name) {
  return std::to_string(static_cast<std::uint64_t>(NumberAt(object, name)));
}

void PrintNodes(const Json& nodes, std::ostream& out) {
  TextTable table({"node", "done", "partitions left", "moves", "repairs", "left", "rate", "to go",
                   "limit", "state"});
  for (const Json& node : nodes) {
    if (!node.is_object()) continue;
    if (!FlagAt(node, "answered")) {
      table.AddRow(
          {TextAt(node, "name", "-"), "-", "-", "-", "-", "-", "-", "-", "-", "no answer"});
      continue;
    }
    table.AddRow({TextAt(node, "name", "-"), Percent(node), Count(node, "partitions_left"),
                  Count(node, "moves_left"), Count(node, "repairs_left"),
                  HumanBytes(NumberAt(node, "left_bytes")),
                  HumanBytes(NumberAt(node, "bytes_per_second")) + "/s", TimeToGo(node),
                  Limit(node), FlagAt(node, "paused") ? "paused" : "goes on"});
  }
  table.Print(out);
}

}  // namespace

Json AskRebalance(Client& client) {
  const Result<Value> reply = client.Execute({"REBALANCE"});
  if (!reply) return {};
  Json status = Json::parse(reply->text, nullptr, /*allow_exceptions=*/false);
  return status.is_object() ? status : Json();
}

std::string RebalanceProgress(const Json& progress) {
  if (NumberAt(progress, "partitions_left") == 0) return "nothing left to move";
  std::string line = Percent(progress) + " done, " + Count(progress, "partitions_left") +
                     " partitions, " + HumanBytes(NumberAt(progress, "left_bytes")) + " left, ";
  if (FlagAt(progress, "paused") && NumberAt(progress, "repairs_left") == 0) {
    return line + "paused (gyre rebalance resume)";
  }
  line += HumanBytes(NumberAt(progress, "bytes_per_second")) + "/s, ";
  return line + TimeToGo(progress) + " to go";
}

void PrintRebalance(const Json& status, std::ostream& out) {
  out << "rebalance: " << RebalanceProgress(status);
  if (FlagAt(status, "paused") && NumberAt(status, "partitions_left") == 0) out << ", paused";
  out << "; limit " << Limit(status) << "\n";
  if (const auto leaving = status.find("leaving"); leaving != status.end()) {
    for (const Json& node : *leaving) {
      if (!node.is_object()) continue;
      out << "leaving: " << TextAt(node, "name", "-") << ", " << Count(node, "partitions_left")
          << " partitions left\n";
    }
  }
  if (const auto nodes = status.find("nodes"); nodes != status.end() && nodes->is_array()) {
    out << "\n";
    PrintNodes(*nodes, out);
  }
}

int Rebalance(const ShellContext& shell, const RebalanceArguments& arguments) {
  std::vector<std::string> words = {"REBALANCE"};
  words.insert(words.end(), arguments.words.begin(), arguments.words.end());
  if (arguments.words.empty()) words.emplace_back("STATUS");
  Result<Value> reply = shell.client.Execute(words);
  if (!reply) return shell.Report(reply.error());
  if (!arguments.words.empty()) {
    // What it looks like now; the other nodes hear of it in a moment.
    reply = shell.client.Execute({"REBALANCE", "STATUS"});
    if (!reply) return shell.Report(reply.error());
  }
  const Json status = Json::parse(reply->text, nullptr, /*allow_exceptions=*/false);
  if (!status.is_object()) {
    return shell.Report({ErrorCode::kProtocol, "the node's answer is not JSON"});
  }
  if (shell.json) {
    shell.PrintJson(status);
  } else {
    PrintRebalance(status, shell.out);
  }
  return kExitDone;
}

}  // namespace gyre::client
