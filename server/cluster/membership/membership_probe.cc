// Who is alive: probes, suspicion timers, links that are down; and what answered pings prove besides: that others hear
// this node (self_fence.h), and how far their clocks are off.
#include <algorithm>
#include <chrono>
#include <string>

#include "membership/membership_impl.h"

namespace gyre {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;

// Pings for others that wait for an answer at the same time.
constexpr std::size_t kRelaysMax = 256;
// A Nack must arrive before the probe ends, which is a probe_timeout after the helper was asked in
// a healthy requester, or that one holds its helpers to be silent and itself to be ill.
constexpr Duration NackAfter(Duration probe_timeout) { return probe_timeout * 3 / 4; }

// A refused or reset link counts as evidence this long.
constexpr Duration kLinkDownMemory = std::chrono::seconds(5);
// A datagram that was already on its way when the process died says nothing.
constexpr Duration kLinkDownLatency = std::chrono::milliseconds(20);
// Others are asked in rounds: their own links may break a little later.
constexpr Duration kConfirmInterval = std::chrono::milliseconds(150);
constexpr int kConfirmRoundsMax = 6;
constexpr std::size_t kConfirmAsksMax = 3;
// Refused attempts that suffice where there is no third node to ask.
constexpr int kLinkDownAttemptsAlone = 2;
constexpr Duration kAttemptSpacing = std::chrono::milliseconds(50);

constexpr Duration kFencePingAfter = std::chrono::milliseconds(700);
constexpr Duration kFencePingInterval = std::chrono::milliseconds(200);
constexpr std::size_t kFreshPings = 2;      // each time
constexpr std::size_t kFencePingsMax = 16;  // unanswered

// The same clock is not warned of more often.
constexpr Duration kClockWarnInterval = std::chrono::minutes(1);
// An alarm ends below this, so that it does not flutter.
constexpr Duration kClockOffsetCalm = kClockOffsetMax * 4 / 5;
// Of a peer's clock: beyond, microseconds would not fit a Duration.
constexpr microseconds kWallMost = std::chrono::hours(24 * 365 * 290);

Duration Abs(Duration duration) { return duration < Duration{} ? -duration : duration; }

}  // namespace

// ---- Probes -----------------------------------------------------------------------------------

void Membership::Impl::RunProbe() {
  if (probe && !probe->asked_others && now >= probe->ask_others_at) AskOthers();
  if (probe && now >= probe->deadline) ProbeFailed();
  if (now >= probe_at) StartProbe();
}

void Membership::Impl::StartProbe() {
  probe_at = now + awareness.Scale(options.probe_interval);
  if (stopping || probe) return;
  const auto target =
      probe_list.Next(prng, [this](const NodeId& id) { return state.members.at(id).serving(); });
  if (!target) return;
  ++stats.probes;
  Probe fresh;
  fresh.target = *target;
  fresh.incarnation = state.members.at(*target).incarnation;
  fresh.sequence = next_sequence++;
  fresh.sent_at = now;
  if (options.wall_clock) fresh.sent_wall = options.wall_clock();
  fresh.ask_others_at = now + awareness.Scale(options.probe_timeout);
  fresh.deadline = probe_at;
  probe = fresh;
  wire::GossipMessage message;
  message.mutable_ping()->set_sequence(probe->sequence);
  message.mutable_ping()->set_target(std::string(target->raw()));
  message.mutable_ping()->set_wants_clock(options.wall_clock != nullptr);
  SendTo(*target, message);
}

void Membership::Impl::AskOthers() {
  probe->asked_others = true;
  for (const NodeId& helper :
       RandomPeers(static_cast<std::size_t>(std::max(options.indirect_probes, 0)), probe->target)) {
    probe->helpers.insert(helper);
    wire::GossipMessage message;
    message.mutable_indirect_ping()->set_sequence(probe->sequence);
    message.mutable_indirect_ping()->set_target(std::string(probe->target.raw()));
    SendTo(helper, message);
  }
}

void Membership::Impl::ProbeFailed() {
  const Probe failed = *probe;
  probe.reset();
  ++stats.probes_failed;
  // Helpers that did not even say that the target is silent: perhaps it is this node that hears
  // nothing.
  const int silent = static_cast<int>(failed.helpers.size() - failed.nacked.size());
  awareness.Adjust(failed.helpers.empty() ? 1 : silent);
  const auto member = state.members.find(failed.target);
  if (member == state.members.end() || !member->second.serving() ||
      member->second.incarnation != failed.incarnation) {
    return;
  }
  accused.insert(failed.target);
  JudgeDeath(failed.target);
  if (!state.members.at(failed.target).serving()) return;
  Suspect({failed.target, member->second.incarnation, state.self});
  gossip_at = std::min(gossip_at, now);
}

