#include "command/feed.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "command/arguments.h"
#include "peer/effect_codec.h"

namespace gyre {

// ---- Places -------------------------------------------------------------------------------------

namespace {

std::optional<StreamPosition> ParsePosition(std::string_view text) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const std::optional<std::uint64_t> term = ParseUnsigned(text.substr(0, dash));
  const std::optional<std::uint64_t> number = ParseUnsigned(text.substr(dash + 1));
  if (!term || !number) return std::nullopt;
  return StreamPosition{*term, *number};
}

}  // namespace

std::optional<FeedPlace> FeedPlace::Parse(std::string_view text, std::uint32_t partition_count) {
  FeedPlace place;
  const std::size_t at = text.find('@');
  const std::optional<std::uint64_t> partition = ParseUnsigned(text.substr(0, at));
  if (!partition || *partition >= partition_count) return std::nullopt;
  place.partition = static_cast<PartitionId>(*partition);
  if (at == std::string_view::npos) return place;
  text.remove_prefix(at + 1);
  const std::size_t dots = text.find("..");
  place.position = ParsePosition(text.substr(0, dots));
  if (!place.position) return std::nullopt;
  if (dots == std::string_view::npos) return place;
  place.until = ParsePosition(text.substr(dots + 2));
  return place.until ? std::optional(place) : std::nullopt;
}

std::string FeedPlace::ToString() const {
  std::string text = std::to_string(partition);
  if (position) {
    text += '@' + std::to_string(position->term) + '-' + std::to_string(position->number);
  }
  return text;
}

namespace {

void SayChange(const DecodedEffect& change, bool values, ReplyWriter& writer) {
  const Mutation& mutation = change.mutation;
  const bool is_set = !change.is_flush && !mutation.tombstone;
  writer.BeginList(ListShape::kArray, is_set && values ? 6 : 3);
  writer.Bulk(is_set ? "set" : change.is_flush ? "flush" : "remove");
  writer.Bulk(mutation.key);
  writer.Unsigned(change.is_flush ? change.flush.version : mutation.version);
  if (is_set && values) {
    writer.Bulk(mutation.value);
    writer.Unsigned(mutation.flags);
    writer.Integer(mutation.expiry_ms);
  }
  writer.EndList();
}

}  // namespace

// ---- Begin and end ------------------------------------------------------------------------------

Feed::Feed(CommandContext& context, std::unique_ptr<StreamReaders::Reader> reader,
           Tally<RouterStats>& counters)
    : context_(context),
      reader_(std::move(reader)),
      counters_(counters),
      places_(context.services().engine.options().partition_count),
      taken_(context.gathered()) {}

Feed::~Feed() { *alive_ = false; }

void Feed::Start(std::shared_ptr<PushWaker> waker) {
  waker_ = std::move(waker);
  reader_->OnNews([waker = waker_] { waker->Wake(); });
  LookLater();
}

void Feed::LookLater() {
  context_.Later(kLookEvery, [this, alive = alive_] {
    if (!*alive) return;
    must_look_ = true;
    Wake();
    LookLater();
  });
}

KeptStream& Feed::StreamOf(PartitionId partition) const {
  return context_.services().replication.StreamsOf(partition).kept;
}

bool Feed::Owns(PartitionId partition) const GYRE_NO_THREAD_SAFETY_ANALYSIS {
  const Role role = context_.services().engine.ShardOf(partition).info(partition).role;
  return role == Role::kOwner || role == Role::kHandingOver;
}

bool Feed::MayTell() const { return context_.services().replication.fence.MayOrder(); }

// An owner that wrote nothing yet has no term, and one that wrote where nobody read and had no copy has
// places that nobody can go on from: a reader is told the gap now, and not with the next write.
void Feed::OpenTerm(PartitionId partition) GYRE_NO_THREAD_SAFETY_ANALYSIS {
  Shard& shard = context_.services().engine.ShardOf(partition);
  if (shard.info(partition).role != Role::kOwner) return;
  context_.services().replication.OpenTerm(partition, shard);
}

