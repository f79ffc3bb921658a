// Datagrams, in and out: what one says, to whom what is said goes.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "membership/membership_impl.h"
#include "proto/frame.h"

namespace gyre {
namespace {

// Bytes of a datagram that are not queued broadcasts: header, body, and what the receiver must hear
// of itself.
constexpr std::size_t kDatagramRoomBytes = 244 + kProofFieldBytes;
constexpr char kBroadcastsTag = 9 << 3 | 2;  // field 9 of GossipMessage, length-delimited

}  // namespace

// ---- Datagrams in -----------------------------------------------------------------------------

void Membership::Impl::OnDatagram(TimePoint, const Address& from, std::string_view bytes) {
  wire::GossipMessage message;
  if (bytes.size() > kDatagramBytesHardMax ||
      !message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    ++stats.datagrams_dropped;
    return;
  }
  const auto id = NodeId::FromBytes(message.from());
  // Two adjacent versions work together on one ring.
  const auto version_distance = std::abs(static_cast<std::int64_t>(message.protocol_version()) -
                                         std::int64_t{kProtocolVersion});
  if (message.cluster() != cluster_hash || version_distance > 1 ||
      message.protocol_version() < kProtocolVersionMin || !id || *id == state.self) {
    ++stats.datagrams_dropped;
    return;
  }
  if (!IsFromMember(message, *id, bytes)) return;
  if (!CheckLevel(*id, message.level())) return;
  NoteAbilities(*id, message.level(), {message.key_hash_created_ms(), message.key_hash()});
  // News first: whoever hears of its own death must not answer as if nothing had happened.
  for (const wire::Broadcast& broadcast : message.broadcasts()) OnBroadcast(broadcast, *id);
  Heard(*id);
  switch (message.body_case()) {
    case wire::GossipMessage::kPing:
      OnPing(from, *id, message.ping());
      break;
    case wire::GossipMessage::kIndirectPing:
      OnIndirectPing(from, *id, message.indirect_ping());
      break;
    case wire::GossipMessage::kAck:
      OnAck(*id, message.ack());
      break;
    case wire::GossipMessage::kNack:
      OnNack(*id, message.nack().sequence());
      break;
    case wire::GossipMessage::kLease:
      if (options.majority) actions.emplace_back(LeaseHeard{*id, message.lease()});
      break;
    case wire::GossipMessage::BODY_NOT_SET:
      break;
  }
  OnDigest(*id, from, message.state_digest(), message.settings_digest());
}

void Membership::Impl::OnBroadcast(const wire::Broadcast& broadcast, const NodeId& from) {
  // A broadcast out of bounds is skipped alone: a newer version may say more than this one
  // understands.
  switch (broadcast.kind_case()) {
    case wire::Broadcast::kMember:
      if (const auto record = FromWire(broadcast.member())) {
        if (MayTell(from, record->info.id)) MergeMember(*record, from);
      }
      break;
    case wire::Broadcast::kSuspect:
      if (const auto record = FromWire(broadcast.suspect())) {
        if (MayTell(from, record->id)) Suspect(*record);
      }
      break;
    case wire::Broadcast::kDead:
      if (const auto record = FromWire(broadcast.dead())) {
        if (MayTell(from, record->id)) HearDeath(*record, from);
      }
      break;
    case wire::Broadcast::kHoldings:
      if (const auto record = FromWire(broadcast.holdings(), state.partition_count)) {
        MergeHoldings(*record);
      }
      break;
    case wire::Broadcast::kRingEntry:
      if (const auto entry = FromWire(broadcast.ring_entry())) MergeRing(*entry, from);
      break;
    case wire::Broadcast::kRebalance:
      if (const auto setting = FromWire(broadcast.rebalance())) MergeRebalance(*setting);
      break;
    case wire::Broadcast::kSetting:
      if (const auto setting = FromWire(broadcast.setting())) {
        MergeSetting(*setting, from);
      } else {
        ++settings_stats.refused_malformed;
      }
      break;
    case wire::Broadcast::KIND_NOT_SET:
      break;
  }
}

// A node that was declared dead and did not acknowledge it was cut off: what it says of third ones
// is what being cut off looks like from inside. Of itself and of this node it may speak, so that
// two that hold each other for dead come together.
bool Membership::Impl::MayTell(const NodeId& from, const NodeId& about) const {
  if (about == from || about == state.self) return true;
  const auto peer = peers.find(from);
  return peer == peers.end() || peer->second.epoch > peer->second.dead_incarnation;
}

// ---- Datagrams out ----------------------------------------------------------------------------

void Membership::Impl::SealFor(const NodeId& id, wire::GossipMessage& message) {
  message.set_cluster(cluster_hash);
  message.set_protocol_version(kProtocolVersion);
  message.set_from(std::string(state.self.raw()));
  message.set_to(std::string(id.raw()));
  message.set_epoch(epoch);
  if (const auto peer = peers.find(id); peer != peers.end()) {
    message.set_to_epoch(std::max(peer->second.epoch, peer->second.newest_epoch));
  }
  message.set_state_digest(Digest());
  message.set_settings_digest(settings.digest());
  if (options.level != 0) message.set_level(options.level);
  if (!key_hash.is_plain()) {
    message.set_key_hash_created_ms(key_hash.created_ms);
    message.set_key_hash(key_hash.tag);
  }
  if (const auto news = NewsForItself(id)) *message.add_broadcasts() = *news;
}

// Without queued broadcasts: those would be spent on members that are gone.
void Membership::Impl::SendLease(const NodeId& id, const std::string& payload) {
  if (id == state.self || !state.members.contains(id) || stopping) return;
  wire::GossipMessage message;
  message.set_lease(payload);
  SealFor(id, message);
  std::string bytes = message.SerializeAsString();
  if (bytes.size() + kProofFieldBytes > kDatagramBytesHardMax) return;
  Send(AddressOf(id), std::move(bytes));
}

void Membership::Impl::Send(const Address& to, std::string bytes) {
  if (options.signer != nullptr) AppendProof(*options.signer, Said::kDatagram, bytes);
  ++stats.datagrams_sent;
  stats.datagram_bytes_sent += bytes.size();
  actions.emplace_back(SendDatagram{to, std::move(bytes)});
}

void Membership::Impl::SendTo(const Address& to, const NodeId& id, wire::GossipMessage& message) {
  SealFor(id, message);
  std::string bytes = message.SerializeAsString();
  // Fields of a message may stand in any order, so queued broadcasts are appended as they are.
  const std::size_t taken = bytes.size() + kProofFieldBytes;
  if (taken < options.datagram_bytes_max) {
    queue.Fill(kBroadcastsTag, options.datagram_bytes_max - taken, TransmitsMax(), bytes);
  }
  Send(to, std::move(bytes));
}

void Membership::Impl::SendTo(const NodeId& id, wire::GossipMessage& message) {
  SendTo(AddressOf(id), id, message);
}

std::optional<wire::Broadcast> Membership::Impl::NewsForItself(const NodeId& id) const {
  const auto member = state.members.find(id);
  const auto peer = peers.find(id);
  if (member == state.members.end() || peer == peers.end() ||
      (peer->second.blind_verdict && peer->second.blind_verdict->as_outcast)) {
    return std::nullopt;
  }
  wire::Broadcast news;
  if (peer->second.epoch <= peer->second.dead_incarnation) {
    ToWire(SuspicionRecord{id, peer->second.dead_incarnation, state.self}, *news.mutable_dead());
    return news;
  }
  if (member->second.state == MemberState::kSuspect) {
    ToWire(SuspicionRecord{id, member->second.incarnation, state.self}, *news.mutable_suspect());
    return news;
  }
  return std::nullopt;
}

void Membership::Impl::Gossip() {
  if (queue.empty() && accused.empty()) return;
  gossiped_at = now;
  gossip_at = now + options.gossip_interval;
  // The accused first: a live one refutes before others believe the accusation.
  for (const NodeId& id : accused) {
    wire::GossipMessage message;
    SendTo(id, message);
  }
  const std::vector<NodeId> targets =
      RandomPeers(static_cast<std::size_t>(std::max(options.gossip_fanout, 1)), state.self);
  // With nobody to tell, news are no news: whoever comes gets the whole state.
  if (targets.empty()) queue.Clear();
  for (const NodeId& id : targets) {
    if (queue.empty()) break;
    wire::GossipMessage message;
    SendTo(id, message);
  }
}

void Membership::Impl::Queue(BroadcastQueue::Kind kind, const NodeId& id,
                             const wire::Broadcast& broadcast) {
  std::string bytes = broadcast.SerializeAsString();
  // Whoever comes to a cluster need not tell it of itself.
  if (newcomer && id != state.self) return;
  // One that does not fit at all is left to push/pull.
  if (FieldBytes(bytes.size()) + kDatagramRoomBytes > options.datagram_bytes_max) return;
  queue.Add({kind, id}, std::move(bytes));
}

void Membership::Impl::QueueSelf() {
  wire::Broadcast broadcast;
  ToWire(SelfRecord(), *broadcast.mutable_member());
  Queue(BroadcastQueue::Kind::kMember, state.self, broadcast);
}

int Membership::Impl::TransmitsMax() {
  const double nodes = static_cast<double>(ServingCount());
  return options.retransmit_multiplier * static_cast<int>(std::ceil(std::log10(nodes + 1)));
}

}  // namespace gyre
