#include "command/ring_view.h"

#include <algorithm>
#include <vector>

#include "proto/frame.h"
#include "proto_gen/cluster.pb.h"

namespace gyre {
namespace {

void DescribeMember(const MemberInfo& info, wire::Member& member) {
  member.set_id(info.id.raw().data(), info.id.raw().size());
  member.set_name(info.name);
  member.set_host(info.host);
  member.set_port(info.port);
  member.set_resp_port(info.resp_port);
  member.set_resp_cluster_port(info.resp_cluster_port);
  member.set_memcached_port(info.memcached_port);
  member.set_http_port(info.http_port);
  member.set_zone(info.zone);
  member.set_weight(info.weight);
  member.set_incarnation(info.incarnation);
  member.set_state(static_cast<wire::MemberState>(info.state));
  member.set_protocol_version(kProtocolVersion);
}

// Best first, each once.
std::vector<MemberIndex> HoldersOf(const ClusterView& view, PartitionId partition) {
  std::vector<MemberIndex> holders;
  const auto add = [&](MemberIndex member) {
    if (member == kNoMember) return;
    if (std::find(holders.begin(), holders.end(), member) == holders.end()) {
      holders.push_back(member);
    }
  };
  add(view.owner[partition]);
  for (const MemberIndex member : view.complete[partition]) add(member);
  for (const MemberIndex member : view.holders[partition]) add(member);
  return holders;
}

void AppendIndex(MemberIndex index, std::string& out) {
  out += static_cast<char>(index & 0xff);
  out += static_cast<char>(index >> 8);
}

}  // namespace

std::string EncodeRingView(const ClusterView& view) {
  wire::RingView ring;
  ring.set_digest(view.digest);
  ring.set_partition_count(view.partition_count);
  ring.set_replicas(view.replicas);

  std::vector<MemberIndex> told(view.members.size(), kNoMember);  // [member] its index in the reply
  for (std::size_t i = 0; i < view.members.size(); ++i) {
    if (!view.on_ring[i] && !view.members[i].serving()) continue;
    told[i] = static_cast<MemberIndex>(ring.members_size());
    wire::Member& member = *ring.add_members();
    DescribeMember(view.members[i], member);
    if (view.IsDrained(i) && member.state() == wire::ALIVE) member.set_state(wire::DRAINED);
  }

  const std::size_t columns = 1 + view.replicas;
  std::string& table = *ring.mutable_holders();
  table.reserve(view.partition_count * columns * sizeof(MemberIndex));
  for (PartitionId partition = 0; partition < view.partition_count; ++partition) {
    std::vector<MemberIndex> holders = HoldersOf(view, partition);
    // Without an owner the first column stays empty: what follows may be read, not written.
    if (view.owner[partition] == kNoMember) holders.insert(holders.begin(), kNoMember);
    holders.resize(columns, kNoMember);
    for (const MemberIndex holder : holders) {
      AppendIndex(holder == kNoMember ? kNoMember : told[holder], table);
    }
  }
  return ring.SerializeAsString();
}

}  // namespace gyre
