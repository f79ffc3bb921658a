// Who gives way when memory is full: what a node owns, or what it copies. Pure.
//
// Reads go to the owner of a record, and it tells the copies what it evicts; the uses of a copy say nothing.
// So it is owned records that leave, and copies follow their owners. That fills a node with what it owns and
// what it copies in equal parts, for keys are spread by a hash: partitions are alike, and each should have the
// same, whoever owns it. Two things can stand against that.
//
//   Owners have much more room than this node. Then copies give way.
//
//   Which of two nodes evicts for a new record is chance: who gets it first, and has no slot free. What the
//   other is told of leaves it slots for records of its own, and who once owned more would come to own all. So
//   who owns more than it copies evicts for each new record that it owns, whatever is free: that is for copies.
//
// The memory is the node's, so the first is asked of the node. The second is of a shard and its counterparts.
#pragma once

#include <algorithm>
#include <cstdint>

namespace gyre {

// What partitions owned by others, and those owned here, take; and all.
struct MemoryShares {
  // What a record takes beside its value, about.
  static constexpr std::uint64_t kRecordBytes = 48;

  std::uint64_t owned_bytes = 0;
  std::uint64_t owned_partitions = 0;
  std::uint64_t copied_bytes = 0;
  std::uint64_t copied_partitions = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t limit_bytes = 0;

  // What is owned has this part of the memory, as it is now.
  double OwnedPart() const {
    // A node that owns next to nothing for a moment says nothing of the next.
    constexpr double kPartMin = 1.0 / 8;
    if (copied_bytes == 0) return 1;
    return std::max(kPartMin, static_cast<double>(owned_bytes) /
                                  static_cast<double>(owned_bytes + copied_bytes));
  }

  // Whether the mean partition that is copied has more than `factor` times that which is owned.
  bool CopiesExceed(double factor) const {
    // Both means multiplied by both numbers.
    const double copied = static_cast<double>(copied_bytes) * static_cast<double>(owned_partitions);
    const double owned = static_cast<double>(owned_bytes) * static_cast<double>(copied_partitions);
    return copied > factor * owned;
  }
};

enum class GivesWay : std::uint8_t { kAny, kOwned, kCopies };

inline GivesWay WhoGivesWay(const MemoryShares& node) {
  constexpr double kMuch = 1.5;
  if (node.owned_partitions == 0 || node.copied_partitions == 0) return GivesWay::kAny;
  return node.CopiesExceed(kMuch) ? GivesWay::kCopies : GivesWay::kOwned;
}

inline bool IsFull(const MemoryShares& node) {
  constexpr std::uint64_t kFreeShare = 32;
  return node.used_bytes >= node.limit_bytes - node.limit_bytes / kFreeShare;
}

}  // namespace gyre
