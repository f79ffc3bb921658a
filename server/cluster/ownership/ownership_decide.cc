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

}  // namespace

// ---- What a phase says -------------------------------------------------------------------------

Role Ownership::RoleOf(const Phase& phase) {
  return std::visit([](const auto& each) { return each.kRole; }, phase);
}

bool Ownership::IsComplete(const Phase& phase) {
  const Role role = RoleOf(phase);
  return role != Role::kAbsent && role != Role::kWarming;
}

const Ownership::Owned* Ownership::OwnedOf(const Phase& phase) {
  if (const auto* owner = std::get_if<Owner>(&phase)) return owner;
  if (const auto* handing_over = std::get_if<HandingOver>(&phase)) return handing_over;
  return std::get_if<Recovering>(&phase);
}

Ownership::Owned* Ownership::OwnedOf(Phase& phase) {
  if (auto* owner = std::get_if<Owner>(&phase)) return owner;
  if (auto* handing_over = std::get_if<HandingOver>(&phase)) return handing_over;
  return std::get_if<Recovering>(&phase);
}

Ownership::Copy Ownership::CopyOf(const Phase& phase) {
  if (const auto* waiting = std::get_if<Waiting>(&phase)) return waiting->copy;
  if (const auto* pulling = std::get_if<Pulling>(&phase)) return pulling->copy;
  if (const auto* filled = std::get_if<Filled>(&phase)) return filled->copy;
  return Copy::kSound;
}

const NodeId* Ownership::SourceOf(const Phase& phase) {
  if (const auto* pulling = std::get_if<Pulling>(&phase)) return &pulling->source;
  if (const auto* filled = std::get_if<Filled>(&phase)) return &filled->source;
  return nullptr;
}

bool Ownership::StandsBy(const Phase& phase) {
  if (const auto* pulling = std::get_if<Pulling>(&phase)) return pulling->writes_only;
  const auto* waiting = std::get_if<Waiting>(&phase);
  return waiting != nullptr && waiting->stands_by;
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
  if (local.Is<Pulling>() && !std::holds_alternative<Filled>(phase)) {
    actions_.push_back(StopPull{partition});
  }
  const bool another = phase.index() != local.phase.index();
  local.phase = std::move(phase);
  Changed(partition);
  TellRole(partition, RoleOf(local.phase));
  if (!another) return;
  LocalKnowledge& knowledge = knowledge_[partition];
  knowledge.complete = IsComplete(local.phase);
  knowledge.owns = Orders(local.phase);
  if (knowledge.complete) local.ever_complete = true;
  if (!knowledge.owns) knowledge.taken_from.reset();
}

void Ownership::StartOrdering(PartitionId partition) {
  Owned& owned = *OwnedOf(locals_[partition].phase);
  Enter(partition, Owner{std::move(owned)});
}

void Ownership::StopOrdering(PartitionId partition, const NodeId& to) {
  Owned& owned = *OwnedOf(locals_[partition].phase);
  Enter(partition, HandingOver{std::move(owned), to});
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
  Log(LogLevel::kWarn,
      "not enough nodes of the remembered ring are back after --evict-after: going on without the "
      "others; what only they had is missing until they are back",
      {{"back", back}, {"ring", ring_.size()}});
}

void Ownership::NoteClaim(TimePoint now, PartitionId partition) {
  Local& local = locals_[partition];
  LocalKnowledge& knowledge = knowledge_[partition];
  const MemberIndex claimant = built().claimant[partition];
  if (!built().view.complete[partition].empty()) local.ever_complete = true;
  if (knowledge.granted_to && knowledge.granted_to != self_) NoteGrant(now, partition);
  if (Orders(local.phase) || claimant != kNoMember) {
    knowledge.last_owner = Orders(local.phase) ? self_ : built().view.members[claimant].id;
    local.vacant_since.reset();
    return;
  }
  if (!local.vacant_since) local.vacant_since = now;
  if (!local.Is<Absent>()) Wait(partition);  // IsVacant
}

// Until the new owner claims what was granted to it, this node goes on claiming it for the others'
// sake.
void Ownership::NoteGrant(TimePoint now, PartitionId partition) {
  const NodeId granted_to = *knowledge_[partition].granted_to;
  const Local& local = locals_[partition];
  const MemberInfo* heir = Serving(granted_to);
  const bool gone = heir == nullptr || heir->epoch != local.granted_epoch;
  const bool silent = now - local.granted_at >= options_.grant_timeout;
  // A claim of another than the heir counts only if the heir may have handed on to it: an older
  // owner's is an echo.
  const MemberIndex claimant = built().claimant[partition];
  const bool claimed =
      claimant != kNoMember &&
      (built().view.members[claimant].id == granted_to ||
       BetterPlaced(placement_, partition, built().view.members[claimant].id, granted_to));
  if (!claimed && !gone) Wait(partition);
  if (!claimed && !gone && (!silent || stopping_)) return;
  knowledge_[partition].granted_to.reset();
  Changed(partition);
}

