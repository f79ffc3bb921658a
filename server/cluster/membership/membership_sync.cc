// Push/pull: when whole states are exchanged, and with whom.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "membership/membership_impl.h"
#include "proto/limits.h"

namespace gyre {
namespace {

// Push/pulls that this node began and that were not answered yet.
constexpr std::size_t kSyncsMax = 8;
constexpr Duration kSyncTimeout = std::chrono::seconds(5);
// A digest that differs for less long is news on its way.
constexpr Duration kDigestPatience = std::chrono::milliseconds(250);
// Push/pulls because of digests, at most one in this time, for each 32 members.
constexpr Duration kDigestSyncInterval = std::chrono::milliseconds(500);
constexpr std::size_t kSmallCluster = 32;
// A node that joins is called back first, and asks again then.
constexpr Duration kIntroductionPause = std::chrono::milliseconds(50);
// Reasons of one seed that the operator is told until it answers.
constexpr std::size_t kSeedErrorsLogged = 8;

// No state has more entries than there can be members; the sender's own record comes twice at most,
// and what is known of whoever has an address once more.
Status CheckCounts(const wire::PushPull& message) {
  constexpr int kMost = static_cast<int>(kMembersMax);
  if (message.members_size() > 2 * kMost || message.holdings_size() > kMost ||
      message.ring_size() > kMost) {
    return Fail(ErrorCode::kProtocol,
                "a push/pull message of more than " + std::to_string(kMost) + " members");
  }
  return {};
}

}  // namespace

void Membership::Impl::StartSync(const Address& with, bool second, Sections sections,
                                 bool calls_back) {
  if (stopping || syncs.size() >= kSyncsMax || IsSelf(with)) return;
  const bool running =
      std::any_of(syncs.begin(), syncs.end(), [&](const Sync& sync) { return sync.with == with; });
  if (running) return;
  const std::uint64_t nonce = prng.Next();
  syncs.push_back({with, now + kSyncTimeout, second, calls_back, nonce});
  ++stats.push_pulls;
  std::string payload =
      calls_back ? EncodeIntroduction(nonce) : EncodeState(sections, MembersAt(with), nonce);
  stats.push_pull_bytes_sent += payload.size();
  actions.emplace_back(StartPushPull{with, std::move(payload)});
}

void Membership::Impl::EndSync(const Address& with) {
  std::erase_if(syncs, [&](const Sync& sync) { return sync.with == with; });
}

void Membership::Impl::RunSyncs() {
  std::erase_if(syncs, [this](const Sync& sync) { return now >= sync.deadline; });
  ForgetNewcomers();
  if (now < push_pull_at) return;
  push_pull_at = now + PushPullInterval();
  for (const NodeId& id : RandomPeers(1, state.self)) StartSync(AddressOf(id));
}

// Whole states grow with N, so the interval does, too: once for each doubling beyond a small
// cluster.
Duration Membership::Impl::PushPullInterval() {
  const double nodes = static_cast<double>(std::max(ServingCount(), kSmallCluster));
  const int factor = 1 + static_cast<int>(std::ceil(std::log2(nodes / kSmallCluster)));
  return options.push_pull_interval * factor;
}

// One address that no serving member has: a seed, or where a member was when it was last seen.
// While this node is alone it tries a seed each probe interval.
void Membership::Impl::Rejoin() {
  rejoin_at = now + (joined() ? options.rejoin_interval : options.probe_interval);
  if (stopping) return;
  if (!joined() && !seeds.empty()) {
    StartSync(seeds[next_seed++ % seeds.size()]);
    return;
  }
  const auto is_served = [this](const Address& address) {
    const std::vector<NodeId> members = MembersAt(address);
    return std::any_of(members.begin(), members.end(),
                       [this](const NodeId& id) { return state.members.at(id).serving(); });
  };
  std::vector<Address> absent;
  const auto add = [&](const Address& address) {
    if (!IsSelf(address) && !is_served(address) &&
        std::find(absent.begin(), absent.end(), address) == absent.end()) {
      absent.push_back(address);
    }
  };
  for (const Address& seed : seeds) add(seed);
  const bool all_serve = ServingCount() == state.members.size();
  for (auto it = state.members.begin(); !all_serve && it != state.members.end(); ++it) {
    if (!it->second.serving()) add(AddressOf(it->second));
  }
  if (!absent.empty()) StartSync(absent[prng.Below(absent.size())]);
}

void Membership::Impl::OnDigest(const NodeId& id, const Address& from, std::uint64_t digest,
                                std::uint64_t settings_digest) {
  const auto peer = peers.find(id);
  if (peer == peers.end()) {
    // A stranger of this cluster: it joined elsewhere and the news is on its way, or it knows of us
    // and we not of it.
    if (now < sync_allowed_at) return;
    sync_allowed_at = now + kDigestSyncInterval;
    return StartSync(from);
  }
  NoteSettingsDigest(peer->second, settings_digest);
  const bool same_settings = settings_digest == 0 || settings_digest == settings.digest();
  if (digest == Digest() && same_settings) {
    peer->second.differs_since.reset();
    return;
  }
  if (!peer->second.differs_since) peer->second.differs_since = now;
  if (now - *peer->second.differs_since < kDigestPatience || now - changed_at < kDigestPatience ||
      now < sync_allowed_at || !state.members.at(id).serving()) {
    return;
  }
  sync_allowed_at =
      now + kDigestSyncInterval * static_cast<int>(1 + ServingCount() / kSmallCluster);
  peer->second.differs_since.reset();
  StartSync(AddressOf(id));
}

MemberRecord Membership::Impl::RecordOf(const NodeId& id) const {
  const Peer& peer = peers.at(id);
  MemberRecord record{state.members.at(id), peer.epoch, peer.proof};
  if (peer.blind_verdict && peer.blind_verdict->as_outcast) record.info.state = MemberState::kAlive;
  return record;
}

// For the member itself. One that was declared dead must hear that, even if it counts as alive
// again because it refuted a suspicion later.
MemberRecord Membership::Impl::RecordForItself(const NodeId& id) const {
  MemberRecord record = RecordOf(id);
  const Peer& peer = peers.at(id);
  if (peer.blind_verdict || peer.epoch > peer.dead_incarnation) return record;
  record.info.state = MemberState::kDead;
  record.info.incarnation = peer.dead_incarnation;
  return record;
}

std::vector<NodeId> Membership::Impl::MembersAt(const Address& address) const {
  std::vector<NodeId> members;
  for (auto it = at.lower_bound({address.port, address.host, NodeId{}});
       it != at.end() && std::get<0>(*it) == address.port && std::get<1>(*it) == address.host;
       ++it) {
    members.push_back(std::get<2>(*it));
  }
  return members;
}

wire::PushPull Membership::Impl::StateHeader(std::uint64_t nonce) {
  wire::PushPull message;
  message.set_cluster(cluster_hash);
  message.set_from(std::string(state.self.raw()));
  message.set_partition_count(state.partition_count);
  message.set_replicas(state.replicas);
  message.set_majority(options.majority);
  message.set_nonce(nonce);
  if (options.level != 0) {
    message.set_level(options.level);
    message.set_ring_level(ring_level);
    message.set_key_hash_created_ms(key_hash.created_ms);
    message.set_key_hash(key_hash.tag);
  }
  ToWire(SelfRecord(), *message.add_members());
  return message;
}

std::string Membership::Impl::Finish(const wire::PushPull& message) {
  std::string bytes = message.SerializeAsString();
  if (options.signer != nullptr) AppendProof(*options.signer, Said::kPushPull, bytes);
  return bytes;
}

std::string Membership::Impl::EncodeIntroduction(std::uint64_t nonce) {
  wire::PushPull message = StateHeader(nonce);
  message.set_introduces(true);
  return Finish(message);
}

// This node's own record is in every message, for whoever does not know it yet; and what is known
// of the `readers`: they must hear of their own death before all else.
std::string Membership::Impl::EncodeState(Sections sections, const std::vector<NodeId>& readers,
                                          std::uint64_t nonce) {
  wire::PushPull message = StateHeader(nonce);
  Digest();
  for (const std::uint64_t digest : section_digests) message.add_section_digests(digest);
  for (const NodeId& id : readers) {
    const auto peer = peers.find(id);
    if (peer == peers.end() || peer->second.blind_verdict || !Met(id)) continue;
    ToWire(RecordForItself(id), *message.add_members());
  }
  if (state.rebalance.revision != 0) ToWire(state.rebalance, *message.mutable_rebalance());
  WritePart(settings, sections.settings, sections.settings == 0 ? 0 : prng.Next(),
            *message.mutable_members(0)->mutable_settings());
  if (sections.state == 0) return Finish(message);
  const auto wanted = [sections](const NodeId& id) {
    return (sections.state >> SectionOf(id) & 1) != 0;
  };
  for (const auto& [id, peer] : peers) {
    if (wanted(id) && Met(id)) ToWire(RecordOf(id), *message.add_members());
  }
  for (const auto& [id, holdings] : known_holdings) {
    if (wanted(id)) ToWire(id, holdings, *message.add_holdings());
  }
  for (const auto& [id, entry] : state.ring) {
    if (wanted(id)) ToWire(entry, *message.add_ring());
  }
  return Finish(message);
}

// Messages speak to the operator of the node that asked.
Result<NodeId> Membership::Impl::ReadState(std::string_view payload, wire::PushPull& message) {
  if (payload.size() > kPushPullBytesMax ||
      !message.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return Fail(ErrorCode::kProtocol, "not a push/pull message");
  }
  const auto from = NodeId::FromBytes(message.from());
  if (!from) return Fail(ErrorCode::kProtocol, "a push/pull message without a sender");
  if (message.cluster() != cluster_hash) {
    return Fail(ErrorCode::kNotAllowed, "the node at this address is of the cluster '" +
                                            options.cluster_name +
                                            "': use its --cluster-name, or another --join");
  }
  if (message.partition_count() != state.partition_count) {
    return Fail(ErrorCode::kNotAllowed,
                "the cluster has " + std::to_string(state.partition_count) +
                    " partitions, this node " + std::to_string(message.partition_count()) +
                    ": start it with --partitions " + std::to_string(state.partition_count));
  }
  if (message.replicas() != state.replicas) {
    return Fail(ErrorCode::kNotAllowed,
                "the cluster keeps " + std::to_string(state.replicas) + " replicas, this node " +
                    std::to_string(message.replicas()) + ": start it with --replicas " +
                    std::to_string(state.replicas));
  }
  if (message.majority() != options.majority) {
    const auto mode = [](bool majority) { return majority ? "majority" : "available"; };
    return Fail(ErrorCode::kNotAllowed,
                std::string("the cluster runs with --consistency ") + mode(options.majority) +
                    ", this node with " + mode(message.majority()) +
                    ": start it with --consistency " + mode(options.majority));
  }
  if (const Status counts = CheckCounts(message); !counts) {
    return tl::unexpected<Error>(counts.error());
  }
  if (options.signer != nullptr && !IsProven(*options.signer, *from, Said::kPushPull, payload)) {
    return Fail(ErrorCode::kNotAllowed, "a push/pull message that its sender did not sign");
  }
  if (const Status can = CheckLevel(*from, message.level()); !can) {
    return tl::unexpected<Error>(can.error());
  }
  return *from;
}

Status Membership::Impl::MergeSender(const wire::PushPull& message, const NodeId& from,
                                     bool& outdated) {
  outdated = false;
  for (const wire::Member& member : message.members()) {
    if (member.id() != message.from()) continue;
    const auto record = FromWire(member);
    if (!record) continue;
    if (!IsCredible(from, record->info.incarnation)) {
      return Fail(ErrorCode::kNotAllowed,
                  "the clocks of " + self().name + " and " + record->info.name +
                      " are more than a week apart: set them (NTP), then start the node again");
    }
    MergeMember(*record, from);
    // Written before its sender heard of its own death, and overtaken by that.
    const auto known = state.members.find(from);
    outdated = known != state.members.end() && known->second.incarnation > record->info.incarnation;
  }
  return {};
}

// After the sender's own word: it may be unknown before, and what follows may concern it.
void Membership::Impl::MergeState(const wire::PushPull& message, const NodeId& from, bool outdated,
                                  Sections& differing) {
  for (const wire::Member& member : message.members()) {
    if (member.id() == message.from()) continue;
    const auto record = FromWire(member);
    if (!record || (outdated && record->info.id != state.self)) continue;
    if (MayTell(from, record->info.id)) MergeMember(*record, from);
  }
  for (const wire::Holdings& holdings : message.holdings()) {
    if (const auto record = FromWire(holdings, state.partition_count)) MergeHoldings(*record);
  }
  for (const wire::RingEntry& each : message.ring()) {
    if (const auto entry = FromWire(each)) MergeRing(*entry, from);
  }
  if (const auto setting = FromWire(message.rebalance())) MergeRebalance(*setting);
  MergeSettings(message, from, differing.settings);
  NoteAbilities(from, message.level(), {message.key_hash_created_ms(), message.key_hash()});
  ring_level = std::max(ring_level, std::min(message.ring_level(), options.level));
  Heard(from);
  met_another = true;
  Digest();
  const auto& theirs = message.section_digests();
  for (int section = 0; section < static_cast<int>(kStateSections); ++section) {
    const bool same = theirs.size() == static_cast<int>(kStateSections) &&
                      theirs[section] == section_digests[static_cast<std::size_t>(section)];
    if (!same) differing.state |= std::uint64_t{1} << section;
  }
}

void Membership::Impl::OnPushPull(std::string_view payload, Result<std::string>& reply) {
  wire::PushPull message;
  const Result<NodeId> from = ReadState(payload, message);
  const auto refuse = [&reply](const Error& error) { reply = tl::unexpected<Error>(error); };
  if (!from) return refuse(from.error());
  Sections differing;
  if (*from != state.self) {
    bool outdated = false;
    if (const Status merged = MergeSender(message, *from, outdated); !merged) {
      return refuse(merged.error());
    }
    if (!IsIntroduced(*from) || message.introduces()) {
      const auto entry = newcomers.find(*from);
      if (entry != newcomers.end() && !entry->second.failure.empty()) {
        return refuse({ErrorCode::kNotAllowed, entry->second.failure});
      }
      reply = EncodeIntroduction(message.nonce());
      return;
    }
    MergeState(message, *from, outdated, differing);
  }
  reply = EncodeState(differing, {*from}, message.nonce());
  stats.push_pull_bytes_sent += reply->size();
}

void Membership::Impl::OnPushPullReply(const Address& from, std::string_view payload,
                                       bool leads_elsewhere) {
  const auto sync =
      std::find_if(syncs.begin(), syncs.end(), [&](const Sync& each) { return each.with == from; });
  const std::optional<Sync> asked = sync == syncs.end() ? std::nullopt : std::optional(*sync);
  EndSync(from);
  wire::PushPull message;
  const Result<NodeId> sender = ReadState(payload, message);
  if (!sender) return OnPushPullFailed(from, sender.error());
  if (options.signer != nullptr && (!asked || asked->nonce != message.nonce())) return;
  OnCalled(from, *sender);
  if (*sender == state.self) {
    seed_errors.erase(from.ToString());
    if (!leads_elsewhere) self_addresses.emplace(from.host, from.port);
    return;
  }
  bool outdated = false;
  found = {*sender, from};
  const Status merged = MergeSender(message, *sender, outdated);
  found.reset();
  if (!merged) return OnPushPullFailed(from, merged.error());
  if (message.introduces() || !IsIntroduced(*sender)) {
    if (!joined()) rejoin_at = std::min(rejoin_at, now + kIntroductionPause);
    return;
  }
  seed_errors.erase(from.ToString());
  newcomer = !met_another;
  Sections differing;
  MergeState(message, *sender, outdated, differing);
  newcomer = false;
  // All of it was there, or it does not know settings: there is nothing more to wait for.
  const wire::SettingsPart* const told = SettingsOf(message);
  if (told == nullptr || !told->more()) settings_met = true;
  // What it did not know when it answered. Once: whatever changes meanwhile is gossip's.
  if (differing.any() && !(asked && asked->second)) StartSync(from, true, differing);
}

void Membership::Impl::OnPushPullFailed(const Address& to, const Error& error) {
  EndSync(to);
  OnCallFailed(to, error.message);
  // Of a dead member everybody knows; of a seed the operator must hear, once for each reason.
  const bool is_seed = std::find(seeds.begin(), seeds.end(), to) != seeds.end();
  if (!is_seed && error.code != ErrorCode::kNotAllowed) return;
  if (seed_errors.size() >= kSeedsMax && seed_errors.count(to.ToString()) == 0) return;
  std::set<std::string>& logged = seed_errors[to.ToString()];
  if (logged.size() >= kSeedErrorsLogged || !logged.insert(error.message).second) return;
  Log(LogLevel::kWarn, "cannot join through a seed: trying again",
      {{"seed", to.ToString()}, {"error", error.message}});
}

bool Membership::Impl::IsSelf(const Address& address) const {
  return address == AddressOf(state.members.at(state.self)) ||
         self_addresses.count({address.host, address.port}) > 0;
}

bool Membership::Impl::joined() const {
  return met_another || IsWholeRing() ||
         std::all_of(seeds.begin(), seeds.end(),
                     [this](const Address& seed) { return IsSelf(seed); });
}

}  // namespace gyre
