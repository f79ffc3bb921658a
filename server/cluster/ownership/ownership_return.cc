// Nodes that stopped with a snapshot and are expected back: who would hold their partitions only in
// their stead stands by. See ownership.h.
#include <algorithm>

#include "ownership/ownership.h"

namespace gyre {

// Since when each is away. Begun anew where this node itself was: nobody else's clock is asked.
void Ownership::NoteAway(TimePoint now) {
  const auto is_away = [this](const RingMember& each) {
    const auto member = state_.members.find(each.id);
    const auto holdings = state_.holdings.find(each.id);
    if (each.id == self_ || member == state_.members.end() || holdings == state_.holdings.end() ||
        holdings->second.restored.as_of == 0) {
      return false;
    }
    return member->second.state == MemberState::kStopped ||
           (member->second.serving() && holdings->second.leaving);
  };
  std::map<NodeId, TimePoint> away;
  for (const RingMember& each : ring_) {
    if (!is_away(each)) continue;
    const auto known = away_since_.find(each.id);
    away.emplace(each.id, known == away_since_.end() ? now : known->second);
    if (known != away_since_.end()) continue;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(options_.return_grace);
    Log(LogLevel::kInfo, "it stops with a snapshot: nobody fills copies in its stead meanwhile",
        {{"name", state_.members.at(each.id).name}, {"seconds", seconds.count()}});
  }
  away_since_ = std::move(away);
}

void Ownership::NoteGrace(TimePoint now) {
  grace_ends_ = TimePoint::max();
  for (const auto& [id, since] : away_since_) {
    if (now - since < options_.return_grace) {
      grace_ends_ = std::min(grace_ends_, since + options_.return_grace);
    }
  }
}

// Of all that this node has from a snapshot, or will have from the next.
UnixMillis Ownership::RestoredAsOf() const {
  const bool unsettled = std::any_of(locals_.begin(), locals_.end(), [](const Local& local) {
    return CopyOf(local.phase) == Copy::kRestored;
  });
  return unsettled ? options_.restored.as_of : returns_as_of_;
}

// Whoever of the first on the preference list is away will be back with the partition, and until then
// somebody who stays has it whole.
bool Ownership::MayStandBy(TimePoint now, PartitionId partition) const {
  if (away_since_.empty() || partition >= placement_.preference.size()) return false;
  const std::vector<std::uint16_t>& list = placement_.preference[partition];
  const std::size_t copies = std::min<std::size_t>(list.size(), built().view.replicas);
  for (std::size_t rank = 0; rank < copies; ++rank) {
    const NodeId& id = placement_.members[list[rank]].id;
    if (id == self_) return false;
    const MemberIndex member = built().view.Find(id);
    if (member != kNoMember && built().view.stays(member)) continue;
    const auto since = away_since_.find(id);
    if (since == away_since_.end() || now - since->second >= options_.return_grace ||
        !state_.holdings.at(id).restored.partitions.Has(partition)) {
      return false;
    }
  }
  const MemberList& complete = built().view.complete[partition];
  return std::any_of(complete.begin(), complete.end(),
                     [this](MemberIndex member) { return built().view.stays(member); });
}

}  // namespace gyre
