#include <algorithm>
#include <set>

#include "sim/sim_cluster.h"

namespace gyre::sim {

std::string SimCluster::DescribeMember(SimNode& node, const ClusterView& view, MemberIndex member) {
  const MemberInfo& info = view.members[member];
  std::string text =
      " " + info.name + (info.serving() ? "" : "(gone)") + (view.on_ring[member] ? "" : "(off)");
  const ClusterState& state = node.membership().state();
  const auto holdings = state.holdings.find(info.id);
  if (holdings == state.holdings.end()) return text + "(says nothing)";
  return text + "@" + std::to_string(state.members.at(info.id).incarnation % 1'000'000) + "/" +
         std::to_string(holdings->second.incarnation % 1'000'000) + "." +
         std::to_string(holdings->second.revision);
}

std::string SimCluster::Describe(PartitionId partition) {
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
      text += DescribeMember(*node, *view, member);
    }
    text += ", state " + std::to_string(node->membership().state().digest) + "\n";
  }
  return text;
}

std::string SimCluster::Copies(const std::string& key) {
  std::string text;
  for (auto& node : nodes_) {
    if (node) text += "n" + std::to_string(node->index()) + ": " + node->Copy(key) + ", ";
  }
  return text;
}

namespace {

// Views of nodes that do not know the same dead have other indices.
std::vector<std::string> NamesOf(const ClusterView& view, const MemberList& members) {
  std::vector<std::string> names;
  for (const MemberIndex member : members) names.push_back(view.members[member].name);
  return names;
}

}  // namespace

std::string SimCluster::NotConvergedAt(SimNode& node, const ClusterView& first) {
  const ClusterViewPtr view = node.view();
  std::size_t serving = 0;
  for (const MemberInfo& member : view->members) serving += member.serving() ? 1 : 0;
  if (serving != live()) {
    return "n" + std::to_string(node.index()) + " sees " + std::to_string(serving) + " nodes";
  }
  for (PartitionId p = 0; p < options_.partitions; ++p) {
    if (view->owner[p] == kNoMember) return "no owner: " + Describe(p);
    if (NamesOf(*view, view->holders[p]) != NamesOf(first, first.holders[p])) {
      return "holders differ: " + Describe(p);
    }
    if (view->complete[p] != view->holders[p]) {
      return "not whole on its holders, or elsewhere, too: " + Describe(p);
    }
    if (view->owner[p] != view->holders[p][0]) return "not the first holder owns: " + Describe(p);
  }
  return "";
}

// What of its copies is not in the order of the one secret that all should have.
std::string SimCluster::OthersKeyHash(SimNode& node) {
  const std::string name = "n" + std::to_string(node.index());
  for (auto& other : nodes_) {
    if (other && other->engine().key_hash().id() != node.engine().key_hash().id()) {
      return name + " and n" + std::to_string(other->index()) + " hash keys by different secrets";
    }
  }
  for (PartitionId p = 0; p < options_.partitions; ++p) {
    if (!node.IsRehashed(p))
      return name + " has partition " + std::to_string(p) + " in an old order";
  }
  return "";
}

std::string SimCluster::NotConverged() {
  ClusterViewPtr first;
  for (auto& node : nodes_) {
    if (!node) continue;
    if (node->view() == nullptr) return "a node has no view";
    if (first == nullptr) first = node->view();
    if (std::string why = NotConvergedAt(*node, *first); !why.empty()) return why;
    if (std::string why = OthersKeyHash(*node); !why.empty()) return why;
  }
  std::set<std::uint8_t> bytes;
  for (auto& node : nodes_) {
    if (!node || !first->on_ring[first->Find(node->id())]) continue;
    if (!bytes.insert(static_cast<std::uint8_t>(node->NextVersion(0))).second) {
      return "n" + std::to_string(node->index()) + " makes versions that another makes, too";
    }
  }
  for (PartitionId p = 0; p < options_.partitions; ++p) {
    const auto owners = std::count_if(nodes_.begin(), nodes_.end(), [p](const auto& node) {
      return node && node->role(p) == Role::kOwner;
    });
    if (owners != 1) {
      return std::to_string(owners) + " owners: " + Describe(p);
    }
  }
  return "";
}

bool SimCluster::Converge(Duration within) {
  const TimePoint end = world_.now() + within;
  while (world_.now() < end) {
    if (NotConverged().empty()) return true;
    world_.Run(milliseconds(50));
  }
  return false;
}

void SimCluster::CheckSingleOwner(NodeIndex writer, PartitionId partition) {
  if (!judge_owners_) return;
  for (auto& node : nodes_) {
    if (node && node->index() != writer && node->Acts(partition)) {
      history_.Violate(history::Fault::kOther, "",
                       "two owners of partition " + std::to_string(partition) + ": n" +
                           std::to_string(writer) + " and n" + std::to_string(node->index()));
    }
  }
}

}  // namespace gyre::sim
