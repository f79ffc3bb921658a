#include "replication/replicator_impl.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "leases/lease_table.h"

namespace gyre {
namespace {

constexpr Duration kReplicatorTick = std::chrono::milliseconds(10);
constexpr Duration kBackoffMin = std::chrono::milliseconds(10);
constexpr Duration kBackoffMax = std::chrono::milliseconds(500);
// Settled writes that are remembered, so that WAIT can ask for them.
constexpr std::size_t kWindowWrites = 1024;

std::uint8_t Bit(std::size_t index) { return static_cast<std::uint8_t>(1U << index); }

Error UnknownOutcome(std::string_view why) {
  return Error{ErrorCode::kUnknownOutcome, "the write was applied here, but " + std::string(why) +
                                               ": read the key back before you repeat it"};
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
      clock_(std::move(clock)) {}

ReplicatorImpl::~ReplicatorImpl() { *alive_ = false; }

// ---- Submitting -------------------------------------------------------------------------------

Status ReplicatorImpl::Check(PartitionId partition, std::uint32_t acks) {
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

Replicator::Ticket ReplicatorImpl::Submit(PartitionId partition, const RecordView& record) {
  return SubmitEncoded(partition, false, /*skip=*/false,
                       [&](std::string& out) { AppendMutation(partition, record, out); });
}

Replicator::Ticket ReplicatorImpl::SubmitRemoval(const Key& key, Version version) {
  return SubmitEncoded(key.partition, false, faults_.skip_tombstones,
                       [&](std::string& out) { AppendRemoval(key, version, out); });
}

Replicator::Ticket ReplicatorImpl::SubmitFlush(PartitionId partition, Version version) {
  return SubmitEncoded(partition, true, false,
                       [&](std::string& out) { AppendFlush(partition, version, out); });
}

template <typename Append>
Replicator::Ticket ReplicatorImpl::SubmitEncoded(PartitionId partition, bool is_flush, bool skip,
                                                 Append&& append) {
  ReplicaSet& set = table_.sets[partition];
  if (set.count == 0) return 0;
  const Ticket ticket = next_ticket_++;
  Write& write = window_.emplace_back();
  write.partition = partition;
  write.overruled = table_.self_fence.overruled();
  if (options_.leases != nullptr) write.submitted = options_.leases->Now();
  write.revision = table_.revision.load(std::memory_order_acquire);
  const bool dropped = faults_.drop_every != 0 && ++submitted_ % faults_.drop_every == 0;
  const bool fault = skip || dropped;
  for (std::uint8_t i = 0; i < set.count; ++i) {
    ReplicaSet::Target& target = set.targets[i];
    if (target.standing == ReplicaSet::Standing::kLagging) continue;
    ReplicaQueue& queue = QueueOf(target.node);
    if (queue.bytes >= options_.queue_bytes_max) {
      MarkLagging(target);
      continue;
    }
    const std::uint8_t bit = Bit(write.count);
    write.targets[write.count++] = &queue;
    write.current |= bit;
    if (target.complete) write.complete |= bit;
    if (fault) {
      write.acked |= bit;
      write.settled |= bit;
      continue;
    }
    table_.in_flight[partition].fetch_add(1, std::memory_order_relaxed);
    counters_.sent.fetch_add(1, std::memory_order_relaxed);
    if (write.source != nullptr) {
      queue.AddCopy(*write.source, write.source->entries[write.source_entry]);
      continue;
    }
    ReplicaBatch& batch = queue.Open();
    const std::size_t offset = batch.payload.size();
    append(batch.payload);
    write.source = queue.Added(ticket, partition, is_flush, offset);
    write.source_entry = write.source->entries.size() - 1;
  }
  EnsureTick();
  return ticket;
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
  counters_.dropped.fetch_add(1, std::memory_order_relaxed);
  counters_.resyncs.fetch_add(1, std::memory_order_relaxed);
}

// ---- Sending ----------------------------------------------------------------------------------

void ReplicatorImpl::Flush() {
  for (auto& [node, queue] : queues_) {
    if (!queue->idle()) Send(*queue);
  }
}

void ReplicatorImpl::Send(ReplicaQueue& queue) {
  if (queue.waiting == 0 && queue.open == nullptr) return;
  if (clock_() < queue.retry_at) return;  // what comes meanwhile gathers in the open batch
  queue.Seal();
  if (queue.waiting != 0) {
    for (const ReplicaBatchPtr& batch : queue.batches) {
      if (!batch->in_flight) SendBatch(queue, batch);
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
      reply ? DecodeReplicateReply(*reply) : tl::unexpected<Error>(reply.error());
  if (!result) {
    batch->in_flight = false;
    ++queue.waiting;
    return BackOff(queue);
  }
  queue.backoff = Duration{};
  queue.retry_at = TimePoint{};
  queue.Remove(batch);
  std::sort(result->refused.begin(), result->refused.end());
  std::sort(result->failed.begin(), result->failed.end());
  for (PartitionId partition : result->refused) {
    NoteRefused(partition, queue.node, batch->revision);
  }
  std::uint32_t mutation = 0;
  for (const ReplicaBatch::Entry& entry : batch->entries) {
    const auto contains = [](const auto& list, std::uint32_t value) {
      return std::binary_search(list.begin(), list.end(), value);
    };
    const bool refused = contains(result->refused, entry.partition);
    const bool failed = !entry.is_flush && contains(result->failed, mutation);
    if (!entry.is_flush) ++mutation;
    Settle(queue, entry, !refused && !failed, failed);
  }
  TrimWindow();
  DecideCopies();
}

// The node holds nothing of the partition: until it pulls from here, nothing more is sent to it.
void ReplicatorImpl::NoteRefused(PartitionId partition, const NodeId& node,
                                 std::uint64_t sent_revision) {
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
    table_.revision.fetch_add(1, std::memory_order_release);
  }
}

void ReplicatorImpl::Settle(ReplicaQueue& queue, const ReplicaBatch::Entry& entry, bool acked,
                            bool failed) {
  Write* write = Find(entry.ticket);
  if (write != nullptr) {
    for (std::uint8_t i = 0; i < write->count; ++i) {
      if (write->targets[i] != &queue) continue;
      write->settled |= Bit(i);
      if (acked) write->acked |= Bit(i);
      if (failed) write->failed |= Bit(i);
    }
    if (write->waited) Decide(entry.ticket);
    if (write->settled == write->all() && !write->waited) write->source.reset();
  }
  (acked ? counters_.acked : counters_.dropped).fetch_add(1, std::memory_order_relaxed);
  // Last: a handover that sees zero may change the targets by which the write was just judged.
  table_.in_flight[entry.partition].fetch_sub(1, std::memory_order_release);
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

// ---- Judging ----------------------------------------------------------------------------------

// Reads the partition's targets again, and sends the write to those that do not have it.
void ReplicatorImpl::Refresh([[maybe_unused]] Ticket ticket, Write& write) {
  MutexLock lock(engine_.ShardOf(write.partition).mutex());
  write.revision = table_.revision.load(std::memory_order_acquire);
  write.current = write.complete = 0;
  const ReplicaSet& set = table_.sets[write.partition];
  for (std::uint8_t i = 0; i < set.count; ++i) {
    const ReplicaSet::Target& target = set.targets[i];
    if (target.standing == ReplicaSet::Standing::kLagging || !Serves(target.node)) continue;
    ReplicaQueue& queue = QueueOf(target.node);
    std::uint8_t index = 0;
    while (index < write.count && write.targets[index] != &queue) ++index;
    const std::uint8_t bit = Bit(index);
    const bool known = index < write.count;
    const bool given_up = known && (write.settled & ~write.acked & ~write.failed & bit) != 0;
    if (!known || given_up) {
      if (index == write.targets.size() || write.source == nullptr) continue;
      write.targets[index] = &queue;
      if (!known) ++write.count;
      write.settled &= static_cast<std::uint8_t>(~bit);
      queue.AddCopy(*write.source, write.source->entries[write.source_entry]);
      table_.in_flight[write.partition].fetch_add(1, std::memory_order_relaxed);
      counters_.sent.fetch_add(1, std::memory_order_relaxed);
    }
    write.current |= bit;
    if (target.complete) write.complete |= bit;
  }
  assert(Find(ticket) == &write);
}

ReplicatorImpl::Verdict ReplicatorImpl::Judge(Ticket ticket, Write& write, std::uint32_t acks) {
  const Verdict verdict = JudgeCopies(ticket, write, acks);
  if (verdict != Verdict::kEnough || acks <= 1) return verdict;
  if (write.overruled != table_.self_fence.overruled()) return Verdict::kOverruled;
  return table_.self_fence.Holds() ? Verdict::kEnough : Verdict::kPending;
}

ReplicatorImpl::Verdict ReplicatorImpl::JudgeCopies(Ticket ticket, Write& write,
                                                    std::uint32_t acks) {
  if (acks <= 1 || faults_.ack_before_replication) return Verdict::kEnough;
  if (write.revision != table_.revision.load(std::memory_order_acquire)) Refresh(ticket, write);
  const int needed = static_cast<int>(acks) - 1;
  const unsigned acked = write.acked & write.current;
  const bool warming_count = std::popcount(write.complete) < needed;
  const unsigned counted = warming_count ? write.current : write.complete;
  const bool all_needed = acks >= options_.replicas || warming_count;
  if (all_needed && (write.failed & counted) != 0) return Verdict::kFailed;
  if (all_needed && (acked & counted) != counted) return Verdict::kPending;
  return std::popcount(acked & counted) >= needed ? Verdict::kEnough : Verdict::kPending;
}

Status ReplicatorImpl::Outcome(const Write& write) const {
  LeaseTable* const leases = options_.leases;
  if (leases == nullptr || leases->HeldSince(write.partition, write.submitted, leases->Now())) {
    return {};
  }
  leases->CountOverrun();
  return tl::unexpected<Error>(
      UnknownOutcome("this node no longer heard from a majority of the ring"));
}

void ReplicatorImpl::Await(Ticket ticket, std::uint32_t acks, Done done) {
  acks = AcksOr(acks);
  Write* write = Find(ticket);
  if (acks <= 1 || ticket == 0) return done({});
  if (write == nullptr) return done(tl::unexpected<Error>(UnknownOutcome("it is forgotten")));
  if (Judge(ticket, *write, acks) == Verdict::kEnough) return done(Outcome(*write));
  write->waited = true;
  waiters_[ticket].push_back({acks, clock_() + options_.ack_timeout, std::move(done)});
  EnsureTick();
}

void ReplicatorImpl::Decide(Ticket ticket) {
  Write* write = Find(ticket);
  const auto found = waiters_.find(ticket);
  if (write == nullptr || found == waiters_.end()) return;
  const TimePoint now = clock_();
  std::vector<std::pair<Done, Status>> decided;
  std::erase_if(found->second, [&](Waiter& waiter) {
    switch (Judge(ticket, *write, waiter.acks)) {
      case Verdict::kEnough:
        decided.emplace_back(std::move(waiter.done), Outcome(*write));
        return true;
      case Verdict::kFailed:
        decided.emplace_back(
            std::move(waiter.done),
            tl::unexpected<Error>(UnknownOutcome(
                "a replica has no room for it, or has a newer one of another node")));
        return true;
      case Verdict::kOverruled:
        decided.emplace_back(
            std::move(waiter.done),
            tl::unexpected<Error>(
                UnknownOutcome("this node had been declared dead, and another owns the key now")));
        return true;
      case Verdict::kPending:
        break;
    }
    if (now < waiter.deadline) return false;
    counters_.late.fetch_add(1, std::memory_order_relaxed);
    decided.emplace_back(
        std::move(waiter.done),
        tl::unexpected<Error>(UnknownOutcome("its replicas did not acknowledge it in time")));
    return true;
  });
  if (found->second.empty()) {
    waiters_.erase(found);
    write->waited = false;
  }
  for (auto& [done, status] : decided) done(std::move(status));
}

void ReplicatorImpl::DecideAll() {
  std::vector<Ticket> tickets;
  tickets.reserve(waiters_.size());
  for (const auto& [ticket, waiters] : waiters_) tickets.push_back(ticket);
  std::sort(tickets.begin(), tickets.end());
  for (Ticket ticket : tickets) Decide(ticket);
}

// ---- WAIT -------------------------------------------------------------------------------------

void ReplicatorImpl::AwaitAll(Ticket ticket, std::uint32_t copies, Duration timeout,
                              std::function<void(std::uint32_t)> done) {
  const std::uint32_t have = CopiesOf(ticket);
  if (have >= copies) return done(have);
  if (timeout == Duration{}) timeout = options_.ack_timeout;
  copies_waiters_.push_back({ticket, copies, clock_() + timeout, std::move(done)});
  EnsureTick();
}

// The fewest nodes that have acknowledged any one write up to `ticket`. Writes that left the window
// were settled by all their targets.
std::uint32_t ReplicatorImpl::CopiesOf(Ticket ticket) {
  std::uint32_t others = 0;
  if (view_ != nullptr) {
    for (const MemberInfo& member : view_->members) others += member.serving() ? 1 : 0;
  }
  std::uint32_t copies = std::min(options_.replicas, std::max(others, 1U)) - 1;
  for (Ticket each = window_begin_; each <= ticket && each < next_ticket_; ++each) {
    const Write& write = *Find(each);
    if (each != ticket && write.settled == write.all()) continue;
    copies = std::min(copies, static_cast<std::uint32_t>(std::popcount(write.acked)));
  }
  return copies;
}

void ReplicatorImpl::DecideCopies() {
  if (copies_waiters_.empty()) return;
  const TimePoint now = clock_();
  std::vector<std::pair<std::function<void(std::uint32_t)>, std::uint32_t>> decided;
  std::erase_if(copies_waiters_, [&](CopiesWaiter& waiter) {
    const std::uint32_t have = CopiesOf(waiter.ticket);
    if (have < waiter.copies && now < waiter.deadline) return false;
    decided.emplace_back(std::move(waiter.done), have);
    return true;
  });
  for (auto& [done, have] : decided) done(have);
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
  Flush();
  TrimWindow();
  std::size_t bytes = 0;
  bool busy = !waiters_.empty() || !copies_waiters_.empty();
  for (const auto& [node, queue] : queues_) {
    bytes += queue->bytes;
    busy = busy || !queue->idle();
  }
  counters_.queue_bytes.store(bytes, std::memory_order_relaxed);
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

ReplicatorStats ReplicatorImpl::stats() const {
  ReplicatorStats stats;
  stats.mutations_sent = counters_.sent.load(std::memory_order_relaxed);
  stats.mutations_acked = counters_.acked.load(std::memory_order_relaxed);
  stats.mutations_dropped = counters_.dropped.load(std::memory_order_relaxed);
  stats.resyncs = counters_.resyncs.load(std::memory_order_relaxed);
  stats.acks_late = counters_.late.load(std::memory_order_relaxed);
  stats.queue_bytes = counters_.queue_bytes.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace gyre