// What an owner has of the terms before its own was settled by another, or never: it does not know. A
// group of its own says it, once the copies have that. So does the first write; but there may be none.
void Feed::SettleWithoutAWrite(PartitionId partition) GYRE_NO_THREAD_SAFETY_ANALYSIS {
  const Services& services = context_.services();
  ReplicationTable& table = services.replication;
  const bool may_order =
      services.engine.ShardOf(partition).info(partition).role == Role::kOwner && MayTell();
  if (!may_order || table.in_flight[partition].load(std::memory_order_acquire) != 0) return;
  if (StreamOf(partition).settled(partition) == StreamOf(partition).last(partition)) return;
  services.replicator.Submit(partition, {});
}

std::optional<FeedPlace> Feed::Begin(const FeedPlace& from) {
  const PartitionId partition = from.partition;
  Place& place = places_[partition];
  {
    MutexLock lock(context_.services().engine.ShardOf(partition).mutex());
    if (from.until ? !HasRange(from) : !Owns(partition)) return std::nullopt;
    KeptStream& stream = StreamOf(partition);
    if (!from.until) {
      // First: from then on it is kept, and what is settled is told.
      reader_->Watch(partition);
      OpenTerm(partition);
    }
    if (from.position) {
      place.at = *from.position;
    } else {
      const StreamPosition settled = stream.settled(partition);
      const bool is_kept = settled.is_known() && stream.Reaches(partition, settled);
      place.at = is_kept ? settled : stream.last(partition);
    }
  }
  place.until = from.until;
  place.on = true;
  place.quiet = false;
  Enqueue(partition);
  return FeedPlace{partition, place.at, {}};
}

// With the mutex of the partition's shard.
bool Feed::HasRange(const FeedPlace& range) {
  KeptStream& stream = StreamOf(range.partition);
  return range.position < range.until && stream.Reaches(range.partition, *range.position) &&
         stream.Reaches(range.partition, *range.until);
}

void Feed::End(PartitionId partition) {
  places_[partition].on = false;
  reader_->Unwatch(partition);
}

void Feed::Enqueue(PartitionId partition) {
  Place& place = places_[partition];
  if (!place.on || std::exchange(place.queued, true)) return;
  ready_.push_back(partition);
}

// ---- Writing ------------------------------------------------------------------------------------

bool Feed::Write(PushSink& sink) {
  reader_->Take([this](PartitionId partition) { Enqueue(partition); });
  if (must_look_) Look(sink);
  while (!ready_.empty()) {
    if (sink.full()) return true;
    const PartitionId partition = ready_.front();
    const bool more = places_[partition].on && SendFrom(partition, sink);
    ready_.pop_front();
    places_[partition].queued = false;
    if (more) Enqueue(partition);  // behind the others
  }
  return false;
}

void Feed::Look(PushSink& sink) {
  Engine& engine = context_.services().engine;
  for (std::uint32_t shard = 0; shard < engine.shard_count(); ++shard) {
    MutexLock lock(engine.shard(shard).mutex());
    for (PartitionId p = shard; p < places_.size(); p += engine.shard_count()) {
      if (!places_[p].on || places_[p].until) continue;
      SettleWithoutAWrite(p);
      if (!Owns(p) || StreamOf(p).settled(p) > places_[p].at) Enqueue(p);
    }
  }
  context_.services().replicator.Flush();
  for (PartitionId p = 0; p < places_.size(); ++p) {
    if (!places_[p].on || !places_[p].quiet) continue;
    SayPlace(sink, "at", p, places_[p].at);
    places_[p].quiet = false;
  }
  must_look_ = false;
}

