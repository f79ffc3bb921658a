#include "client/node_selector.h"

#include <algorithm>
#include <utility>

namespace gyre::client {

RemoteNode::RemoteNode(NodeAddress address, Link::Owner& owner, const Options& options)
    : address_(std::move(address)), name_(address_.ToString()) {
  for (std::uint32_t i = 0; i < options.connections_per_node; ++i) {
    links_.push_back(std::make_unique<Link>(owner, *this, options.connect_timeout));
  }
}

Link& RemoteNode::LinkFor(const Request& request) {
  return *links_[request.slot.value_or(0) % links_.size()];
}

bool RemoteNode::idle() const {
  return !resolving &&
         std::all_of(links_.begin(), links_.end(), [](const auto& link) { return link->idle(); });
}

void RemoteNode::OnConnectFailed(TimePoint now, std::string failure) {
  failure_ = std::move(failure);
  down_for_ = std::clamp(down_for_ * 2, kDownMin, kDownMax);
  down_until_ = now + down_for_;
}

RemoteNode& NodeSelector::NodeAt(const NodeAddress& address) {
  std::unique_ptr<RemoteNode>& node = nodes_[address.ToString()];
  if (node == nullptr) node = std::make_unique<RemoteNode>(address, owner_, options_);
  return *node;
}

RemoteNode* NodeSelector::Find(const std::string& name) {
  const auto entry = nodes_.find(name);
  return entry == nodes_.end() ? nullptr : entry->second.get();
}

void NodeSelector::AddSeed(const NodeAddress& address) {
  RemoteNode* node = &NodeAt(address);
  if (std::find(seeds_.begin(), seeds_.end(), node) == seeds_.end()) seeds_.push_back(node);
}

void NodeSelector::Adopt(std::shared_ptr<const RoutingTable> table) {
  table_ = std::move(table);
  by_index_.clear();
  for (const RingNode& node : table_->nodes()) by_index_.push_back(&NodeAt(node.address));
}

void NodeSelector::DropUnused() {
  std::erase_if(nodes_, [&](const auto& entry) {
    RemoteNode* node = entry.second.get();
    const auto is_node = [&](const RemoteNode* other) { return other == node; };
    return node->idle() && std::none_of(seeds_.begin(), seeds_.end(), is_node) &&
           std::none_of(by_index_.begin(), by_index_.end(), is_node);
  });
}

bool NodeSelector::Usable(const RemoteNode& node, const Request& request, bool even_stalled,
                          TimePoint now) const {
  if (node.down(now) && request.pinned.empty()) return false;
  // Only the owner orders writes: passing it over would only take the long way to it.
  if (!even_stalled && node.stalled() && request.effect == Effect::kRead) return false;
  return std::find(request.tried.begin(), request.tried.end(), &node) == request.tried.end();
}

std::vector<RemoteNode*> NodeSelector::Order(const Request& request) {
  std::vector<RemoteNode*> order;
  if (!request.pinned.empty()) {
    order.push_back(Find(request.pinned));
    return order;
  }
  // Without a key the seeds come first: they are the nodes that the user named. The ring is asked
  // of all in turn.
  const bool seeds_first = !request.slot && !request.asks_ring;
  if (seeds_first) order = seeds_;
  const std::vector<NodeIndex> indices =
      request.slot ? table_->Candidates(*request.slot, ++rotation_) : table_->AnyOrder(++rotation_);
  for (const NodeIndex index : indices) order.push_back(by_index_[index]);
  if (!seeds_first) order.insert(order.end(), seeds_.begin(), seeds_.end());
  return order;
}

RemoteNode* NodeSelector::FirstUsable(const std::vector<RemoteNode*>& order, const Request& request,
                                      TimePoint now) {
  for (const bool even_stalled : {false, true}) {
    for (RemoteNode* node : order) {
      if (Usable(*node, request, even_stalled, now)) return node;
    }
  }
  return nullptr;
}

RemoteNode* NodeSelector::Choose(const Request& request, TimePoint now) {
  if (request.slot && request.pinned.empty() && request.tried.empty()) {
    // The common case, without building a list: the owner is well.
    const NodeIndex owner = table_->Owner(table_->PartitionOfSlot(*request.slot));
    if (owner != kNoNode && table_->nodes()[owner].serving() &&
        Usable(*by_index_[owner], request, false, now)) {
      return by_index_[owner];
    }
  }
  return FirstUsable(Order(request), request, now);
}

std::string NodeSelector::WhyNot(const Request& request) {
  for (const RemoteNode* node : Order(request)) {
    if (!node->failure().empty()) return node->failure();
  }
  return {};
}

}  // namespace gyre::client
