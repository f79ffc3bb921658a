// Decisions of the ownership machine: what follows from the picture of the cluster. See
// ownership.h. How a node becomes the owner stands in ownership_takeover.cc.
#include <algorithm>
#include <cassert>

#include "ownership/ownership.h"

namespace gyre {
namespace {

// Handovers on their way to one owner.
constexpr std::uint32_t kAskingMax = 4;
// A change of phase changes the view, which may call for another change.
constexpr int kRoundsMax = 4;

std::string Count(std::string_view what, std::uint64_t partitions) {
  return std::string(what) + ": partitions=" + std::to_string(partitions);
}

}  // namespace

Role Ownership::RoleOf(Phase phase) {
  switch (phase) {
    case Phase::kAbsent:
      return Role::kAbsent;
    case Phase::kWaiting:
    case Phase::kPulling:
    case Phase::kFilled:
      return Role::kWarming;
    case Phase::kReplica:
      return Role::kReplica;
    case Phase::kOwner:
      return Role::kOwner;
    case Phase::kHandingOver:
      return Role::kHandingOver;
    case Phase::kRecovering:
      return Role::kRecovering;
  }
  return Role::kAbsent;
}

// ---- Changing phase ---------------------------------------------------------------------------

void Ownership::TellRole(PartitionId partition, Role role) {
  Local& local = locals_[partition];
  if (local.role == role) return;
  local.role = role;
  actions_.push_back(SetRole{partition, role});
}

void Ownership::Enter(PartitionId partition, Phase phase) {
  Local& local = locals_[partition];
  if (local.phase == phase) return;
  if (local.phase == Phase::kPulling && phase != Phase::kFilled) {
    actions_.push_back(StopPull{partition});
  }
  local.phase = phase;
  TellRole(partition, RoleOf(phase));
  LocalKnowledge& knowledge = knowledge_[partition];
  knowledge.complete = IsComplete(phase);
  knowledge.owns = Orders(phase);
  if (knowledge.complete) local.ever_complete = true;
  if (phase == Phase::kAbsent) local.stale = false;
  if (knowledge.complete || phase == Phase::kAbsent) local.restored = false;
  if (phase != Phase::kRecovering) local.sources.clear();
  if (!Orders(phase)) {
    local.taking = local.leased = false;
    knowledge.taken_from = {};
  }
  view_dirty_ = true;
}

// ---- What the picture says that a decision needs to remember ----------------------------------

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
      local.vacant_since.reset();
    } else if (!local.vacant_since) {
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

// ---- Deciding ---------------------------------------------------------------------------------

OwnershipActions Ownership::Run(TimePoint now) {
  restless_ = false;
  int round = 0;
  do {
    Rebuild();
    NoteReturn(now);
    NoteClaims(now);
    for (PartitionId partition = 0; partition < locals_.size(); ++partition) {
      Decide(now, partition);
    }
  } while (view_dirty_ && ++round < kRoundsMax);
  AskToSettle(now);
  if (built_.view.self != kNoMember && built_.view.on_ring[built_.view.self]) founded_ = true;
  Publish();
  return std::exchange(actions_, {});
}

void Ownership::Rebuild() {
  if (!view_dirty_) return;
  view_dirty_ = false;
  built_ = BuildView(state_, placement_, knowledge_);
}

void Ownership::Decide(TimePoint now, PartitionId partition) {
  if (stopping_) return;
  const bool is_holder = IsHolder(partition, self_);
  Local& local = locals_[partition];
  if (leaving_ && !IsComplete(local.phase)) return;
  if (local.phase == Phase::kAbsent && is_holder) {
    local.retry_at = now;
    Enter(partition, Phase::kWaiting);
  }
  switch (local.phase) {
    case Phase::kAbsent:
      return;
    case Phase::kWaiting:
    case Phase::kPulling:
    case Phase::kFilled:
      return DecideWarming(now, partition, is_holder);
    case Phase::kReplica:
      return DecideReplica(now, partition, is_holder);
    case Phase::kOwner:
    case Phase::kHandingOver:
    case Phase::kRecovering:
      return DecideOwner(now, partition);
  }
}

void Ownership::DecideWarming(TimePoint now, PartitionId partition, bool is_holder) {
  Local& local = locals_[partition];
  if (local.asked) return;
  if (!is_holder && !local.stale) {
    Enter(partition, Phase::kAbsent);
    actions_.push_back(DropCopy{partition});
    return;
  }
  const MemberInfo* owner = IsAbandoned(now, partition) ? nullptr : OtherOwner(partition);
  if (local.phase != Phase::kWaiting && (owner == nullptr || owner->id != local.peer)) {
    local.retry_at = now;
    Enter(partition, Phase::kWaiting);
  }
  if (local.phase == Phase::kFilled) {
    restless_ = true;  // AskToSettle
    return;
  }
  if (local.phase != Phase::kWaiting) return;
  if (owner == nullptr) {
    restless_ = true;
    if (MayBegin(now, partition)) Begin(now, partition);
    return;
  }
  if (now < local.retry_at) {
    restless_ = true;
    return;
  }
  local.peer = owner->id;
  local.pull = next_pull_++;
  Enter(partition, Phase::kPulling);
  actions_.push_back(StartPull{partition, owner->id, local.pull});
}

// Whoever owned it last serves, but gave it up, too: two owners that yielded to each other. Nobody
// has it whole then, and each waits for the other.
bool Ownership::IsAbandoned(TimePoint now, PartitionId partition) const {
  return built_.claimant[partition] == kNoMember && built_.view.complete[partition].empty() &&
         IsVacant(now, partition);
}

// Nobody has it whole: it begins with what is here, from a snapshot or not, and with what copies
// that count as stale have.
void Ownership::Begin(TimePoint now, PartitionId partition) {
  const Local& local = locals_[partition];
  if (local.restored) {
    ++restored_now_;
    ++stats_.restored;
  } else if (local.ever_complete && !local.stale) {
    ++lost_now_;
    ++stats_.losses;
  }
  if (!local.stale) actions_.push_back(BeginEmpty{partition});
  std::vector<Source> sources;
  for (MemberIndex member : built_.view.holders[partition]) {
    const MemberInfo& info = built_.view.members[member];
    if (member != built_.view.self && info.serving()) sources.push_back({info.id, info.epoch});
  }
  Recover(now, partition, std::move(sources));
}

// Of the serving members that have it from a snapshot, the one whose data is the newest.
std::optional<NodeId> Ownership::NewestRestored(PartitionId partition) const {
  std::optional<NodeId> newest;
  UnixMillis as_of = 0;
  if (locals_[partition].restored) {
    newest = self_;
    as_of = options_.restored.as_of;
  }
  for (const auto& [id, copies] : restorers_) {
    if (!copies->partitions.Has(partition)) continue;
    const bool newer = !newest || copies->as_of > as_of ||
                       (copies->as_of == as_of && BetterPlaced(placement_, partition, id, *newest));
    if (!newer) continue;
    newest = id;
    as_of = copies->as_of;
  }
  return newest;
}

// Somebody on the ring is dead, as far as is known, and had it whole: it may be cut off, and back.
bool Ownership::MayComeBack(PartitionId partition) const {
  return std::any_of(state_.holdings.begin(), state_.holdings.end(), [&](const auto& entry) {
    const auto& [id, holdings] = entry;
    const auto member = state_.members.find(id);
    const auto place = state_.ring.find(id);
    return member != state_.members.end() && member->second.state == MemberState::kDead &&
           place != state_.ring.end() && !place->second.removed && holdings.complete.Has(partition);
  });
}

bool Ownership::MayBegin(TimePoint now, PartitionId partition) const {
  const std::vector<MemberIndex>& holders = built_.view.holders[partition];
  if (!built_.view.complete[partition].empty() || !ring_is_back_) return false;
  // Consistent rather than available: counters must not begin again from nothing.
  if (options_.majority && MayComeBack(partition)) return false;
  if (const std::optional<NodeId> newest = NewestRestored(partition)) {
    return *newest == self_ && now - stable_since_ >= options_.settle;
  }
  if (holders.empty() || holders.front() != built_.view.self) return false;
  const bool founding = options_.founder && !founded_ && options_.restored.as_of == 0;
  return founding || now - stable_since_ >= options_.settle;
}

void Ownership::DecideReplica(TimePoint now, PartitionId partition, bool is_holder) {
  Local& local = locals_[partition];
  if (local.asked) return;
  if (knowledge_[partition].granted) {
    restless_ = true;
    return;
  }
  if (MayTake(now, partition)) return TakeOver(now, partition);
  if (built_.claimant[partition] == kNoMember) {
    restless_ = true;
    return;
  }
  if (MayDrop(now, partition)) {
    ++stats_.drops;
    Enter(partition, Phase::kAbsent);
    actions_.push_back(DropCopy{partition});
    return;
  }
  if (!is_holder || WantsOwnership(partition)) restless_ = true;
}

bool Ownership::MayDrop(TimePoint now, PartitionId partition) const {
  const std::vector<MemberIndex>& holders = built_.view.holders[partition];
  const std::vector<MemberIndex>& complete = built_.view.complete[partition];
  const auto contains = [](const std::vector<MemberIndex>& list, MemberIndex member) {
    return std::find(list.begin(), list.end(), member) != list.end();
  };
  if (leaving_ || holders.empty() || contains(holders, built_.view.self)) return false;
  if (now < locals_[partition].linger_until) return false;
  if (!contains(holders, built_.claimant[partition])) return false;
  return std::all_of(holders.begin(), holders.end(),
                     [&](MemberIndex holder) { return contains(complete, holder); });
}

// Where leases decide, whoever has had one goes on until it is lost (OnLeases): the other's claim
// is an old one. Of two that never had one the better-placed waits for it.
bool Ownership::MustYield(TimePoint now, PartitionId partition) {
  Local& local = locals_[partition];
  if (local.taking && local.taking_since == TimePoint{}) local.taking_since = now;
  const MemberIndex claimant = built_.claimant[partition];
  if (claimant == kNoMember || built_.view.members[claimant].id != local.granted_by) {
    local.granted_by = {};
  }
  if (claimant == kNoMember) return false;
  const NodeId& other = built_.view.members[claimant].id;
  const bool better =
      BetterPlaced(placement_, partition, other, self_) && !IsEcho(now, partition, other);
  if (!options_.majority) return better;
  if (!local.taking) return false;
  restless_ = true;
  // Who gave it goes on claiming it for a while.
  return (better && !local.given) || now - local.taking_since >= options_.take_patience;
}

void Ownership::DecideOwner(TimePoint now, PartitionId partition) {
  if (MustYield(now, partition)) {
    ++yielded_now_;
    ++stats_.yields;
    BecomeStale(now, partition);
    return;
  }
  if (built_.claimant[partition] != kNoMember) restless_ = true;
  UpdateTargets(partition);
  if (locals_[partition].phase == Phase::kRecovering) DecideRecovering(now, partition);
}

// ---- Asking to be settled ---------------------------------------------------------------------

// A complete replica that stands before the owner wants to own.
bool Ownership::WantsOwnership(PartitionId partition) const {
  const Local& local = locals_[partition];
  const MemberInfo* owner = OtherOwner(partition);
  return owner != nullptr && built_.claimant[partition] != kNoMember &&
         (local.phase == Phase::kReplica || local.phase == Phase::kFilled) &&
         IsHolder(partition, self_) && BetterPlaced(placement_, partition, self_, owner->id);
}

void Ownership::AskToSettle(TimePoint now) {
  if (stopping_) return;
  Rebuild();
  std::map<NodeId, SendHandover> requests;
  for (PartitionId partition = 0; partition < locals_.size(); ++partition) {
    Local& local = locals_[partition];
    const bool wants = WantsOwnership(partition);
    const bool filled = local.phase == Phase::kFilled;
    const bool replica = local.phase == Phase::kReplica && wants && !knowledge_[partition].granted;
    if (local.asked || (!filled && !replica) || now < local.retry_at) continue;
    const MemberInfo* owner = OtherOwner(partition);
    if (owner == nullptr || (filled && owner->id != local.peer)) continue;
    if (asking_[owner->id] >= kAskingMax) continue;
    SendHandover& request = requests[owner->id];
    request.to = owner->id;
    request.partitions.push_back(partition);
    if (local.stale) request.stale.push_back(partition);
    local.asked = true;
    if (wants) Expect(partition, true);
    if (request.partitions.size() < options_.handover_batch_max) continue;
    ++asking_[owner->id];
    actions_.push_back(std::exchange(request, {}));
  }
  for (auto& [owner, request] : requests) {
    if (request.partitions.empty()) continue;
    ++asking_[owner];
    actions_.push_back(std::move(request));
  }
}

// ---- Telling ----------------------------------------------------------------------------------

void Ownership::Publish() {
  Rebuild();
  PublishHoldings holdings;
  const auto count = static_cast<std::uint32_t>(locals_.size());
  holdings.complete = holdings.owned = holdings.restored.partitions = PartitionSet(count);
  for (PartitionId partition = 0; partition < locals_.size(); ++partition) {
    const LocalKnowledge& knowledge = knowledge_[partition];
    holdings.complete.Assign(partition, knowledge.complete);
    holdings.owned.Assign(partition,
                          knowledge.owns || (knowledge.granted && knowledge.granted_to != self_));
    if (!locals_[partition].restored) continue;
    holdings.restored.partitions.Set(partition);
    holdings.restored.as_of = options_.restored.as_of;
  }
  const auto me = state_.members.find(self_);
  const std::uint64_t incarnation = me == state_.members.end() ? 0 : me->second.incarnation;
  const bool changed = !published_ || published_incarnation_ != incarnation ||
                       published_->complete != holdings.complete ||
                       published_->owned != holdings.owned ||
                       published_->restored != holdings.restored;
  if (changed && me != state_.members.end()) {
    published_ = holdings;
    published_incarnation_ = incarnation;
    actions_.push_back(std::move(holdings));
  }
  if (built_.view.digest != published_digest_ && built_.view.self != kNoMember) {
    published_digest_ = built_.view.digest;
    actions_.push_back(PublishView{std::make_shared<const ClusterView>(built_.view)});
  }
  if (const std::uint64_t restored = std::exchange(restored_now_, 0)) {
    Log(false, Count("serving from the snapshot, no other node has them whole", restored));
  }
  if (const std::uint64_t lost = std::exchange(lost_now_, 0)) {
    Log(true, Count("every node that had them whole is gone, declared empty", lost));
  }
  if (const std::uint64_t taken = std::exchange(taken_now_, 0)) {
    Log(false, Count("took ownership, the last owner is gone", taken));
  }
  if (const std::uint64_t cut_short = std::exchange(cut_short_now_, 0)) {
    stats_.recoveries_cut_short += cut_short;
    Log(true, Count("served before another copy could be compared, writes with fewer "
                    "acknowledgements than replicas may be missing until it is",
                    cut_short));
  }
  if (const std::uint64_t yielded = std::exchange(yielded_now_, 0)) {
    Log(true, Count(options_.majority
                        ? "gave up partitions that others own since"
                        : "gave ownership up to better-placed owners after a network partition",
                    yielded));
  }
}

}  // namespace gyre
