// Deadlines of many operations: a hashed timing wheel (Varghese and Lauck, 1987, scheme 6).
//
// Time is cut into ticks of kTickMs. An entry hangs in the slot `due tick mod kSlots`, in a
// circular list, so that arming and cancelling are O(1) and allocate nothing; entries further away
// than one turn stay in their slot until their turn comes. An entry fires at most one tick late,
// never early. Pure: the time is an argument. Not thread-safe.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>

namespace gyre::client {

// Base of what can be armed. Must be cancelled before it is destroyed.
struct TimerEntry {
  TimerEntry* previous = nullptr;
  TimerEntry* next = nullptr;
  std::uint64_t due_tick = 0;

  bool armed() const { return next != nullptr; }
};

class TimerWheel {
 public:
  static constexpr std::uint64_t kTickMs = 4;
  static constexpr std::size_t kSlots = 512;  // one turn is two seconds: most deadlines fit

  explicit TimerWheel(std::uint64_t now_ms) : tick_(now_ms / kTickMs) {
    for (TimerEntry& head : slots_) head.previous = head.next = &head;
  }
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;

  bool empty() const { return count_ == 0; }
  std::size_t count() const { return count_; }

  // Fires once `due_ms` is reached. An armed entry is moved.
  void Arm(TimerEntry& entry, std::uint64_t due_ms) {
    Cancel(entry);
    entry.due_tick = (due_ms + kTickMs - 1) / kTickMs;
    if (entry.due_tick <= tick_) entry.due_tick = tick_ + 1;
    Link(slots_[entry.due_tick % kSlots], entry);
    ++count_;
  }

  void Cancel(TimerEntry& entry) {
    if (!entry.armed()) return;
    entry.previous->next = entry.next;
    entry.next->previous = entry.previous;
    entry.previous = entry.next = nullptr;
    assert(count_ > 0);
    --count_;
  }

  // Calls on_due(TimerEntry&) for each entry that is due, no longer armed; the callback may arm and
  // cancel any.
  template <typename OnDue>
  void Advance(std::uint64_t now_ms, OnDue&& on_due) {
    const std::uint64_t target = now_ms / kTickMs;
    if (target <= tick_) return;
    // After a long sleep one turn visits every slot.
    std::uint64_t turns = target - tick_ < kSlots ? target - tick_ : kSlots;
    std::uint64_t tick = target - turns;
    tick_ = target;
    while (turns-- > 0) FireSlot(slots_[++tick % kSlots], on_due);
  }

  // Some armed entry, or null.
  TimerEntry* Any() {
    if (empty()) return nullptr;
    for (TimerEntry& head : slots_) {
      if (head.next != &head) return head.next;
    }
    return nullptr;
  }

 private:
  static void Link(TimerEntry& head, TimerEntry& entry) {
    entry.previous = head.previous;
    entry.next = &head;
    head.previous->next = &entry;
    head.previous = &entry;
  }

  template <typename OnDue>
  void FireSlot(TimerEntry& head, OnDue& on_due) {
    // The slot's list moves to a head of its own: what the callback arms into this slot waits for
    // its turn.
    TimerEntry firing;
    firing.previous = firing.next = &firing;
    if (head.next != &head) {
      firing.next = head.next;
      firing.previous = head.previous;
      firing.next->previous = firing.previous->next = &firing;
      head.previous = head.next = &head;
    }
    while (firing.next != &firing) {
      TimerEntry& entry = *firing.next;
      Cancel(entry);
      if (entry.due_tick <= tick_) {
        on_due(entry);
      } else {
        Link(head, entry);
        ++count_;
      }
    }
  }

  std::uint64_t tick_;
  std::size_t count_ = 0;
  std::array<TimerEntry, kSlots> slots_;
};

}  // namespace gyre::client