void Membership::Impl::OnPing(const Address& from, const NodeId& id, const wire::Ping& ping) {
  // Meant for the identity that had this address before.
  if (ping.target() != state.self.raw()) return;
  wire::GossipMessage message;
  message.mutable_ack()->set_sequence(ping.sequence());
  if (ping.wants_clock() && options.wall_clock) {
    message.mutable_ack()->set_unix_us(options.wall_clock().count());
  }
  SendTo(from, id, message);
}

void Membership::Impl::OnIndirectPing(const Address& from, const NodeId& id,
                                      const wire::IndirectPing& ping) {
  const auto target = NodeId::FromBytes(ping.target());
  wire::GossipMessage message;
  if (!target || peers.count(*target) == 0 || relays.size() >= kRelaysMax) {
    message.mutable_nack()->set_sequence(ping.sequence());
    SendTo(from, id, message);
    return;
  }
  const std::uint32_t sequence = next_sequence++;
  relays[sequence] = {*target, from, id, ping.sequence(), now + NackAfter(options.probe_timeout)};
  message.mutable_ping()->set_sequence(sequence);
  message.mutable_ping()->set_target(ping.target());
  SendTo(*target, message);
}

void Membership::Impl::OnAck(const NodeId& id, const wire::Ack& ack) {
  const std::uint32_t sequence = ack.sequence();
  if (probe && probe->sequence == sequence &&
      (id == probe->target || probe->helpers.count(id) > 0)) {
    Heard(probe->target);
    NoteConfirmed(probe->sent_at);
    answered_at = now;
    if (id == probe->target && ack.unix_us() != 0 && options.wall_clock) {
      NoteClock(id, std::chrono::microseconds(ack.unix_us()));
    }
    probe.reset();
    awareness.Adjust(-1);
    return;
  }
  if (OnFenceAck(id, sequence)) return;
  const auto relay = relays.find(sequence);
  if (relay == relays.end() || relay->second.target != id) return;
  wire::GossipMessage message;
  message.mutable_ack()->set_sequence(relay->second.requester_sequence);
  SendTo(relay->second.requester, relay->second.requester_id, message);
  relays.erase(relay);
}

void Membership::Impl::OnNack(const NodeId& id, std::uint32_t sequence) {
  if (probe && probe->sequence == sequence && probe->helpers.count(id) > 0) {
    probe->nacked.insert(id);
  }
}

void Membership::Impl::ExpireRelays() {
  for (auto it = relays.begin(); it != relays.end();) {
    if (now < it->second.deadline) {
      ++it;
      continue;
    }
    wire::GossipMessage message;
    message.mutable_nack()->set_sequence(it->second.requester_sequence);
    SendTo(it->second.requester, it->second.requester_id, message);
    it = relays.erase(it);
  }
}

void Membership::Impl::Heard(const NodeId& id) {
  const auto peer = peers.find(id);
  if (peer == peers.end()) return;
  peer->second.heard = now;
  if (peer->second.blind_verdict && peer->second.blind_verdict->as_outcast) {
    TakeBackBlindVerdict(id, peer->second);
  }
  const auto down = link_downs.find(id);
  if (down != link_downs.end() && now - down->second.at > kLinkDownLatency) link_downs.erase(down);
  // It lives and does not know what was said of it. The answer to a ping would tell it, too, but it
  // may not ping us.
  if (state.members.at(id).state == MemberState::kDead &&
      now - peer->second.told_dead >= options.gossip_interval) {
    peer->second.told_dead = now;
    wire::GossipMessage message;
    SendTo(id, message);
  }
}

// ---- Suspicion --------------------------------------------------------------------------------

// No ping of this node was answered for the least time of a suspicion, though there are others to
// answer than `but`.
bool Membership::Impl::IsCutOff(const NodeId& but) {
  if (now - std::max(answered_at, confirmed_at) < Bounds().min) return false;
  return std::any_of(peers.begin(), peers.end(), [&](const auto& peer) {
    return peer.first != but &&
           (state.members.at(peer.first).serving() || peer.second.blind_verdict.has_value());
  });
}

