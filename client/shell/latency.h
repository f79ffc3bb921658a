// `gyre latency`: how long each node takes to answer, as seen from here.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "client/shell/command_line.h"
#include "client/shell/histogram.h"
#include "client/shell/screen.h"

namespace gyre::client {

// What was measured at one node.
struct NodeLatency {
  std::string name;
  std::string address;
  Histogram round_trip_ns;
  std::uint64_t min_ns = 0;  // 0: none came back
  std::uint64_t lost = 0;    // no answer within the patience
};

// A table of the nodes and, of all of them together, how many answers took how long. Lines end with
// a newline.
std::string DrawLatency(const std::vector<NodeLatency>& nodes, const Screen& screen);
Json LatencyJson(const std::vector<NodeLatency>& nodes, double seconds);

struct LatencyArguments : Arguments {
  double seconds = 0;       // 0: on a terminal until it is stopped, else 5
  double interval_ms = 50;  // from one round to the next
};

int Latency(const ShellContext& shell, const LatencyArguments& arguments);

}  // namespace gyre::client
