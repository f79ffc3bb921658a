#include "repair/difference_pull.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "peer/effect_codec.h"
#include "peer/peer_bounds.h"
#include "peer/peer_codec.h"

namespace gyre {
namespace {

// Records that one Difference lists, about: 16 bytes each.
constexpr std::size_t kListedRecords = 512;
constexpr std::size_t kOfferBytes = std::size_t{256} << 10;
constexpr int kOfferField = wire::PeerRequest::kOfferFieldNumber;
constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

bool Contains(const std::vector<std::uint64_t>& sorted, std::uint64_t hash) {
  return std::binary_search(sorted.begin(), sorted.end(), hash);
}

std::vector<std::uint64_t> Sorted(const google::protobuf::RepeatedField<std::uint64_t>& field) {
  std::vector<std::uint64_t> hashes(field.begin(), field.end());
  std::sort(hashes.begin(), hashes.end());
  return hashes;
}

const KeyHash& KeyHashOf(Shard& shard, PartitionId partition) {
  MutexLock lock(shard.mutex());
  return shard.key_hash(partition);
}

}  // namespace

bool MayOffer(const LoneRecord& record) {
  if (record.version <= record.owner_newest_forgotten) return false;
  const bool written_since = MillisOf(record.version) >= record.owner_remembers_from;
  if (record.tombstone) return written_since;
  const bool whole_since = record.as_of != 0 && record.as_of >= record.owner_remembers_from;
  return record.version > record.owner_newest_evicted && (written_since || whole_since);
}

DifferencePull::DifferencePull(const NodeId& self, Engine& engine, PartitionId partition,
                               std::size_t page_bytes, std::uint64_t last, ReplicationTable* table)
    : self_(self),
      engine_(engine),
      partition_(partition),
      shard_(engine.ShardOf(partition)),
      page_bytes_(page_bytes),
      hash_(&KeyHashOf(shard_, partition)),
      table_(table),
      comparison_(shard_, partition, *hash_, last, kListedRecords) {}

std::string DifferencePull::Request(UnixMillis now) {
  switch (state_) {
    case State::kComparing:
      return CompareRequest();
    case State::kListing:
      return DifferenceRequest(now);
    case State::kOffering:
      return OfferRequest(now);
  }
  return {};
}

DifferencePull::Step DifferencePull::OnReply(std::string_view bytes, UnixMillis now) {
  wire::PeerReply reply;
  if (!reply.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return Step::kFailed;
  {
    MutexLock lock(shard_.mutex());
    if (shard_.info(partition_).role == Role::kAbsent) return Step::kFailed;
    if (&shard_.key_hash(partition_) != hash_) return Step::kFailed;
  }
  switch (state_) {
    case State::kComparing:
      return reply.has_compare() ? OnCompared(reply.compare(), now) : Step::kFailed;
    case State::kListing:
      return reply.has_difference() ? OnDifference(reply.difference(), now) : Step::kFailed;
    case State::kOffering:
      return reply.has_offer() ? OnOffered(reply.offer()) : Step::kFailed;
  }
  return Step::kFailed;
}

// ---- Comparing --------------------------------------------------------------------------------

std::string DifferencePull::CompareRequest() {
  wire::PeerRequest request;
  wire::Compare& body = *request.mutable_compare();
  body.set_from(std::string(self_.raw()));
  comparison_.Ask(body);
  return request.SerializeAsString();
}

DifferencePull::Step DifferencePull::OnCompared(const wire::CompareReply& reply, UnixMillis now) {
  if (reply.refused()) return Step::kFailed;
  {
    MutexLock lock(shard_.mutex());
    const PartitionInfo& info = shard_.info(partition_);
    if (table_ != nullptr && comparison_.begins()) {
      const StreamPosition position{reply.position().term(), reply.position().number()};
      if (!IsPossible(position) || Refuses(position.term, now)) return Step::kFailed;
      table_->BeginCopy(partition_, position);
    }
    if (reply.flushed_version() > info.flushed && !Refuses(reply.flushed_version(), now))
      shard_.Flush(partition_, reply.flushed_version());
    // What this copy takes from the owner's, its memory of deletions included, is the owner's.
    shard_.SetOutage(partition_, {reply.outage_end_ms(), reply.outage_length_ms()});
    if (!Refuses(reply.newest_evicted(), now)) {
      shard_.NoteEvicted(partition_, reply.newest_evicted());
    }
    if (!Refuses(reply.newest_forgotten(), now)) {
      shard_.TakeForgotten(partition_, reply.newest_forgotten());
    }
  }
  const std::uint64_t matched = comparison_.matched();
  if (!comparison_.OnReply(reply, now)) return Step::kFailed;
  counts_.matched += comparison_.matched() - matched;
  if (comparison_.equal()) return Step::kFilled;
  if (!comparison_.done()) return Step::kMore;
  differing_ = comparison_.TakeDiffering();
  state_ = State::kListing;
  return NextStep();
}

// ---- What differs -----------------------------------------------------------------------------

std::string DifferencePull::DifferenceRequest(UnixMillis now) {
  const HashRange& range = differing_.front();
  wire::PeerRequest request;
  wire::Difference& body = *request.mutable_difference();
  body.set_from(std::string(self_.raw()));
  body.set_partition(partition_);
  body.set_first_hash(range.first);
  body.set_bytes_max(static_cast<std::uint32_t>(page_bytes_));
  body.set_key_hash(hash_->id().tag);
  listed_.clear();
  MutexLock lock(shard_.mutex());
  const std::uint64_t cursor =
      shard_.Walk(partition_, range.first, kListedRecords, now, [&](const RecordView& record) {
        const std::uint64_t hash = (*hash_)(record.key());
        if (hash > range.last) return false;
        listed_.push_back({hash, record.version()});
        body.add_key_hashes(hash);
        body.add_versions(record.version());
        return true;
      });
  listed_last_ = cursor == 0 || cursor > range.last ? range.last : cursor - 1;
  body.set_last_hash(listed_last_);
  return request.SerializeAsString();
}

DifferencePull::Step DifferencePull::OnDifference(const wire::DifferenceReply& reply,
                                                  UnixMillis now) {
  if (reply.refused()) return Step::kFailed;
  const auto same_hash = [](const Listed& a, const Listed& b) { return a.hash == b.hash; };
  if (reply.hashes_collide() ||
      std::adjacent_find(listed_.begin(), listed_.end(), same_hash) != listed_.end()) {
    return Step::kCollides;
  }
  if (!Take(reply, now)) return Step::kFailed;
  const std::uint64_t first = differing_.front().first;
  next_hash_ = reply.next_hash();
  if (next_hash_ != 0 && (next_hash_ <= first || next_hash_ > listed_last_)) return Step::kFailed;
  if (next_hash_ == 0 && listed_last_ < differing_.front().last) next_hash_ = listed_last_ + 1;
  range_done_ = next_hash_ == 0;
  Judge(reply, now);
  if (offers_.empty()) {
    Advance();
    return NextStep();
  }
  state_ = State::kOffering;
  return Step::kMore;
}

bool DifferencePull::Refuses(Version version, UnixMillis now) {
  if (!IsTooFarAhead(version, now)) return false;
  ++counts_.refused;
  return true;
}

// False: it is malformed.
bool DifferencePull::Take(const wire::DifferenceReply& reply, UnixMillis now) {
  std::uint64_t replaced = 0;
  std::uint64_t gone_through = 0;
  const std::uint64_t end = reply.next_hash();
  for (const Listed& each : listed_) gone_through += end == 0 || each.hash < end ? 1 : 0;
  for (const wire::Mutation& each : reply.mutations()) {
    const std::uint64_t hash = (*hash_)(each.key());
    replaced += std::binary_search(listed_.begin(), listed_.end(), Listed{hash},
                                   [](const Listed& a, const Listed& b) { return a.hash < b.hash; })
                    ? 1
                    : 0;
    if (Refuses(each.version(), now)) continue;
    MutexLock lock(shard_.mutex());
    // One that finds no room is as good as evicted.
    (void)shard_.Apply({partition_, each.key(), each.value(), each.version(), each.expiry_ms(),
                        each.flags(), each.tombstone()},
                       now);
    ++counts_.pulled;
    counts_.pulled_bytes += each.key().size() + each.value().size();
  }
  const auto named = static_cast<std::uint64_t>(reply.older_size() + reply.missing_size());
  if (named + replaced > gone_through) return false;
  counts_.matched += gone_through - named - replaced;
  return true;
}

// Which of the records that the owner lacks, or has older, it is to have; the others go.
void DifferencePull::Judge(const wire::DifferenceReply& reply, UnixMillis now) {
  const std::vector<std::uint64_t> older = Sorted(reply.older());
  const std::vector<std::uint64_t> missing = Sorted(reply.missing());
  offers_.clear();
  offer_next_ = 0;
  if (older.empty() && missing.empty()) return;
  const std::uint64_t last =
      std::max(older.empty() ? 0 : older.back(), missing.empty() ? 0 : missing.back());
  std::vector<std::pair<std::string, Version>> void_here;
  MutexLock lock(shard_.mutex());
  LoneRecord lone;
  lone.as_of = shard_.info(partition_).as_of;
  lone.owner_newest_evicted = reply.newest_evicted();
  lone.owner_newest_forgotten = reply.newest_forgotten();
  lone.owner_remembers_from = reply.remembers_from_ms();
  shard_.Walk(partition_, differing_.front().first, kNoLimit, now, [&](const RecordView& record) {
    const std::uint64_t hash = (*hash_)(record.key());
    if (hash > last) return false;
    lone.version = record.version();
    lone.tombstone = record.is_tombstone();
    const bool is_missing = Contains(missing, hash);
    if (Contains(older, hash) || (is_missing && MayOffer(lone))) {
      offers_.push_back(hash);
    } else if (is_missing) {
      void_here.emplace_back(record.key(), record.version());
    }
    return true;
  });
  for (const auto& [key, version] : void_here) {
    counts_.forgotten += shard_.Forget(engine_.KeyOf(key), version) ? 1 : 0;
  }
}

void DifferencePull::Advance() {
  if (range_done_) {
    differing_.pop_front();
  } else {
    differing_.front().first = next_hash_;
  }
}

DifferencePull::Step DifferencePull::NextStep() {
  if (!differing_.empty()) return Step::kMore;
  return last() == kHashMax ? Step::kFilled : Step::kReached;
}

// ---- Offering ---------------------------------------------------------------------------------

std::string DifferencePull::OfferRequest(UnixMillis now) {
  std::string mutations;
  offer_end_ = offers_.size();
  {
    MutexLock lock(shard_.mutex());
    shard_.Walk(partition_, offers_[offer_next_], kNoLimit, now, [&](const RecordView& record) {
      const std::uint64_t hash = (*hash_)(record.key());
      // A walk may go on a little after a false.
      if (hash > offers_.back() || mutations.size() >= kOfferBytes) return false;
      if (Contains(offers_, hash)) AppendMutation(partition_, record, mutations);
      if (mutations.size() < kOfferBytes) return true;
      const auto next = std::upper_bound(offers_.begin(), offers_.end(), hash);
      offer_end_ = static_cast<std::size_t>(next - offers_.begin());
      return false;
    });
  }
  wire::Offer head;
  head.set_from(std::string(self_.raw()));
  head.set_partition(partition_);
  return EncodePeerMessage(kOfferField, head.SerializeAsString() + mutations);
}

DifferencePull::Step DifferencePull::OnOffered(const wire::OfferReply& reply) {
  if (reply.refused()) return Step::kFailed;
  counts_.offered += offer_end_ - offer_next_;
  offer_next_ = offer_end_;
  if (offer_next_ < offers_.size()) return Step::kMore;
  state_ = State::kListing;
  Advance();
  return NextStep();
}

}  // namespace gyre
