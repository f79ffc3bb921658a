// What the picture of the cluster says that a decision needs to remember. See ownership.h.
#include <algorithm>

#include "ownership/ownership.h"

namespace gyre {

void Ownership::NoteStability(TimePoint now) {
  std::vector<std::uint64_t> stability;
  for (const auto& [id, member] : state_.members) {
    if (!member.serving()) continue;
    stability.push_back(std::hash<NodeId>{}(id));
    stability.push_back(member.incarnation);
  }
  for (const RingMember& member : ring_) stability.push_back(std::hash<NodeId>{}(member.id));
  if (stability == stability_) return;
  stability_ = std::move(stability);
  stable_since_ = now;
}

// The ring that this node goes back to is there again: most of its members serve, or somebody has
// something whole and the ring never stopped. Remembered members are in `ring_` from the start.
void Ownership::NoteReturn(TimePoint now) {
  if (ring_is_back_) return;
  if (!returns_since_) returns_since_ = now;
  const auto back = static_cast<std::size_t>(
      std::count_if(ring_.begin(), ring_.end(),
                    [this](const RingMember& member) { return Serving(member.id) != nullptr; }));
  const bool runs =
      std::any_of(state_.holdings.begin(), state_.holdings.end(), [this](const auto& entry) {
        return entry.first != self_ && Serving(entry.first) != nullptr &&
               entry.second.complete.Any();
      });
  ring_is_back_ = !options_.returns || runs || 2 * back > ring_.size();
  if (ring_is_back_ || now - *returns_since_ < options_.return_patience) return;
  ring_is_back_ = goes_on_alone_ = true;
  Log(true, "only " + std::to_string(back) + " of " + std::to_string(ring_.size()) +
                " nodes of the remembered ring are back after --evict-after: going on without the "
                "others; what only they had is missing until they are back");
}

void Ownership::NoteClaims(TimePoint now) {
  for (PartitionId partition = 0; partition < locals_.size(); ++partition) {
    Local& local = locals_[partition];
    LocalKnowledge& knowledge = knowledge_[partition];
    const MemberIndex claimant = built_.claimant[partition];
    if (!built_.view.complete[partition].empty()) local.ever_complete = true;
    if (knowledge.granted && knowledge.granted_to != self_) NoteGrant(now, partition);
    if (Orders(local.phase) || claimant != kNoMember) {
      knowledge.has_last_owner = true;
      knowledge.last_owner = Orders(local.phase) ? self_ : built_.view.members[claimant].id;
      local.vacant = false;
    } else if (!local.vacant) {
      local.vacant = true;
      local.vacant_since = now;
    }
  }
}

// Until the new owner claims what was granted to it, this node goes on claiming it for the others'
// sake.
void Ownership::NoteGrant(TimePoint now, PartitionId partition) {
  LocalKnowledge& knowledge = knowledge_[partition];
  const Local& local = locals_[partition];
  const MemberInfo* heir = Serving(knowledge.granted_to);
  const bool gone = heir == nullptr || heir->epoch != local.granted_epoch;
  const bool silent = now - local.granted_at >= options_.grant_timeout;
  // A claim of another than the heir counts only if the heir may have handed on to it: an older
  // owner's is an echo.
  const MemberIndex claimant = built_.claimant[partition];
  const bool claimed =
      claimant != kNoMember &&
      (built_.view.members[claimant].id == knowledge.granted_to ||
       BetterPlaced(placement_, partition, built_.view.members[claimant].id, knowledge.granted_to));
  if (!claimed && !gone) restless_ = true;
  if (!claimed && !gone && (!silent || stopping_)) return;
  knowledge.granted = false;
  view_dirty_ = true;
}

const MemberInfo* Ownership::Serving(const NodeId& id) const {
  const auto member = state_.members.find(id);
  return member != state_.members.end() && member->second.serving() ? &member->second : nullptr;
}

// The serving member, not this node, that orders the partition's writes as far as is known.
const MemberInfo* Ownership::OtherOwner(PartitionId partition) const {
  const MemberIndex claimant = built_.claimant[partition];
  if (claimant != kNoMember) return &built_.view.members[claimant];
  const MemberIndex owner = built_.view.owner[partition];
  return owner == kNoMember || owner == built_.view.self ? nullptr : &built_.view.members[owner];
}

bool Ownership::IsHolder(PartitionId partition, const NodeId& id) const {
  const std::vector<MemberIndex>& holders = built_.view.holders[partition];
  return std::any_of(holders.begin(), holders.end(),
                     [&](MemberIndex holder) { return built_.view.members[holder].id == id; });
}

}  // namespace gyre
