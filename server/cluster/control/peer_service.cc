#include "control/peer_service.h"

#include <algorithm>
#include <limits>
#include <protozero/pbf_builder.hpp>
#include <protozero/pbf_message.hpp>
#include <protozero/pbf_reader.hpp>
#include <unordered_set>

#include "peer/effect_codec.h"
#include "peer/peer_bounds.h"
#include "peer/peer_codec.h"
#include "peer/pull_codec.h"
#include "proto_gen/cluster.pb.h"
#include "replication/copy_rules.h"

namespace gyre {
namespace {

// One page of a pull holds the shard's lock and its loop, and with them clients: for some tens of
// microseconds.
// Of small records, what costs a loop as much as the bytes that were asked for.
constexpr std::size_t kPullBytesPerRecord = 128;
// Of a page, besides its records and where a last one overlaps the end.
constexpr std::size_t kPullSlackBytes = 4096;
constexpr std::size_t kPullBytesDefault = std::size_t{64} << 10;
constexpr std::size_t kPullBytesMax = std::size_t{4} << 20;
constexpr std::size_t kVersionsRecordsMax = 2048;
constexpr std::size_t kFetchScanMax = 2048;
constexpr std::size_t kFetchHashesMax = 65536;
constexpr Duration kRelayDeadlineMax = std::chrono::seconds(30);

std::string PeerFailure(ErrorCode code, std::string message) {
  return EncodePeerError(Error{code, std::move(message)});
}

std::string Serialize(const wire::PeerReply& reply) { return reply.SerializeAsString(); }

bool IsComplete(Role role) {
  return role == Role::kReplica || role == Role::kOwner || role == Role::kHandingOver ||
         role == Role::kRecovering;
}

// Not while recovering: what is merged then goes to no puller.
bool Orders(Role role) { return role == Role::kOwner || role == Role::kHandingOver; }

wire::Claim ClaimOf(Role role) {
  if (role == Role::kOwner) return wire::CLAIM_OWNS;
  return role == Role::kRecovering ? wire::CLAIM_RECOVERS : wire::CLAIM_NONE;
}

}  // namespace

PeerService::PeerService(Engine& engine, ReplicationTable& table, ViewPublisher& views,
                         ControlPort& control, WallClock wall_clock, LoadGauge* load)
    : engine_(engine),
      table_(table),
      views_(views),
      control_(control),
      wall_clock_(std::move(wall_clock)),
      load_(load),
      differences_(engine, table, views, wall_clock_),
      groups_(engine, table, wall_clock_) {}

PeerService::~PeerService() { *alive_ = false; }

void PeerService::Handle(std::string_view payload, Reply reply) {
  enum class Kind : protozero::pbf_tag_type {
    kReplicate = 1,
    kPull = 2,
    kDigests = 6,
    kVersions = 7,
    kFetch = 10,
    kCompare = 25,
    kDifference = 26,
    kOffer = 27,
    kReplicateGroups = 28,
    kRelay = 45,
  };
  try {
    protozero::pbf_message<Kind> message(protozero::data_view{payload.data(), payload.size()});
    if (message.next() && message.has_wire_type(protozero::pbf_wire_type::length_delimited)) {
      const Kind kind = message.tag();
      const protozero::data_view view = message.get_view();
      const std::string_view body(view.data(), view.size());
      switch (kind) {
        case Kind::kReplicate:
          return reply(OnReplicate(body));
        case Kind::kReplicateGroups:
          if (Status handled = groups_.Handle(body, reply); !handled) {
            reply(Malformed(handled.error().code, handled.error().message));
          }
          return;
        case Kind::kPull:
          return reply(OnPull(body));
        case Kind::kDigests:
          return reply(OnDigests(body));
        case Kind::kVersions:
          return reply(OnVersions(body));
        case Kind::kFetch:
          return reply(OnFetch(body));
        case Kind::kRelay:
          return OnRelay(body, std::move(reply));
        case Kind::kCompare:
          return reply(differences_.OnCompare(body));
        case Kind::kDifference:
          return reply(differences_.OnDifference(body));
        case Kind::kOffer:
          return reply(differences_.OnOffer(body));
        default:
          return control_.Handle(std::string(payload), std::move(reply));
      }
    }
  } catch (const protozero::exception&) {
    // Answered below.
  }
  reply(Malformed(ErrorCode::kProtocol, "malformed peer request"));
}

void PeerService::Receive(std::string_view payload, std::optional<NodeId>& speaker, Reply reply) {
  if (signer_ == nullptr) return Handle(payload, std::move(reply));
  constexpr protozero::pbf_tag_type kPushPull = 8;
  constexpr protozero::pbf_tag_type kIdentify = 46;
  try {
    protozero::pbf_reader message(protozero::data_view{payload.data(), payload.size()});
    if (message.next() && message.has_wire_type(protozero::pbf_wire_type::length_delimited)) {
      const protozero::pbf_tag_type kind = message.tag();
      const protozero::data_view view = message.get_view();
      if (kind == kIdentify) return reply(OnIdentify({view.data(), view.size()}, speaker));
      if (kind == kPushPull || (speaker && IsMember(*speaker))) {
        // One request a message: what follows the first would not be looked at here.
        if (message.next()) return reply(Malformed(ErrorCode::kProtocol, "two peer requests"));
        return Handle(payload, std::move(reply));
      }
      counters_[&PeerServiceStats::requests_strange].Add(1);
      return reply(PeerFailure(ErrorCode::kUnavailable,
                               "this is a request of a node of the cluster, and who asks has not "
                               "proven to be one"));
    }
  } catch (const protozero::exception&) {
    // Answered below.
  }
  reply(Malformed(ErrorCode::kProtocol, "malformed peer request"));
}

std::string PeerService::OnIdentify(std::string_view identify, std::optional<NodeId>& speaker) {
  wire::Identify message;
  if (!message.ParseFromArray(identify.data(), static_cast<int>(identify.size()))) {
    return Malformed(ErrorCode::kProtocol, "malformed identify");
  }
  const std::optional<NodeId> from = NodeId::FromBytes(message.from());
  if (!from || message.to() != self_.raw() ||
      !IsProven(*signer_, *from, Said::kIdentify, identify)) {
    counters_[&PeerServiceStats::requests_strange].Add(1);
    return PeerFailure(ErrorCode::kNotAllowed, "no proof of that node for this one");
  }
  speaker = from;
  wire::PeerReply reply;
  reply.mutable_identify();
  return Serialize(reply);
}

bool PeerService::IsMember(const NodeId& id) {
  if (const std::uint64_t revision = views_.revision(); revision != members_revision_) {
    members_revision_ = revision;
    members_ = views_.Load();
  }
  return members_ != nullptr && members_->Find(id) != kNoMember;
}

std::string PeerService::Malformed(ErrorCode code, std::string message) {
  counters_[&PeerServiceStats::requests_malformed].Add(1);
  return PeerFailure(code, std::move(message));
}

bool PeerService::RefusesVersion(Version version, UnixMillis now) {
  if (!IsTooFarAhead(version, now)) return false;
  counters_[&PeerServiceStats::versions_refused].Add(1);
  return true;
}

std::string PeerService::OnReplicate(std::string_view replicate) {
  enum class Field : protozero::pbf_tag_type { kMutations = 1, kFlushes = 2 };
  const UnixMillis now = wall_clock_();
  ReplicateResult result;
  const auto refuse = [&result](PartitionId partition) {
    if (result.refused.empty() || result.refused.back() != partition) {
      result.refused.push_back(partition);
    }
  };
  std::uint32_t index = 0;
  protozero::pbf_message<Field> message(protozero::data_view{replicate.data(), replicate.size()});
  while (message.next()) {
    if (!message.has_wire_type(protozero::pbf_wire_type::length_delimited)) {
      message.skip();
      continue;
    }
    const Field field = message.tag();
    const protozero::data_view view = message.get_view();
    const std::string_view body(view.data(), view.size());
    if (field == Field::kMutations) {
      const Result<Mutation> mutation = DecodeMutation(body);
      if (!mutation) return Malformed(mutation.error().code, mutation.error().message);
      if (mutation->partition >= engine_.options().partition_count) {
        return Malformed(ErrorCode::kInvalidArgument, "no such partition");
      }
      Shard& shard = engine_.ShardOf(mutation->partition);
      MutexLock lock(shard.mutex());
      if (RefusesWrites(shard.info(mutation->partition).role)) {
        refuse(mutation->partition);
      } else if (RefusesVersion(mutation->version, now)) {
        result.failed.push_back(index);
      } else if (!ApplyWrite(shard, engine_, *mutation, now)) {
        result.failed.push_back(index);
      }
      ++index;
    } else if (field == Field::kFlushes) {
      const Result<FlushMark> mark = DecodeFlush(body);
      if (!mark) return Malformed(mark.error().code, mark.error().message);
      if (mark->partition >= engine_.options().partition_count) {
        return Malformed(ErrorCode::kInvalidArgument, "no such partition");
      }
      Shard& shard = engine_.ShardOf(mark->partition);
      MutexLock lock(shard.mutex());
      if (RefusesWrites(shard.info(mark->partition).role) || RefusesVersion(mark->version, now)) {
        refuse(mark->partition);
      } else {
        shard.Flush(mark->partition, mark->version);
      }
    }
  }
  return EncodeReplicateReply(result);
}

std::string PeerService::OnPull(std::string_view pull) {
  const TimePoint begin = load_ == nullptr ? TimePoint{} : SteadyNow();
  wire::Pull request;
  if (!request.ParseFromArray(pull.data(), static_cast<int>(pull.size()))) {
    return Malformed(ErrorCode::kProtocol, "malformed pull");
  }
  const std::optional<NodeId> from = NodeId::FromBytes(request.from());
  const PartitionId partition = request.partition();
  if (!from || partition >= engine_.options().partition_count) {
    return Malformed(ErrorCode::kInvalidArgument, "pull of an unknown node or partition");
  }
  const ClusterViewPtr view = views_.Load();
  const MemberIndex member = view == nullptr ? kNoMember : view->Find(*from);
  const std::uint64_t epoch = member == kNoMember ? 0 : view->members[member].epoch;
  const std::size_t bytes_max = request.bytes_max() == 0
                                    ? kPullBytesDefault
                                    : std::min<std::size_t>(request.bytes_max(), kPullBytesMax);
  const std::size_t records_max = std::max<std::size_t>(bytes_max / kPullBytesPerRecord, 1);
  Shard& shard = engine_.ShardOf(partition);
  {
    MutexLock lock(shard.mutex());
    const PartitionInfo& here = shard.info(partition);
    const std::size_t all = here.value_bytes + here.records * kPullBytesPerRecord;
    PullPageWriter page(std::min(bytes_max, all) + kPullSlackBytes);
    ReplicaSet& set = table_.sets[partition];
    const WalkPosition from_cursor{request.cursor(), request.cursor_within()};
    const bool begins = from_cursor.is_end();
    const bool serves =
        Orders(shard.info(partition).role) &&
        (begins ? AddPuller(set, *from, epoch, table_.revision.load(), request.writes_only())
                : IsPuller(set, *from));
    if (begins && serves) {
      table_.revision.fetch_add(1, std::memory_order_release);
      // It may be here before the news that the ring has a second node.
      shard.SetKeepsTombstones(partition, true);
      if (table_.ordered.load(std::memory_order_relaxed)) {
        table_.OpenTerm(partition, shard);
        page.AddPosition(table_.LastOf(partition));
      }
    }
    const KeyHashId& hash = shard.key_hash(partition).id();
    // Where a page after the first begins is a place in the order that the first was in.
    if (!serves || (!begins && request.key_hash() != hash.tag)) return PullPageWriter::Refused();
    page.AddKeyHash(hash);
    const UnixMillis now = wall_clock_();
    WalkPosition next;
    if (!request.writes_only()) {
      next = shard.Walk(partition, from_cursor, records_max, now, [&](const RecordView& record) {
        page.Add(partition, record);
        return page.bytes() < bytes_max;
      });
    }
    const PartitionInfo& info = shard.info(partition);
    page.AddSource(info.value_bytes, info.records);
    if (load_ != nullptr) NotePullCost(begin, page);
    return page.Finish(next, info, shard.RemembersFrom(partition, now));
  }
}

void PeerService::NotePullCost(TimePoint begin, PullPageWriter& page) {
  const Duration cost = SteadyNow() - begin;
  load_->AddPullTime(cost);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(cost).count();
  page.AddCost(static_cast<std::uint32_t>(micros), load_->permille());
}

std::string PeerService::OnDigests(std::string_view digests) {
  wire::Digests request;
  if (!request.ParseFromArray(digests.data(), static_cast<int>(digests.size()))) {
    return Malformed(ErrorCode::kProtocol, "malformed digests");
  }
  wire::PeerReply reply;
  wire::DigestsReply& body = *reply.mutable_digests();
  for (const PartitionId partition :
       KnownPartitions(request.partitions(), engine_.options().partition_count)) {
    Shard& shard = engine_.ShardOf(partition);
    MutexLock lock(shard.mutex());
    const PartitionInfo& info = shard.info(partition);
    wire::PartitionDigest& digest = *body.add_digests();
    digest.set_partition(partition);
    digest.set_digest(info.digest);
    digest.set_newest_evicted(info.newest_evicted);
    digest.set_newest_forgotten(info.newest_forgotten);
    digest.set_complete(IsComplete(info.role));
    digest.set_claim(ClaimOf(info.role));
    digest.set_holds(info.role != Role::kAbsent);
    digest.set_key_hash(shard.key_hash(partition).id().tag);
  }
  return Serialize(reply);
}

std::string PeerService::OnVersions(std::string_view versions) {
  wire::Versions request;
  if (!request.ParseFromArray(versions.data(), static_cast<int>(versions.size())) ||
      request.partition() >= engine_.options().partition_count) {
    return Malformed(ErrorCode::kProtocol, "malformed versions");
  }
  wire::PeerReply reply;
  wire::VersionsReply& body = *reply.mutable_versions();
  const std::size_t records_max =
      std::clamp<std::size_t>(request.records_max(), 1, kVersionsRecordsMax);
  Shard& shard = engine_.ShardOf(request.partition());
  MutexLock lock(shard.mutex());
  const KeyHash& hash = shard.key_hash(request.partition());
  body.set_key_hash(hash.id().tag);
  const std::uint64_t last =
      request.last_hash() == 0 ? std::numeric_limits<std::uint64_t>::max() : request.last_hash();
  std::uint64_t next = shard.Walk(request.partition(), request.cursor(), records_max, wall_clock_(),
                                  [&](const RecordView& record) {
                                    const std::uint64_t key_hash = hash(record.key());
                                    if (key_hash > last) return false;
                                    body.add_key_hashes(key_hash);
                                    body.add_versions(record.version());
                                    return true;
                                  });
  if (next > last) next = 0;
  body.set_next_cursor(next);
  body.set_done(next == 0);
  return Serialize(reply);
}

std::string PeerService::OnFetch(std::string_view fetch) {
  wire::Fetch request;
  if (!request.ParseFromArray(fetch.data(), static_cast<int>(fetch.size())) ||
      request.partition() >= engine_.options().partition_count ||
      request.key_hashes_size() > static_cast<int>(kFetchHashesMax)) {
    return Malformed(ErrorCode::kProtocol, "malformed fetch");
  }
  const std::unordered_set<std::uint64_t> wanted(request.key_hashes().begin(),
                                                 request.key_hashes().end());
  PullPageWriter page;
  Shard& shard = engine_.ShardOf(request.partition());
  MutexLock lock(shard.mutex());
  const KeyHash& hash = shard.key_hash(request.partition());
  if (request.key_hash() != hash.id().tag) return PullPageWriter::Refused();
  page.AddKeyHash(hash.id());
  const UnixMillis now = wall_clock_();
  const WalkPosition from{request.cursor(), request.cursor_within()};
  const WalkPosition next =
      shard.Walk(request.partition(), from, kFetchScanMax, now, [&](const RecordView& record) {
        if (wanted.contains(hash(record.key()))) page.Add(request.partition(), record);
        return page.bytes() < kPullBytesMax;
      });
  return page.Finish(next, shard.info(request.partition()),
                     shard.RemembersFrom(request.partition(), now));
}

// The deadline of the caller bounds the wait; what does not get through ends as it would have
// there.
void PeerService::OnRelay(std::string_view relay, Reply reply) {
  wire::Relay request;
  if (!request.ParseFromArray(relay.data(), static_cast<int>(relay.size()))) {
    return reply(Malformed(ErrorCode::kProtocol, "malformed relay"));
  }
  const std::optional<NodeId> to = NodeId::FromBytes(request.to());
  const auto type = static_cast<FrameType>(request.type());
  const ClusterViewPtr view = views_.Load();
  const MemberIndex target = to && view != nullptr ? view->Find(*to) : kNoMember;
  if (target == kNoMember || target == view->self ||
      (type != FrameType::kRequest && type != FrameType::kPeerRequest)) {
    return reply(Malformed(ErrorCode::kInvalidArgument, "a relay to nobody"));
  }
  if (direct_ == nullptr || relayed_ >= kRelayedMax) {
    return reply(PeerFailure(ErrorCode::kUnavailable, "this node relays nothing more now"));
  }
  ++relayed_;
  const Duration deadline =
      std::min<Duration>(std::chrono::milliseconds(request.deadline_ms()), kRelayDeadlineMax);
  direct_->Call(*to, type, std::move(*request.mutable_payload()), deadline,
                [this, alive = alive_, reply = std::move(reply)](Result<std::string_view> answer) {
                  if (!*alive) return;
                  --relayed_;
                  if (!answer) return reply(EncodePeerError(answer.error()));
                  wire::PeerReply wrapped;
                  wrapped.mutable_relay()->set_payload(std::string(*answer));
                  reply(Serialize(wrapped));
                });
}

}  // namespace gyre