// The others declared this node dead, and none has answered it since.
bool Membership::Impl::IsOutcast() const {
  return declared_dead_at && confirmed_at <= *declared_dead_at;
}

// What this node concluded while it was cut off counts for nothing.
void Membership::Impl::TakeBackBlindVerdicts() {
  for (auto& [id, peer] : peers) TakeBackBlindVerdict(id, peer);
}

void Membership::Impl::TakeBackBlindVerdict(const NodeId& id, Peer& peer) {
  if (!peer.blind_verdict) return;
  peer.dead_incarnation = peer.blind_verdict->dead_incarnation_before;
  peer.blind_verdict.reset();
  const bool dead = state.members.at(id).state == MemberState::kDead;
  if (dead) SetState(id, MemberState::kAlive);
  ExportHoldings(id);
  if (!dead) return;
  Log(LogLevel::kInfo,
      "member counted as dead while this node was cut off: alive until proved otherwise",
      Describe(id));
}

void Membership::Impl::ExpireSuspicions() {
  std::vector<NodeId> expired;
  for (auto& [id, suspicion] : suspicions) {
    if (now < suspicion.deadline()) continue;
    if (!suspicion.postponed() && IsCutOff(id)) {
      suspicion.Postpone(Bounds().min);
    } else if (!SeesDown(id) && Witnesses(id) < 2) {
      // Others accuse it: this node sees for itself first.
      suspicion.Extend(awareness.Scale(options.probe_interval));
      ProbeSoon(id);
    } else {
      expired.push_back(id);
    }
  }
  for (const NodeId& id : expired) Dead({id, state.members.at(id).incarnation, state.self});
}

// ---- Links ------------------------------------------------------------------------------------

void Membership::Impl::OnLinkDown(const NodeId& id, std::uint64_t epoch) {
  const auto member = state.members.find(id);
  if (stopping || id == state.self || member == state.members.end() || !member->second.serving()) {
    return;
  }
  if (epoch < peers.at(id).epoch) return StartSync(AddressOf(id));
  const auto known = link_downs.find(id);
  const bool news = known == link_downs.end() || now - known->second.at > kLinkDownMemory;
  LinkDown& down = link_downs[id];
  if (news) down = {};
  // Links that break together are one event.
  if (news || now - down.counted_at >= kAttemptSpacing) {
    ++down.attempts;
    down.counted_at = now;
  }
  down.at = now;
  JudgeDeath(id);
  if (!member->second.serving()) return;
  if (news) ProbeSoon(id);
  const bool alone = ServingCount() <= 2;
  if (news || (alone && down.attempts >= kLinkDownAttemptsAlone)) AskWhetherDown(id);
}

void Membership::Impl::OnLinkSilent(const NodeId& id) {
  const auto member = state.members.find(id);
  if (stopping || member == state.members.end()) return;
  if (member->second.state == MemberState::kAlive) ProbeSoon(id);
}

void Membership::Impl::ProbeSoon(const NodeId& id) {
  probe_list.Hasten(id);
  if (!probe) probe_at = now;
}

void Membership::Impl::AskWhetherDown(const NodeId& id) {
  LinkDown& down = link_downs.at(id);
  down.ask_at = now + kConfirmInterval;
  ++down.rounds;
  const std::vector<NodeId> others = RandomPeers(kConfirmAsksMax, id);
  for (const NodeId& via : others) {
    actions.emplace_back(AskConfirmDown{via, id, state.members.at(id).incarnation});
  }
  if (!others.empty()) return;
  if (down.attempts >= kLinkDownAttemptsAlone) {
    Dead({id, state.members.at(id).incarnation, state.self});
  } else {
    StartSync(AddressOf(id));  // another attempt
  }
}

void Membership::Impl::RunLinkDowns() {
  std::vector<NodeId> due;
  for (auto it = link_downs.begin(); it != link_downs.end();) {
    const bool over = it->second.rounds >= kConfirmRoundsMax ||
                      !state.members.at(it->first).serving() || !SeemsDown(now, it->first);
    if (now >= it->second.ask_at && over) {
      it = link_downs.erase(it);
      continue;
    }
    if (now >= it->second.ask_at) due.push_back(it->first);
    ++it;
  }
  for (const NodeId& id : due) AskWhetherDown(id);
}

bool Membership::Impl::SeemsDown(TimePoint at, const NodeId& id) const {
  const auto down = link_downs.find(id);
  return down != link_downs.end() && at - down->second.at <= kLinkDownMemory;
}

