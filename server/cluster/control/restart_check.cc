#include "control/restart_check.h"

#include <algorithm>

namespace gyre {
namespace {

// Partitions that `member` should hold and has not whole.
std::size_t Lacking(const ClusterView& view, MemberIndex member) {
  std::size_t lacking = 0;
  for (PartitionId partition = 0; partition < view.partition_count; ++partition) {
    const bool given = view.holders[partition].Has(member);
    if (given && !view.complete[partition].Has(member)) ++lacking;
  }
  return lacking;
}

// Partitions that nobody would have whole without `node`.
std::size_t OnlyAt(const ClusterView& view, MemberIndex node) {
  std::size_t only = 0;
  for (const MemberList& complete : view.complete) {
    const bool other = std::any_of(complete.begin(), complete.end(), [&](MemberIndex member) {
      return member != node && view.stays(member);
    });
    if (!other && complete.Has(node)) ++only;
  }
  return only;
}

}  // namespace

RestartCheck CheckRestart(const ClusterView& view, MemberIndex node, std::uint32_t write_acks,
                          bool majority) {
  RestartCheck check;
  const auto against = [&check](std::string reason) { check.reasons.push_back(std::move(reason)); };
  if (!view.members[node].serving()) {
    against("it is down: start it first");
    return check;
  }
  std::size_t ring = 0;
  std::size_t left = 0;  // of the ring, without it
  for (MemberIndex member = 0; member < view.members.size(); ++member) {
    if (!view.on_ring[member]) continue;
    ++ring;
    if (member != node && view.stays(member)) ++left;
  }
  if (const std::size_t only = OnlyAt(view, node); only > 0) {
    against("it is the last holder of " + std::to_string(only) + " partitions");
  }
  if (left < write_acks) {
    against("writes at acks " + std::to_string(write_acks) +
            " would fail: " + std::to_string(left) + " nodes of the ring would be left");
  }
  if (majority && 2 * left <= ring) {
    against("without it there is no majority of the ring: " + std::to_string(left) + " of " +
            std::to_string(ring) + " nodes would be left");
  }
  for (MemberIndex member = 0; member < view.members.size(); ++member) {
    if (!view.members[member].serving()) continue;
    const std::string who = member == node ? "it" : "node " + view.members[member].name;
    if (!view.stays(member)) against(who + " is stopping");
    if (const std::size_t lacking = Lacking(view, member); lacking > 0) {
      against(who + " is filling: " + std::to_string(lacking) + " partitions are still to come");
    }
  }
  const auto unowned = std::count(view.owner.begin(), view.owner.end(), kNoMember);
  if (unowned > 0) against(std::to_string(unowned) + " partitions have no owner");
  return check;
}

}  // namespace gyre
