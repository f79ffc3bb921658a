#include "client/routing_table.h"

#include <algorithm>
#include <bit>
#include <protozero/pbf_reader.hpp>

#include "proto/limits.h"
#include "proto/node_id.h"

namespace gyre::client {
namespace {

using protozero::pbf_wire_type;

// Fields of cluster.proto, with the wire type that they must have: anything else is skipped as
// unknown.
enum RingField : std::uint32_t {
  kDigest = protozero::tag_and_type(1, pbf_wire_type::fixed64),
  kPartitionCount = protozero::tag_and_type(2, pbf_wire_type::varint),
  kReplicas = protozero::tag_and_type(3, pbf_wire_type::varint),
  kMembers = protozero::tag_and_type(4, pbf_wire_type::length_delimited),
  kHolders = protozero::tag_and_type(5, pbf_wire_type::length_delimited),
};
enum MemberField : std::uint32_t {
  kId = protozero::tag_and_type(1, pbf_wire_type::length_delimited),
  kName = protozero::tag_and_type(2, pbf_wire_type::length_delimited),
  kHost = protozero::tag_and_type(3, pbf_wire_type::length_delimited),
  kPort = protozero::tag_and_type(4, pbf_wire_type::varint),
  kZone = protozero::tag_and_type(9, pbf_wire_type::length_delimited),
  kWeight = protozero::tag_and_type(10, pbf_wire_type::varint),
  kState = protozero::tag_and_type(12, pbf_wire_type::varint),
};

constexpr std::size_t kNameBytesMax = 255;

Error Bad(std::string_view what) {
  return {ErrorCode::kProtocol,
          "the node sent a ring that makes no sense: " + std::string(what) +
              "; do the client and the nodes have releases next to each other?"};
}

Result<RingNode> ParseMember(protozero::pbf_reader member) {
  RingNode node;
  std::uint32_t port = 0;
  std::uint32_t state = 0;
  while (member.next()) {
    switch (member.tag_and_type()) {
      case kId:
        node.id = member.get_string();
        break;
      case kName:
        node.name = member.get_string();
        break;
      case kHost:
        node.address.host = member.get_string();
        break;
      case kPort:
        port = member.get_uint32();
        break;
      case kZone:
        node.zone = member.get_string();
        break;
      case kWeight:
        node.weight = member.get_uint32();
        break;
      case kState:
        state = member.get_uint32();
        break;
      default:
        member.skip();
    }
  }
  if (!NodeId::FromBytes(node.id)) return Bad("a member's id is not 16 bytes");
  if (node.address.host.empty() || node.address.host.size() > kHostBytesMax) {
    return Bad("a member's host is empty or too long");
  }
  if (node.name.size() > kNameBytesMax || node.zone.size() > kNameBytesMax) {
    return Bad("a member's name or zone is too long");
  }
  if (port == 0 || port > 65535) return Bad("a member's port is " + std::to_string(port));
  if (state > static_cast<std::uint32_t>(NodeState::kDrained)) {
    return Bad("a member's state is " + std::to_string(state));
  }
  node.address.port = static_cast<std::uint16_t>(port);
  node.state = static_cast<NodeState>(state);
  return node;
}

// `bytes` holds little-endian u16, which is the machine's order (asserted in proto/frame.cc).
std::vector<NodeIndex> ReadIndices(std::string_view bytes) {
  std::vector<NodeIndex> indices(bytes.size() / sizeof(NodeIndex));
  std::copy(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(indices.size() * 2),
            reinterpret_cast<char*>(indices.data()));
  return indices;
}

// Collects nodes in order, each once.
class Order {
 public:
  explicit Order(std::size_t node_count) : seen_(node_count) { nodes_.reserve(node_count); }
  void Add(NodeIndex node) {
    if (node == kNoNode || seen_[node]) return;
    seen_[node] = true;
    nodes_.push_back(node);
  }
  std::vector<NodeIndex> Take() { return std::move(nodes_); }