void Membership::Impl::OnConfirmedDown(const NodeId& id, std::uint64_t incarnation) {
  const auto member = state.members.find(id);
  if (stopping || member == state.members.end() || !member->second.serving() ||
      member->second.incarnation != incarnation || !SeemsDown(now, id)) {
    return;
  }
  Dead({id, incarnation, state.self});
}

// ---- That others hear this node ---------------------------------------------------------------

// Answers to its own pings prove it. The probes give them as a rule; where they fail or slow down, a few pings that
// accuse nobody stand in.
void Membership::Impl::KeepFenceOpen() {
  if (now < fence_ping_at) return;
  fence_ping_at = std::max(confirmed_at + kFencePingAfter, now + kFencePingInterval);
  if (stopping || ServingCount() <= 1 || now - confirmed_at < kFencePingAfter) return;
  for (const NodeId& id : RandomPeers(kFreshPings, state.self)) {
    const std::uint32_t sequence = next_sequence++;
    if (fence_pings.size() == kFencePingsMax) fence_pings.erase(fence_pings.begin());
    fence_pings.push_back({sequence, id, now});
    wire::GossipMessage message;
    message.mutable_ping()->set_sequence(sequence);
    message.mutable_ping()->set_target(std::string(id.raw()));
    SendTo(id, message);
  }
}

bool Membership::Impl::OnFenceAck(const NodeId& id, std::uint32_t sequence) {
  const auto ping = std::find_if(fence_pings.begin(), fence_pings.end(), [&](const auto& each) {
    return each.sequence == sequence && each.target == id;
  });
  if (ping == fence_pings.end()) return false;
  NoteConfirmed(ping->sent_at);
  fence_pings.erase(ping);
  return true;
}

// Where nobody had answered for long, what grew meanwhile proves nothing: the suspects get a term
// in which they can be heard.
void Membership::Impl::NoteConfirmed(TimePoint sent_at) {
  const Duration term = Bounds().min;
  const bool was_cut_off = now - std::max(answered_at, confirmed_at) >= term;
  confirmed_at = std::max(confirmed_at, sent_at);
  if (!was_cut_off) return;
  for (auto& [id, suspicion] : suspicions) {
    suspicion.Postpone(std::max(now + term - suspicion.deadline(), Duration{}));
  }
}

// ---- Clocks -----------------------------------------------------------------------------------

// The answer to the probe that is in progress. Its way is measured by the steady clock: a wall
// clock that is set meanwhile does no harm beyond one sample.
void Membership::Impl::NoteClock(const NodeId& id, microseconds theirs) {
  const auto found = peers.find(id);
  if (found == peers.end() || theirs < microseconds{} || theirs > kWallMost) return;
  Peer& peer = found->second;
  const Duration round_trip = now - probe->sent_at;
  const Duration offset = Duration(theirs) - Duration(probe->sent_wall) - round_trip / 2;
  if (peer.clock_samples.size() == kClockSamples)
    peer.clock_samples.erase(peer.clock_samples.begin());
  peer.clock_samples.push_back({id, offset, round_trip});

  const Duration off = Abs(ClockOf(id)->offset);
  if (peer.clock_alarm && off < kClockOffsetCalm) {
    peer.clock_alarm = false;
    Log(LogLevel::kInfo, "the clock of a member is right again", Describe(id));
  }
  if (off <= kClockOffsetMax) return;
  const bool silent = peer.clock_alarm && now - peer.clock_warned < kClockWarnInterval;
  peer.clock_alarm = true;
  if (silent) return;
  peer.clock_warned = now;
  LogFields fields = Describe(id);
  fields.emplace_back("ahead_ms", duration_cast<milliseconds>(ClockOf(id)->offset).count());
  Log(LogLevel::kWarn,
      "clocks differ, check time synchronisation: expiry and the newer of two writes go by the "
      "clock",
      std::move(fields));
}

std::optional<ClockOffset> Membership::Impl::ClockOf(const NodeId& id) const {
  const auto peer = peers.find(id);
  if (peer == peers.end() || peer->second.clock_samples.empty()) return std::nullopt;
  const auto& samples = peer->second.clock_samples;
  return *std::min_element(samples.begin(), samples.end(), [](const auto& a, const auto& b) {
    return a.round_trip < b.round_trip;
  });
}

}  // namespace gyre
