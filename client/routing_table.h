// The ring as a client sees it: key -> nodes to ask, best first. Pure and immutable; built from the
// RingView that a node sends (proto/cluster.proto), every field of which is checked, because it
// comes from the network.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "client/node_address.h"
#include "gyre/client.h"
#include "proto/slot.h"

namespace gyre::client {

using NodeIndex = std::uint16_t;
inline constexpr NodeIndex kNoNode = 0xffff;

enum class NodeState : std::uint8_t {
  kAlive = 0,
  kSuspect = 1,
  kDead = 2,
  kStopped = 3,
  kDrained = 4,  // alive, and off the ring until it is undrained
};

std::string_view NodeStateName(NodeState state);

struct RingNode {
  std::string id;  // 16 raw bytes
  std::string name;
  NodeAddress address;
  std::string zone;
  std::uint32_t weight = 1;
  NodeState state = NodeState::kAlive;

  bool serving() const { return state != NodeState::kDead && state != NodeState::kStopped; }
};

class RoutingTable {
 public:
  // No node at all.
  RoutingTable() = default;

  // An encoded RingView. kProtocol with the field that is wrong.
  static Result<RoutingTable> Parse(std::string_view ring_view);

  std::uint64_t digest() const { return digest_; }
  std::uint32_t partition_count() const { return partition_count_; }
  std::uint32_t replicas() const { return replicas_; }
  const std::vector<RingNode>& nodes() const { return nodes_; }

  PartitionId PartitionOfSlot(Slot slot) const { return PartitionOf(slot, partition_count_); }
  // kNoNode if the partition has none.
  NodeIndex Owner(PartitionId partition) const;
  // Distinct nodes that hold the partition, the owner first.
  std::vector<NodeIndex> Holders(PartitionId partition) const;

  // Whom to ask for `slot`, each node once: the owner, further holders, other serving nodes (they
  // forward), then those last seen dead. The others begin at `rotation` so that their load spreads.
  std::vector<NodeIndex> Candidates(Slot slot, std::uint32_t rotation) const;
  // Whom to ask when any node will do: serving ones from `rotation` on, then the rest.
  std::vector<NodeIndex> AnyOrder(std::uint32_t rotation) const;

  RingInfo Describe() const;

 private:
  std::uint64_t digest_ = 0;
  std::uint32_t partition_count_ = 1;
  std::uint32_t replicas_ = 0;
  std::vector<RingNode> nodes_;
  std::vector<NodeIndex> holders_;  // [partition * (1 + replicas_)]; empty without nodes
};

}  // namespace gyre::client