 private:
  std::vector<bool> seen_;
  std::vector<NodeIndex> nodes_;
};

}  // namespace

std::string_view NodeStateName(NodeState state) {
  switch (state) {
    case NodeState::kAlive:
      return "alive";
    case NodeState::kSuspect:
      return "suspect";
    case NodeState::kDead:
      return "dead";
    case NodeState::kStopped:
      return "stopped";
    case NodeState::kDrained:
      return "drained";
  }
  return "unknown";
}

Result<RoutingTable> RoutingTable::Parse(std::string_view ring_view) {
  RoutingTable table;
  std::string_view holders;
  try {
    protozero::pbf_reader ring(ring_view.data(), ring_view.size());
    while (ring.next()) {
      switch (ring.tag_and_type()) {
        case kDigest:
          table.digest_ = ring.get_fixed64();
          break;
        case kPartitionCount:
          table.partition_count_ = ring.get_uint32();
          break;
        case kReplicas:
          table.replicas_ = ring.get_uint32();
          break;
        case kMembers: {
          if (table.nodes_.size() == kMembersMax) return Bad("too many members");
          Result<RingNode> node = ParseMember(ring.get_message());
          if (!node) return node.error();
          table.nodes_.push_back(std::move(*node));
          break;
        }
        case kHolders: {
          const protozero::data_view view = ring.get_view();
          holders = {view.data(), view.size()};
          break;
        }
        default:
          ring.skip();
      }
    }
  } catch (const protozero::exception&) {
    return Bad("it is cut off or garbled");
  }
  if (table.nodes_.empty()) return Bad("it has no members");
  if (!std::has_single_bit(table.partition_count_) || table.partition_count_ > kSlotCount) {
    return Bad(std::to_string(table.partition_count_) + " partitions");
  }
  if (table.replicas_ == 0 || table.replicas_ > kReplicasMax) {
    return Bad(std::to_string(table.replicas_) + " replicas");
  }
  const std::size_t expected_bytes =
      std::size_t{table.partition_count_} * (1 + table.replicas_) * sizeof(NodeIndex);
  if (holders.size() != expected_bytes) return Bad("the list of holders has the wrong length");
  table.holders_ = ReadIndices(holders);
  for (const NodeIndex node : table.holders_) {
    if (node != kNoNode && node >= table.nodes_.size()) return Bad("a holder is not a member");
  }
  return table;
}

NodeIndex RoutingTable::Owner(PartitionId partition) const {
  if (holders_.empty()) return kNoNode;
  return holders_[std::size_t{partition} * (1 + replicas_)];
}

std::vector<NodeIndex> RoutingTable::Holders(PartitionId partition) const {
  if (holders_.empty()) return {};
  Order order(nodes_.size());
  const std::size_t row = std::size_t{partition} * (1 + replicas_);
  for (std::size_t column = 0; column <= replicas_; ++column) order.Add(holders_[row + column]);
  return order.Take();
}

std::vector<NodeIndex> RoutingTable::Candidates(Slot slot, std::uint32_t rotation) const {
  const std::vector<NodeIndex> holders = Holders(PartitionOfSlot(slot));
  Order order(nodes_.size());
  for (const bool serving : {true, false}) {
    for (const NodeIndex node : holders) {
      if (nodes_[node].serving() == serving) order.Add(node);
    }
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      const auto node = static_cast<NodeIndex>((rotation + i) % nodes_.size());
      if (nodes_[node].serving() == serving) order.Add(node);
    }
  }
  return order.Take();
}

std::vector<NodeIndex> RoutingTable::AnyOrder(std::uint32_t rotation) const {
  Order order(nodes_.size());
  for (const bool serving : {true, false}) {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      const auto node = static_cast<NodeIndex>((rotation + i) % nodes_.size());
      if (nodes_[node].serving() == serving) order.Add(node);
    }
  }
  return order.Take();
}

RingInfo RoutingTable::Describe() const {
  RingInfo info;
  info.digest = digest_;
  info.partition_count = nodes_.empty() ? 0 : partition_count_;
  info.replicas = replicas_;
  for (const RingNode& node : nodes_) {
    NodeInfo& entry = info.nodes.emplace_back();
    if (const auto id = NodeId::FromBytes(node.id)) entry.id = id->ToString();
    entry.name = node.name;
    entry.address = node.address.ToString();
    entry.zone = node.zone;
    entry.state = NodeStateName(node.state);
    entry.weight = node.weight;
  }
  for (PartitionId partition = 0; partition < info.partition_count; ++partition) {
    const NodeIndex owner = Owner(partition);
    if (owner != kNoNode) ++info.nodes[owner].partitions_owned;
    for (const NodeIndex holder : Holders(partition)) ++info.nodes[holder].partitions_held;
  }
  return info;
}

}  // namespace gyre::client
