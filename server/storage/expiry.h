// Which records expire when: a hierarchical timing wheel (Varghese and Lauck, 1987) whose lists are
// threaded through the records themselves, 8 bytes in those that have an expiry and nothing in the
// others. Nothing in it is ever stale.
//
//   tick = 128 ms; level l has 64 slots of 64^l ticks each
//   the levels reach 8 s, 9 min, 9 h, 24 days, 4 years and 278 years
//
// A record of tick t stands at the level of the highest base-64 digit in which t differs from
// `elapsed_`, in the slot that this digit of t names. Moving `elapsed_` forward to t' keeps this
// true for all but the slot that t' enters: that list, the only one, becomes `pending`, and its
// records are, a few at a time, found due or put into a lower level. So a record moves at most five
// times in its life, and a million records of one second only make a long pending list: each call
// takes as many as its budget allows.
//
// Ticks are rounded up: no record is due early. Clocks that run backwards delay what is pending,
// nothing else.
//
// A due record may be set aside, where somebody else should say that it goes (the owner of a copy). After a
// while without a word it is overdue. Three lists, and every kPatience the records of one become those of the
// next: young, old, overdue.
//
// The previous link of a list's first record is the list's number: page 0 holds no records, so
// small references are free to be names. Invariant: a list's bit in `occupied_` is set iff the list
// is not empty.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "storage/item.h"
#include "storage/size_classes.h"

namespace gyre {

class TimingWheel {
 public:
  static constexpr UnixMillis kPatience = 5000;

  // Records are found at `base` + reference.
  explicit TimingWheel(char* base) : base_(base) {}

  // `ref` is a record that has an expiry and is in no list. `now` need not be exact.
  void Insert(Ref ref, UnixMillis now);
  void Remove(Ref ref);
  // `ref` was due: after one to two kPatience it is overdue.
  void SetAside(Ref ref);
  // The record at `from` was copied to `to`, links included.
  void Moved(Ref from, Ref to);

  // A record that is due, still in the wheel, or 0. Each record that is put into a lower level
  // costs one of `budget`; 0 with no budget left means that there may be more.
  Ref NextDue(UnixMillis now, std::size_t& budget);

  // A record that is overdue, still in the wheel, or 0.
  Ref NextOverdue(UnixMillis now);

  std::size_t size() const { return size_; }

  // Debug: links and levels. Calls visit(ref) for each record.
  template <typename Visitor>
  bool CheckInvariants(Visitor&& visit) const;

 private:
  static constexpr int kTickMillisLog2 = 7;
  static constexpr int kSlotsLog2 = 6;
  static constexpr std::size_t kSlots = std::size_t{1} << kSlotsLog2;
  static constexpr std::size_t kLevels = 6;
  static constexpr std::uint64_t kTickMax = (std::uint64_t{1} << (kLevels * kSlotsLog2)) - 1;
  // Lists are numbered from 1: level * 64 + slot + 1, then the pending one, then those set aside.
  static constexpr Ref kPending = kLevels * kSlots + 1;
  static constexpr Ref kYoung = kPending + 1;
  static constexpr Ref kOld = kPending + 2;
  static constexpr Ref kOverdue = kPending + 3;
  static_assert(kOverdue < kPageBytesMin / kGranuleBytes, "a list's name must not be a place");

  static std::uint64_t TickOf(UnixMillis expiry);
  std::uint64_t Digit(std::uint64_t tick, std::size_t level) const {
    return tick >> (level * kSlotsLog2) & (kSlots - 1);
  }
  Ref ListOf(std::uint64_t tick) const;
  Item At(Ref ref) const { return Item(base_ + std::size_t{ref} * kGranuleBytes); }
  void Link(Ref ref, Ref list);
  bool Advance(UnixMillis now);
  void MoveList(Ref from, Ref to);

  char* const base_;
  std::array<Ref, kOverdue + 1> heads_{};
  std::array<std::uint64_t, kLevels> occupied_{};
  std::uint64_t elapsed_ = 0;  // ticks; all records of lower ones are pending
  std::size_t size_ = 0;
  UnixMillis next_aging_ = 0;  // of the lists set aside
};

template <typename Visitor>
bool TimingWheel::CheckInvariants(Visitor&& visit) const {
  std::size_t found = 0;
  for (Ref list = 1; list <= kOverdue; ++list) {
    Ref previous = list;
    for (Ref ref = heads_[list]; ref != 0; ref = At(ref).next_link()) {
      if (!At(ref).has_expiry() || At(ref).previous_link() != previous) return false;
      if (list < kPending && ListOf(TickOf(At(ref).expiry())) != list) return false;
      visit(ref);
      previous = ref;
      ++found;
    }
    if (list >= kPending) continue;
    const bool bit = (occupied_[(list - 1) / kSlots] >> ((list - 1) % kSlots) & 1) != 0;
    if (bit != (heads_[list] != 0)) return false;
  }
  return found == size_;
}

}  // namespace gyre