const MemberInfo* Ownership::Serving(const NodeId& id) const {
  const auto member = state_.members.find(id);
  return member != state_.members.end() && member->second.serving() ? &member->second : nullptr;
}

// The serving member, not this node, that orders the partition's writes as far as is known.
const MemberInfo* Ownership::OtherOwner(PartitionId partition) const {
  const MemberIndex claimant = built().claimant[partition];
  if (claimant != kNoMember) return &built().view.members[claimant];
  const MemberIndex owner = built().view.owner[partition];
  return owner == kNoMember || owner == built().view.self ? nullptr : &built().view.members[owner];
}

bool Ownership::IsHolder(PartitionId partition, const NodeId& id) const {
  const MemberList& holders = built().view.holders[partition];
  return std::any_of(holders.begin(), holders.end(),
                     [&](MemberIndex holder) { return built().view.members[holder].id == id; });
}

// ---- Deciding ---------------------------------------------------------------------------------

OwnershipActions Ownership::Run(TimePoint now) {
  if (now >= grace_ends_) undecided_ = PartitionSet(count(), /*all=*/true);
  NoteGrace(now);
  undecided_.Add(waiting_);
  int round = 0;
  do {
    Rebuild();
    NoteReturn(now);
    std::exchange(undecided_, PartitionSet(count())).ForEach([&](PartitionId partition) {
      waiting_.Clear(partition);
      NoteClaim(now, partition);
      Decide(now, partition);
    });
  } while (IsStale() && ++round < kRoundsMax);
  AskToSettle(now);
  if (built().view.self != kNoMember && built().view.on_ring[built().view.self]) founded_ = true;
  Publish();
  return std::exchange(actions_, {});
}

void Ownership::Rebuild() {
  if (!IsStale()) return;
  if (std::exchange(all_changed_, false)) {
    changed_ = PartitionSet(count(), /*all=*/true);
    builder_.Rebuild();
  } else {
    builder_.Update(changed_);
    assert(built().view.digest == BuildView(state_, placement_, knowledge_).view.digest);
  }
  changed_.ForEach([this](PartitionId partition) { NoteHeld(partition); });
  undecided_.Add(changed_);
  changed_ = PartitionSet(count());
}

// What the others are told of it.
void Ownership::NoteHeld(PartitionId partition) {
  const LocalKnowledge& knowledge = knowledge_[partition];
  const bool granted_away = knowledge.granted_to && knowledge.granted_to != self_;
  held_.complete.Assign(partition, knowledge.complete);
  held_.owned.Assign(partition, knowledge.owns || granted_away);
  const bool restored = CopyOf(locals_[partition].phase) == Copy::kRestored;
  held_.restored.partitions.Assign(partition,
                                   restored || (returns_as_of_ != 0 && knowledge.complete));
}

void Ownership::Decide(TimePoint now, PartitionId partition) {
  if (stopping_) return;
  const bool is_holder = IsHolder(partition, self_);
  const Local& local = locals_[partition];
  if (local.Is<Filled>() && !local.asked) Wait(partition);  // AskToSettle
  if (leaving_ && !IsComplete(local.phase)) return;
  if (local.Is<Absent>() && is_holder) Enter(partition, Waiting{{}, now});
  switch (RoleOf(local.phase)) {
    case Role::kAbsent:
      return;
    case Role::kWarming:
      return DecideWarming(now, partition, is_holder);
    case Role::kReplica:
      return DecideReplica(now, partition, is_holder);
    case Role::kOwner:
    case Role::kHandingOver:
    case Role::kRecovering:
      return DecideOwner(now, partition);
  }
}

void Ownership::DecideWarming(TimePoint now, PartitionId partition, bool is_holder) {
  Local& local = locals_[partition];
  if (local.asked) return;
  const Copy copy = CopyOf(local.phase);
  if (!is_holder && copy == Copy::kSound) {
    Enter(partition, Absent{});
    actions_.push_back(DropCopy{partition});
    return;
  }
  const MemberInfo* owner = IsAbandoned(now, partition) ? nullptr : OtherOwner(partition);
  const NodeId* source = SourceOf(local.phase);
  if (source != nullptr && (owner == nullptr || owner->id != *source)) {
    Enter(partition, Waiting{{copy}, now});
  }
  auto* waiting = std::get_if<Waiting>(&local.phase);
  if (waiting == nullptr) return;
  waiting->stands_by = copy == Copy::kSound && MayStandBy(now, partition);
  if (owner == nullptr) {
    Wait(partition);
    if (MayBegin(now, partition)) Begin(now, partition);
    return;
  }
  if (waiting->stands_by && waiting->follows == owner->id) return;
  if (now < waiting->retry_at) {
    Wait(partition);
    return;
  }
  const std::uint64_t pull = next_pull_++;
  const bool writes_only = waiting->stands_by;
  Enter(partition, Pulling{{copy}, owner->id, pull, writes_only});
  actions_.push_back(StartPull{partition, owner->id, pull, writes_only});
}

