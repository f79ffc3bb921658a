// `gyre doctor`: what is wrong with a cluster, or will be, and what to do; and `gyre config diff`: in
// what its nodes are configured differently. The findings are pure; asking for what they need is not.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "client/shell/command_line.h"
#include "proto/cluster_status.h"

namespace gyre::client {

// A node's parameters by name, as CONFIG GET tells them; nothing: it did not answer.
using NodeConfig = std::optional<std::map<std::string, std::string>>;

// What CONFIG GET answered: names and values, as a list or as a map.
std::map<std::string, std::string> ReadConfig(const Value& reply);

struct Check {
  enum class Result { kOk, kNote, kProblem };
  Result result = Result::kOk;
  std::string code;  // "options_differ": for programs, stable
  std::string text;  // what was looked at, or what is wrong and what to do
};

// What a look from outside adds to the picture: as status.nodes.
struct Examination {
  ClusterStatus status;
  std::vector<NodeConfig> configs;
  std::vector<std::optional<double>> answer_seconds;  // how long a PING took from here
  std::vector<Json> own;                              // the STATUS of each
  std::vector<std::vector<std::string>> deaf_ports;   // "RESP port 127.0.0.1:6379: refused"
};

std::vector<Check> Diagnose(const Examination& examination);

// Parameters that differ between the nodes that answered, each with the value of each node; those
// that are a node's own (its name, its ports, its folder) are left out.
struct ConfigDifference {
  std::string name;
  std::map<std::string, std::string> values;  // [node]
};
std::vector<ConfigDifference> CompareConfigs(const std::vector<NodeStatus>& nodes,
                                             const std::vector<NodeConfig>& configs);

int Doctor(const ShellContext& shell, const Arguments& arguments);
int ConfigDiff(const ShellContext& shell);

}  // namespace gyre::client
