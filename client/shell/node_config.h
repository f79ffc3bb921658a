// `gyre config get|set|unset|resetstat`: of every node of the ring, or of one, with what each says.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client/shell/command_line.h"

namespace gyre::client {

struct ConfigArguments : Arguments {
  std::string node;   // this one alone; empty: all
  bool ring = false;  // what the ring says to all of them (ring_config.h)
};

// What one node answered; nothing: it is down and was not asked.
struct NodeAnswer {
  NodeInfo node;
  std::optional<Result<Value>> reply;
};
// Asks all at once; `patience`: of each, where no deadline was said.
std::vector<NodeAnswer> AskNodes(const ShellContext& shell, const std::vector<NodeInfo>& nodes,
                                 const Command& command, Milliseconds patience);
// Why it has no answer; empty: it has one.
std::string Trouble(const NodeAnswer& answer);

// "get PATTERN ...", "set NAME VALUE ...", "unset NAME ...", "resetstat".
int NodeConfigCommand(const ShellContext& shell, const ConfigArguments& arguments);

// A parameter and the values that nodes have for it, for the table: one row where all agree.
struct ConfigRow {
  std::string parameter;
  std::string nodes;  // "n1", or "all 3"
  std::string value;
  std::string source;  // where it comes from; empty: the node does not say
};
// [node] -> its parameters by name, in the order in which nodes are shown.
using ParametersOfNodes = std::vector<std::pair<std::string, std::map<std::string, std::string>>>;
// Where the values of a node's parameters come from, by name, in lower case: what RINGCONFIG SOURCES
// says. Empty: it makes no sense.
std::map<std::string, std::string> ReadSources(const std::string& json);
std::vector<ConfigRow> ConfigRows(const ParametersOfNodes& nodes,
                                  const ParametersOfNodes& sources = {});

}  // namespace gyre::client