// Whoever owned it last serves, but gave it up, too: two owners that yielded to each other. Nobody
// has it whole then, and each waits for the other.
bool Ownership::IsAbandoned(TimePoint now, PartitionId partition) const {
  return built().claimant[partition] == kNoMember && built().view.complete[partition].empty() &&
         IsVacant(now, partition);
}

// Nobody has it whole: it begins with what is here, from a snapshot or not, and with what copies
// that count as stale have.
void Ownership::Begin(TimePoint now, PartitionId partition) {
  const Copy copy = CopyOf(locals_[partition].phase);
  if (copy == Copy::kRestored) {
    ++restored_now_;
    ++stats_.restored;
  } else if (copy == Copy::kSound && locals_[partition].ever_complete) {
    ++lost_now_;
    ++stats_.losses;
  }
  if (copy == Copy::kSound) actions_.push_back(BeginEmpty{partition});
  std::vector<Source> sources;
  for (MemberIndex member : built().view.holders[partition]) {
    const MemberInfo& info = built().view.members[member];
    if (member != built().view.self && info.serving()) sources.push_back({info.id, info.epoch});
  }
  Recover(now, partition, std::move(sources));
}

// Of the serving members that have it from a snapshot, the one whose data is the newest.
std::optional<NodeId> Ownership::NewestRestored(PartitionId partition) const {
  std::optional<NodeId> newest;
  UnixMillis as_of = 0;
  if (CopyOf(locals_[partition].phase) == Copy::kRestored) {
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
  const MemberList& holders = built().view.holders[partition];
  if (!built().view.complete[partition].empty() || !ring_is_back_) return false;
  // Consistent rather than available: counters must not begin again from nothing.
  if (options_.majority && MayComeBack(partition)) return false;
  if (const std::optional<NodeId> newest = NewestRestored(partition)) {
    return *newest == self_ && now - stable_since_ >= options_.settle;
  }
  if (holders.empty() || holders.front() != built().view.self) return false;
  const bool founding = options_.founder && !founded_ && options_.restored.as_of == 0;
  return founding || now - stable_since_ >= options_.settle;
}

void Ownership::DecideReplica(TimePoint now, PartitionId partition, bool is_holder) {
  if (locals_[partition].asked) return;
  if (knowledge_[partition].granted_to) {
    Wait(partition);
    return;
  }
  if (MayTake(now, partition)) return TakeOver(now, partition);
  if (built().claimant[partition] == kNoMember) {
    Wait(partition);
    return;
  }
  if (MayDrop(now, partition)) {
    ++stats_.drops;
    Enter(partition, Absent{});
    actions_.push_back(DropCopy{partition});
    return;
  }
  const bool lingers = !is_holder && now < locals_[partition].linger_until;
  if (lingers || WantsOwnership(partition)) Wait(partition);
}

bool Ownership::MayDrop(TimePoint now, PartitionId partition) const {
  const MemberList& holders = built().view.holders[partition];
  const MemberList& complete = built().view.complete[partition];
  if (leaving_ || holders.empty() || holders.Has(built().view.self)) return false;
  if (now < locals_[partition].linger_until) return false;
  if (!holders.Has(built().claimant[partition])) return false;
  return std::all_of(holders.begin(), holders.end(),
                     [&](MemberIndex holder) { return complete.Has(holder); });
}

// Where leases decide, whoever has had one goes on until it is lost (OnLeases): the other's claim
// is an old one. Of two that never had one the better-placed waits for it.
bool Ownership::MustYield(TimePoint now, PartitionId partition) {
  Owned& owned = *OwnedOf(locals_[partition].phase);
  const MemberIndex claimant = built().claimant[partition];
  const NodeId* other = claimant == kNoMember ? nullptr : &built().view.members[claimant].id;
  if (other == nullptr || owned.granted_by != *other) owned.echo_until = TimePoint{};
  if (other == nullptr) return false;
  const bool echo = now < owned.echo_until;
  const bool better = BetterPlaced(placement_, partition, *other, self_) && !echo;
  if (!options_.majority) return better;
  if (!owned.taking) return false;
  Wait(partition);
  // Who granted it goes on claiming it for a while.
  return (better && !owned.granted_by) || now - owned.since >= options_.take_patience;
}

void Ownership::DecideOwner(TimePoint now, PartitionId partition) {
  if (MustYield(now, partition)) {
    ++yielded_now_;
    ++stats_.yields;
    BecomeStale(now, partition);
    return;
  }
  if (built().claimant[partition] != kNoMember) Wait(partition);
  UpdateTargets(partition);
  if (locals_[partition].Is<Recovering>()) DecideRecovering(now, partition);
}

// ---- Asking to be settled ---------------------------------------------------------------------

// A complete replica that stands before the owner wants to own.
bool Ownership::WantsOwnership(PartitionId partition) const {
  const Local& local = locals_[partition];
  const MemberInfo* owner = OtherOwner(partition);
  return owner != nullptr && built().claimant[partition] != kNoMember &&
         (local.Is<Replica>() || local.Is<Filled>()) && IsHolder(partition, self_) &&
         BetterPlaced(placement_, partition, self_, owner->id);
}

void Ownership::AskToSettle(TimePoint now) {
  if (stopping_) return;
  Rebuild();
  std::map<NodeId, SendHandover> requests;
  waiting_.ForEach([&](PartitionId partition) {
    Local& local = locals_[partition];
    const bool wants = WantsOwnership(partition);
    const auto* filled = std::get_if<Filled>(&local.phase);
    const bool replica = local.Is<Replica>() && wants && !knowledge_[partition].granted_to;
    if (local.asked || (filled == nullptr && !replica) || now < local.ask_at) return;
    const MemberInfo* owner = OtherOwner(partition);
    if (owner == nullptr || (filled != nullptr && owner->id != filled->source)) return;
    if (asking_[owner->id] >= kAskingMax) return;
    SendHandover& request = requests[owner->id];
    request.to = owner->id;
    request.partitions.push_back(partition);
    if (CopyOf(local.phase) != Copy::kSound) request.stale.push_back(partition);
    local.asked = true;
    if (wants) Expect(partition, true);
    if (request.partitions.size() < options_.handover_batch_max) return;
    ++asking_[owner->id];
    actions_.push_back(std::exchange(request, {}));
  });
  for (auto& [owner, request] : requests) {
    if (request.partitions.empty()) continue;
    ++asking_[owner];
    actions_.push_back(std::move(request));
  }
}

// ---- Telling ----------------------------------------------------------------------------------

void Ownership::Publish() {
  Rebuild();
  held_.restored.as_of = held_.restored.partitions.Any() ? RestoredAsOf() : 0;
  const auto me = state_.members.find(self_);
  const std::uint64_t incarnation = me == state_.members.end() ? 0 : me->second.incarnation;
  const bool changed = !published_ || published_incarnation_ != incarnation ||
                       published_->complete != held_.complete || published_->owned != held_.owned ||
                       published_->restored != held_.restored;
  if (changed && me != state_.members.end()) {
    published_ = held_;
    published_incarnation_ = incarnation;
    actions_.push_back(held_);
  }
  if (built().view.digest != published_digest_ && built().view.self != kNoMember) {
    published_digest_ = built().view.digest;
    actions_.push_back(PublishView{std::make_shared<const ClusterView>(built().view)});
  }
  if (const std::uint64_t restored = std::exchange(restored_now_, 0)) {
    Log(LogLevel::kInfo, "serving from the snapshot, no other node has them whole",
        {{"partitions", restored}});
  }
  if (const std::uint64_t lost = std::exchange(lost_now_, 0)) {
    Log(LogLevel::kWarn, "every node that had them whole is gone, declared empty",
        {{"partitions", lost}});
  }
  if (const std::uint64_t taken = std::exchange(taken_now_, 0)) {
    Log(LogLevel::kInfo, "took ownership, the last owner is gone", {{"partitions", taken}});
  }
  if (const std::uint64_t cut_short = std::exchange(cut_short_now_, 0)) {
    stats_.recoveries_cut_short += cut_short;
    Log(LogLevel::kWarn,
        "served before another copy could be compared, writes with fewer acknowledgements than "
        "replicas may be missing until it is",
        {{"partitions", cut_short}});
  }
  if (const std::uint64_t yielded = std::exchange(yielded_now_, 0)) {
    Log(LogLevel::kWarn,
        options_.majority ? "gave up partitions that others own since"
                          : "gave ownership up to better-placed owners after a network partition",
        {{"partitions", yielded}});
  }
}

}  // namespace gyre
