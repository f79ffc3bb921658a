// `gyre top`: what the cluster does now, drawn anew each second.
//
// A sample is what all nodes count; a frame shows what two samples differ in. Both are pure, so that
// tests need no cluster and no clock.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "client/shell/command_line.h"
#include "client/shell/hot_keys.h"
#include "client/shell/screen.h"
#include "proto/cluster_status.h"

namespace gyre::client {

// Counts of one node since it started.
struct NodeCounts {
  bool answered = false;
  double uptime_seconds = 0;  // less than before: it was started again
  double hits = 0;
  double misses = 0;
  double evicted = 0;
  double expired = 0;
  struct Calls {
    double calls = 0;
    double failed = 0;  // refused ones included
    double seconds = 0;
  };
  std::map<std::string, Calls> commands;  // by name
};

struct TopSample {
  std::chrono::steady_clock::time_point at;
  ClusterStatus status;
  std::string moves;               // "73% 23.9 MiB left ..."; empty: nothing moves
  double moved_share = 0;          // of what moves
  std::vector<NodeCounts> counts;  // as status.nodes
  std::vector<HotKey> hot_keys;    // the hottest first
};

// `own`: a node's STATUS; `commandstats`: its INFO commandstats.
NodeCounts ReadNodeCounts(const Json& own, const std::string& commandstats);

// Asks all nodes.
Result<TopSample> TakeTopSample(const ShellContext& shell);

struct TopView {
  enum class Sort { kOps, kMemory, kName };
  Sort sort = Sort::kOps;
  std::string node;  // this one alone; empty: all
};

// `interval`: how often it is drawn. Lines end with a newline.
std::string DrawTop(const TopSample& before, const TopSample& now, const TopView& view,
                    const Screen& screen, double interval);
// The same for programs.
Json TopJson(const TopSample& before, const TopSample& now);

struct TopArguments : Arguments {
  double interval = 1;
  std::uint64_t count = 0;  // frames; 0: until it is stopped
};

int Top(const ShellContext& shell, const TopArguments& arguments);

}  // namespace gyre::client
