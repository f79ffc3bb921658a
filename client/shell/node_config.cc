#include "client/shell/node_config.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "client/shell/doctor.h"
#include "client/shell/drain.h"
#include "client/shell/table.h"
#include "client/shell/words.h"

namespace gyre::client {
namespace {

constexpr Milliseconds kConfigPatience{2000};

bool Serves(const NodeInfo& node) { return node.state != "dead" && node.state != "stopped"; }

// Nodes of an older release have no such command.
ParametersOfNodes AskSources(const ShellContext& shell, const std::vector<NodeInfo>& nodes) {
  ParametersOfNodes sources;
  for (const NodeAnswer& answer :
       AskNodes(shell, nodes, {"RINGCONFIG", "SOURCES"}, kConfigPatience)) {
    if (Trouble(answer).empty()) {
      sources.emplace_back(answer.node.name, ReadSources((*answer.reply)->text));
    }
  }
  return sources;
}

std::string SourceOf(const ParametersOfNodes& sources, const std::string& node,
                     const std::string& name) {
  const auto own = std::find_if(sources.begin(), sources.end(),
                                [&](const auto& each) { return each.first == node; });
  if (own == sources.end()) return {};
  const auto found = own->second.find(ToLower(name));
  return found == own->second.end() ? std::string() : found->second;
}

int PrintGet(const ShellContext& shell, const std::vector<NodeAnswer>& answers,
             const ParametersOfNodes& sources) {
  ParametersOfNodes parameters;
  Json list = Json::array();
  bool any = false;
  bool failed = false;
  for (const NodeAnswer& answer : answers) {
    const std::string trouble = Trouble(answer);
    Json one = {{"name", answer.node.name}, {"ok", trouble.empty()}};
    if (trouble.empty()) {
      std::map<std::string, std::string> own = ReadConfig(**answer.reply);
      any = any || !own.empty();
      one["parameters"] = own;
      Json from = Json::object();
      for (const auto& [name, value] : own) {
        const std::string source = SourceOf(sources, answer.node.name, name);
        if (!source.empty()) from[name] = source;
      }
      one["sources"] = std::move(from);
      parameters.emplace_back(answer.node.name, std::move(own));
    } else {
      failed = true;
      one["error"] = trouble;
      if (!shell.json) {
        shell.err << ErrorPrefix(shell.line) << answer.node.name << ": " << trouble << "\n";
      }
    }
    list.push_back(std::move(one));
  }
  if (shell.json) {
    shell.PrintJson({{"nodes", std::move(list)}});
  } else {
    if (!any) shell.err << ErrorPrefix(shell.line) << "no parameter has such a name\n";
    TextTable table({"PARAMETER", "NODE", "VALUE", "SOURCE"});
    for (const ConfigRow& row : ConfigRows(parameters, sources)) {
      table.AddRow({row.parameter, row.nodes, row.value.empty() ? "-" : row.value,
                    row.source.empty() ? "-" : row.source});
    }
    if (any) table.Print(shell.out);
  }
  return any && !failed ? kExitDone : kExitRefused;
}

int PrintSet(const ShellContext& shell, const std::vector<NodeAnswer>& answers) {
  Json list = Json::array();
  bool all = true;
  for (const NodeAnswer& answer : answers) {
    const std::string trouble = Trouble(answer);
    all = all && trouble.empty();
    Json one = {{"name", answer.node.name}, {"ok", trouble.empty()}};
    if (!trouble.empty()) one["error"] = trouble;
    list.push_back(std::move(one));
    if (!shell.json) {
      shell.out << answer.node.name << "  " << (trouble.empty() ? "OK" : trouble) << "\n";
    }
  }
  if (shell.json) shell.PrintJson({{"nodes", std::move(list)}});
  return all ? kExitDone : kExitRefused;
}

}  // namespace

std::vector<NodeAnswer> AskNodes(const ShellContext& shell, const std::vector<NodeInfo>& nodes,
                                 const Command& command, Milliseconds patience) {
  CallOptions call = shell.call;
  if (call.deadline.count() == 0) call.deadline = patience;
  std::vector<std::optional<Operation<Result<Value>>>> questions;
  for (const NodeInfo& node : nodes) {
    questions.emplace_back();
    if (Serves(node)) {
      questions.back().emplace(shell.client.ExecuteOnAsync(node.address, command, call));
    }
  }
  std::vector<NodeAnswer> answers;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    answers.push_back({nodes[i], std::nullopt});
    if (questions[i]) answers.back().reply.emplace(questions[i]->Get());
  }
  return answers;
}

std::string Trouble(const NodeAnswer& answer) {
  if (!answer.reply) return "it is " + answer.node.state + ": nothing was asked of it";
  if (*answer.reply) return {};
  const Error& error = answer.reply->error();
  return std::string(ErrorCodeName(error.code)) + ": " + error.message;
}

std::map<std::string, std::string> ReadSources(const std::string& json) {
  std::map<std::string, std::string> sources;
  const Json read = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  const auto list = read.is_object() ? read.find("parameters") : read.end();
  if (!read.is_object() || list == read.end() || !list->is_array()) return sources;
  for (const Json& each : *list) {
    if (!each.is_object()) continue;
    const auto name = each.find("name");
    const auto source = each.find("source");
    if (name == each.end() || source == each.end() || !name->is_string() || !source->is_string()) {
      continue;
    }
    sources[ToLower(name->get<std::string>())] = source->get<std::string>();
  }
  return sources;
}

std::vector<ConfigRow> ConfigRows(const ParametersOfNodes& nodes,
                                  const ParametersOfNodes& sources) {
  std::set<std::string> names;
  for (const auto& [node, parameters] : nodes) {
    for (const auto& [name, value] : parameters) names.insert(name);
  }
  std::vector<ConfigRow> rows;
  for (const std::string& name : names) {
    std::vector<ConfigRow> own;
    for (const auto& [node, parameters] : nodes) {
      const auto found = parameters.find(name);
      if (found != parameters.end()) {
        own.push_back({name, node, found->second, SourceOf(sources, node, name)});
      }
    }
    const bool same = own.size() == nodes.size() &&
                      std::all_of(own.begin(), own.end(), [&own](const ConfigRow& row) {
                        return row.value == own.front().value && row.source == own.front().source;
                      });
    if (same && own.size() > 1) {
      rows.push_back(
          {name, "all " + std::to_string(own.size()), own.front().value, own.front().source});
    } else {
      rows.insert(rows.end(), own.begin(), own.end());
    }
  }
  return rows;
}

int NodeConfigCommand(const ShellContext& shell, const ConfigArguments& arguments) {
  const Result<RingInfo> ring = shell.client.RefreshRing(shell.call);
  if (!ring) return shell.Report(ring.error());
  std::vector<NodeInfo> nodes = ByName(*ring);
  if (!arguments.node.empty()) {
    const NodeInfo* const found = FindNode(*ring, arguments.node);
    if (found == nullptr) return shell.Report(NoSuchNode(*ring, arguments.node));
    nodes = {*found};
  }
  Command command = {"CONFIG"};
  command.insert(command.end(), arguments.words.begin(), arguments.words.end());
  const std::vector<NodeAnswer> answers = AskNodes(shell, nodes, command, kConfigPatience);
  if (ToLower(arguments.words[0]) != "get") return PrintSet(shell, answers);
  return PrintGet(shell, answers, AskSources(shell, nodes));
}

}  // namespace gyre::client
