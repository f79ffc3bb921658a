#include "stream/kept_stream.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <limits>

#include "base/prefetch.h"

namespace gyre {
namespace {

constexpr std::size_t kAlignment = 8;
// Of an entry that is none: from here to the end of the ring nothing stands.
constexpr std::uint32_t kUnusedTail = std::numeric_limits<std::uint32_t>::max();
// Of Chain::settled: the low bits are the number, those above count terms.
constexpr int kNumberBits = 48;
constexpr std::uint64_t kNumberMask = (std::uint64_t{1} << kNumberBits) - 1;

constexpr std::size_t Aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

KeptStream::KeptStream(std::uint32_t partition_count, std::uint32_t shard_count,
                       std::size_t bytes_max)
    : shard_count_log2_(std::countr_zero(shard_count)),
      capacity_(std::max(bytes_max, 4 * sizeof(Entry)) / kAlignment * kAlignment),
      chains_(std::max(partition_count >> shard_count_log2_, 1U)),
      openings_(chains_.size()),
      begin_(capacity_),
      end_(capacity_) {
  assert(std::has_single_bit(shard_count));
  assert(capacity_ < kUnusedTail);
  counters_.bytes_limit = capacity_;
}

// ---- Order ------------------------------------------------------------------------------------

// The entry of an opening has its predecessor as its bytes.
void KeptStream::Open(PartitionId partition, std::uint64_t term, StreamPosition predecessor) {
  Chain& chain = ChainOf(partition);
  assert(term > chain.last.term && term > predecessor.term);
  const StreamPosition settled_before = settled(partition);
  if (predecessor != chain.last) Restart(partition, predecessor);
  NewTerm(partition, term, {predecessor, std::min(settled_before, predecessor)});
  Link(chain, {term, 0}, {reinterpret_cast<const char*>(&predecessor), sizeof(predecessor)});
}

void KeptStream::Append(PartitionId partition, StreamPosition position, std::string_view group) {
  Chain& chain = ChainOf(partition);
  assert(position == chain.last.next());
  Link(chain, position, group);
}

void KeptStream::Restart(PartitionId partition, StreamPosition position) {
  Chain& chain = ChainOf(partition);
  Cut(chain);
  chain.last = position;
  NewTerm(partition, position.term, {});
}

// `term` first: who sees the new count of terms sees the new term.
void KeptStream::NewTerm(PartitionId partition, std::uint64_t term, const Opening& opening) {
  openings_[partition >> shard_count_log2_] = opening;
  Chain& chain = ChainOf(partition);
  const std::uint64_t count = chain.settled.load(std::memory_order_relaxed) >> kNumberBits;
  chain.term.store(term, std::memory_order_relaxed);
  chain.settled.store((count + 1) << kNumberBits, std::memory_order_release);
}

// What was linked until now is no more.
void KeptStream::Cut(Chain& chain) {
  chain.last_entry = 0;
  chain.begin = end_;
}

void KeptStream::Link(Chain& chain, StreamPosition position, std::string_view group) {
  chain.last = position;
  const std::size_t bytes = Aligned(sizeof(Entry) + group.size());
  if (bytes > capacity_ / 2) {
    ++counters_.groups_dropped;
    Cut(chain);
    return;
  }
  if (ring_ == nullptr) ring_ = std::make_unique_for_overwrite<char[]>(capacity_);
  const std::size_t tail = capacity_ - end_ % capacity_;
  const bool skips_tail = tail < bytes;
  const Offset offset = skips_tail ? end_ + tail : end_;
  while (begin_ != end_ && offset + bytes - begin_ > capacity_) DropOldest();
  if (begin_ == end_) {
    begin_ = offset;
  } else if (skips_tail && tail >= sizeof(Entry)) {
    Write(end_, {.bytes = kUnusedTail});
  }
  Write(offset, {chain.last_entry, position, static_cast<std::uint32_t>(group.size())});
  std::memcpy(At(offset) + sizeof(Entry), group.data(), group.size());
  end_ = offset + bytes;
  PrefetchNext();
  chain.last_entry = offset;
}

// Where the next entry will stand, about: by then the bytes there have long left the caches.
void KeptStream::PrefetchNext() const {
  constexpr std::size_t kLine = 64;
  constexpr std::size_t kLines = 4;
  const std::size_t place = end_ % capacity_;
  for (std::size_t line = 0; line < kLines; ++line) {
    if (place + line * kLine >= capacity_) return;
    PrefetchToWrite(ring_.get() + place + line * kLine);
  }
}

void KeptStream::DropOldest() {
  const std::size_t tail = capacity_ - begin_ % capacity_;
  const Entry entry = tail < sizeof(Entry) ? Entry{.bytes = kUnusedTail} : EntryAt(begin_);
  if (entry.bytes == kUnusedTail) {
    begin_ += tail;
    return;
  }
  ++counters_.groups_dropped;
  begin_ += Aligned(sizeof(Entry) + entry.bytes);
}

KeptStream::Entry KeptStream::EntryAt(Offset offset) const {
  Entry entry;
  std::memcpy(&entry, At(offset), sizeof(Entry));
  return entry;
}

void KeptStream::Write(Offset offset, const Entry& entry) {
  std::memcpy(At(offset), &entry, sizeof(Entry));
}

std::string_view KeptStream::BytesAt(Offset offset, const Entry& entry) const {
  return {At(offset) + sizeof(Entry), entry.bytes};
}

StreamPosition KeptStream::PredecessorOf(Offset offset, const Entry& entry) const {
  if (entry.position.number != 0) return {entry.position.term, entry.position.number - 1};
  StreamPosition base;
  std::memcpy(&base, At(offset) + sizeof(Entry), sizeof(base));
  return base;
}

// ---- Settled ----------------------------------------------------------------------------------

// The term is compared between reading the word and changing it: where a new term began meanwhile, the
// word counts one more of them, and stays as it is.
void KeptStream::Settle(PartitionId partition, StreamPosition position) {
  Chain& chain = ChainOf(partition);
  const std::uint64_t number = std::min(position.number + 1, kNumberMask);
  std::uint64_t word = chain.settled.load(std::memory_order_acquire);
  while (chain.term.load(std::memory_order_relaxed) == position.term &&
         (word & kNumberMask) < number) {
    const std::uint64_t settled = (word & ~kNumberMask) | number;
    if (chain.settled.compare_exchange_weak(word, settled, std::memory_order_acq_rel)) return;
  }
}

StreamPosition KeptStream::settled(PartitionId partition) const {
  const Chain& chain = ChainOf(partition);
  const std::uint64_t number = chain.settled.load(std::memory_order_acquire) & kNumberMask;
  if (number == 0) return OpeningOf(partition).settled_before;
  return {chain.term.load(std::memory_order_relaxed), number - 1};
}

// ---- Reading ----------------------------------------------------------------------------------

void KeptStream::DrawForward(Offset from, Offset to) {
  const auto forward = static_cast<std::uint32_t>(to - from);
  std::memcpy(At(from) + offsetof(Entry, forward), &forward, sizeof(forward));
}

bool KeptStream::Find(const Chain& chain, StreamPosition after, Offset& next) {
  next = 0;
  StreamPosition before = chain.last;
  for (Offset offset = chain.last_entry; before != after;) {
    if (after > before || !IsKept(offset)) return false;
    ++counters_.steps;
    const Entry entry = EntryAt(offset);
    if (IsKept(entry.previous)) DrawForward(entry.previous, offset);
    next = offset;
    before = PredecessorOf(offset, entry);
    offset = entry.previous;
  }
  return true;
}

// Likewise, of a reader that may have been at `place` before.
bool KeptStream::FindFrom(const Chain& chain, StreamPosition after, Offset place, Offset& next) {
  const bool is_there = IsKept(place) && place >= chain.begin && EntryAt(place).position == after;
  if (!is_there) return Find(chain, after, next);
  next = NextOf(chain, place);
  return true;
}

// Of an entry of the chain; 0: it is the last one.
KeptStream::Offset KeptStream::NextOf(const Chain& chain, Offset offset) {
  if (offset == chain.last_entry) return 0;
  const Entry entry = EntryAt(offset);
  if (entry.forward != 0) return offset + entry.forward;
  Offset next = 0;
  (void)Find(chain, entry.position, next);  // what was appended since somebody drew the links
  return next;
}

KeptStream::Outcome KeptStream::Read(PartitionId partition, StreamPosition after, Offset& place,
                                     std::size_t bytes_max, Which which, const Visitor& visit) {
  const Chain& chain = ChainOf(partition);
  Offset next = 0;
  if (!FindFrom(chain, after, place, next)) {
    ++counters_.gaps;
    return Outcome::kGap;
  }
  const StreamPosition until = which == Which::kAll ? chain.last : settled(partition);
  StreamPosition before = after;
  for (std::size_t bytes = 0; next != 0; next = NextOf(chain, next)) {
    ++counters_.steps;
    const Entry entry = EntryAt(next);
    if (entry.position > until) break;
    if (bytes >= bytes_max && before != after) return Outcome::kMore;
    const bool is_opening = entry.position.number == 0;
    visit({entry.position, before, is_opening ? std::string_view{} : BytesAt(next, entry)});
    before = entry.position;
    place = next;
    bytes += entry.bytes;
  }
  return Outcome::kEnd;
}

bool KeptStream::Reaches(PartitionId partition, StreamPosition after) {
  Offset next = 0;
  return Find(ChainOf(partition), after, next);
}

StreamPosition KeptStream::Nearest(PartitionId partition, StreamPosition after) const {
  const Chain& chain = ChainOf(partition);
  StreamPosition before = chain.last;
  for (Offset offset = chain.last_entry; before > after && IsKept(offset);) {
    const Entry entry = EntryAt(offset);
    before = PredecessorOf(offset, entry);
    offset = entry.previous;
  }
  return before;
}

KeptStreamStats KeptStream::stats() const {
  KeptStreamStats stats = counters_;
  stats.bytes = end_ - begin_;
  return stats;
}

}  // namespace gyre
