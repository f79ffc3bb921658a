// What the commands ask of the node as a whole: its figures, its configuration, the ring. The node
// implements it; the commands only word the answers.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/rebalance.h"
#include "proto/node_id.h"
#include "proto/result.h"

namespace gyre {

// Thread-safe: each worker loop calls it. Nothing here may block for longer than a short lock, or
// throw.
class Admin {
 public:
  // A name and its value, in the order in which they are printed.
  using Fields = std::vector<std::pair<std::string, std::string>>;
  using Done = std::function<void(Status)>;

  virtual ~Admin() = default;

  // The fields of one section of INFO, named as Redis names them, so that its tools parse them:
  // "server", "clients", "memory", "persistence", "stats", "replication", "cpu", "commandstats"
  // (CommandStatsFields of the dispatchers, dispatcher.h). Empty for a section that it does not
  // know. The sections "cluster" and "keyspace", and `redis_mode` of "server", are the
  // dispatcher's, because they depend on the port that asks.
  virtual Fields Info(std::string_view section) = 0;
  // memcached's "stats [argument]"; nothing for an argument that it does not know.
  virtual std::optional<Fields> MemcachedStats(std::string_view argument) = 0;

  // The parameters whose names match the glob `pattern` (GlobMatches, glob.h), and their values.
  virtual Fields ConfigGet(std::string_view pattern) = 0;
  // Names and new values, all of them or none. kInvalidArgument with advice: an unknown parameter,
  // one that needs a restart, or a bad value.
  using Changes = std::vector<std::pair<std::string_view, std::string_view>>;
  virtual Status ConfigSet(const Changes& changes) = 0;
  // CONFIG RESETSTAT: counters start from 0.
  virtual void ResetStats() = 0;

  // What `gyre status` prints: one JSON object.
  virtual std::string StatusJson() = 0;

  // Empties the node and takes it from the ring (drain) until it is undrained; takes a dead node
  // from the ring (remove). `done` is called exactly once, when that is done or refused, on the
  // loop that called: the implementer, whose work goes on on another thread, posts it back there.
  // Minutes may pass.
  virtual void Drain(const NodeId& node, Done done) = 0;
  virtual void Undrain(const NodeId& node, Done done) = 0;
  virtual void Remove(const NodeId& node, Done done) = 0;

  // Whether the node may be restarted now (cluster/restart_check.h): one JSON object.
  virtual std::string RestartCheckJson(const NodeId& node) = 0;

  // What the operator wants of rebalancing, for the whole cluster; and how it stands: one JSON
  // object of all nodes. `done` as above, soon.
  virtual void SetRebalance(const RebalanceChange& change, Done done) = 0;
  virtual void RebalanceJson(std::function<void(std::string)> done) = 0;
};

}  // namespace gyre
