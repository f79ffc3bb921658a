#include "sim/sim_cluster.h"

#include <algorithm>
#include <map>
#include <utility>

#include "sim/sim_snapshot.h"

namespace gyre::sim {
namespace {

// Between the signals to two nodes that are stopped together: one may hear of the other's before its own.
constexpr std::uint64_t kSignalSpreadMs = 10;
// From a node's goodbye to its end: its connections finish what is in flight, and what waits there for
// an owner waits for two seconds.
constexpr Duration kDrainLeast = milliseconds(100);
constexpr std::uint64_t kDrainSpreadMs = 2500;

}  // namespace

SimCluster::SimCluster(std::uint64_t seed, std::size_t nodes_max, ClusterOptions options)
    : world_(seed, nodes_max),
      options_(std::move(options)),
      nodes_(nodes_max),
      incarnations_(nodes_max),
      left_(nodes_max),
      history_(options_.promise),
      clients_(world_, history_, options_.partitions,
               [this](NodeIndex node) { return nodes_[node].get(); }) {
  if (options_.evicts) history_.AllowMisses();
  clients_.copies = [this](const std::string& key) { return Copies(key); };
}

SimCluster::~SimCluster() {
  const history::Violations& violations = history_.violations();
  for (std::size_t i = 0; i < static_cast<std::size_t>(history::Fault::kCount); ++i) {
    const auto fault = static_cast<history::Fault>(i);
    if (violations.count(fault) != 0) found()[fault] += violations.count(fault);
  }
  for (NodeIndex node = 0; node < nodes_.size(); ++node) {
    if (!nodes_[node]) continue;
    nodes_[node]->Die();
    world_.Crash(node);
  }
}

std::map<history::Fault, std::uint64_t>& SimCluster::found() {
  static std::map<history::Fault, std::uint64_t> found;
  return found;
}

std::size_t SimCluster::live() const {
  return static_cast<std::size_t>(std::count_if(nodes_.begin(), nodes_.end(),
                                                [](const auto& node) { return node != nullptr; }));
}

void SimCluster::Start(NodeIndex node) {
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
  Boot(node, founder, std::move(seeds));
}

void SimCluster::StartTogether(NodeIndex count) {
  founded_ = true;
  for (NodeIndex node = 0; node < count; ++node) {
    std::vector<Address> seeds;
    for (NodeIndex other = 0; other < count; ++other) {
      if (other != node) seeds.push_back(AddressOf(other));
    }
    Boot(node, /*founder=*/false, std::move(seeds));
  }
}

void SimCluster::Found(NodeIndex node) {
  founded_ = true;
  Boot(node, /*founder=*/true, {});
}

void SimCluster::Boot(NodeIndex node, bool founder, std::vector<Address> seeds) {
  incarnations_[node] = std::max<std::uint64_t>(incarnations_[node] + 1,
                                                static_cast<std::uint64_t>(world_.unix_now(node)));
  nodes_[node] = std::make_unique<SimNode>(world_, node, options_, incarnations_[node], founder,
                                           std::exchange(left_[node], {}));
  SimNode* each = nodes_[node].get();
  each->on_write = [this, node](const SubmittedWrite& write) {
    CheckSingleOwner(node, write.partition);
    clients_.OnWrite(write);
  };
  world_.Boot(
      node,
      [each](NodeIndex from, FrameType type, const std::string& payload,
             std::function<void(std::string)> reply) {
        each->OnRequest(from, type, payload, std::move(reply));
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
  for (const auto& [name, setting] : membership.settings().registers()) {
    left_[node].settings.push_back(setting);
  }
  left_[node].key_hash = nodes_[node]->key_hash();
  nodes_[node]->Die();
  world_.Crash(node);
  ended_nodes_.push_back(std::move(nodes_[node]));
}

bool SimCluster::Stop(const std::vector<NodeIndex>& nodes) {
  // [node]: it said goodbye, and ends at that time.
  const auto ends = std::make_shared<std::map<NodeIndex, TimePoint>>();
  for (const NodeIndex node : nodes) {
    if (node != nodes.front()) world_.Run(milliseconds(world_.random().Below(kSignalSpreadMs)));
    const Duration drain = kDrainLeast + milliseconds(world_.random().Below(kDrainSpreadMs));
    nodes_[node]->coordinator().BeginStop(
        {.snapshot = options_.snapshots},
        [this, ends, node, drain] { ends->emplace(node, world_.now() + drain); });
  }
  bool in_time = true;
  for (std::size_t stopped = 0; stopped < nodes.size(); ++stopped) {
    in_time = world_.RunUntil([ends] { return !ends->empty(); }, seconds(30)) && in_time;
    if (ends->empty()) return false;
    const auto is_over = [this](const auto& end) { return end.second <= world_.now(); };
    world_.RunUntil([&] { return std::any_of(ends->begin(), ends->end(), is_over); }, seconds(30));
    const NodeIndex node = std::find_if(ends->begin(), ends->end(), is_over)->first;
    ends->erase(node);
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

bool SimCluster::UndrainAll() {
  bool any = false;
  for (NodeIndex via = 0; via < nodes_.size(); ++via) {
    for (NodeIndex node = 0; node < nodes_.size() && alive(via); ++node) {
      if (IsDrained(node, via)) any = Undrain(node, via) || any;
    }
  }
  return any;
}

bool SimCluster::Remove(NodeIndex node, NodeIndex via) {
  bool ok = false;
  nodes_[via]->coordinator().Remove(IdOf(node),
                                    [&ok](const Status& status) { ok = status.has_value(); });
  return ok;
}

}  // namespace gyre::sim
