// Which node to ask: the ring as last learned, what the client's own links tell of each node's
// health, and the seeds as a last resort. Owns the nodes and their links. No socket or clock of its
// own; I/O thread only.
//
// The ring says who owns a key; the links know first who is gone. So the order of the ring is kept,
// but nodes that just refused a connection are passed over until `down_until`, and reads also pass
// over nodes that do not answer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "client/link.h"
#include "client/request.h"
#include "client/routing_table.h"

namespace gyre::client {

class RemoteNode {
 public:
  static constexpr Milliseconds kDownMin{20};
  static constexpr Milliseconds kDownMax{500};

  RemoteNode(NodeAddress address, Link::Owner& owner, const Options& options);

  const NodeAddress& address() const { return address_; }
  const std::string& name() const { return name_; }  // "host:port"
  const std::vector<std::unique_ptr<Link>>& links() const { return links_; }
  // Requests of one key share a link, so that they keep their order.
  Link& LinkFor(const Request& request);

  bool idle() const;
  bool down(TimePoint now) const { return now < down_until_; }
  bool stalled() const { return stalled_; }
  // "127.0.0.1:7701: connection refused"; empty: it did not fail to connect since it last could.
  const std::string& failure() const { return failure_; }
  void OnConnectFailed(TimePoint now, std::string failure);
  void OnConnected() {
    failure_.clear();
    down_for_ = Milliseconds{0};
    down_until_ = {};
  }
  void set_stalled(bool stalled) { stalled_ = stalled; }

  bool resolving = false;  // DNS is being asked

 private:
  const NodeAddress address_;
  const std::string name_;
  std::vector<std::unique_ptr<Link>> links_;
  TimePoint down_until_{};
  Milliseconds down_for_{0};
  std::string failure_;
  bool stalled_ = false;  // did not answer for a while, and nothing came since
};

class NodeSelector {
 public:
  NodeSelector(const Options& options, Link::Owner& owner) : options_(options), owner_(owner) {}

  // The node of a seed or a pinned address; made if there is none yet.
  RemoteNode& NodeAt(const NodeAddress& address);
  // Null if there is none.
  RemoteNode* Find(const std::string& name);
  void AddSeed(const NodeAddress& address);

  const RoutingTable& table() const { return *table_; }
  std::shared_ptr<const RoutingTable> shared_table() const { return table_; }
  void Adopt(std::shared_ptr<const RoutingTable> table);

  // The best node not yet tried in this round; null if there is none that is worth it now.
  RemoteNode* Choose(const Request& request, TimePoint now);
  // Why the node that it would best be asked of cannot be connected to; empty: it can, or was not
  // tried.
  std::string WhyNot(const Request& request);

  // Closes and forgets nodes that are neither on the ring nor seeds and have nothing in flight.
  void DropUnused();

  template <typename Visit>
  void ForEachLink(Visit&& visit) {
    for (auto& [name, node] : nodes_) {
      for (const auto& link : node->links()) visit(*link);
    }
  }
  void Clear() {
    seeds_.clear();
    by_index_.clear();
    nodes_.clear();
  }

 private:
  bool Usable(const RemoteNode& node, const Request& request, bool even_stalled,
              TimePoint now) const;
  // Nodes for a request in order of preference.
  std::vector<RemoteNode*> Order(const Request& request);
  RemoteNode* FirstUsable(const std::vector<RemoteNode*>& order, const Request& request,
                          TimePoint now);

  const Options& options_;
  Link::Owner& owner_;
  std::unordered_map<std::string, std::unique_ptr<RemoteNode>> nodes_;
  std::vector<RemoteNode*> seeds_;
  std::vector<RemoteNode*> by_index_;  // the table's nodes
  std::shared_ptr<const RoutingTable> table_ = std::make_shared<const RoutingTable>();
  std::uint32_t rotation_ = 0;
};

}  // namespace gyre::client