// Takes some of what there is of the partition into `taken_`, and of behind a gap nothing.
KeptStream::Outcome Feed::Take(PartitionId partition) {
  Place& place = places_[partition];
  taken_.Clear();
  return StreamOf(partition).Read(
      partition, place.at, place.entry, kReadBytes,
      place.until ? KeptStream::Which::kAll : KeptStream::Which::kSettled,
      [this, &place](const KeptStream::Group& group) {
        if (place.until && group.position > *place.until) return;
        const Taken taken{group.position, group.bytes.size()};
        taken_.Append({reinterpret_cast<const char*>(&taken), sizeof taken});
        taken_.Append(group.bytes);
      });
}

// Sends some of what there is of the partition. True: there may be more.
bool Feed::SendFrom(PartitionId partition, PushSink& sink) {
  Place& place = places_[partition];
  StreamPosition goes_on;
  bool ends = false;
  KeptStream::Outcome outcome = KeptStream::Outcome::kEnd;
  {
    MutexLock lock(context_.services().engine.ShardOf(partition).mutex());
    ends = !place.until && !Owns(partition);
    if (!ends && !place.until && !MayTell()) return false;  // Look comes back to it
    if (!ends) outcome = Take(partition);
    if (outcome == KeptStream::Outcome::kGap)
      goes_on = StreamOf(partition).Nearest(partition, place.at);
  }
  // Of a range that went meanwhile, what is left is the owner's to say.
  if (ends || (place.until && outcome == KeptStream::Outcome::kGap))
    return EndWith(partition, sink);
  if (outcome == KeptStream::Outcome::kGap) {
    SayPlace(sink, "gap", partition, goes_on);
    counters_[&RouterStats::feed_gaps].Add(1);
    place.at = goes_on;
    place.quiet = false;
    return true;
  }
  SendTaken(partition, sink);
  if (taken_.capacity() > 2 * kReadBytes) taken_.Release();
  if (place.until && place.at >= *place.until) return EndWith(partition, sink);
  return outcome == KeptStream::Outcome::kMore;
}

bool Feed::EndWith(PartitionId partition, PushSink& sink) {
  Place& place = places_[partition];
  if (place.quiet) SayPlace(sink, "at", partition, place.at);
  place.quiet = false;
  sink.Say([&](ReplyWriter& writer) {
    writer.BeginPush(2);
    writer.Bulk("moved");
    writer.Bulk(FeedPlace{partition, {}, {}}.ToString());
    writer.EndList();
  });
  End(partition);
  return false;
}

void Feed::SendTaken(PartitionId partition, PushSink& sink) {
  for (std::string_view rest = taken_.view(); !rest.empty();) {
    Taken taken;
    std::copy_n(rest.data(), sizeof taken, reinterpret_cast<char*>(&taken));
    rest.remove_prefix(sizeof taken);
    SendGroup(partition, taken.position, rest.substr(0, taken.bytes), sink);
    rest.remove_prefix(taken.bytes);
    places_[partition].at = taken.position;
  }
}

void Feed::SendGroup(PartitionId partition, StreamPosition position, std::string_view group,
                     PushSink& sink) {
  const Status read = DecodeEffects(partition, group, changes_);
  if (!read) LogError("a kept group cannot be read", {{"error", read.error().message}});
  std::erase_if(changes_, [this](const DecodedEffect& change) {
    return !change.is_flush && !change.mutation.key.starts_with(options_.prefix);
  });
  places_[partition].quiet = changes_.empty();
  if (changes_.empty()) return;
  sink.Say([&](ReplyWriter& writer) {
    writer.BeginPush(2 + changes_.size());
    writer.Bulk("group");
    writer.Bulk(FeedPlace{partition, position, {}}.ToString());
    for (const DecodedEffect& change : changes_) SayChange(change, options_.values, writer);
    writer.EndList();
  });
  counters_[&RouterStats::feed_changes].Add(changes_.size());
}

void Feed::SayPlace(PushSink& sink, std::string_view word, PartitionId partition,
                    StreamPosition position) {
  sink.Say([&](ReplyWriter& writer) {
    writer.BeginPush(2);
    writer.Bulk(word);
    writer.Bulk(FeedPlace{partition, position, {}}.ToString());
    writer.EndList();
  });
}

}  // namespace gyre
