// The cluster as one picture, and the verdict on it. Pure: what nodes said goes in, what to print
// comes out. Nodes of other releases may tell more or less: what is missing is left out, and nothing
// that a node sends makes it fail.
//
// `gyre` judges with it what it asked from outside, and each node what it shows on /ui: both must
// say the same of the same answers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "proto/hit_curve.h"

namespace gyre {

// How hard a node works, as it says itself.
struct NodeLoad {
  std::optional<double> busy_ratio;                // of the time of its loops
  std::optional<double> network_bytes_per_second;  // in the fuller direction
  std::optional<double> network_limit;             // of its link, likewise; it may not know
  std::optional<double> evictions_per_second;
  HitCurve hits;
};

// One member: what the node that was asked says of it, and what it says of itself.
struct NodeStatus {
  std::string name;
  std::string id;
  std::string address;       // "host:port"
  std::string http_address;  // the same of HTTP; empty: it serves none
  std::string zone;
  std::string state;  // alive, suspect, dead, stopped, drained, ...
  bool on_ring = true;
  bool drained = false;
  std::uint64_t owned = 0;                 // partitions
  std::uint64_t complete = 0;              // partitions of which it has a whole copy
  std::uint64_t last_holder = 0;           // of them, those that nobody else has whole
  std::optional<double> since_seconds;     // in that state, where it is dead
  std::optional<double> evict_in_seconds;  // until it is taken from the ring, where it is dead
  std::optional<double> clock_ahead_ms;

  // Its own words.
  bool answered = false;
  std::string error;  // why not
  std::string version;
  std::optional<double> uptime_seconds;
  std::optional<double> memory_used;
  std::optional<double> memory_limit;
  std::optional<double> requests_per_second;
  std::optional<double> reads_per_second;
  std::optional<double> hit_ratio;
  std::optional<double> latency_p99_seconds;
  std::optional<double> records;
  std::optional<double> connections;   // of clients
  std::optional<double> losses;        // partitions that began empty since it started
  std::string snapshot_trouble;        // why its last snapshot was not restored
  std::string settings_digest;         // of the ring's settings; empty: it does not know them
  std::uint64_t settings_refused = 0;  // parameters that the ring sets and it cannot take
  NodeLoad load;

  // Of the moving of data to it.
  std::optional<double> filled_percent;
  std::optional<double> moving_bytes_per_second;
  std::optional<double> eta_seconds;

  bool serves() const { return state == "alive" || state == "suspect"; }
  // The state in one word, where what matters most of it is something else: "drained", "joining",
  // "filling".
  std::string condition() const;
};

struct ClusterStatus {
  std::string cluster;
  std::string asked;  // the node that was asked
  std::uint64_t partitions = 0;
  std::uint64_t replicas = 0;
  std::optional<std::uint64_t> write_acks;
  std::uint64_t unowned = 0;           // partitions that nobody orders the writes of
  std::uint64_t under_replicated = 0;  // partitions with fewer whole copies than replicas
  std::optional<double> whole_in_seconds;
  bool moves_paused = false;
  bool majority_lost = false;     // --consistency majority, and the node that was asked sees none
  std::vector<NodeStatus> nodes;  // by name

  // Those that are meant to serve, and those of them that do.
  std::size_t wanted_nodes() const;
  std::size_t serving_nodes() const;
};

// `asked`: the STATUS of the node that was asked. `rebalance`: of the whole ring, or null.
ClusterStatus ReadClusterStatus(const nlohmann::ordered_json& asked,
                                const nlohmann::ordered_json& rebalance);
// Adds a node's own STATUS, or why there is none.
void AddNodeStatus(NodeStatus& node, const nlohmann::ordered_json& own);

enum class Health { kOk, kDegraded, kDown };

struct Finding {
  Health health = Health::kDegraded;  // kOk: a note
  std::string code;                   // "node_dead": for programs, stable
  std::string text;                   // what is wrong, and what to do or not to do
};

struct Verdict {
  Health health = Health::kOk;  // the worst of the findings
  std::vector<Finding> findings;
};

Verdict Judge(const ClusterStatus& status);

// "OK", "DEGRADED", "DOWN".
const char* NameOf(Health health);

nlohmann::ordered_json ToJson(const Verdict& verdict);
nlohmann::ordered_json ToJson(const NodeStatus& node);

}  // namespace gyre
