#include "client/shell/plan.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "client/shell/cluster_picture.h"
#include "client/shell/drain.h"
#include "client/shell/json_fields.h"
#include "client/shell/table.h"
#include "client/shell/words.h"
#include "proto/human.h"
#include "proto/limits.h"

namespace gyre::client {
namespace {

// Who holds a partition, the owner first.
std::vector<NodeId> HoldersOf(const Placement& placement, std::size_t partition,
                              std::uint32_t replicas) {
  const std::vector<std::uint16_t>& preference = placement.preference[partition];
  std::vector<NodeId> holders;
  for (std::size_t i = 0; i < std::min<std::size_t>(replicas, preference.size()); ++i) {
    holders.push_back(placement.members[preference[i]].id);
  }
  return holders;
}

bool Holds(const std::vector<NodeId>& ids, const NodeId& id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

std::vector<RingMember> RingOf(const std::vector<PlannedMember>& members) {
  std::vector<RingMember> ring;
  for (const PlannedMember& member : members) ring.push_back(member.ring);
  return ring;
}

// The id of a node that does not exist yet is drawn from its name: the same plan each time. Its real
// id will be another, and which partitions it wins; how many will be the same.
NodeId DrawnId(const std::string& name) {
  std::array<std::uint8_t, 16> bytes{};
  std::uint64_t state = 0x9e3779b97f4a7c15ULL;
  for (std::size_t i = 0; i < std::max<std::size_t>(name.size(), 1) + bytes.size(); ++i) {
    const unsigned char c = i < name.size() ? static_cast<unsigned char>(name[i]) : 0;
    state = (state ^ c) * 0xbf58476d1ce4e5b9ULL;
    state ^= state >> 29;
    bytes[i % bytes.size()] ^= static_cast<std::uint8_t>(state >> 56);
  }
  return NodeIdFromRandom(bytes);
}

// The ring as it is, and what a copy of a partition weighs on average.
struct PlannedRing {
  std::vector<PlannedMember> members;
  std::map<std::string, PlannedMember> others;  // known, and off the ring
  std::uint32_t replicas = 1;
  std::uint32_t partitions = 0;
  double copy_bytes = 0;
  bool whole = true;  // nothing moves now
};

Result<PlannedRing> ReadRing(const ClusterPicture& picture) {
  PlannedRing ring;
  const ClusterStatus& status = picture.status;
  ring.replicas = static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(status.replicas, 1, static_cast<std::uint64_t>(kReplicasMax)));
  ring.partitions = static_cast<std::uint32_t>(status.partitions);
  ring.whole = status.under_replicated == 0 && status.unowned == 0 &&
               NumberAt(picture.asked.value("rebalance", Json::object()), "partitions_left") == 0;
  std::map<std::string, double> weights;
  for (const Json& member : picture.asked.value("members", Json::array())) {
    if (member.is_object()) weights[member.value("id", "")] = NumberAt(member, "weight");
  }
  double bytes = 0;
  double copies = 0;
  for (const NodeStatus& node : status.nodes) {
    const std::optional<NodeId> id = NodeId::Parse(node.id);
    if (!id) return Error{ErrorCode::kProtocol, node.name + " has no id that can be read"};
    PlannedMember member{node.name, {*id, node.zone, static_cast<std::uint32_t>(weights[node.id])}};
    if (node.on_ring && !node.drained) {
      ring.members.push_back(std::move(member));
    } else {
      ring.others[node.name] = std::move(member);
    }
    if (node.answered) {
      bytes += node.memory_used.value_or(0);
      copies += static_cast<double>(node.complete);
    }
  }
  if (ring.partitions == 0 || ring.partitions > kSlotCount ||
      (ring.partitions & (ring.partitions - 1)) != 0 || ring.members.empty()) {
    return Error{ErrorCode::kProtocol, "the ring that the node tells is none; see gyre status"};
  }
  ring.copy_bytes = copies > 0 ? bytes / copies : 0;
  return ring;
}

const NodeStatus* FindMember(const ClusterStatus& status, const std::string& wanted) {
  const auto found =
      std::find_if(status.nodes.begin(), status.nodes.end(), [&](const NodeStatus& node) {
        return node.name == wanted || node.id == wanted || node.address == wanted;
      });
  return found == status.nodes.end() ? nullptr : &*found;
}

// The members with the change made; why it cannot be.
Result<std::vector<PlannedMember>> Change(const ClusterStatus& status, const PlannedRing& ring,
                                          const PlanArguments& arguments) {
  const bool adds = arguments.words[0] == "add";
  const std::string& wanted = arguments.words[1];
  const NodeStatus* const known = FindMember(status, wanted);
  const std::string name = known == nullptr ? wanted : known->name;
  std::vector<PlannedMember> after = ring.members;
  const auto on_ring = std::find_if(
      after.begin(), after.end(), [&](const PlannedMember& member) { return member.name == name; });
  if (adds) {
    if (on_ring != after.end()) {
      return Error{ErrorCode::kInvalidArgument, name + " is on the ring already"};
    }
    const auto other = ring.others.find(name);
    after.push_back(other != ring.others.end()
                        ? other->second
                        : PlannedMember{name, {DrawnId(name), arguments.zone, arguments.weight}});
    return after;
  }
  if (on_ring == after.end()) {
    std::string names;
    for (const PlannedMember& member : ring.members) {
      names += (names.empty() ? "" : ", ") + member.name;
    }
    return Error{ErrorCode::kInvalidArgument,
                 "'" + wanted + "' is not on the ring; on it are: " + names};
  }
  if (after.size() == 1) {
    return Error{ErrorCode::kInvalidArgument, "the last node of a ring cannot leave it"};
  }
  after.erase(on_ring);
  return after;
}

Json ToJson(const Plan& plan, const PlannedRing& ring, const PlanArguments& arguments) {
  const auto bytes = [&ring](std::uint64_t copies) {
    return static_cast<std::uint64_t>(static_cast<double>(copies) * ring.copy_bytes);
  };
  Json nodes = Json::array();
  for (const PlannedNode& node : plan.nodes) {
    nodes.push_back({{"name", node.name},
                     {"owned_before", node.owned_before},
                     {"owned_after", node.owned_after},
                     {"held_before", node.held_before},
                     {"held_after", node.held_after},
                     {"copies_fetched", node.fetched},
                     {"copies_dropped", node.dropped},
                     {"fetched_bytes", bytes(node.fetched)},
                     {"bytes_after", bytes(node.held_after)}});
  }
  return {{"change", arguments.words[0]},
          {"node", arguments.words[1]},
          {"partitions", plan.partitions},
          {"copies", plan.copies},
          {"copies_moved", plan.copies_moved},
          {"owners_moved", plan.owners_moved},
          {"moved_bytes", bytes(plan.copies_moved)},
          {"ring_whole", ring.whole},
          {"nodes", std::move(nodes)}};
}

void Print(const Plan& plan, const PlannedRing& ring, const ShellContext& shell) {
  const double share =
      plan.copies == 0 ? 0
                       : static_cast<double>(plan.copies_moved) / static_cast<double>(plan.copies);
  const auto bytes = [&ring](std::uint64_t copies) {
    return HumanBytes(static_cast<double>(copies) * ring.copy_bytes);
  };
  shell.out << plan.copies_moved << " of " << plan.copies << " copies would move ("
            << HumanPercent(share) << "), ~" << bytes(plan.copies_moved) << "; "
            << plan.owners_moved << " of " << plan.partitions
            << " partitions would have another owner\n";
  if (!ring.whole) {
    shell.out << "the ring moves data now: this is counted from where it will be when it is "
                 "done\n";
  }
  TextTable table(
      {"NODE", "OWN", "AFTER", "HOLD", "AFTER", "FETCH", "DROP", "FETCH BYTES", "BYTES AFTER"});
  for (const PlannedNode& node : plan.nodes) {
    table.AddRow({node.name, std::to_string(node.owned_before), std::to_string(node.owned_after),
                  std::to_string(node.held_before), std::to_string(node.held_after),
                  std::to_string(node.fetched), std::to_string(node.dropped), bytes(node.fetched),
                  bytes(node.held_after)});
  }
  table.Print(shell.out);
}

}  // namespace

Plan MakePlan(const std::vector<PlannedMember>& before, const std::vector<PlannedMember>& after,
              std::uint32_t replicas, std::uint32_t partition_count) {
  const Placement old_one = ComputePlacement(RingOf(before), replicas, partition_count);
  const Placement new_one = ComputePlacement(RingOf(after), replicas, partition_count);
  std::map<NodeId, PlannedNode> nodes;
  for (const auto* members : {&before, &after}) {
    for (const PlannedMember& member : *members) nodes[member.ring.id].name = member.name;
  }
  Plan plan;
  plan.partitions = partition_count;
  for (std::size_t partition = 0; partition < partition_count; ++partition) {
    const std::vector<NodeId> old_holders = HoldersOf(old_one, partition, replicas);
    const std::vector<NodeId> new_holders = HoldersOf(new_one, partition, replicas);
    plan.copies += new_holders.size();
    if (!old_holders.empty()) ++nodes[old_holders.front()].owned_before;
    if (!new_holders.empty()) ++nodes[new_holders.front()].owned_after;
    if (!old_holders.empty() && !new_holders.empty() &&
        old_holders.front() != new_holders.front()) {
      ++plan.owners_moved;
    }
    for (const NodeId& id : old_holders) {
      ++nodes[id].held_before;
      if (!Holds(new_holders, id)) ++nodes[id].dropped;
    }
    for (const NodeId& id : new_holders) {
      ++nodes[id].held_after;
      if (Holds(old_holders, id)) continue;
      ++nodes[id].fetched;
      ++plan.copies_moved;
    }
  }
  for (auto& [id, node] : nodes) plan.nodes.push_back(std::move(node));
  std::sort(plan.nodes.begin(), plan.nodes.end(),
            [](const PlannedNode& a, const PlannedNode& b) { return a.name < b.name; });
  return plan;
}

std::string CheckPlan(PlanArguments& arguments) {
  arguments.words[0] = ToLower(arguments.words[0]);
  const bool adds = arguments.words[0] == "add";
  return adds || arguments.words[0] == "remove"
             ? ""
             : "plan takes add or remove, not '" + arguments.words[0] + "'";
}

int PlanChange(const ShellContext& shell, const PlanArguments& arguments) {
  const Result<ClusterPicture> picture = AskCluster(shell);
  if (!picture) return shell.Report(picture.error());
  const Result<PlannedRing> ring = ReadRing(*picture);
  if (!ring) return shell.Report(ring.error());
  const Result<std::vector<PlannedMember>> after = Change(picture->status, *ring, arguments);
  if (!after) return shell.Report(after.error());
  const Plan plan = MakePlan(ring->members, *after, ring->replicas, ring->partitions);
  if (shell.json) {
    shell.PrintJson(ToJson(plan, *ring, arguments));
  } else {
    Print(plan, *ring, shell);
  }
  return kExitDone;
}

}  // namespace gyre::client
