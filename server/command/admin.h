// What the commands ask of the node as a whole: its figures, its configuration, the ring. The node
// implements it; the commands only word the answers.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/rebalance.h"
#include "cluster/setting_change.h"
#include "command/hot_keys.h"
#include "proto/node_id.h"
#include "proto/result.h"

namespace gyre {

// A name and its value, in the order in which they are printed.
using Fields = std::vector<std::pair<std::string, std::string>>;

// What the node counts and how it stands. Thread-safe: each worker loop calls it. Nothing here may
// block for longer than a short lock, or throw.
class NodeReport {
 public:
  virtual ~NodeReport() = default;

  // The fields of sections of INFO, all of one moment, named as Redis names them, so that its tools
  // parse them: "server", "clients", "memory", "persistence", "stats", "replication", "cpu",
  // "commandstats" (CommandStatsFields of the dispatchers, dispatcher.h). Empty for a section that
  // it does not know. The sections "cluster" and "keyspace", and `redis_mode` of "server", are the
  // dispatcher's, because they depend on the port that asks.
  virtual std::vector<Fields> Info(std::span<const std::string_view> sections) = 0;
  // memcached's "stats [argument]"; nothing for an argument that it does not know.
  virtual std::optional<Fields> MemcachedStats(std::string_view argument) = 0;
  // CONFIG RESETSTAT: what INFO and stats count starts from 0.
  virtual void ResetStats() = 0;

  // What `gyre status` prints: one JSON object.
  virtual std::string StatusJson() = 0;
  // Whether the node may be restarted now (control/restart_check.h): one JSON object.
  virtual std::string RestartCheckJson(const NodeId& node) = 0;
  // How many nodes the ring needs, and why (proto/scaling_advisor.h): one JSON object.
  virtual std::string AdviceJson() = 0;
  // Of all loops.
  virtual std::vector<HotKey> ReadHotKeys() = 0;
};

// What the node was started with, and what of it may change. Thread-safe, as above.
class NodeSettings {
 public:
  virtual ~NodeSettings() = default;

  // The parameters whose names match the glob `pattern` (GlobMatches, glob.h), and their values.
  virtual Fields ConfigGet(std::string_view pattern) = 0;
  // Names and new values, all of them or none. kInvalidArgument with advice: an unknown parameter,
  // one that needs a restart, or a bad value.
  using Changes = std::vector<std::pair<std::string_view, std::string_view>>;
  virtual Status ConfigSet(const Changes& changes) = 0;
  // Takes back what ConfigSet did to these parameters: all of them or none.
  virtual Status ConfigUnset(std::span<const std::string_view> names) = 0;

  // ---- The ring's ----
  // What to ask of the ring so that it says these values on every node, or none of its own
  // (RingOperator::ChangeSettings); checked as ConfigSet checks them.
  virtual Result<std::vector<SettingChange>> RingConfigSet(const Changes& changes) = 0;
  virtual Result<std::vector<SettingChange>> RingConfigUnset(
      std::span<const std::string_view> names) = 0;
  // What the ring says of the parameters that match, and what this node makes of it; where the value
  // of each parameter comes from: JSON, one object each.
  virtual std::string RingConfigJson(std::string_view pattern) = 0;
  virtual std::string ConfigSourcesJson(std::string_view pattern) = 0;
};

// What the operator does with the ring. One for each worker loop, on its thread; `done` is called
// there, exactly once.
class RingOperator {
 public:
  using Done = std::function<void(Status)>;

  virtual ~RingOperator() = default;

  // Empties the node and takes it from the ring (drain) until it is undrained; takes a dead node
  // from the ring (remove). `done` when that is done or refused. Minutes may pass.
  virtual void Drain(const NodeId& node, Done done) = 0;
  virtual void Undrain(const NodeId& node, Done done) = 0;
  virtual void Remove(const NodeId& node, Done done) = 0;

  // What the operator wants of rebalancing, for the whole cluster; and how it stands: one JSON
  // object of all nodes. `done` soon.
  virtual void SetRebalance(const RebalanceChange& change, Done done) = 0;
  virtual void RebalanceJson(std::function<void(std::string)> done) = 0;
  // Changes what holds for the whole ring, all of it or nothing: this node has it when `done` comes,
  // the others a moment later.
  virtual void ChangeSettings(std::vector<SettingChange> changes, Done done) = 0;
};

}  // namespace gyre
