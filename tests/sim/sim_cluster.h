// A cluster in the world, its clients and its judge: the vocabulary of the simulator's tests.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "sim/history.h"
#include "sim/sim_node.h"
#include "sim/world.h"

namespace gyre::sim {

class SimCluster {
 public:
  SimCluster(std::uint64_t seed, std::size_t nodes_max, ClusterOptions options = {})
      : world_(seed, nodes_max), options_(options), nodes_(nodes_max), incarnations_(nodes_max) {}
  ~SimCluster() {
    for (NodeIndex node = 0; node < nodes_.size(); ++node) {
      if (nodes_[node]) world_.Crash(node);
    }
  }

  World& world() { return world_; }
  History& history() { return history_; }
  SimNode& node(NodeIndex index) { return *nodes_[index]; }
  bool alive(NodeIndex index) const { return nodes_[index] != nullptr; }

  // ---- Nodes ----
  // Node 0 founds the cluster when it is first started; the others, and 0 later, join through all
  // the others.
  void Start(NodeIndex node) {
    incarnations_[node] = std::max<std::uint64_t>(incarnations_[node] + 1,
                                                  static_cast<std::uint64_t>(world_.unix_now()));
    const bool founder = node == 0 && !founded_;
    if (founder) founded_ = true;
    nodes_[node] = std::make_unique<SimNode>(world_, node, options_, incarnations_[node], founder);
    SimNode* each = nodes_[node].get();
    each->on_write = [this, node](PartitionId partition) { CheckSingleOwner(node, partition); };
    world_.Boot(
        node,
        [each](NodeIndex, FrameType type, const std::string& payload,
               std::function<void(std::string)> reply) {
          each->OnRequest(type, payload, std::move(reply));
        },
        [each](NodeIndex from, const std::string& bytes) { each->OnDatagram(from, bytes); },
        [each](NodeIndex to) { each->OnLinkDown(to); });
    std::vector<Address> seeds;
    for (NodeIndex other = 0; other < nodes_.size() && !founder; ++other) {
      if (other != node && nodes_[other]) seeds.push_back(AddressOf(other));
    }
    each->Start(seeds);
  }
  void StartAll(NodeIndex count) {
    for (NodeIndex node = 0; node < count; ++node) {
      Start(node);
      world_.Run(milliseconds(200));
    }
  }
  void Kill(NodeIndex node) {  // kill -9
    world_.Crash(node);
    graveyard_.push_back(std::move(nodes_[node]));
  }
  // SIGTERM: hands over, then is gone. False if it takes too long.
  bool Stop(NodeIndex node) {
    bool done = false;
    nodes_[node]->coordinator().BeginStop([&done] { done = true; });
    const bool in_time = world_.RunUntil([&done] { return done; }, seconds(10));
    world_.Run(milliseconds(100));  // what is in flight is finished
    Kill(node);
    return in_time;
  }
  bool Drain(NodeIndex node, NodeIndex via) {
    bool ok = false;
    bool done = false;
    nodes_[via]->coordinator().Drain(IdOf(node), [&](const Status& status) {
      done = true;
      ok = status.has_value();
    });
    return world_.RunUntil([&done] { return done; }, seconds(30)) && ok;
  }

