// What others say: of members, of this node, of holdings and the ring.
#include <algorithm>
#include <cmath>
#include <string>
#include <tuple>
#include <utility>

#include "membership/membership_impl.h"
#include "proto/limits.h"

namespace gyre {
namespace {

// Probe intervals in which an answer shows that this node is well.
constexpr int kAnsweredLately = 2;
// No register is written so often between two exchanges of states.
constexpr std::uint64_t kRevisionStepMax = std::uint64_t{1} << 32;
constexpr Duration kRefusalLogInterval = std::chrono::seconds(60);

}  // namespace

// ---- What is believed -------------------------------------------------------------------------

// An incarnation is the wall clock of its node's start, or little more (identity.h). One from far
// ahead, once believed, could not be outlived: its member would be locked out for good.
bool Membership::Impl::IsCredible(const NodeId& id, std::uint64_t incarnation) {
  if (!options.wall_clock) return true;
  const auto here = std::chrono::floor<std::chrono::milliseconds>(options.wall_clock()).count();
  if (incarnation <= static_cast<std::uint64_t>(std::max<UnixMillis>(here, 0) + kAheadMaxMs)) {
    return true;
  }
  Refuse("a word dated more than a week ahead of this node's clock: set the clocks of both (NTP)",
         Describe(id));
  return false;
}

// A register that leaps to the end of its revisions could not be written again.
bool Membership::Impl::IsCredibleStep(const NodeId& id, std::uint64_t before, std::uint64_t after) {
  if (after <= before || after - before <= kRevisionStepMax) return true;
  LogFields fields = Describe(id);
  fields.insert(fields.end(), {{"revision", before}, {"leaps_to", after}});
  Refuse("an entry whose revision leaps", std::move(fields));
  return false;
}

void Membership::Impl::Refuse(std::string_view why, LogFields fields) {
  ++stats.records_refused;
  if (refusal_logged_at && now - *refusal_logged_at < kRefusalLogInterval) return;
  refusal_logged_at = now;
  Log(LogLevel::kWarn, "refused: " + std::string(why), std::move(fields));
}

// ---- Members ----------------------------------------------------------------------------------

void Membership::Impl::MergeMember(const MemberRecord& record, const NodeId& from) {
  const MemberInfo& info = record.info;
  if (!IsCredible(info.id, info.incarnation)) return;
  if (info.id == state.self) return OnSelfRecord(record, from);
  const auto known = state.members.find(info.id);
  // One that is only remembered is as good as unknown.
  const bool remembered = known != state.members.end() && !Met(info.id);
  const bool unknown = known == state.members.end() || remembered;
  if (!unknown && info.incarnation < known->second.incarnation) return;
  if (unknown || info.incarnation > known->second.incarnation) {
    const std::optional<MemberState> said = SaidByItself(record);
    if (!said || !IsFound(info, from)) return;
    MemberRecord own = record;
    own.info.state = *said;
    if (remembered) Forget(info.id);
    if (unknown && !AddMember(own, info.state)) return;
    if (unknown && state.members.at(info.id).state == MemberState::kDead) return;
    ReplaceMember(own);
    if (info.state == *said) return;
  }
  switch (info.state) {
    case MemberState::kAlive:
      break;
    case MemberState::kSuspect:
      Suspect({info.id, info.incarnation, from});
      break;
    case MemberState::kStopped:
      if (SaidByItself(record) == MemberState::kStopped) Stopped(record);
      break;
    case MemberState::kDead:
      HearDeath({info.id, info.incarnation, from}, from);
      break;
  }
}

// `told`: its state, as others have it. False: there is no room.
bool Membership::Impl::AddMember(const MemberRecord& record, MemberState told) {
  if (!MakeRoom()) return false;
  const NodeId& id = record.info.id;
  Peer& peer = peers[id];
  peer.epoch = record.epoch;
  peer.proof = record.proof;
  peer.since = now;
  peer.heard = now;
  MemberInfo& info = state.members.emplace(id, record.info).first->second;
  NoteAddress(info, true);
  probe_list.Add(id, prng);
  serving_count.reset();
  Changed(id);
  if (told == MemberState::kDead && (newcomer || options.signer == nullptr)) {
    // Not a death that happened now: it only must be remembered.
    info.state = MemberState::kDead;
    peer.dead_incarnation = info.incarnation;
    ExportHoldings(id);
    return true;
  }
  if (info.serving()) {
    LogFields fields = Describe(id);
    fields.emplace_back("id", id.ToString());
    Log(LogLevel::kInfo, "member joined", std::move(fields));
  }
  return true;
}

// `record` is newer than what is known, or known for the first time.
void Membership::Impl::ReplaceMember(const MemberRecord& record) {
  const NodeId& id = record.info.id;
  MemberInfo& info = state.members.at(id);
  const MemberState before = info.state;
  Peer& peer = peers.at(id);
  suspicions.erase(id);
  accused.erase(id);
  link_downs.erase(id);
  NoteAddress(info, false);
  info = record.info;
  info.state = before;
  NoteAddress(info, true);
  if (record.epoch != peer.epoch) peer.witnesses.clear();
  peer.epoch = record.epoch;
  peer.proof = record.proof;
  peer.taken_over = false;
  if (peer.epoch > peer.dead_incarnation) peer.blind_verdict.reset();
  SetState(id, record.info.state);
  Changed(id);
  ExportHoldings(id);
  wire::Broadcast broadcast;
  ToWire(MemberRecord{info, peer.epoch, peer.proof}, *broadcast.mutable_member());
  Queue(BroadcastQueue::Kind::kMember, id, broadcast);
  const bool was_serving = before == MemberState::kAlive || before == MemberState::kSuspect;
  if (!was_serving && info.serving()) Log(LogLevel::kInfo, "member back", Describe(id));
  if (was_serving && !info.serving()) Log(LogLevel::kInfo, "member stopped", Describe(id));
  CheckAddress(id);
}

// The table is full: the member that was dead longest, and has no place on the ring, is forgotten.
bool Membership::Impl::MakeRoom() {
  if (state.members.size() < kMembersMax) return true;
  const NodeId* oldest = nullptr;
  for (const auto& [id, peer] : peers) {
    if (state.members.at(id).state != MemberState::kDead || OnRing(id) || MadeSetting(id)) continue;
    if (oldest == nullptr || peer.since < peers.at(*oldest).since) oldest = &id;
  }
  if (oldest == nullptr) return false;
  const NodeId id = *oldest;
  known_holdings.erase(id);
  state.holdings.erase(id);
  state.ring.erase(id);
  Forget(id);
  return true;
}

// As a member: what is known of its place on the ring stays.
void Membership::Impl::Forget(const NodeId& id) {
  probe_list.Remove(id);
  NoteAddress(state.members.at(id), false);
  state.members.erase(id);
  peers.erase(id);
  Changed(id);
}

void Membership::Impl::SetState(const NodeId& id, MemberState next) {
  MemberInfo& info = state.members.at(id);
  if (info.state == next) return;
  info.state = next;
  peers.at(id).since = now;
  serving_count.reset();
  Changed(id);
}

// ---- Suspects and the dead --------------------------------------------------------------------

SuspicionBounds Membership::Impl::Bounds() {
  const std::size_t nodes = ServingCount();
  const double scale = std::max(1.0, std::log10(static_cast<double>(nodes)));
  const auto min = static_cast<Duration::rep>(
      static_cast<double>((options.suspicion_multiplier * options.probe_interval).count()) * scale);
  SuspicionBounds bounds;
  bounds.min = std::chrono::floor<std::chrono::milliseconds>(Duration{min});
  bounds.max = bounds.min * options.suspicion_max_multiplier;
  // The suspect and its first accuser cannot confirm; and of a handful nobody must be waited for.
  const auto wanted = static_cast<std::size_t>(std::max(options.suspicion_multiplier - 2, 0));
  bounds.confirmations = std::min(wanted, nodes / 4);
  return bounds;
}

void Membership::Impl::Suspect(const SuspicionRecord& record) {
  if (!IsCredible(record.id, record.incarnation)) return;
  if (record.id == state.self) return OnSelfSuspect(record.incarnation, record.from);
  const auto member = state.members.find(record.id);
  if (member == state.members.end() || !member->second.serving()) return;
  // Of a later life than is known, its own word comes first.
  if (record.incarnation != member->second.incarnation) return;
  if (member->second.state == MemberState::kSuspect) return Confirm(record);
  SetState(record.id, MemberState::kSuspect);
  ExportHoldings(record.id);
  const SuspicionBounds bounds = Bounds();
  suspicions.erase(record.id);
  suspicions.emplace(record.id, Suspicion(now, bounds, record.from));
  ++stats.suspicions;
  LogFields fields = Describe(record.id);
  fields.emplace_back("by", NameOf(record.from));
  Log(LogLevel::kInfo, "member suspected", std::move(fields));
  wire::Broadcast broadcast;
  ToWire(record, *broadcast.mutable_suspect());
  if (record.from != state.self || !IsCutOff(record.id))
    Queue(BroadcastQueue::Kind::kMember, record.id, broadcast);
  // Judge for yourself: some nodes, enough for the confirmations, probe the suspect out of turn.
  const double wanted = 2.0 * (static_cast<double>(bounds.confirmations) + 1);
  if (record.from != state.self && prng.Chance(wanted / static_cast<double>(ServingCount()))) {
    probe_list.Hasten(record.id);
  }
}

void Membership::Impl::Confirm(const SuspicionRecord& record) {
  const auto suspicion = suspicions.find(record.id);
  if (suspicion == suspicions.end() || !suspicion->second.Confirm(record.from)) return;
  wire::Broadcast broadcast;
  ToWire(record, *broadcast.mutable_suspect());
  Queue(BroadcastQueue::Kind::kMember, record.id, broadcast);
}

void Membership::Impl::Dead(const SuspicionRecord& record) {
  if (!IsCredible(record.id, record.incarnation)) return;
  if (record.id == state.self) return OnSelfDead(record.incarnation, record.from);
  const auto member = state.members.find(record.id);
  if (member == state.members.end()) return;
  Peer& peer = peers.at(record.id);
  if (record.incarnation < member->second.incarnation) {
    // Old news, but perhaps of a death that the member does not know of: of this epoch of its
    // holdings.
    if (record.incarnation >= peer.epoch && record.incarnation > peer.dead_incarnation) {
      peer.dead_incarnation = record.incarnation;
      ExportHoldings(record.id);
      Changed(record.id);
    }
    return;
  }
  if (member->second.state == MemberState::kDead &&
      record.incarnation == member->second.incarnation) {
    if (record.from != state.self) peer.blind_verdict.reset();  // others say so, too
    return;
  }
  if (record.incarnation > member->second.incarnation) return;
  const auto lived = std::chrono::duration_cast<std::chrono::milliseconds>(now - peer.heard);
  const bool blind = record.from == state.self && IsCutOff(record.id);
  if (blind) peer.blind_verdict = {peer.dead_incarnation, IsOutcast()};
  peer.dead_incarnation = std::max(peer.dead_incarnation, record.incarnation);
  suspicions.erase(record.id);
  accused.erase(record.id);
  link_downs.erase(record.id);
  SetState(record.id, MemberState::kDead);
  ExportHoldings(record.id);
  ++stats.deaths;
  LogFields fields = Describe(record.id);
  fields.insert(fields.end(), {{"by", NameOf(record.from)}, {"unheard_ms", lived.count()}});
  Log(LogLevel::kWarn, "member dead", std::move(fields));
  if (blind) return;
  wire::Broadcast broadcast;
  ToWire(record, *broadcast.mutable_dead());
  Queue(BroadcastQueue::Kind::kMember, record.id, broadcast);
  gossip_at = std::min(gossip_at, now);
}

void Membership::Impl::Stopped(const MemberRecord& record) {
  const NodeId& id = record.info.id;
  if (!state.members.at(id).serving()) return;
  suspicions.erase(id);
  accused.erase(id);
  link_downs.erase(id);
  SetState(id, MemberState::kStopped);
  Log(LogLevel::kInfo, "member stopped", Describe(id));
  wire::Broadcast broadcast;
  ToWire(record, *broadcast.mutable_member());
  Queue(BroadcastQueue::Kind::kMember, id, broadcast);
}

// Two identities at one address: the one with the older incarnation lost its data directory. This
// node is always the newer one.
void Membership::Impl::CheckAddress(const NodeId& newcomer) {
  const MemberInfo& one = state.members.at(newcomer);
  if (one.state == MemberState::kDead) return;
  std::vector<NodeId> lost;
  for (auto it = at.lower_bound({one.port, one.host, NodeId{}});
       it != at.end() && std::get<0>(*it) == one.port && std::get<1>(*it) == one.host; ++it) {
    const NodeId& id = std::get<2>(*it);
    if (id == newcomer) continue;
    const MemberInfo& other = state.members.at(id);
    if (other.state == MemberState::kDead) {
      if (id != state.self && one.serving()) peers.at(id).taken_over = true;
      continue;
    }
    const bool other_is_newer =
        id == state.self || std::pair(other.incarnation, id) > std::pair(one.incarnation, newcomer);
    lost.push_back(other_is_newer ? newcomer : id);
    if (other_is_newer) break;
  }
  for (const NodeId& id : lost) {
    Log(LogLevel::kWarn, "another node has the address of a member: that is counted as dead",
        Describe(id));
    peers.at(id).taken_over = true;
    Dead({id, state.members.at(id).incarnation, state.self});
  }
}

// ---- This node --------------------------------------------------------------------------------

void Membership::Impl::OnSelfRecord(const MemberRecord& record, const NodeId& from) {
  const MemberInfo& told = record.info;
  const bool later = told.incarnation > self().incarnation;
  if (!later && told.state == MemberState::kDead) return OnSelfDead(told.incarnation, from);
  const bool same = told.incarnation == self().incarnation;
  if (same && told.state == MemberState::kSuspect) return OnSelfSuspect(told.incarnation, from);
  if (!(later || same) || (same && told.state == self().state)) return;
  const std::optional<MemberState> said = SaidByItself(record);
  if (!said || (same && *said != told.state)) return;
  // From an earlier life whose clock was ahead, or another process has this identity.
  if (AddressOf(told) != AddressOf(self())) {
    Log(LogLevel::kWarn,
        "this node's identity is also at another address: if a node runs there, its --data-dir is "
        "a "
        "copy of this one's; give it one of its own",
        {{"address", AddressOf(told).ToString()}});
  }
  RaiseIncarnation(told.incarnation, true);
  life_start = epoch;
  TellSelf(from);
}

void Membership::Impl::OnSelfSuspect(std::uint64_t incarnation, const NodeId& from) {
  // None but this node makes later ones.
  if (stopping || incarnation > self().incarnation) return;
  if (incarnation == self().incarnation) {
    ++stats.refutations;
    // Unless its own probes are answered: then it is the accuser that is slow, or cut off.
    if (now - answered_at > kAnsweredLately * options.probe_interval) awareness.Adjust(1);
    RaiseIncarnation(incarnation);
  }
  TellSelf(from);
}

void Membership::Impl::OnSelfDead(std::uint64_t incarnation, const NodeId& from) {
  if (stopping || incarnation > self().incarnation) return;
  declared_dead_at = now;
  // Of an earlier life: whoever says so has not heard of this one yet.
  if (incarnation >= life_start && incarnation > acknowledged_death) {
    acknowledged_death = incarnation;
    ++stats.refutations;
    TakeBackBlindVerdicts();
    RaiseIncarnation(incarnation, true);
    Log(LogLevel::kWarn, "this node was declared dead while it was cut off or paused; it is back",
        {{"by", NameOf(from)}, {"incarnation", self().incarnation}});
    actions.emplace_back(DeclaredDead{});
  } else if (incarnation == self().incarnation) {
    RaiseIncarnation(incarnation);
  }
  TellSelf(from);
}

void Membership::Impl::RaiseIncarnation(std::uint64_t above, bool new_epoch) {
  self().incarnation = std::max(self().incarnation, above) + 1;
  if (new_epoch) epoch = self().incarnation;
  Changed(state.self);
  ExportHoldings(state.self);
  QueueSelf();
  gossip_at = std::min(gossip_at, now);
}

void Membership::Impl::TellSelf(const NodeId& to) {
  const auto member = state.members.find(to);
  if (to == state.self || member == state.members.end()) return;
  wire::GossipMessage message;
  ToWire(SelfRecord(), *message.add_broadcasts()->mutable_member());
  SendTo(to, message);
}

// ---- Holdings and the ring --------------------------------------------------------------------

void Membership::Impl::MergeHoldings(const HoldingsRecord& record) {
  const auto known = known_holdings.find(record.id);
  const Holdings& news = record.holdings;
  // Of this node, only what an earlier life said is news; it does not count, but the digests must
  // agree.
  if (record.id == state.self && news.incarnation >= epoch) return;
  const bool same_epoch =
      known != known_holdings.end() && known->second.incarnation == news.incarnation;
  if (!IsCredible(record.id, news.incarnation) ||
      !IsCredibleStep(record.id, same_epoch ? known->second.revision : 0, news.revision)) {
    return;
  }
  if (known != known_holdings.end()) {
    if (std::pair(news.incarnation, news.revision) <=
        std::pair(known->second.incarnation, known->second.revision)) {
      return;
    }
  } else if (known_holdings.size() >= kMembersMax) {
    return;
  }
  if (!IsProof(record.id, Said::kHoldings, WordsOf(record.id, news), news.proof)) {
    return Refuse("what a member is said to hold, not by itself", Describe(record.id));
  }
  known_holdings[record.id] = news;
  Changed(record.id);
  ExportHoldings(record.id);
  wire::Broadcast broadcast;
  ToWire(record.id, news, *broadcast.mutable_holdings());
  Queue(BroadcastQueue::Kind::kHoldings, record.id, broadcast);
}

// state.holdings has what counts: of the member's epoch, and not of one in which it was declared
// dead.
void Membership::Impl::ExportHoldings(const NodeId& id) {
  const auto known = known_holdings.find(id);
  const auto member = state.members.find(id);
  if (known == known_holdings.end() || member == state.members.end()) return;
  const auto peer = peers.find(id);
  const std::uint64_t current = peer == peers.end() ? epoch : peer->second.epoch;
  const std::uint64_t dead = peer == peers.end() ? 0 : peer->second.dead_incarnation;
  const bool alive_before = member->second.state == MemberState::kDead || current > dead;
  if (known->second.incarnation != current || !alive_before) {
    if (state.holdings.erase(id) > 0) changed = true;
    return;
  }
  Holdings& out = state.holdings[id];
  out = known->second;
  out.incarnation = member->second.incarnation;
  changed = true;
}

void Membership::Impl::MergeRebalance(const RebalanceSetting& setting) {
  if (setting <= state.rebalance ||
      !IsCredibleStep(setting.by, state.rebalance.revision, setting.revision)) {
    return;
  }
  if (!IsProof(setting.by, Said::kRebalance, WordsOf(setting), setting.proof)) {
    return Refuse("a rebalance setting that its maker did not make", Describe(setting.by));
  }
  state.rebalance = setting;
  changed = true;
  const std::string limit = !setting.bytes_per_second ? "as each node's --rebalance-limit says"
                            : *setting.bytes_per_second == 0
                                ? "none"
                                : std::to_string(*setting.bytes_per_second) + " bytes/s";
  Log(LogLevel::kInfo, setting.paused ? "rebalance paused" : "rebalance goes on",
      {{"limit", limit}, {"told", NameOf(setting.by)}});
  wire::Broadcast broadcast;
  ToWire(setting, *broadcast.mutable_rebalance());
  Queue(BroadcastQueue::Kind::kRebalance, state.self, broadcast);
}

void Membership::Impl::MergeRing(const RingEntry& entry, const NodeId& from) {
  const auto order = [](const RingEntry& each) {
    return std::tie(each.revision, each.removed, each.drained, each.evicted, each.version_node,
                    each.weight, each.zone);
  };
  const auto known = state.ring.find(entry.id);
  const std::uint64_t before = known == state.ring.end() ? 0 : known->second.revision;
  if (!IsCredibleStep(entry.id, before, entry.revision)) return;
  if (known == state.ring.end()) {
    if (state.ring.size() >= kMembersMax) return;
  } else if (order(entry) <= order(known->second)) {
    return;
  }
  if (from != state.self && !MayEnter(entry)) return;
  const bool was_drained = known != state.ring.end() && known->second.drained;
  state.ring[entry.id] = entry;
  Changed(entry.id);
  wire::Broadcast broadcast;
  ToWire(entry, *broadcast.mutable_ring_entry());
  Queue(BroadcastQueue::Kind::kRing, entry.id, broadcast);
  gossip_at = std::min(gossip_at, now);  // who owns what depends on it
  if (!entry.removed) return SettleVersionNode();
  if (entry.id != state.self || from == state.self || stopping) return;
  if (was_drained && !entry.drained) {
    Log(LogLevel::kInfo, "this node was undrained: it takes its place on the ring again");
    return JoinRing();
  }
  if (wants_ring && entry.evicted) {
    Log(LogLevel::kWarn,
        "this node was evicted from the ring while it was away; it takes its place again");
    return JoinRing();
  }
  if (std::exchange(wants_ring, false)) {
    Log(LogLevel::kInfo, entry.drained
                             ? "this node was drained: it stays off the ring until gyre undrain"
                             : "this node was taken off the ring");
  }
  // The others take it from this node alone.
  if (entry.proof.empty()) Enter(entry);
}

}  // namespace gyre
