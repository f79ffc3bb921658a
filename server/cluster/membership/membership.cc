#include "membership/membership.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "membership/membership_impl.h"
#include "proto/frame.h"
#include "proto/placement.h"

namespace gyre {
namespace {

constexpr std::size_t kDatagramBytesLeast = 512;
constexpr Duration kEvictCheckInterval = std::chrono::seconds(1);

}  // namespace

Membership::Impl::Impl(MembershipOptions given, MemberInfo self_info, std::uint32_t partition_count,
                       std::uint32_t replicas)
    : options(std::move(given)),
      cluster_hash(ClusterHash(options.cluster_name)),
      life_start(self_info.incarnation),
      epoch(self_info.incarnation),
      prng(
          XXH3_64bits_withSeed(self_info.id.bytes.data(), self_info.id.bytes.size(), options.seed)),
      awareness(options.awareness_max) {
  SilenceProtobuf();
  options.datagram_bytes_max =
      std::clamp(options.datagram_bytes_max, kDatagramBytesLeast, kDatagramBytesHardMax);
  self_info.state = MemberState::kAlive;
  self_info.epoch = epoch;
  self_info.weight = std::clamp(self_info.weight, 1U, kWeightMax);
  state.self = self_info.id;
  state.partition_count = partition_count;
  state.replicas = replicas;
  NoteAddress(self_info, true);
  digest_stale.push_back(self_info.id);
  state.members.emplace(self_info.id, std::move(self_info));
  next_sequence = static_cast<std::uint32_t>(prng.Next());
  for (const RememberedMember& member : options.remembered.members) Remember(member);
  RememberSettings();
  state.digest = Digest();
}

void Membership::Impl::Begin(TimePoint event_now) {
  now = event_now;
  if (started) return;
  started = true;
  // Nodes that start together should not probe in step.
  const auto some = [this](Duration of) {
    return Duration{static_cast<Duration::rep>(prng.Below(of.count() + 1))};
  };
  probe_at = now + some(options.probe_interval);
  gossip_at = now;
  fence_ping_at = now;
  push_pull_at = now + options.push_pull_interval / 2 + some(options.push_pull_interval / 2);
  rejoin_at = now + options.probe_interval;
  evict_at = now + kEvictCheckInterval;
  sync_allowed_at = now;
  changed_at = now;
  answered_at = now;
  for (auto& [id, peer] : peers) peer.since = peer.heard = now;  // those that are remembered
}

MembershipActions Membership::Impl::Finish() {
  if (changed) {
    const std::uint64_t before = state.digest;
    state.digest = Digest();
    if (state.digest != before) changed_at = now;
    changed = false;
    actions.emplace_back(StateChanged{});
  }
  if (std::exchange(settings_changed, false)) {
    changed_at = settings_changed_at = now;
    actions.emplace_back(SettingsChanged{});
  }
  return std::exchange(actions, {});
}

void Membership::Impl::Tick(TimePoint) {
  RaiseLevel();
  ExpireSuspicions();
  ExpireRelays();
  RunProbe();
  RunLinkDowns();
  KeepFenceOpen();
  RunSyncs();
  if (now >= rejoin_at) Rejoin();
  if (now >= evict_at) {
    evict_at = now + kEvictCheckInterval;
    Evict();
    SettleVersionNode();  // with whom it is only remembered that it shares one
    ForgetSettings();
  }
  if (now >= gossip_at) Gossip();
}

TimePoint Membership::Impl::next_tick() const {
  if (!started) return TimePoint::min();
  TimePoint next = std::min({probe_at, push_pull_at, rejoin_at, evict_at, fence_ping_at});
  if (!queue.empty() || !accused.empty()) next = std::min(next, gossip_at);
  if (probe) next = std::min(next, probe->asked_others ? probe->deadline : probe->ask_others_at);
  for (const auto& [sequence, relay] : relays) next = std::min(next, relay.deadline);
  for (const auto& [id, suspicion] : suspicions) next = std::min(next, suspicion.deadline());
  for (const auto& [id, down] : link_downs) next = std::min(next, down.ask_at);
  for (const Sync& sync : syncs) next = std::min(next, sync.deadline);
  return next;
}

// ---- Small ones -------------------------------------------------------------------------------

std::size_t Membership::Impl::ServingCount() {
  if (!serving_count) {
    serving_ids.clear();
    for (const auto& [id, info] : state.members) {
      if (info.serving() && id != state.self) serving_ids.push_back(id);
    }
    serving_count = serving_ids.size() + (self().serving() ? 1 : 0);
  }
  return *serving_count;
}

std::vector<NodeId> Membership::Impl::RandomPeers(std::size_t count, const NodeId& without) {
  ServingCount();
  // Of many, some draws that fail are cheaper than a copy.
  if (count * 8 < serving_ids.size()) {
    std::vector<NodeId> few;
    while (few.size() < count) {
      const NodeId& id = serving_ids[prng.Below(serving_ids.size())];
      if (id != without && std::find(few.begin(), few.end(), id) == few.end()) few.push_back(id);
    }
    return few;
  }
  std::vector<NodeId> all = serving_ids;
  std::erase(all, without);
  const std::size_t chosen = std::min(count, all.size());
  for (std::size_t i = 0; i < chosen; ++i) {
    std::swap(all[i], all[i + prng.Below(all.size() - i)]);
  }
  all.resize(chosen);
  return all;
}

std::uint64_t Membership::Impl::Digest() {
  const std::uint64_t before = state.digest;
  for (const NodeId& id : std::exchange(digest_stale, {})) {
    StateDigest part;
    if (const auto member = state.members.find(id); member != state.members.end()) {
      const auto peer = peers.find(id);
      member->second.epoch = peer == peers.end() ? epoch : peer->second.epoch;
      if (Met(id)) part.Add({member->second, member->second.epoch}, OnRing(id));
    }
    if (const auto known = known_holdings.find(id); known != known_holdings.end()) {
      part.Add(id, known->second);
    }
    if (const auto entry = state.ring.find(id); entry != state.ring.end()) part.Add(entry->second);
    std::uint64_t& known = digest_parts[id];
    section_digests[SectionOf(id)] += part.value() - known;
    state.digest += part.value() - known;
    known = part.value();
    if (known == 0) digest_parts.erase(id);
  }
  StateDigest rebalance;
  rebalance.Add(state.rebalance);
  state.digest += rebalance.value() - rebalance_part;
  rebalance_part = rebalance.value();
  if (state.digest != before) changed_at = now;
  return state.digest;
}

std::size_t Membership::Impl::SectionOf(const NodeId& id) {
  return XXH3_64bits(id.bytes.data(), id.bytes.size()) % kStateSections;
}

void Membership::Impl::NoteAddress(const MemberInfo& info, bool known) {
  if (known) {
    at.emplace(info.port, info.host, info.id);
  } else {
    at.erase({info.port, info.host, info.id});
  }
}

void Membership::Impl::Log(LogLevel level, std::string message, LogFields fields) {
  actions.emplace_back(LogEvent{level, std::move(message), std::move(fields)});
}

LogFields Membership::Impl::Describe(const NodeId& id) const {
  const auto member = state.members.find(id);
  if (member == state.members.end()) return {{"id", id.ToString()}};
  return {{"name", member->second.name}, {"address", AddressOf(member->second).ToString()}};
}

std::string Membership::Impl::NameOf(const NodeId& id) const {
  const auto member = state.members.find(id);
  return member == state.members.end() ? id.ToString() : member->second.name;
}

// ---- The contract -----------------------------------------------------------------------------

Membership::Membership(MembershipOptions options, MemberInfo self, std::uint32_t partition_count,
                       std::uint32_t replicas)
    : impl_(
          std::make_unique<Impl>(std::move(options), std::move(self), partition_count, replicas)) {}
Membership::~Membership() = default;

const ClusterState& Membership::state() const { return impl_->state; }
std::uint64_t Membership::epoch() const { return impl_->epoch; }
const SettingsMap& Membership::settings() const { return impl_->settings; }
SettingsStats Membership::settings_stats() const { return impl_->SettingsFigures(); }

bool Membership::settings_known() const { return impl_->settings_met || !impl_->met_another; }

std::map<NodeId, MemberLife> Membership::lives() const {
  std::map<NodeId, MemberLife> lives;
  for (const auto& [id, peer] : impl_->peers) {
    lives.emplace(id, MemberLife{peer.epoch, peer.dead_incarnation});
  }
  return lives;
}

MembershipStats Membership::stats() const {
  MembershipStats stats = impl_->stats;
  stats.awareness = static_cast<std::uint64_t>(impl_->awareness.score());
  for (const auto& [id, peer] : impl_->peers) {
    if (!impl_->state.members.at(id).serving()) continue;
    const auto clock = impl_->ClockOf(id);
    if (!clock) continue;
    stats.clock_offsets.push_back(*clock);
    if (peer.clock_alarm) ++stats.clock_alarms;
  }
  stats.dead = impl_->DeadMembers();
  return stats;
}

TimePoint Membership::next_tick() const { return impl_->next_tick(); }
bool Membership::joined() const { return impl_->joined(); }
bool Membership::ring_full() const { return impl_->ring_full; }

TimePoint Membership::confirmed_at() const {
  return impl_->ServingCount() <= 1 ? TimePoint::max() : impl_->confirmed_at;
}

std::uint32_t Membership::RingLevel() const {
  return std::max(impl_->ring_level, impl_->LevelOfAll());
}

std::vector<Membership::Ability> Membership::abilities() const {
  std::vector<Ability> abilities;
  for (const auto& [id, peer] : impl_->peers) {
    const auto member = impl_->state.members.find(id);
    const auto entry = impl_->state.ring.find(id);
    const bool serves = member != impl_->state.members.end() && member->second.serving();
    const bool on_ring = entry != impl_->state.ring.end() && !entry->second.removed;
    if (serves || on_ring) abilities.push_back({id, serves, peer.level, peer.key_hash});
  }
  return abilities;
}

void Membership::SayKeyHash(const KeyHashId& hash) { impl_->key_hash = hash; }

bool Membership::SeemsDown(TimePoint now, const NodeId& id) const {
  return impl_->SeemsDown(now, id);
}

MembershipActions Membership::Tick(TimePoint now) {
  impl_->Begin(now);
  impl_->Tick(now);
  return impl_->Finish();
}

MembershipActions Membership::OnDatagram(TimePoint now, const Address& from,
                                         std::string_view bytes) {
  impl_->Begin(now);
  impl_->OnDatagram(now, from, bytes);
  return impl_->Finish();
}

MembershipActions Membership::SendLease(TimePoint now, const NodeId& to,
                                        const std::string& payload) {
  impl_->Begin(now);
  impl_->SendLease(to, payload);
  return impl_->Finish();
}

MembershipActions Membership::SetSeeds(TimePoint now, std::vector<Address> seeds) {
  impl_->Begin(now);
  if (seeds.size() > kSeedsMax) {
    impl_->Log(LogLevel::kWarn, "too many seeds: only the first are used", {{"used", kSeedsMax}});
    seeds.resize(kSeedsMax);
  }
  impl_->seeds = std::move(seeds);
  for (const Address& seed : impl_->seeds) impl_->StartSync(seed);
  return impl_->Finish();
}

MembershipActions Membership::OnPushPull(TimePoint now, std::string_view payload,
                                         Result<std::string>& reply) {
  impl_->Begin(now);
  impl_->OnPushPull(payload, reply);
  return impl_->Finish();
}

MembershipActions Membership::OnPushPullReply(TimePoint now, const Address& from,
                                              std::string_view payload, bool leads_elsewhere) {
  impl_->Begin(now);
  impl_->OnPushPullReply(from, payload, leads_elsewhere);
  return impl_->Finish();
}

MembershipActions Membership::OnPushPullFailed(TimePoint now, const Address& to,
                                               const Error& error) {
  impl_->Begin(now);
  impl_->OnPushPullFailed(to, error);
  return impl_->Finish();
}

MembershipActions Membership::OnLinkDown(TimePoint now, const NodeId& id, std::uint64_t epoch) {
  impl_->Begin(now);
  impl_->OnLinkDown(id, epoch);
  return impl_->Finish();
}

MembershipActions Membership::OnLinkSilent(TimePoint now, const NodeId& id) {
  impl_->Begin(now);
  impl_->OnLinkSilent(id);
  return impl_->Finish();
}

MembershipActions Membership::OnConfirmedDown(TimePoint now, const NodeId& id,
                                              std::uint64_t incarnation) {
  impl_->Begin(now);
  impl_->OnConfirmedDown(id, incarnation);
  return impl_->Finish();
}

MembershipActions Membership::SetHoldings(TimePoint now, PartitionSet complete, PartitionSet owned,
                                          RestoredCopies restored) {
  impl_->Begin(now);
  impl_->SetHoldings(std::move(complete), std::move(owned), std::move(restored));
  return impl_->Finish();
}

MembershipActions Membership::Leave(TimePoint now) {
  impl_->Begin(now);
  impl_->Leave();
  return impl_->Finish();
}

MembershipActions Membership::JoinRing(TimePoint now) {
  impl_->Begin(now);
  impl_->JoinRing();
  return impl_->Finish();
}

MembershipActions Membership::LeaveRing(TimePoint now, const NodeId& id) {
  impl_->Begin(now);
  impl_->LeaveRing(id, /*evicted=*/false);
  return impl_->Finish();
}

MembershipActions Membership::Drain(TimePoint now, const NodeId& id) {
  impl_->Begin(now);
  impl_->Drain(id);
  return impl_->Finish();
}

MembershipActions Membership::Undrain(TimePoint now, const NodeId& id) {
  impl_->Begin(now);
  impl_->Undrain(id);
  return impl_->Finish();
}

MembershipActions Membership::SetRebalance(TimePoint now, const RebalanceChange& change) {
  impl_->Begin(now);
  impl_->SetRebalance(change);
  return impl_->Finish();
}

MembershipActions Membership::ChangeSettings(TimePoint now,
                                             const std::vector<SettingChange>& changes,
                                             Status& outcome) {
  impl_->Begin(now);
  outcome = impl_->ChangeSettings(changes);
  return impl_->Finish();
}

void Membership::SetEvictAfter(Duration evict_after) { impl_->options.evict_after = evict_after; }

MembershipActions Membership::Stop(TimePoint now) {
  impl_->Begin(now);
  impl_->Stop();
  return impl_->Finish();
}

}  // namespace gyre
