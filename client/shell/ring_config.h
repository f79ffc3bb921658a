// `gyre config get|set|unset --ring`: what the ring says to all of its nodes, and what they make of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "client/shell/node_config.h"

namespace gyre::client {

// "get [PATTERN]", "set NAME VALUE ...", "unset NAME ...".
int RingConfigCommand(const ShellContext& shell, const ConfigArguments& arguments);

// What one node says of a parameter that the ring sets (RINGCONFIG GET).
struct RingParameter {
  std::string name;
  std::string value;
  std::string set_by;  // id of the node that was told
  std::uint64_t set_at_ms = 0;
  std::uint64_t set_count = 0;
  std::string standing;    // applied, overridden, refused
  std::string reason;      // of a refusal
  std::string value_here;  // what counts there, where it is overridden

  auto stamp() const { return std::tuple(set_at_ms, set_count, set_by); }
};

struct RingAnswer {
  std::string node;
  std::string trouble;  // why there is no answer; empty: there is one
  std::string digest;   // of all settings of the ring
  std::vector<RingParameter> parameters;
};
// Nothing: it is no such answer.
std::optional<RingAnswer> ReadRingAnswer(const std::string& node, const std::string& json);

// The newest state of each parameter that any node knows, and how far it has come, for the table.
struct RingConfigRow {
  RingParameter newest;
  std::string nodes;  // "all 3", or what is not as it should be
  bool everywhere = false;
};
std::vector<RingConfigRow> RingConfigRows(const std::vector<RingAnswer>& answers);

}  // namespace gyre::client
