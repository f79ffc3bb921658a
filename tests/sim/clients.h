// The clients of a cluster in the world. Each does one thing at a time and tells the history. A
// request travels to a node that the client picks, as every message does; an answer that does not
// come in time is an unknown outcome.
//
//   writers    each has keys of its own, which it sets, reads and deletes
//   contests   keys that all clients share: counters that they increment, keys that they swap
//   groupers   each has sets of keys, of one hash tag, that it writes and reads by one command
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
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
  int groupers = 0;
  Duration think = milliseconds(4);
};

class Clients {
 public:
  // The nodes that can be asked; null where there is none.
  using Nodes = std::function<SimNode*(NodeIndex)>;

  Clients(World& world, history::History& history, std::uint32_t partitions, Nodes nodes)
      : world_(world), history_(history), partitions_(partitions), nodes_(std::move(nodes)) {}

  void Begin(const LoadOptions& options);
  // True once everybody stopped; what has no answer by then is unknown.
  void End();
  // Nothing new is asked from `span` on, until the next Begin: what was written before it stays.
  void Rest(Duration span);
  void JudgeReads(bool judge) { judge_reads_ = judge; }

  // Reads every key through every live node, and judges what is read as final.
  void ReadAll(const std::string& when);

  // A node orders a write of a key that has one writer: if it does not wait for it any more, it comes
  // late.
  void OnWrite(const SubmittedWrite& write);

  // Every node's copy of a key, for a failure's message.
  std::function<std::string(const std::string& key)> copies;

 private:
  struct Client {
    std::uint32_t number = 0;
    bool contests = false;
    bool groups = false;
    std::map<std::string, Answer> read;  // swapped keys: as they were read last
  };

  void Next(Client& client);
  Operation::Kind Choose(Client& client, std::string& key);
  void ChooseSome(Client& client);
  void Ask(Client& client, Operation::Kind kind, const std::vector<std::string>& keys);
  // What a client asked, of whom, and how the history has it.
  struct Question {
    NodeIndex contact = kNobody;
    Operation operation;
    std::vector<history::Operation> writes;  // of each key, if it writes
    std::vector<history::Read> reads;        // of each key
  };
  Question Word(Client& client, Operation::Kind kind, const std::vector<std::string>& keys);
  void OnAnswer(Client& client, const Question& question, const Answer& answer);
  void OnWritten(const history::Operation& write, const Answer& answer);
  void OnRead(Client& client, NodeIndex contact, const history::Read& read, const Answer& answer);
  NodeIndex AnyNode();
  std::string Circumstances(NodeIndex contact, const std::string& key);

  World& world_;
  history::History& history_;
  const std::uint32_t partitions_;
  const Nodes nodes_;
  LoadOptions options_;
  std::vector<std::unique_ptr<Client>> clients_;
  bool loading_ = false;
  bool judge_reads_ = true;
  std::uint64_t loads_ = 0;  // begun
  int busy_ = 0;
  std::uint64_t groups_ = 0;                                  // written
  std::uint64_t snapshots_ = 0;                               // read by one command
  std::set<std::string> deleting_;                            // keys whose writer waits for that
  std::multimap<std::string, history::Operation> abandoned_;  // by key: of unknown outcome
};

}  // namespace gyre::sim
