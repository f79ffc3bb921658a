// A cluster in the world, its clients and its judge: the vocabulary of the simulator's tests.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "history/history.h"
#include "sim/clients.h"
#include "sim/sim_node.h"
#include "sim/world.h"

namespace gyre::sim {

class SimCluster {
 public:
  SimCluster(std::uint64_t seed, std::size_t nodes_max, ClusterOptions options = {});
  ~SimCluster();

  World& world() { return world_; }
  history::History& history() { return history_; }
  SimNode& node(NodeIndex index) { return *nodes_[index]; }
  bool alive(NodeIndex index) const { return nodes_[index] != nullptr; }
  std::size_t live() const;
  const ClusterOptions& options() const { return options_; }

  // ---- Nodes ----
  // Node 0 founds the cluster when it is first started; the others join through all the others, and
  // whoever was on the ring goes back to it as it remembers it, without being told to join.
  void Start(NodeIndex node);
  void StartAll(NodeIndex count);
  // At one moment, each to join through all the others: nobody founds.
  void StartTogether(NodeIndex count);
  // Starts it as the founder of a ring of its own, whatever else there is.
  void Found(NodeIndex node);
  // From now on it tries to join through `other`.
  void Introduce(NodeIndex node, NodeIndex other) { nodes_[node]->SetSeeds({AddressOf(other)}); }
  void Kill(NodeIndex node);  // kill -9
  // SIGTERM: hands over, then is gone. False if it takes too long. All of them at once.
  bool Stop(NodeIndex node) { return Stop(std::vector<NodeIndex>{node}); }
  bool Stop(const std::vector<NodeIndex>& nodes);
  // What /ready says.
  bool Ready(NodeIndex node);
  // `node` leaves the ring until it is undrained, emptied first. False if it does not get empty.
  bool Drain(NodeIndex node, NodeIndex via);
  bool Undrain(NodeIndex node, NodeIndex via);
  // As `via` knows it.
  bool IsDrained(NodeIndex node, NodeIndex via);
  // All that anybody knows to be drained. False: nobody was.
  bool UndrainAll();
  // Takes a dead node off the ring.
  bool Remove(NodeIndex node, NodeIndex via);
  // The next start of the node finds an empty data directory, but for its identity and the ring.
  void ForgetKeyHash(NodeIndex node) { left_[node].key_hash = nullptr; }
  // The next start of the node knows nothing of its earlier incarnations but the clock.
  void ForgetIncarnation(NodeIndex node) { incarnations_[node] = 0; }

  // ---- The judge (sim_cluster_judge.cc) ----
  // One partition as each live node sees it, for a failure's message.
  std::string Describe(PartitionId partition);
  std::string Copies(const std::string& key);
  // All live nodes see the same, every partition has one owner and is whole on all its holders;
  // else what is wrong.
  std::string NotConverged();
  bool Converge(Duration within = seconds(30));
  // Between the two an owner may change without a handover (history/streams.h).
  void BeginCut() { history_.BeginCut(world_.now_us()); }
  void EndCut() { history_.EndCut(world_.now_us()); }
  // What was found in all clusters that are gone, be it promised or not.
  static std::map<history::Fault, std::uint64_t>& found();
  // Whether two owners at once are a fault.
  void JudgeOwners(bool judge) { judge_owners_ = judge; }

  // ---- Clients ----
  // `count` clients with `keys` keys each: they write, read and delete, one after the other, until
  // EndLoad.
  void BeginLoad(int count, int keys, Duration think = milliseconds(4)) {
    clients_.Begin({.writers = count, .keys = keys, .think = think});
  }
  void BeginLoad(const LoadOptions& options) { clients_.Begin(options); }
  void EndLoad() { clients_.End(); }
  void RestLoad(Duration span) { clients_.Rest(span); }
  // Whether reads during the load are judged.
  void JudgeReads(bool judge) { clients_.JudgeReads(judge); }
  void ReadAll(const std::string& when) { clients_.ReadAll(when); }

 private:
  void Boot(NodeIndex node, bool founder, std::vector<Address> seeds);
  void CheckSingleOwner(NodeIndex writer, PartitionId partition);
  std::string DescribeMember(SimNode& node, const ClusterView& view, MemberIndex member);
  std::string NotConvergedAt(SimNode& node, const ClusterView& first);
  std::string OthersKeyHash(SimNode& node);

  World world_;
  const ClusterOptions options_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::vector<std::unique_ptr<SimNode>> ended_nodes_;  // callbacks may still hold them
  std::vector<std::uint64_t> incarnations_;
  std::vector<SimNode::LeftBehind> left_;  // of those that are not there
  history::History history_;
  Clients clients_;
  bool founded_ = false;
  bool judge_owners_ = true;
};

}  // namespace gyre::sim
