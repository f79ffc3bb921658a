#include "storage/expiry.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

namespace gyre {

std::uint64_t TimingWheel::TickOf(UnixMillis expiry) {
  if (expiry <= 0) return 0;
  const std::uint64_t tick = (static_cast<std::uint64_t>(expiry) >> kTickMillisLog2) + 1;
  return std::min(tick, kTickMax);
}

Ref TimingWheel::ListOf(std::uint64_t tick) const {
  if (tick <= elapsed_) return kPending;
  const auto level = static_cast<std::size_t>(std::bit_width(tick ^ elapsed_) - 1) / kSlotsLog2;
  return static_cast<Ref>(level * kSlots + Digit(tick, level) + 1);
}

void TimingWheel::Link(Ref ref, Ref list) {
  Item item = At(ref);
  const Ref first = heads_[list];
  item.set_next_link(first);
  item.set_previous_link(list);
  if (first != 0) At(first).set_previous_link(ref);
  heads_[list] = ref;
  if (list < kPending) {
    occupied_[(list - 1) / kSlots] |= std::uint64_t{1} << ((list - 1) % kSlots);
  }
}

void TimingWheel::Insert(Ref ref, UnixMillis now) {
  if (size_ == 0 && now > 0) {
    // An empty wheel may stand at any time: the present saves the trip from the past.
    elapsed_ = std::min(static_cast<std::uint64_t>(now) >> kTickMillisLog2, kTickMax);
  }
  Link(ref, ListOf(TickOf(At(ref).expiry())));
  ++size_;
}

void TimingWheel::Remove(Ref ref) {
  const Item item = At(ref);
  const Ref next = item.next_link();
  const Ref previous = item.previous_link();
  if (previous <= kOverdue) {
    assert(heads_[previous] == ref);
    heads_[previous] = next;
    if (next == 0 && previous < kPending) {
      occupied_[(previous - 1) / kSlots] &= ~(std::uint64_t{1} << ((previous - 1) % kSlots));
    }
  } else {
    At(previous).set_next_link(next);
  }
  if (next != 0) At(next).set_previous_link(previous);
  --size_;
}

void TimingWheel::Moved([[maybe_unused]] Ref from, Ref to) {
  const Item item = At(to);
  if (item.previous_link() <= kOverdue) {
    assert(heads_[item.previous_link()] == from);
    heads_[item.previous_link()] = to;
  } else {
    At(item.previous_link()).set_next_link(to);
  }
  if (item.next_link() != 0) At(item.next_link()).set_previous_link(to);
}

// To a list that is empty.
void TimingWheel::MoveList(Ref from, Ref to) {
  heads_[to] = std::exchange(heads_[from], 0);
  if (heads_[to] != 0) At(heads_[to]).set_previous_link(to);
}

void TimingWheel::SetAside(Ref ref) {
  Remove(ref);
  Link(ref, kYoung);
  ++size_;
}

Ref TimingWheel::NextOverdue(UnixMillis now) {
  if (heads_[kOverdue] == 0 && now >= next_aging_) {
    next_aging_ = now + kPatience;
    MoveList(kOld, kOverdue);
    MoveList(kYoung, kOld);
  }
  return heads_[kOverdue];
}

Ref TimingWheel::NextDue(UnixMillis now, std::size_t& budget) {
  while (budget > 0) {
    const Ref ref = heads_[kPending];
    if (ref == 0) {
      if (!Advance(now)) return 0;
      continue;
    }
    const UnixMillis expiry = At(ref).expiry();
    if (expiry <= now) return ref;
    const Ref list = ListOf(TickOf(expiry));
    if (list == kPending) return 0;  // the clock ran backwards
    Remove(ref);
    Link(ref, list);
    ++size_;
    --budget;
  }
  return 0;
}

// Moves on to the earliest slot that begins at `now` or before and makes its list pending. False:
// there is none.
bool TimingWheel::Advance(UnixMillis now) {
  const std::uint64_t target =
      now <= 0 ? 0 : std::min(static_cast<std::uint64_t>(now) >> kTickMillisLog2, kTickMax);
  for (std::size_t level = 0; level < kLevels; ++level) {
    // Later slots only; what they hold is earlier than all of the levels above.
    const std::uint64_t digit = Digit(elapsed_, level);
    const std::uint64_t later = occupied_[level] & (~std::uint64_t{1} << digit);
    if (later == 0) continue;
    const auto slot = static_cast<std::uint64_t>(std::countr_zero(later));
    const int shift = static_cast<int>(level) * kSlotsLog2;
    const std::uint64_t start = ((elapsed_ >> shift & ~(kSlots - 1)) | slot) << shift;
    if (start > target) break;
    elapsed_ = start;
    const auto list = static_cast<Ref>(level * kSlots + slot + 1);
    MoveList(list, kPending);
    occupied_[level] &= ~(std::uint64_t{1} << slot);
    return true;
  }
  elapsed_ = std::max(elapsed_, target);
  return false;
}

}  // namespace gyre