  // One partition as each live node sees it, for a failure's message.
  std::string Describe(PartitionId partition) {
    static constexpr const char* kRoles[] = {"absent", "warming", "replica",
                                             "owner",  "handing", "recovering"};
    std::string text = "partition " + std::to_string(partition) + ":\n";
    for (auto& node : nodes_) {
      if (!node) continue;
      const ClusterViewPtr view = node->view();
      const auto name = [&view](MemberIndex member) {
        return member == kNoMember ? std::string("nobody") : view->members[member].name;
      };
      text += "  n" + std::to_string(node->index()) + " " +
              kRoles[static_cast<int>(node->role(partition))] + ", sees owner " +
              name(view->owner[partition]) + ", holders";
      for (MemberIndex member : view->holders[partition]) text += " " + name(member);
      text += ", complete";
      for (MemberIndex member : view->complete[partition]) text += " " + name(member);
      text += ", members";
      for (MemberIndex member = 0; member < view->members.size(); ++member) {
        const MemberInfo& info = view->members[member];
        text += " " + info.name + (info.serving() ? "" : "(gone)") +
                (view->on_ring[member] ? "" : "(off)");
        const ClusterState& state = node->membership().state();
        const auto holdings = state.holdings.find(info.id);
        if (holdings == state.holdings.end()) {
          text += "(says nothing)";
        } else {
          text += "@" + std::to_string(state.members.at(info.id).incarnation % 1'000'000) + "/" +
                  std::to_string(holdings->second.incarnation % 1'000'000) + "." +
                  std::to_string(holdings->second.revision);
        }
      }
      text += ", state " + std::to_string(node->membership().state().digest);
      text += "\n";
    }
    return text;
  }

  std::string Copies(const std::string& key) {
    std::string text;
    for (auto& node : nodes_) {
      if (node) text += "n" + std::to_string(node->index()) + ": " + node->Copy(key) + ", ";
    }
    return text;
  }

  // All live nodes see the same, every partition has one owner and is whole on all its holders.
  std::string NotConverged() {
    ClusterViewPtr first;
    std::size_t live = 0;
    for (const auto& node : nodes_) live += node ? 1 : 0;
    for (auto& node : nodes_) {
      if (!node) continue;
      const ClusterViewPtr view = node->view();
      if (view == nullptr) return "a node has no view";
      if (first == nullptr) first = view;
      std::size_t serving = 0;
      for (const MemberInfo& member : view->members) serving += member.serving() ? 1 : 0;
      if (serving != live)
        return "n" + std::to_string(node->index()) + " sees " + std::to_string(serving) + " nodes";
      for (PartitionId p = 0; p < options_.partitions; ++p) {
        if (view->owner[p] == kNoMember || view->owner[p] != first->owner[p])
          return "owners differ";
        if (view->holders[p] != first->holders[p]) return "holders differ";
        if (view->complete[p] != view->holders[p]) {
          return "not whole on its holders, or elsewhere, too: " + Describe(p);
        }
        if (view->owner[p] != view->holders[p][0])
          return "not the first holder owns: " + Describe(p);
      }
    }
    for (PartitionId p = 0; p < options_.partitions; ++p) {
      std::size_t owners = 0;
      for (auto& node : nodes_) owners += node && node->role(p) == Role::kOwner ? 1 : 0;
      if (owners != 1)
        return "partition " + std::to_string(p) + " has " + std::to_string(owners) + " owners";
    }
    return "";
  }
  bool Converge(Duration within = seconds(30)) {
    const TimePoint end = world_.now() + within;
    while (world_.now() < end) {
      if (NotConverged().empty()) return true;
      world_.Run(milliseconds(50));
    }
    return false;
  }

  // ---- Clients ----
  // `count` clients with `keys` keys each: they write, read and delete, one after the other, until
  // EndLoad.
  void BeginLoad(int count, int keys, Duration think = milliseconds(4)) {
    loading_ = true;
    for (int client = 0; client < count; ++client) NextOperation(client, keys, think);
  }
  void EndLoad() {
    loading_ = false;
    world_.RunUntil([this] { return busy_clients_ == 0; }, seconds(20));
  }
  // Whether reads during the load are judged, and whether two owners at once are a fault.
  void JudgeReads(bool judge) { judge_reads_ = judge; }
  void JudgeOwners(bool judge) { judge_owners_ = judge; }

  // Reads every key through every live node.
  void ReadAll(const std::string& when) {
    int open = 0;
    for (const std::string& key : history_.keys()) {
      for (auto& node : nodes_) {
        if (!node) continue;
        ++open;
        node->Execute(
            {Operation::Kind::kGet, 0, key, ""}, world_.now() + seconds(5),
            [this, key, when, &open](const Answer& answer) {
              --open;
              if (answer.kind != Answer::Kind::kValue && answer.kind != Answer::Kind::kMiss) {
                history_.Violate(when + ": " + key + " cannot be read");
              }
              history_.Judge(key, answer, [&] { return when + " (" + Copies(key) + ")"; });
            });
      }
      world_.Run(milliseconds(2));
    }
    if (!world_.RunUntil([&open] { return open == 0; }, seconds(10))) {
      history_.Violate(when + ": reads without an answer");
    }
  }

