#include "leases/lease.h"

#include <algorithm>
#include <optional>
#include <set>

#include "proto_gen/cluster.pb.h"

namespace gyre {
namespace {

// Members to whom something was promised, and members of one ring in a message.
constexpr std::size_t kPromisesMax = 4096;
constexpr std::size_t kRingMembersMax = 4096;
// What a version's 44 bits of milliseconds can carry, with room.
constexpr UnixMillis kStampMax = UnixMillis{1} << 43;

// A claim that some refuse, and of others nothing is heard, is given up after so long: one of those
// who do not answer may have owned it since, and whoever is complete must not be kept waiting.
constexpr Duration kLostPatience = 2 * kLease;
// Numbers from there on are nobody's.
constexpr std::uint64_t kSequenceMax = std::uint64_t{1} << 62;

constexpr std::size_t kIdBytes = 16;

void ToWire(const Ring& ring, wire::LeaseRing& out) {
  std::string& ids = *out.mutable_ids();
  for (const NodeId& id : ring) ids.append(id.raw());
}

std::optional<Ring> FromWire(const wire::LeaseRing& in) {
  const std::string_view ids = in.ids();
  if (ids.size() % kIdBytes != 0 || ids.size() / kIdBytes > kRingMembersMax) return std::nullopt;
  Ring ring;
  for (std::size_t at = 0; at < ids.size(); at += kIdBytes) {
    ring.push_back(*NodeId::FromBytes(ids.substr(at, kIdBytes)));
  }
  if (!std::is_sorted(ring.begin(), ring.end())) return std::nullopt;
  return ring;
}

void ToWire(const std::map<NodeId, std::uint64_t>& deaths,
            google::protobuf::RepeatedPtrField<wire::LeaseDeath>& out) {
  for (const auto& [id, epoch] : deaths) {
    wire::LeaseDeath& death = *out.Add();
    death.set_id(std::string(id.raw()));
    death.set_epoch(epoch);
  }
}

bool Knows(const std::map<NodeId, std::uint64_t>& deaths, const NodeId& id, std::uint64_t epoch) {
  const auto known = deaths.find(id);
  return known != deaths.end() && known->second >= epoch;
}

}  // namespace

// ---- Events -----------------------------------------------------------------------------------

Leases::Leases(NodeId self, std::uint32_t partition_count, std::uint64_t first_sequence,
               TimePoint started)
    : self_(self),
      partition_count_(partition_count),
      votes_from_(started + kLeaseHold),
      rings_(self, kLeaseHold, kLeaseQuiet),
      promised_last_(partition_count),
      promised_stamp_(partition_count),
      claims_(partition_count),
      taking_(partition_count),
      sequence_(first_sequence),
      leases_(partition_count),
      held_(partition_count) {}

void Leases::SetFacts(TimePoint now, LeaseFacts facts) {
  facts_ = std::move(facts);
  rings_.OnRing(now, facts_.ring);
}

LeaseSends Leases::SetClaims(TimePoint now, const PartitionSet& claims, const PartitionSet& taking,
                             UnixMillis stamp) {
  taking_ = taking;
  if (claims == claims_) return {};
  PartitionSet gone = claims_;
  gone.Remove(claims);
  gone.ForEach([this](PartitionId partition) { leases_[partition] = {}; });
  held_.Remove(gone);
  // What was promised before it was given back is void, should it be claimed again.
  for (auto& [id, grant] : grants_) {
    grant.granted.Remove(gone);
    grant.refused.Remove(gone);
    grant.lost.Remove(gone);
  }
  for (auto& [sequence, pending] : pending_) pending.claims.Remove(gone);
  claims_ = claims;
  hurry_ = kLeaseHurry;
  return Ask(now, stamp);
}

void Leases::AskAbout(const std::map<NodeId, std::uint64_t>& deaths) {
  if (deaths == deaths_) return;
  deaths_ = deaths;
  for (auto& [member, known] : known_) {
    std::erase_if(known, [this](const auto& death) { return !deaths_.contains(death.first); });
  }
  hurry_ = kLeaseHurry;
  ask_at_ = TimePoint{};
}

LeaseSends Leases::Tick(TimePoint now, UnixMillis stamp) {
  rings_.Tick(now);
  NoteLapses(now);
  return Due(now) ? Ask(now, stamp) : LeaseSends{};
}

void Leases::NoteLapses(TimePoint now) {
  claims_.ForEach([&](PartitionId partition) {
    const bool holds = Holds(partition, now);
    if (held_.Has(partition) && !holds) ++lapses_;
    holds ? held_.Set(partition) : held_.Clear(partition);
  });
}

LeaseSends Leases::OnMessage(TimePoint now, const NodeId& from, std::string_view payload) {
  wire::LeaseMessage message;
  if (from == self_ || !message.ParseFromArray(payload.data(), static_cast<int>(payload.size()))) {
    return {};
  }
  if (message.has_reply()) {
    OnReply(now, from, message.reply());
    return {};
  }
  if (!message.has_request()) return {};
  wire::LeaseMessage answer;
  *answer.mutable_reply() = Vote(now, from, message.request());
  if (answer.reply().sequence() == 0) return {};
  return {SendLease{from, answer.SerializeAsString()}};
}

// ---- The asker --------------------------------------------------------------------------------

LeaseSends Leases::Ask(TimePoint now, UnixMillis stamp) {
  std::erase_if(pending_, [&](const auto& each) { return each.second.sent_at + kLease <= now; });
  Pending& pending = pending_[++sequence_];
  pending = {now, rings_.digest(), claims_, Taking(now), stamp + kStampRoomMs};

  wire::LeaseMessage message;
  wire::LeaseRequest& request = *message.mutable_request();
  request.set_sequence(sequence_);
  request.set_epoch(facts_.epoch);
  request.set_ring(pending.ring);
  request.set_claims(claims_.ToBytes());
  request.set_taking(pending.taking.ToBytes());
  request.set_stamp_limit_ms(pending.stamp_limit);
  ToWire(deaths_, *request.mutable_deaths());

  LeaseSends sends;
  const std::string payload = message.SerializeAsString();
  for (const NodeId& id : rings_.Others()) sends.push_back({id, payload});
  OnReply(now, self_, Vote(now, self_, request));

  const bool lacks = LacksOne(now);
  ask_at_ = now + (lacks ? hurry_ : kLeaseRenew);
  hurry_ = lacks ? std::min(hurry_ * 2, kLeaseRenew) : kLeaseHurry;
  return sends;
}

// Who holds a lease was promised it by a majority: the others, who did not hear yet that it was
// given back or has run out, may take that for granted.
PartitionSet Leases::Taking(TimePoint now) const {
  PartitionSet refused(partition_count_);
  for (const auto& [id, grant] : grants_) refused.Add(grant.refused);
  refused.Keep(claims_);
  PartitionSet taking = taking_;
  refused.ForEach([&](PartitionId partition) {
    if (Holds(partition, now)) taking.Set(partition);
  });
  return taking;
}

bool Leases::LacksOne(TimePoint now) const {
  bool lacks = ConfirmedDeaths().size() < deaths_.size();
  claims_.ForEach([&](PartitionId partition) { lacks = lacks || !Holds(partition, now); });
  return lacks;
}

void Leases::OnReply(TimePoint now, const NodeId& from, const wire::LeaseReply& reply) {
  if (reply.newest() != 0) {
    sequence_ = std::max(sequence_, std::min(reply.newest(), kSequenceMax));
    return;
  }
  std::vector<Ring> rings;
  for (const wire::LeaseRing& each : reply.rings()) {
    std::optional<Ring> ring = FromWire(each);
    if (!ring || rings.size() == LeaseRings::kRingsMax) return;
    rings.push_back(std::move(*ring));
  }
  if (from != self_) rings_.OnAnswer(now, from, reply.ring(), reply.fresh(), rings);
  for (const wire::LeaseDeath& death : reply.deaths()) {
    const std::optional<NodeId> id = NodeId::FromBytes(death.id());
    if (!id || !deaths_.contains(*id)) continue;
    std::uint64_t& known = known_[from][*id];
    known = std::max(known, death.epoch());
  }
  const auto found = pending_.find(reply.sequence());
  if (found == pending_.end() || reply.abstains()) return;
  const Pending& pending = found->second;
  if (reply.ring() != rings_.digest() || pending.ring != rings_.digest()) return;
  const auto before = grants_.find(from);
  const bool is_older = before != grants_.end() && before->second.ring == pending.ring &&
                        pending.sent_at < before->second.sent_at;
  if (is_older) return;
  std::optional<PartitionSet> granted = PartitionSet::FromBytes(reply.granted(), partition_count_);
  if (!granted) return;
  granted->Keep(pending.claims);
  PartitionSet refused = pending.claims;
  refused.Remove(*granted);
  PartitionSet lost = refused;
  lost.Remove(pending.taking);
  if (reply.stamp_floor_ms() < kStampMax) {
    stamp_floor_ = std::max(stamp_floor_, reply.stamp_floor_ms());
  }
  grants_[from] = {pending.sent_at,    pending.ring,    *std::move(granted),
                   std::move(refused), std::move(lost), pending.stamp_limit};
  Evaluate();
}

// The newest voters first, until they are a majority: the oldest of them dates the lease.
void Leases::Evaluate() {
  std::vector<std::pair<const NodeId*, const Grant*>> voters;
  for (const auto& [id, grant] : grants_) {
    if (grant.ring == rings_.digest()) voters.emplace_back(&id, &grant);
  }
  std::sort(voters.begin(), voters.end(),
            [](const auto& a, const auto& b) { return a.second->sent_at > b.second->sent_at; });
  // All claims at once where all voters agree, which is the rule.
  PartitionSet common = claims_;
  LeaseRings::Tally all(rings_);
  for (const auto& [id, grant] : voters) {
    common.Keep(grant->granted);
    all.Add(*id);
    if (!all.majority()) continue;
    common.ForEach([&, oldest = grant](PartitionId partition) { Extend(partition, *oldest); });
    break;
  }
  if (!all.majority()) return;
  PartitionSet rest = claims_;
  rest.Remove(common);
  rest.ForEach([&](PartitionId partition) {
    LeaseRings::Tally tally(rings_);
    for (const auto& [id, grant] : voters) {
      if (!grant->granted.Has(partition)) continue;
      tally.Add(*id);
      if (tally.majority()) return Extend(partition, *grant);
    }
  });
}

void Leases::Extend(PartitionId partition, const Grant& oldest) {
  Lease& lease = leases_[partition];
  if (oldest.sent_at + kLease <= lease.until) return;
  if (oldest.sent_at >= lease.until) lease.start = oldest.sent_at;
  lease.until = oldest.sent_at + kLease;
  lease.stamp_limit = oldest.stamp_limit;
}

// ---- The voter --------------------------------------------------------------------------------

// Sequence 0: no answer.
wire::LeaseReply Leases::Vote(TimePoint now, const NodeId& from,
                              const wire::LeaseRequest& request) {
  wire::LeaseReply reply;
  if (promises_.size() >= kPromisesMax && !promises_.contains(from)) return reply;
  Promise& promise =
      promises_.try_emplace(from, Promise{0, PartitionSet(partition_count_)}).first->second;
  const auto claims = PartitionSet::FromBytes(request.claims(), partition_count_);
  const auto taking = PartitionSet::FromBytes(request.taking(), partition_count_);
  if (!claims || !taking) return reply;
  if (request.sequence() <= promise.sequence) {
    // Late, or of a life whose clock was set back.
    reply.set_sequence(request.sequence());
    reply.set_abstains(true);
    reply.set_newest(promise.sequence);
    return reply;
  }
  promise.sequence = request.sequence();
  promise.granted.Keep(*claims);  // the others are given back
  reply.set_sequence(request.sequence());
  reply.set_ring(rings_.digest());
  reply.set_fresh(rings_.fresh());
  if (!rings_.fresh() && (rings_.rings().size() > 1 || request.ring() != rings_.digest())) {
    for (const Ring& ring : rings_.rings()) ToWire(ring, *reply.add_rings());
  }
  for (const wire::LeaseDeath& death : request.deaths()) {
    const std::optional<NodeId> id = NodeId::FromBytes(death.id());
    if (id && Knows(facts_.dead_epochs, *id, death.epoch())) *reply.add_deaths() = death;
  }
  const bool abstains = !votes(now) || !rings_.HasSelf() || request.ring() != rings_.digest() ||
                        Knows(facts_.dead_epochs, from, request.epoch());
  reply.set_abstains(abstains);
  if (!abstains) {
    promise.stamp_limit =
        std::max(promise.stamp_limit, std::min(request.stamp_limit_ms(), kStampMax - 1));
    PromiseTo(now, from, promise, *claims, *taking, reply);
  }
  return reply;
}

void Leases::PromiseTo(TimePoint now, const NodeId& from, Promise& promise,
                       const PartitionSet& claims, const PartitionSet& taking,
                       wire::LeaseReply& reply) {
  PartitionSet granted = claims;
  for (const auto& [id, other] : promises_) {
    if (id != from && other.until > now) granted.Remove(other.granted);
  }
  PartitionSet given(partition_count_);
  UnixMillis floor = 0;
  granted.ForEach([&](PartitionId partition) {
    NodeId& last = promised_last_[partition];
    if (last != from && last != NodeId{}) {
      if (!taking.Has(partition)) return;
      UnixMillis& bound = promised_stamp_[partition];
      bound = std::max(bound, promises_[last].stamp_limit);
    }
    last = from;
    given.Set(partition);
    floor = std::max(floor, promised_stamp_[partition]);
  });
  promise.granted = given;
  promise.until = now + kLeaseHold;
  reply.set_granted(given.ToBytes());
  reply.set_stamp_floor_ms(floor);
}

// ---- What it knows ----------------------------------------------------------------------------

std::vector<PartitionId> Leases::Lost(TimePoint now) const {
  std::vector<PartitionId> lost;
  if (rings_.fresh()) return lost;
  PartitionSet refused(partition_count_);
  const auto is_recent = [&](const Grant& grant) {
    return grant.ring == rings_.digest() && grant.sent_at + kLease > now;
  };
  for (const auto& [id, grant] : grants_) {
    if (is_recent(grant)) refused.Add(grant.lost);
  }
  refused.Keep(claims_);
  refused.Remove(taking_);
  refused.ForEach([&](PartitionId partition) {
    if (Holds(partition, now)) return;
    if (now - leases_[partition].until >= kLostPatience) return lost.push_back(partition);
    const bool possible = rings_.Majority([&](const NodeId& id) {
      const auto grant = grants_.find(id);
      return grant == grants_.end() || !is_recent(grant->second) ||
             !grant->second.lost.Has(partition);
    });
    if (!possible) lost.push_back(partition);
  });
  return lost;
}

UnixMillis Leases::stamp_limit(TimePoint now) const {
  UnixMillis limit = kStampMax;
  claims_.ForEach([&](PartitionId partition) {
    if (Holds(partition, now)) limit = std::min(limit, leases_[partition].stamp_limit);
  });
  return limit == kStampMax ? 0 : limit;
}

std::map<NodeId, std::uint64_t> Leases::ConfirmedDeaths() const {
  std::map<NodeId, std::uint64_t> confirmed;
  for (const auto& [dead, epoch] : deaths_) {
    const bool known = rings_.Majority([&, &id = dead, until = epoch](const NodeId& member) {
      if (member == self_) return Knows(facts_.dead_epochs, id, until);
      const auto answer = known_.find(member);
      return answer != known_.end() && Knows(answer->second, id, until);
    });
    if (known) confirmed.emplace(dead, epoch);
  }
  return confirmed;
}

bool Leases::HasMajority(TimePoint now) const {
  return rings_.Majority([&](const NodeId& id) {
    const auto grant = grants_.find(id);
    return grant != grants_.end() && grant->second.sent_at + kLease > now;
  });
}

LeaseStats Leases::stats(TimePoint now) const {
  LeaseStats stats;
  stats.majority = HasMajority(now) ? 1 : 0;
  Duration remaining = kLease;
  claims_.ForEach([&](PartitionId partition) {
    ++stats.claims;
    if (!Holds(partition, now)) return;
    ++stats.held;
    remaining = std::min(remaining, leases_[partition].until - now);
  });
  if (stats.held != 0) {
    stats.remaining_ms = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(remaining).count());
  }
  stats.lapses = lapses_;
  stats.unfenced_deaths = deaths_.size() - ConfirmedDeaths().size();
  return stats;
}

}  // namespace gyre
