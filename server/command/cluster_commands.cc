// Every owner is a master of its slots. No node is ever listed as a replica: it owns slots itself,
// and a client that took it for a replica would read everything from it.

#include "command/cluster_commands.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "command/arguments.h"
#include "command/binding.h"
#include "command/messages.h"
#include "command/ring_view.h"
#include "command/slot_ranges.h"
#include "command/subcommands.h"

namespace gyre {
namespace cluster_commands {
namespace {

// Records that COUNTKEYSINSLOT looks at with the shard locked, at a time.
constexpr std::size_t kSlotWalkBatch = 1024;

// ---- CLUSTER SLOTS, SHARDS, NODES ---------------------------------------------------------------

void SayEmptyList(ReplyWriter& reply) {
  reply.BeginList(ListShape::kArray, 0);
  reply.EndList();
}

void Slots(PlainCall& call) {
  ReplyWriter& reply = call.reply();
  const ClusterView* view = call.context().view();
  if (view == nullptr) return SayEmptyList(reply);
  const std::vector<SlotRange> ranges = SlotRangesOf(*view);
  reply.BeginList(ListShape::kArray, ranges.size());
  for (const SlotRange& range : ranges) {
    const MemberInfo& owner = view->members[range.owner];
    reply.BeginList(ListShape::kArray, 3);
    reply.Integer(range.first);
    reply.Integer(range.last);
    reply.BeginList(ListShape::kArray, 4);
    reply.Bulk(owner.host);
    reply.Integer(owner.resp_cluster_port);
    reply.Bulk(owner.id.ToRedisId());
    reply.BeginList(ListShape::kArray, 0);  // other names of the node
    reply.EndList();
    reply.EndList();
    reply.EndList();
  }
  reply.EndList();
}

void SayShardNode(ReplyWriter& reply, const MemberInfo& member) {
  reply.BeginList(ListShape::kArray, 1);
  reply.BeginList(ListShape::kMap, 7);
  reply.Bulk("id");
  reply.Bulk(member.id.ToRedisId());
  reply.Bulk("port");
  reply.Integer(member.resp_cluster_port);
  reply.Bulk("ip");
  reply.Bulk(member.host);
  reply.Bulk("endpoint");
  reply.Bulk(member.host);
  reply.Bulk("role");
  reply.Bulk("master");
  reply.Bulk("replication-offset");
  reply.Integer(0);  // there is no replication log to have a place in
  reply.Bulk("health");
  reply.Bulk("online");
  reply.EndList();
  reply.EndList();
}

void Shards(PlainCall& call) {
  ReplyWriter& reply = call.reply();
  const ClusterView* view = call.context().view();
  if (view == nullptr) return SayEmptyList(reply);
  std::vector<std::vector<SlotRange>> shards(view->members.size());
  for (const SlotRange& range : SlotRangesOf(*view)) shards[range.owner].push_back(range);
  const auto count = std::count_if(shards.begin(), shards.end(),
                                   [](const auto& ranges) { return !ranges.empty(); });
  reply.BeginList(ListShape::kArray, static_cast<std::size_t>(count));
  for (const std::vector<SlotRange>& ranges : shards) {
    if (ranges.empty()) continue;
    reply.BeginList(ListShape::kMap, 2);
    reply.Bulk("slots");
    reply.BeginList(ListShape::kArray, 2 * ranges.size());
    for (const SlotRange& range : ranges) {
      reply.Integer(range.first);
      reply.Integer(range.last);
    }
    reply.EndList();
    reply.Bulk("nodes");
    SayShardNode(reply, view->members[ranges.front().owner]);
    reply.EndList();
  }
  reply.EndList();
}

std::string_view NodeFlags(const MemberInfo& member, bool myself) {
  if (myself) return "myself,master";
  switch (member.state) {
    case MemberState::kAlive:
      return "master";
    case MemberState::kSuspect:
      return "master,fail?";
    case MemberState::kDead:
    case MemberState::kStopped:
      return "master,fail";
  }
  return "master";
}

// id host:port@bus-port flags master ping-sent pong-received epoch link-state slots...
void Nodes(PlainCall& call) {
  const ClusterView* view = call.context().view();
  std::string text;
  if (view != nullptr) {
    const std::vector<SlotRange> ranges = SlotRangesOf(*view);
    for (std::size_t i = 0; i < view->members.size(); ++i) {
      const MemberInfo& member = view->members[i];
      text += member.id.ToRedisId() + " " + member.host + ":" +
              std::to_string(member.resp_cluster_port) + "@" + std::to_string(member.port) + " ";
      text += NodeFlags(member, i == view->self);
      text += " - 0 0 " + std::to_string(member.incarnation);
      text += member.serving() ? " connected" : " disconnected";
      for (const SlotRange& range : ranges) {
        if (range.owner != i) continue;
        text += " " + std::to_string(range.first);
        if (range.last != range.first) text += "-" + std::to_string(range.last);
      }
      text += "\n";
    }
  }
  call.reply().Verbatim(text);
}

void Info(PlainCall& call) {
  const ClusterView* view = call.context().view();
  std::size_t assigned = 0;
  std::size_t members = 0;
  std::vector<MemberIndex> owners;
  if (view != nullptr) {
    members = view->members.size();
    for (const SlotRange& range : SlotRangesOf(*view)) {
      assigned += range.last - range.first + 1U;
      owners.push_back(range.owner);
    }
    std::sort(owners.begin(), owners.end());
    owners.erase(std::unique(owners.begin(), owners.end()), owners.end());
  }
  const auto line = [](std::string_view name, std::size_t value) {
    return std::string(name) + ":" + std::to_string(value) + "\r\n";
  };
  std::string text = "cluster_enabled:1\r\n";
  text += assigned == kSlotCount ? "cluster_state:ok\r\n" : "cluster_state:fail\r\n";
  text += line("cluster_slots_assigned", assigned);
  text += line("cluster_slots_ok", assigned);
  text += line("cluster_slots_pfail", 0);
  text += line("cluster_slots_fail", kSlotCount - assigned);
  text += line("cluster_known_nodes", members);
  text += line("cluster_size", owners.size());
  call.reply().Verbatim(text);
}

void MyId(PlainCall& call) {
  const ClusterView* view = call.context().view();
  if (view == nullptr || view->self == kNoMember) {
    return call.Fail(ErrorCode::kUnavailable, "this node is still starting");
  }
  call.reply().Bulk(view->me().id.ToRedisId());
}

// ---- CLUSTER on slots ---------------------------------------------------------------------------

void KeySlot(PlainCall& call) { call.reply().Integer(SlotOf(call.arg(2))); }

std::optional<Slot> ReadSlot(PlainCall& call) {
  const std::optional<std::uint64_t> slot = ParseUnsigned(call.arg(2));
  if (slot && *slot < kSlotCount) return static_cast<Slot>(*slot);
  call.Fail(ErrorCode::kInvalidArgument, "Invalid slot");
  return std::nullopt;
}

// Visits this node's keys of the slot until `visit` returns false. The shard is locked for one
// batch at a time.
void WalkSlot(PlainCall& call, Slot slot, const std::function<bool(std::string_view)>& visit) {
  Engine& engine = call.services().engine;
  const PartitionId partition = PartitionOf(slot, engine.options().partition_count);
  Shard& shard = engine.ShardOf(partition);
  std::uint64_t cursor = 0;
  bool wanted = true;
  do {
    MutexLock lock(shard.mutex());
    cursor = shard.Walk(partition, cursor, kSlotWalkBatch, call.context().now(),
                        [&](const RecordView& record) {
                          if (!record.is_tombstone() && SlotOf(record.key()) == slot) {
                            wanted = visit(record.key());
                          }
                          return wanted;
                        });
  } while (cursor != 0 && wanted);
}

void CountKeysInSlot(PlainCall& call) {
  const std::optional<Slot> slot = ReadSlot(call);
  if (!slot) return;
  std::int64_t count = 0;
  WalkSlot(call, *slot, [&](std::string_view) { return ++count > 0; });
  call.reply().Integer(count);
}

void GetKeysInSlot(PlainCall& call) {
  const std::optional<Slot> slot = ReadSlot(call);
  if (!slot) return;
  const std::optional<std::int64_t> count = ParseInteger(call.arg(3));
  if (!count || *count < 0) {
    return call.Fail(ErrorCode::kInvalidArgument, "Invalid number of keys");
  }
  std::vector<std::string> keys;
  const auto wanted = static_cast<std::size_t>(*count);
  if (wanted > 0) {
    WalkSlot(call, *slot, [&](std::string_view key) {
      keys.emplace_back(key);
      return keys.size() < wanted;
    });
  }
  call.reply().BeginList(ListShape::kArray, keys.size());
  for (const std::string& key : keys) call.reply().Bulk(key);
  call.reply().EndList();
}

void Cluster(PlainCall& call) {
  // On the plain RESP port we are a single Redis: a client that asks must not take us for a cluster
  // whose nodes listen elsewhere.
  const bool plain_resp = call.session.protocol == Protocol::kResp && !call.session.cluster_port;
  if (!plain_resp) return RunSubcommand(call);
  if (FindSubcommand(call) != nullptr) call.Fail(ClusterDisabled());
}

// ---- For our own client and shell ---------------------------------------------------------------

void Ring(PlainCall& call) {
  const ClusterView* view = call.context().view();
  if (view == nullptr) {
    return call.Fail(ErrorCode::kUnavailable, "this node does not know the ring yet; try again");
  }
  call.reply().Bulk(EncodeRingView(*view));
}

void Locate(PlainCall& call) {
  const ClusterView* view = call.context().view();
  if (view == nullptr) {
    return call.Fail(ErrorCode::kUnavailable, "this node does not know the ring yet; try again");
  }
  const Slot slot = SlotOf(call.arg(1));
  const PartitionId partition = PartitionOf(slot, view->partition_count);
  const MemberIndex owner = view->owner[partition];
  ReplyWriter& reply = call.reply();
  reply.BeginList(ListShape::kMap, 6);
  reply.Bulk("slot");
  reply.Integer(slot);
  reply.Bulk("partition");
  reply.Integer(partition);
  reply.Bulk("owner");
  owner == kNoMember ? reply.Null() : reply.Bulk(view->members[owner].name);
  reply.Bulk("owner_id");
  owner == kNoMember ? reply.Null() : reply.Bulk(view->members[owner].id.ToString());
  reply.Bulk("owner_address");
  owner == kNoMember
      ? reply.Null()
      : reply.Bulk(view->members[owner].host + ":" + std::to_string(view->members[owner].port));
  reply.Bulk("holders");
  reply.BeginList(ListShape::kArray, view->holders[partition].size());
  for (const MemberIndex holder : view->holders[partition]) {
    reply.Bulk(view->members[holder].name);
  }
  reply.EndList();
  reply.EndList();
}

// clang-format off
constexpr Binding kBindings[] = {
    Bind("cluster", Cluster),
    Bind("cluster|slots", Slots),
    Bind("cluster|shards", Shards),
    Bind("cluster|nodes", Nodes),
    Bind("cluster|info", Info),
    Bind("cluster|myid", MyId),
    Bind("cluster|keyslot", KeySlot),
    Bind("cluster|countkeysinslot", CountKeysInSlot),
    Bind("cluster|getkeysinslot", GetKeysInSlot),
    Bind("cluster|help", SayHelp),
    Bind("ring", Ring),
    Bind("locate", Locate),
};
// clang-format on

}  // namespace
}  // namespace cluster_commands

std::span<const Binding> ClusterCommands() { return cluster_commands::kBindings; }

}  // namespace gyre
