#include "repair/difference_service.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "peer/effect_codec.h"
#include "peer/peer_bounds.h"
#include "peer/peer_codec.h"
#include "proto/limits.h"
#include "repair/hash_ranges.h"

namespace gyre {
namespace {

// What one answer may cost this loop: about a millisecond.
constexpr std::size_t kCompareRecordsMax = 16'384;
constexpr std::uint32_t kCompareRangesMax = 4096;
constexpr std::size_t kReplyRecordsMax = 512;
constexpr std::size_t kReplyBytesDefault = std::size_t{256} << 10;
constexpr std::size_t kReplyBytesMax = std::size_t{4} << 20;
constexpr int kListedMax = 65'536;

std::string Malformed(std::string_view what) {
  return EncodePeerError({ErrorCode::kProtocol, "malformed " + std::string(what)});
}

template <typename Message>
bool Parse(std::string_view bytes, Message& message) {
  return message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

// `mutations` are encoded as AppendMutation writes them.
std::string Encode(const wire::DifferenceReply& reply, const std::string& mutations) {
  return EncodePeerMessage(wire::PeerReply::kDifferenceFieldNumber,
                           reply.SerializeAsString() + mutations);
}

// Compares the records of a walk with a list of the other side's, both in the order of hashes.
class Comparison {
 public:
  explicit Comparison(const wire::Difference& theirs, wire::DifferenceReply& reply)
      : theirs_(theirs),
        count_(std::min(theirs.key_hashes_size(), theirs.versions_size())),
        reply_(reply) {}

  // Whether the other side needs the record.
  bool IsNews(std::uint64_t hash, Version version) {
    SkipTo(hash);
    if (next_ == count_ || theirs_.key_hashes(next_) != hash) return true;
    const Version known = theirs_.versions(next_++);
    if (known > version) reply_.add_older(hash);
    return known < version;
  }
  // Those below `hash` are not here.
  void SkipTo(std::uint64_t hash) {
    for (; next_ < count_ && theirs_.key_hashes(next_) < hash; ++next_) {
      reply_.add_missing(theirs_.key_hashes(next_));
    }
  }
  void Finish() {
    for (; next_ < count_; ++next_) reply_.add_missing(theirs_.key_hashes(next_));
  }

 private:
  const wire::Difference& theirs_;
  const int count_;
  wire::DifferenceReply& reply_;
  int next_ = 0;
};

}  // namespace

DifferenceService::DifferenceService(Engine& engine, ReplicationTable& table, ViewPublisher& views,
                                     std::function<UnixMillis()> wall_clock)
    : engine_(engine), table_(table), views_(views), wall_clock_(std::move(wall_clock)) {}

bool DifferenceService::BeginPull(PartitionId partition, const NodeId& from) {
  const ClusterViewPtr view = views_.Load();
  const MemberIndex member = view == nullptr ? kNoMember : view->Find(from);
  const std::uint64_t epoch = member == kNoMember ? 0 : view->members[member].epoch;
  Shard& shard = engine_.ShardOf(partition);
  MutexLock lock(shard.mutex());
  const Role role = shard.info(partition).role;
  if (role != Role::kOwner && role != Role::kHandingOver) return false;
  if (!AddPuller(table_.sets[partition], from, epoch, table_.revision.load())) return false;
  table_.revision.fetch_add(1, std::memory_order_release);
  shard.SetKeepsTombstones(partition, true);  // as in PeerService::OnPull
  if (table_.ordered.load(std::memory_order_relaxed)) table_.OpenTerm(partition, shard);
  return true;
}

bool DifferenceService::Serves(Shard& shard, PartitionId partition, const NodeId& from) {
  const Role role = shard.info(partition).role;
  return (role == Role::kOwner || role == Role::kHandingOver) &&
         IsPuller(table_.sets[partition], from);
}

std::string DifferenceService::OnCompare(std::string_view bytes) {
  wire::Compare request;
  if (!Parse(bytes, request)) return Malformed("compare");
  const std::optional<NodeId> from = NodeId::FromBytes(request.from());
  const PartitionId partition = request.partition();
  const int bits = static_cast<int>(request.range_bits());
  if (!from || partition >= engine_.options().partition_count ||
      request.range_bits() > kRangeBitsMax || request.first_range() >= RangeCount(bits)) {
    return Malformed("compare");
  }
  wire::PeerReply reply;
  wire::CompareReply& body = *reply.mutable_compare();
  const bool begins = request.first_range() == 0;
  Shard& shard = engine_.ShardOf(partition);
  bool serves = !begins || request.looks() || BeginPull(partition, *from);
  const KeyHash* hash = nullptr;
  if (serves) {
    MutexLock lock(shard.mutex());
    const PartitionInfo& info = shard.info(partition);
    hash = &shard.key_hash(partition);
    serves = request.looks() ? info.role != Role::kAbsent : Serves(shard, partition, *from);
    serves = serves && request.key_hash() == hash->id().tag;
    body.set_equal(begins && info.digest == request.digest());
    body.set_flushed_version(info.flushed);
    body.set_outage_end_ms(info.outage.end);
    body.set_outage_length_ms(info.outage.length);
    body.set_newest_evicted(info.newest_evicted);
    body.set_newest_forgotten(info.newest_forgotten);
    if (begins && !request.looks() && table_.ordered.load(std::memory_order_relaxed)) {
      const StreamPosition last = table_.LastOf(partition);
      body.mutable_position()->set_term(last.term);
      body.mutable_position()->set_number(last.number);
    }
  }
  body.set_refused(!serves);
  if (serves && !body.equal()) {
    for (const RangeSum& sum : SumRanges(shard, partition, *hash, bits, request.first_range(),
                                         kCompareRangesMax, kCompareRecordsMax, wall_clock_())) {
      body.add_range_digests(sum.digest);
    }
  }
  return reply.SerializeAsString();
}

std::string DifferenceService::OnDifference(std::string_view bytes) {
  wire::Difference request;
  if (!Parse(bytes, request)) return Malformed("difference");
  const std::optional<NodeId> from = NodeId::FromBytes(request.from());
  const PartitionId partition = request.partition();
  if (!from || partition >= engine_.options().partition_count ||
      request.first_hash() > request.last_hash() || request.key_hashes_size() > kListedMax) {
    return Malformed("difference");
  }
  const std::size_t bytes_max = request.bytes_max() == 0
                                    ? kReplyBytesDefault
                                    : std::min<std::size_t>(request.bytes_max(), kReplyBytesMax);
  const UnixMillis now = wall_clock_();
  wire::DifferenceReply reply;
  Comparison comparison(request, reply);
  std::string mutations;
  Shard& shard = engine_.ShardOf(partition);
  MutexLock lock(shard.mutex());
  const KeyHash& key_hash = shard.key_hash(partition);
  if (!Serves(shard, partition, *from) || request.key_hash() != key_hash.id().tag) {
    reply.set_refused(true);
    return Encode(reply, {});
  }
  bool beyond = false;
  std::uint64_t last = 0;
  const auto take = [&](const RecordView& record) {
    const std::uint64_t hash = key_hash(record.key());
    if (hash > request.last_hash()) {
      beyond = true;
      return false;
    }
    if (std::exchange(last, hash) == hash) reply.set_hashes_collide(true);
    if (reply.hashes_collide()) return false;
    if (comparison.IsNews(hash, record.version())) AppendMutation(partition, record, mutations);
    return mutations.size() < bytes_max;
  };
  const std::uint64_t next =
      shard.Walk(partition, request.first_hash(), kReplyRecordsMax, now, take);
  if (reply.hashes_collide()) return Encode(reply, {});
  if (beyond || next == 0 || next > request.last_hash()) {
    comparison.Finish();
  } else {
    comparison.SkipTo(next);
    reply.set_next_hash(next);
  }
  reply.set_newest_evicted(shard.info(partition).newest_evicted);
  reply.set_newest_forgotten(shard.info(partition).newest_forgotten);
  reply.set_remembers_from_ms(shard.RemembersFrom(partition, now));
  return Encode(reply, mutations);
}

std::string DifferenceService::OnOffer(std::string_view bytes) {
  wire::Offer request;
  if (!Parse(bytes, request)) return Malformed("offer");
  const std::optional<NodeId> from = NodeId::FromBytes(request.from());
  const PartitionId partition = request.partition();
  if (!from || partition >= engine_.options().partition_count) return Malformed("offer");
  const UnixMillis now = wall_clock_();
  wire::PeerReply reply;
  wire::OfferReply& body = *reply.mutable_offer();
  Shard& shard = engine_.ShardOf(partition);
  for (const wire::Mutation& each : request.mutations()) {
    MutexLock lock(shard.mutex());
    if (!Serves(shard, partition, *from) || shard.info(partition).role != Role::kOwner) {
      body.set_refused(true);
      break;
    }
    const Mutation mutation{partition,        each.key(),   each.value(),    each.version(),
                            each.expiry_ms(), each.flags(), each.tombstone()};
    if (IsTooFarAhead(mutation.version, now)) {
      refused_.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    const Result<bool> applied = shard.Apply(mutation, now);
    // The sender has it already; the other copies and the readers of the stream do not.
    if (!applied || !*applied || replicator_ == nullptr) continue;
    const Key key = engine_.KeyOf(each.key());
    if (const RecordView record = shard.Peek(key)) {
      replicator_->SubmitOne(Effect::Put(key, record));
    }
  }
  if (replicator_ != nullptr) replicator_->Flush();
  return reply.SerializeAsString();
}

}  // namespace gyre