 private:
  void CheckSingleOwner(NodeIndex writer, PartitionId partition) {
    if (!judge_owners_) return;
    for (auto& node : nodes_) {
      if (node && node->index() != writer && node->role(partition) == Role::kOwner) {
        history_.Violate("two owners of partition " + std::to_string(partition) + ": n" +
                         std::to_string(writer) + " and n" + std::to_string(node->index()));
      }
    }
  }

  NodeIndex AnyNode() {
    for (;;) {
      const auto node = static_cast<NodeIndex>(world_.random().Below(nodes_.size()));
      if (nodes_[node]) return node;
    }
  }

  void NextOperation(int client, int keys, Duration think) {
    if (!loading_) return;
    ++busy_clients_;
    Prng& random = world_.random();
    const std::string key = "c" + std::to_string(client) + "k" +
                            std::to_string(random.Below(static_cast<std::uint64_t>(keys)));
    const std::uint64_t dice = random.Below(100);
    Operation operation;
    operation.key = key;
    operation.kind = dice < 55   ? Operation::Kind::kSet
                     : dice < 90 ? Operation::Kind::kGet
                                 : Operation::Kind::kDelete;
    std::uint64_t number = 0;
    if (operation.kind != Operation::Kind::kGet) {
      number = history_.Issue(key, operation.kind == Operation::Kind::kDelete);
      operation.value = std::to_string(number);
    }
    auto answered = std::make_shared<bool>(false);
    const auto finish = [this, client, keys, think, answered](const Answer& answer,
                                                              const auto& judge) {
      if (std::exchange(*answered, true)) return;
      judge(answer);
      --busy_clients_;
      world_.At(kNobody, think,
                [this, client, keys, think] { NextOperation(client, keys, think); });
    };
    const auto judge = [this, key, number, operation](const Answer& answer) {
      const bool missed = answer.kind == Answer::Kind::kMiss;
      if (missed && number != 0) history_.Refuse(key, number);  // nothing to delete
      if (operation.kind == Operation::Kind::kGet || missed) {
        if (judge_reads_) {
          history_.Judge(key, answer, [&] {
            return "at " + std::to_string(world_.unix_now() % 1'000'000) + " ms (" + Copies(key) +
                   ")";
          });
        }
      } else if (answer.kind == Answer::Kind::kOk) {
        history_.Acknowledge(key, number);
      } else if (answer.kind == Answer::Kind::kUnknown) {
        history_.Unknown();
      } else {
        history_.Refuse(key, number);
      }
    };
    SimNode& contact = *nodes_[AnyNode()];
    contact.Execute(operation, world_.now() + seconds(3),
                    [finish, judge](const Answer& answer) { finish(answer, judge); });
    // The contact may die with the answer.
    world_.At(kNobody, seconds(6), [finish, judge] {
      finish({Answer::Kind::kUnknown, "the contact went away"}, judge);
    });
  }

  World world_;
  const ClusterOptions options_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::vector<std::unique_ptr<SimNode>> graveyard_;  // callbacks may still hold them
  std::vector<std::uint64_t> incarnations_;
  History history_;
  bool founded_ = false;
  bool loading_ = false;
  bool judge_reads_ = true;
  bool judge_owners_ = true;
  int busy_clients_ = 0;
};

// The seeds of a run: 1..`count`, or GYRE_SIM_SEEDS of them.
inline std::uint64_t SeedCount(std::uint64_t count) {
  const char* wanted = std::getenv("GYRE_SIM_SEEDS");
  return wanted == nullptr ? count : std::strtoull(wanted, nullptr, 10);
}

}  // namespace gyre::sim
