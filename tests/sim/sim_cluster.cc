#include "sim/sim_cluster.h"

#include <algorithm>
#include <set>
#include <utility>

#include "sim/sim_snapshot.h"

namespace gyre::sim {

SimCluster::SimCluster(std::uint64_t seed, std::size_t nodes_max, ClusterOptions options)
    : world_(seed, nodes_max),
      options_(std::move(options)),
      nodes_(nodes_max),
      incarnations_(nodes_max),
      left_(nodes_max),
      clients_(world_, history_, [this](NodeIndex node) { return nodes_[node].get(); }) {
  if (options_.evicts) history_.AllowMisses();
  clients_.copies = [this](const std::string& key) { return Copies(key); };
}

SimCluster::~SimCluster() {
  for (NodeIndex node = 0; node < nodes_.size(); ++node) {
    if (nodes_[node]) world_.Crash(node);
  }
}

std::size_t SimCluster::live() const {
  return static_cast<std::size_t>(std::count_if(nodes_.begin(), nodes_.end(),
                                                [](const auto& node) { return node != nullptr; }));
}

void SimCluster::Start(NodeIndex node) {
  incarnations_[node] = std::max<std::uint64_t>(incarnations_[node] + 1,
                                                static_cast<std::uint64_t>(world_.unix_now(node)));
  std::vector<Address> seeds;
  for (const RememberedMember& member : left_[node].ring.members) {
    if (!member.entry.removed && member.entry.id != IdOf(node)) {
      seeds.push_back({member.host, member.port});
    }
  }
  const bool founder = node == 0 && seeds.empty() && !std::exchange(founded_, true);
  if (!founder && seeds.empty()) {
    for (NodeIndex other = 0; other < nodes_.size(); ++other) {
      if (other != node && nodes_[other]) seeds.push_back(AddressOf(other));
    }
  }
  nodes_[node] = std::make_unique<SimNode>(world_, node, options_, incarnations_[node], founder,
                                           std::exchange(left_[node], {}));
  SimNode* each = nodes_[node].get();
  each->on_write = [this, node](PartitionId partition, const Operation& operation) {
    CheckSingleOwner(node, partition);
    clients_.OnWrite(operation);
  };
  world_.Boot(
      node,
      [each](NodeIndex, FrameType type, const std::string& payload,
             std::function<void(std::string)> reply) {
        each->OnRequest(type, payload, std::move(reply));
      },
      [each](NodeIndex from, const std::string& bytes) { each->OnDatagram(from, bytes); },
      {[each](NodeIndex to) { return each->EpochOf(to); },
       [each](NodeIndex to, std::uint64_t epoch) { each->OnLinkDown(to, epoch); }});
  each->Start(std::move(seeds));
}

void SimCluster::StartAll(NodeIndex count) {
  for (NodeIndex node = 0; node < count; ++node) {
    Start(node);
    world_.Run(milliseconds(200));
  }
}

void SimCluster::Kill(NodeIndex node) {
  const Membership& membership = nodes_[node]->membership();
  if (membership.joined()) left_[node].ring = RingToRemember(membership.state());
  world_.Crash(node);
  ended_nodes_.push_back(std::move(nodes_[node]));
}

bool SimCluster::Stop(const std::vector<NodeIndex>& nodes) {
  const auto done = std::make_shared<std::set<NodeIndex>>();
  for (const NodeIndex node : nodes) {
    nodes_[node]->coordinator().BeginStop({.snapshot = options_.snapshots},
                                          [done, node] { done->insert(node); });
  }
  bool in_time = true;
  for (std::size_t stopped = 0; stopped < nodes.size(); ++stopped) {
    in_time = world_.RunUntil([done] { return !done->empty(); }, seconds(30)) && in_time;
    if (done->empty()) return false;
    const NodeIndex node = *done->begin();
    done->erase(node);
    world_.Run(milliseconds(100));  // what is in flight is finished
    if (options_.snapshots) {
      left_[node].snapshot =
          TakeSnapshot(nodes_[node]->engine(), IdOf(node), world_.unix_now(node));
    }
    Kill(node);
  }
  return in_time;
}

bool SimCluster::Ready(NodeIndex node) {
  return WaitsFor(nodes_[node]->coordinator().readiness()).empty();
}

bool SimCluster::Drain(NodeIndex node, NodeIndex via) {
  const auto outcome = std::make_shared<std::optional<bool>>();
  nodes_[via]->coordinator().Drain(
      IdOf(node), [outcome](const Status& status) { *outcome = status.has_value(); });
  world_.RunUntil([outcome] { return outcome->has_value(); }, seconds(30));
  return outcome->value_or(false);
}

bool SimCluster::Undrain(NodeIndex node, NodeIndex via) {
  bool ok = false;
  nodes_[via]->coordinator().Undrain(IdOf(node),
                                     [&ok](const Status& status) { ok = status.has_value(); });
  return ok;
}

bool SimCluster::IsDrained(NodeIndex node, NodeIndex via) {
  const auto& ring = nodes_[via]->membership().state().ring;
  const auto entry = ring.find(IdOf(node));
  return entry != ring.end() && entry->second.drained;
}

void SimCluster::UndrainAll() {
  for (NodeIndex via = 0; via < nodes_.size(); ++via) {
    for (NodeIndex node = 0; node < nodes_.size() && alive(via); ++node) {
      if (IsDrained(node, via)) Undrain(node, via);
    }
  }
}

bool SimCluster::Remove(NodeIndex node, NodeIndex via) {
  bool ok = false;
  nodes_[via]->coordinator().Remove(IdOf(node),
                                    [&ok](const Status& status) { ok = status.has_value(); });
  return ok;
}

}  // namespace gyre::sim
