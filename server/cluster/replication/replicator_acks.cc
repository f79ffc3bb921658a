// When a write is acknowledged: the rule in replicator_impl.h, and who waits for it.
#include <algorithm>
#include <bit>
#include <cassert>

#include "replication/replicator_impl.h"

namespace gyre {
namespace {

Error UnknownOutcome(std::string_view why) {
  return Error{ErrorCode::kUnknownOutcome, "the write was applied here, but " + std::string(why) +
                                               ": read the key back before you repeat it"};
}

}  // namespace

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
    const std::uint8_t bit = Write::Bit(index);
    const bool known = index < write.count;
    const bool given_up = known && (write.settled & ~write.acked & ~write.failed & bit) != 0;
    if (!known || given_up) {
      if (index == write.targets.size() || write.source == nullptr) continue;
      write.targets[index] = &queue;
      if (!known) ++write.count;
      write.settled &= static_cast<std::uint8_t>(~bit);
      queue.AddCopy(*write.source, write.source->entries[write.source_entry]);
      table_.in_flight[write.partition].fetch_add(1, std::memory_order_relaxed);
      counters_[&ReplicatorStats::mutations_sent].Add(1);
    }
    write.current |= bit;
    if (target.complete) write.complete |= bit;
  }
  assert(Find(ticket) == &write);
}

ReplicatorImpl::Verdict ReplicatorImpl::Judge(Ticket ticket, Write& write, std::uint32_t acks) {
  const Verdict verdict = JudgeCopies(ticket, write, acks);
  if (verdict != Verdict::kEnough) return verdict;
  switch (table_.fence.Judge(write.submitted, write.partition)) {
    case WriteFence::Verdict::kHolds:
      return Verdict::kEnough;
    case WriteFence::Verdict::kUnsure:
      return Verdict::kPending;
    case WriteFence::Verdict::kOverruled:
      return Verdict::kOverruled;
    case WriteFence::Verdict::kLapsed:
      break;
  }
  return Verdict::kLapsed;
}

ReplicatorImpl::Verdict ReplicatorImpl::JudgeCopies(Ticket ticket, Write& write,
                                                    std::uint32_t acks) {
  if (faults_.ack_before_replication) return Verdict::kEnough;
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

// Of a write that is no longer pending.
Status ReplicatorImpl::StatusOf(Verdict verdict) {
  switch (verdict) {
    case Verdict::kPending:
    case Verdict::kEnough:
      break;
    case Verdict::kFailed:
      return tl::unexpected<Error>(
          UnknownOutcome("a replica has no room for it, or has a newer one of another node"));
    case Verdict::kOverruled:
      return tl::unexpected<Error>(
          UnknownOutcome("this node had been declared dead, and another owns the key now"));
    case Verdict::kLapsed:
      return tl::unexpected<Error>(
          UnknownOutcome("this node no longer heard from a majority of the ring"));
  }
  return {};
}

void ReplicatorImpl::Await(Ticket ticket, std::uint32_t acks, Done done) {
  acks = AcksOr(acks);
  if (acks <= 1 || ticket == 0) return done({});
  Write* const write = Find(ticket);
  if (write == nullptr) return done(tl::unexpected<Error>(UnknownOutcome("it is forgotten")));
  const Verdict verdict = Judge(ticket, *write, acks);
  if (verdict == Verdict::kEnough || verdict == Verdict::kLapsed) return done(StatusOf(verdict));
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
    const Verdict verdict = Judge(ticket, *write, waiter.acks);
    if (verdict != Verdict::kPending) {
      decided.emplace_back(std::move(waiter.done), StatusOf(verdict));
      return true;
    }
    if (now < waiter.deadline) return false;
    counters_[&ReplicatorStats::acks_late].Add(1);
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

}  // namespace gyre
