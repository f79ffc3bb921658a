// The clients of a cluster in the world. Each does one thing at a time and tells the history. A
// request travels to a node that the client picks, as every message does; an answer that does not
// come in time is an unknown outcome.
//
//   writers    each has keys of its own, which it sets, reads and deletes
//   contests   keys that all clients share: counters that they increment, keys that they swap
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "history/history.h"
#include "sim/sim_node.h"
#include "sim/world.h"

namespace gyre::sim {

struct LoadOptions {
  int writers = 0;
  int keys = 0;  // of each writer
  int contestants = 0;
  int counters = 0;
  int swapped = 0;  // keys
  Duration think = milliseconds(4);
};

class Clients {
 public:
  // The nodes that can be asked; null where there is none.
  using Nodes = std::function<SimNode*(NodeIndex)>;

  Clients(World& world, history::History& history, Nodes nodes)
      : world_(world), history_(history), nodes_(std::move(nodes)) {}

  void Begin(const LoadOptions& options);
  // True once everybody stopped; what has no answer by then is unknown.
  void End();
  void JudgeReads(bool judge) { judge_reads_ = judge; }

  // Reads every key through every live node, and judges what is read as final.
  void ReadAll(const std::string& when);

  // A node orders a write: if its client does not wait for it any more, it comes late.
  void OnWrite(const Operation& operation);

  // Every node's copy of a key, for a failure's message.
  std::function<std::string(const std::string& key)> copies;

 private:
  struct Client {
    std::uint32_t number = 0;
    bool contests = false;
    std::map<std::string, Answer> read;  // swapped keys: as they were read last
  };

  void Next(Client& client);
  Operation::Kind Choose(Client& client, std::string& key);
  void Ask(Client& client, Operation::Kind kind, const std::string& key);
  void OnAnswer(Client& client, const Operation& operation, const history::Operation& write,
                const history::Read& read, const Answer& answer);
  void OnRead(Client& client, const history::Read& read, const Answer& answer);
  NodeIndex AnyNode();
  std::string Circumstances(const std::string& key, const Answer& answer);

  World& world_;
  history::History& history_;
  const Nodes nodes_;
  LoadOptions options_;
  std::vector<std::unique_ptr<Client>> clients_;
  bool loading_ = false;
  bool judge_reads_ = true;
  int busy_ = 0;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, history::Operation> waiting_;    // by Operation::id
  std::map<std::uint64_t, history::Operation> abandoned_;  // no answer came
};

}  // namespace gyre::sim
