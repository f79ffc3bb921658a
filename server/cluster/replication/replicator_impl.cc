#include "replication/replicator_impl.h"

#include <algorithm>
#include <map>

#include "peer/effect_codec.h"
#include "peer/peer_codec.h"
namespace gyre {
namespace {

constexpr Duration kReplicatorTick = std::chrono::milliseconds(10);
constexpr Duration kBackoffMin = std::chrono::milliseconds(10);
constexpr Duration kBackoffMax = std::chrono::milliseconds(500);
// Settled writes that are remembered, so that WAIT can ask for them.
constexpr std::size_t kWindowWrites = 1024;

// What a larger group leaves of its buffer is given back.
constexpr std::size_t kEffectsBytesKept = std::size_t{1} << 20;
// What a node that is behind is sent of one partition at once.
constexpr std::size_t kCatchUpBytesMax = std::size_t{4} << 20;
// Evictions that one group tells: a fraction of a millisecond at each copy.
constexpr std::size_t kEvictedAtOnce = 1024;
// A partition that nobody writes to is looked after so often until its removals are forgotten.
constexpr Duration kForgetInterval = std::chrono::seconds(1);
// So often a write is sent again to a node that lacks those before it: two seconds of early ones.
constexpr std::uint8_t kBehindMax = 8;

void AppendEffect(const Effect& effect, std::string& out) {
  switch (effect.kind) {
    case Effect::Kind::kPut:
      return AppendMutation(effect.key->partition, effect.record, out);
    case Effect::Kind::kRemove:
      return AppendRemoval(*effect.key, effect.version, out);
    case Effect::Kind::kFlush:
      return AppendFlush(effect.key->partition, effect.version, out);
  }
}

const ReplicateResult::Behind* FindBehind(const ReplicateResult& result, PartitionId partition) {
  const auto found =
      std::find_if(result.behind.begin(), result.behind.end(),
                   [partition](const auto& each) { return each.partition == partition; });
  return found == result.behind.end() ? nullptr : &*found;
}

}  // namespace

std::unique_ptr<Replicator> MakeReplicator(ReplicatorOptions options, Engine& engine,
                                           ReplicationTable& table, ViewPublisher& views,
                                           Transport& transport, std::function<TimePoint()> clock) {
  return std::make_unique<ReplicatorImpl>(options, engine, table, views, transport,
                                          std::move(clock));
}

ReplicatorImpl::ReplicatorImpl(ReplicatorOptions options, Engine& engine, ReplicationTable& table,
                               ViewPublisher& views, Transport& transport,
                               std::function<TimePoint()> clock)
    : options_(options),
      engine_(engine),
      table_(table),
      views_(views),
      transport_(transport),
      clock_(std::move(clock)),
      is_unforgotten_(table.sets.size()) {}

ReplicatorImpl::~ReplicatorImpl() { *alive_ = false; }

// ---- Submitting -------------------------------------------------------------------------------

Status ReplicatorImpl::Check(PartitionId partition, std::uint32_t acks) {
  table_.StreamsOf(partition).kept.Prefetch(partition);
  acks = AcksOr(acks);
  if (acks <= 1) return {};
  const ReplicaSet& set = table_.sets[partition];
  std::uint32_t copies = 1;
  for (std::uint8_t i = 0; i < set.count; ++i) {
    const ReplicaSet::Target& target = set.targets[i];
    if (target.standing != ReplicaSet::Standing::kLagging &&
        QueueOf(target.node).bytes < options_.queue_bytes_max) {
      ++copies;
    }
  }
  if (copies >= acks) return {};
  if (set.count + 1U >= acks) {
    return Fail(ErrorCode::kUnavailable,
                std::to_string(acks) +
                    " copies were asked for, and a node that should have one is "
                    "behind: it is being filled");
  }
  return Fail(ErrorCode::kTooFewReplicas,
              std::to_string(acks) + " copies were asked for, " + std::to_string(copies) +
                  " can be had now: bring nodes back, or ask for fewer (--write-acks)");
}

Replicator::Ticket ReplicatorImpl::Submit(PartitionId partition, std::span<const Effect> group) {
  ReplicaSet& set = table_.sets[partition];
  if (set.has_taken) [[unlikely]]
    SubmitTaken(partition);
  if (IsHeard(partition)) {
    Encode(group);
    return SubmitEncoded(partition);
  }
  set.NoteUnordered();
  return 0;
}

// Whether there is another copy, or somebody reads.
bool ReplicatorImpl::IsHeard(PartitionId partition) const {
  return table_.sets[partition].count != 0 ||
         (table_.ordered.load(std::memory_order_relaxed) && table_.readers.Reads(partition));
}

// What was taken from another copy becomes a group. It is in flight until that is.
[[gnu::noinline]] void ReplicatorImpl::SubmitTaken(PartitionId partition) {
  std::atomic<std::uint32_t>& in_flight = table_.in_flight[partition];
  in_flight.fetch_add(1, std::memory_order_relaxed);
  TakenEffects::Group taken = table_.TakeTaken(partition);
  if (IsHeard(partition)) {
    effects_ = std::move(taken.effects);
    mutations_ = taken.mutations;
    (void)SubmitEncoded(partition);
  }
  in_flight.fetch_sub(1, std::memory_order_release);
}

// What stands in `effects_`.
Replicator::Ticket ReplicatorImpl::SubmitEncoded(PartitionId partition) {
  ReplicaSet& set = table_.sets[partition];
  if (set.count == 0) {
    SubmitToReaders(partition);
    return 0;
  }
  const bool ordered = table_.ordered.load(std::memory_order_relaxed);
  const Ticket ticket = next_ticket_++;
  Write& write = window_.emplace_back();
  write.partition = partition;
  write.submitted = table_.fence.MarkWrite();
  write.revision = table_.revision.load(std::memory_order_acquire);
  GroupView view{.partition = partition, .position = {}, .base = {}, .effects = effects_};
  if (ordered) {
    Order(view);
    write.position = view.position;
  } else {
    set.NoteUnordered();
  }
  const bool nothing = !ordered && effects_.empty();  // in records that is not said at all
  for (std::uint8_t i = 0; i < set.count; ++i) {
    ReplicaSet::Target& target = set.targets[i];
    if (target.standing == ReplicaSet::Standing::kLagging) continue;
    ReplicaQueue& queue = QueueOf(target.node);
    if (queue.bytes >= options_.queue_bytes_max) {
      MarkLagging(target);
      continue;
    }
    const std::uint8_t bit = Write::Bit(write.count);
    write.targets[write.count++] = &queue;
    write.current |= bit;
    if (target.complete) write.complete |= bit;
    if (nothing) {
      write.acked |= bit;
      write.settled |= bit;
      continue;
    }
    table_.in_flight[partition].fetch_add(1, std::memory_order_relaxed);
    counters_[&ReplicatorStats::mutations_sent].Add(1);
    ReplicaBatch& batch = queue.Open(ordered ? BatchForm::kGroups : BatchForm::kRecords);
    ReplicaBatch::Entry entry{.ticket = ticket,
                              .partition = partition,
                              .mutations = mutations_,
                              .position = view.position,
                              .offset = batch.payload.size()};
    if (ordered) {
      AppendGroup(view, batch.payload);
    } else {
      batch.payload.append(effects_);
    }
    const ReplicaBatchPtr added = queue.Added(entry);
    if (write.source != nullptr) continue;
    write.source = added;
    write.source_entry = added->entries.size() - 1;
  }
  if (write.settled == write.all()) NoteSettled(write.partition, write.position);
  if (effects_.capacity() > kEffectsBytesKept) effects_ = std::string();
  EnsureTick();
  return ticket;
}

// There is no other copy, and somebody reads.
[[gnu::noinline]] void ReplicatorImpl::SubmitToReaders(PartitionId partition) {
  GroupView view{.partition = partition, .position = {}, .base = {}, .effects = effects_};
  Order(view);
  NoteSettled(partition, view.position);
}

// The group's effects, in `effects_`.
void ReplicatorImpl::Encode(std::span<const Effect> group) {
  effects_.clear();
  mutations_ = 0;
  if (faults_.skip_every != 0 && ++submitted_ % faults_.skip_every == 0) group = {};
  if (faults_.tear_every != 0 && group.size() > 1 &&
      ++several_submitted_ % faults_.tear_every == 0) {
    group = group.first(1);
  }
  for (const Effect& effect : group) {
    if (faults_.skip_tombstones && effect.kind == Effect::Kind::kRemove) continue;
    AppendEffect(effect, effects_);
    if (effect.kind != Effect::Kind::kFlush) ++mutations_;
  }
}

// Gives the group its place in the stream. The caller holds the shard's mutex, which the analysis cannot
// see from here.
void ReplicatorImpl::Order(GroupView& group) {
  table_.OpenTerm(group.partition, engine_.ShardOf(group.partition));
  KeptStream& kept = table_.StreamsOf(group.partition).kept;
  group.position = kept.last(group.partition).next();
  if (group.position.number == 1) group.base = kept.base(group.partition);
  Shard& shard = engine_.ShardOf(group.partition);
  const Version forgotten = table_.ForgetSettled(group.partition, shard, group.position);
  if (forgotten != 0) AppendForgotten(forgotten, effects_);
  if (shard.info(group.partition).has_evicted) AppendEvicted(group.partition, shard);
  group.effects = effects_;
  if (shard.info(group.partition).tombstones != 0) NoteRemovals(group.partition);
  kept.Append(group.partition, group.position, group.effects);
}

// What left the partition since the last group goes with this one.
void ReplicatorImpl::AppendEvicted(PartitionId partition, Shard& shard) {
  evicted_.clear();
  shard.TakeEvicted(partition, kEvictedAtOnce, evicted_);
  if (faults_.skip_evictions) return;
  AppendEvictions(evicted_, shard.key_hash(partition).id().tag, effects_);
}

ReplicaQueue& ReplicatorImpl::QueueOf(const NodeId& node) {
  std::unique_ptr<ReplicaQueue>& queue = queues_[node];
  if (queue == nullptr) {
    queue = std::make_unique<ReplicaQueue>();
    queue->node = node;
  }
  return *queue;
}

// A write for the target is dropped. The coordinator tells it to pull again.
void ReplicatorImpl::MarkLagging(ReplicaSet::Target& target) {
  target.standing = ReplicaSet::Standing::kLagging;
  target.complete = false;
  table_.revision.fetch_add(1, std::memory_order_release);
  counters_[&ReplicatorStats::mutations_dropped].Add(1);
  counters_[&ReplicatorStats::resyncs].Add(1);
}

// ---- Sending ----------------------------------------------------------------------------------

void ReplicatorImpl::Flush() {
  for (auto& [node, queue] : queues_) {
    if (!queue->idle()) Send(*queue);
  }
}

void ReplicatorImpl::Send(ReplicaQueue& queue) {
  if (queue.waiting == 0 && queue.open == nullptr) return;
  const TimePoint now = clock_();
  if (queue.open != nullptr && queue.open->due == TimePoint{}) queue.open->due = now;
  if (now < queue.retry_at) return;  // what comes meanwhile gathers in the open batch
  queue.Seal();
  if (queue.waiting != 0) {
    for (const ReplicaBatchPtr& batch : queue.batches) {
      if (batch->in_flight) continue;
      if (batch->due == TimePoint{}) batch->due = now;
      SendBatch(queue, batch);
    }
  }
}

void ReplicatorImpl::SendBatch(ReplicaQueue& queue, const ReplicaBatchPtr& batch) {
  batch->in_flight = true;
  batch->revision = table_.revision.load(std::memory_order_acquire);
  --queue.waiting;
  transport_.Call(queue.node, FrameType::kPeerRequest, batch->payload, options_.ack_timeout,
                  [this, alive = alive_, &queue, batch](Result<std::string_view> reply) {
                    if (*alive) OnReply(queue, batch, reply);
                  });
}

void ReplicatorImpl::BackOff(ReplicaQueue& queue) {
  queue.backoff = std::clamp(queue.backoff * 2, kBackoffMin, kBackoffMax);
  queue.retry_at = clock_() + queue.backoff;
  EnsureTick();
}

// ---- Acknowledgements -------------------------------------------------------------------------

void ReplicatorImpl::OnReply(ReplicaQueue& queue, const ReplicaBatchPtr& batch,
                             Result<std::string_view> reply) {
  if (batch->given_up) return;
  Result<ReplicateResult> result =
      reply ? DecodeReplicateReply(*reply, batch->form) : tl::unexpected<Error>(reply.error());
  if (!result) {
    batch->in_flight = false;
    ++queue.waiting;
    return BackOff(queue);
  }
  queue.backoff = Duration{};
  queue.retry_at = TimePoint{};
  queue.Remove(batch);
  std::sort(result->refused.begin(), result->refused.end());
  std::sort(result->absent.begin(), result->absent.end());
  std::sort(result->failed.begin(), result->failed.end());
  for (PartitionId partition : result->refused) {
    const bool absent = std::binary_search(result->absent.begin(), result->absent.end(), partition);
    NoteRefused(partition, queue.node, batch->revision, absent);
  }
  std::map<PartitionId, std::vector<const ReplicaBatch::Entry*>> missing;
  std::uint32_t number = 0;  // of the group in the batch, or of the first of its records
  for (const ReplicaBatch::Entry& entry : batch->entries) {
    const std::uint32_t count = batch->form == BatchForm::kGroups ? 1 : entry.mutations;
    const auto failure = std::lower_bound(result->failed.begin(), result->failed.end(), number);
    const bool failed = failure != result->failed.end() && *failure < number + count;
    number += count;
    if (const auto* behind = FindBehind(*result, entry.partition);
        behind != nullptr && entry.position > behind->position) {
      if (entry.ticket != 0) {
        missing[entry.partition].push_back(&entry);
      } else {
        Settle(queue, entry, false, false);  // it is sent again where a write needs it
      }
      continue;
    }
    const bool refused =
        std::binary_search(result->refused.begin(), result->refused.end(), entry.partition);
    Settle(queue, entry, !refused && !failed, failed);
  }
  for (const auto& [partition, entries] : missing) {
    SendMissing(queue, *batch, *FindBehind(*result, partition), entries);
  }
  if (!missing.empty()) Send(queue);
  TrimWindow();
  DecideCopies();
}

// The node lacks what comes before these writes of one partition.
void ReplicatorImpl::SendMissing(ReplicaQueue& queue, const ReplicaBatch& batch,
                                 const ReplicateResult::Behind& behind,
                                 const std::vector<const ReplicaBatch::Entry*>& missing) {
  const StreamPosition before = missing.front()->position;
  // What this term has and is no longer kept is still in the queues of the other loops, for a while.
  const bool is_queued =
      behind.position.term == before.term && missing.front()->behind < kBehindMax;
  const Kept kept = SendKept(queue, behind.partition, behind.position, before);
  if (kept == Kept::kSent || (kept == Kept::kGone && is_queued)) {
    for (const ReplicaBatch::Entry* entry : missing) {
      ReplicaBatch::Entry again = *entry;
      if (again.behind < kBehindMax) ++again.behind;
      queue.AddCopy(batch, again);
    }
    return;
  }
  if (kept == Kept::kGone) MarkBehind(queue, behind.partition);
  for (const ReplicaBatch::Entry* entry : missing) Settle(queue, *entry, false, false);
}

// Sends what is kept of the partition after `after` and before `before`, or as much of it as a batch
// holds: the node then says again how far it is.
ReplicatorImpl::Kept ReplicatorImpl::SendKept(ReplicaQueue& queue, PartitionId partition,
                                              StreamPosition after, StreamPosition before) {
  MutexLock lock(engine_.ShardOf(partition).mutex());
  const ReplicaSet::Target* const target = FindTarget(table_.sets[partition], queue.node);
  if (target == nullptr || target->standing == ReplicaSet::Standing::kLagging)
    return Kept::kUnwanted;
  const KeptStream::Outcome outcome = table_.StreamsOf(partition).kept.Read(
      partition, after, kCatchUpBytesMax, KeptStream::Which::kAll,
      [&](const KeptStream::Group& group) {
        if (group.position >= before) return;
        ReplicaBatch& batch = queue.Open(BatchForm::kGroups);
        const std::size_t offset = batch.payload.size();
        AppendGroup({partition, group.position, group.predecessor, group.bytes}, batch.payload);
        queue.Added({.partition = partition, .position = group.position, .offset = offset});
        table_.in_flight[partition].fetch_add(1, std::memory_order_relaxed);
        counters_[&ReplicatorStats::groups_resent].Add(1);
      });
  return outcome == KeptStream::Outcome::kGap ? Kept::kGone : Kept::kSent;
}

// It must pull again.
void ReplicatorImpl::MarkBehind(ReplicaQueue& queue, PartitionId partition) {
  MutexLock lock(engine_.ShardOf(partition).mutex());
  ReplicaSet::Target* const target = FindTarget(table_.sets[partition], queue.node);
  if (target != nullptr && target->standing != ReplicaSet::Standing::kLagging) {
    MarkLagging(*target);
  }
}

// The node holds nothing of the partition (`absent`), or follows nobody or another owner: until it pulls
// from here, nothing more is sent to it.
void ReplicatorImpl::NoteRefused(PartitionId partition, const NodeId& node,
                                 std::uint64_t sent_revision, bool absent) {
  if (partition >= table_.sets.size()) return;  // a peer's word
  MutexLock lock(engine_.ShardOf(partition).mutex());
  ReplicaSet& set = table_.sets[partition];
  for (std::uint8_t i = 0; i < set.count; ++i) {
    ReplicaSet::Target& target = set.targets[i];
    // A puller may have begun since the mutation was refused: then it will get it from the walk.
    const bool began_since =
        target.standing == ReplicaSet::Standing::kPulling && sent_revision <= target.pulling_since;
    if (target.node != node || began_since) continue;
    target.standing = ReplicaSet::Standing::kLagging;
    target.complete = false;
    target.absent = absent;
    table_.revision.fetch_add(1, std::memory_order_release);
  }
}

void ReplicatorImpl::Settle(ReplicaQueue& queue, const ReplicaBatch::Entry& entry, bool acked,
                            bool failed) {
  Write* write = Find(entry.ticket);
  if (write != nullptr) {
    for (std::uint8_t i = 0; i < write->count; ++i) {
      if (write->targets[i] != &queue) continue;
      write->settled |= Write::Bit(i);
      if (acked) write->acked |= Write::Bit(i);
      if (failed) write->failed |= Write::Bit(i);
    }
    if (write->waited) Decide(entry.ticket);
    if (write->settled == write->all()) {
      NoteSettled(write->partition, write->position);
      if (!write->waited) write->source.reset();
    }
  }
  (acked ? counters_[&ReplicatorStats::mutations_acked]
         : counters_[&ReplicatorStats::mutations_dropped])
      .Add(1);
  // Last: a handover that sees zero may change the targets by which the write was just judged.
  table_.in_flight[entry.partition].fetch_sub(1, std::memory_order_release);
}

void ReplicatorImpl::NoteSettled(PartitionId partition, StreamPosition position) {
  if (!position.is_known()) return;
  table_.StreamsOf(partition).kept.Settle(partition, position);
  table_.readers.Settled(partition);
}

// The node died: what it did not acknowledge is no longer waited for. If it comes back, it begins
// empty-handed.
void ReplicatorImpl::GiveUp(ReplicaQueue& queue) {
  queue.Seal();
  const std::deque<ReplicaBatchPtr> batches = std::exchange(queue.batches, {});
  queue.bytes = 0;
  queue.waiting = 0;
  queue.retry_at = TimePoint{};
  for (const ReplicaBatchPtr& batch : batches) {
    batch->given_up = true;
    for (const ReplicaBatch::Entry& entry : batch->entries) Settle(queue, entry, false, false);
  }
}

ReplicatorImpl::Write* ReplicatorImpl::Find(Ticket ticket) {
  if (ticket < window_begin_ || ticket >= next_ticket_) return nullptr;
  return &window_[ticket - window_begin_];
}

void ReplicatorImpl::TrimWindow() {
  while (window_.size() > kWindowWrites) {
    const Write& oldest = window_.front();
    if (oldest.settled != oldest.all() || oldest.waited) return;
    window_.pop_front();
    ++window_begin_;
  }
}

// ---- Removals ---------------------------------------------------------------------------------

void ReplicatorImpl::NoteRemovals(PartitionId partition) {
  if (is_unforgotten_[partition] || !table_.forgets.load(std::memory_order_relaxed)) return;
  is_unforgotten_[partition] = true;
  unforgotten_.push_back({partition, {}});
}

// Where no further write says that the last removals may be forgotten, a group without effects does.
void ReplicatorImpl::ForgetQuietRemovals() {
  const TimePoint now = clock_();
  if (unforgotten_.empty() || now < next_forgetting_) return;
  next_forgetting_ = now + kForgetInterval;
  const bool may_order = table_.fence.MayOrder();
  std::erase_if(unforgotten_, [&](Unforgotten& each) {
    Shard& shard = engine_.ShardOf(each.partition);
    MutexLock lock(shard.mutex());
    if (shard.info(each.partition).role != Role::kOwner ||
        shard.OldestRemoval(each.partition) == 0) {
      is_unforgotten_[each.partition] = false;
      return true;
    }
    const StreamPosition before = std::exchange(each.last, table_.LastOf(each.partition));
    const bool quiet = each.last == before;
    if (quiet && may_order && table_.sets[each.partition].IsWhole() &&
        table_.in_flight[each.partition].load(std::memory_order_acquire) == 0) {
      Submit(each.partition, {});
      each.last = table_.LastOf(each.partition);
    }
    return false;
  });
}

// ---- Time -------------------------------------------------------------------------------------

void ReplicatorImpl::EnsureTick() {
  if (ticking_) return;
  ticking_ = true;
  transport_.After(kReplicatorTick, [this, alive = alive_] {
    if (*alive) Tick();
  });
}

void ReplicatorImpl::Tick() {
  ticking_ = false;
  NoteView();
  DecideAll();
  DecideCopies();
  ForgetQuietRemovals();
  Flush();
  TrimWindow();
  std::size_t bytes = 0;
  const TimePoint now = clock_();
  TimePoint owed_since = now;
  bool busy = !waiters_.empty() || !copies_waiters_.empty() || !unforgotten_.empty();
  for (const auto& [node, queue] : queues_) {
    bytes += queue->bytes;
    owed_since = std::min(owed_since, queue->owed_since());
    busy = busy || !queue->idle();
  }
  counters_[&ReplicatorStats::queue_bytes].Set(bytes);
  counters_[&ReplicatorStats::lag_ns].Set(static_cast<std::uint64_t>((now - owed_since).count()));
  if (busy) EnsureTick();
}

void ReplicatorImpl::NoteView() {
  const std::uint64_t revision = views_.revision();
  if (revision == view_revision_) return;
  view_revision_ = revision;
  view_ = views_.Load();
  std::vector<ReplicaQueue*> gone;  // first: giving up calls back, and that may add queues
  for (auto& [node, queue] : queues_) {
    if (!queue->idle() && !Serves(node)) gone.push_back(queue.get());
  }
  for (ReplicaQueue* queue : gone) GiveUp(*queue);
}

bool ReplicatorImpl::Serves(const NodeId& node) const {
  if (view_ == nullptr) return true;
  const MemberIndex member = view_->Find(node);
  return member != kNoMember && view_->members[member].serving();
}

}  // namespace gyre
