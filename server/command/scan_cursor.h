// The cursor of SCAN: a place in the cluster's key space, in one number. Clients only hand it back.
//
//   52                14 13            0
//   | hash position 39  | partition 14  |
//
// Partitions are walked in the order of their numbers, each in the order of its keys' hashes;
// `position` is the upper 39 bits of the hash to go on from. Both are the same on every node and
// survive a handover, a growing table and other keys coming and going: a key that is there
// throughout is met. 53 bits in all, because clients written in JavaScript keep numbers as doubles.
// 0 is both the begin and, in a reply, the end.
#pragma once

#include <cstdint>

#include "proto/slot.h"

namespace gyre {

struct ScanCursor {
  static constexpr int kPartitionBits = 14;
  static constexpr int kPositionBits = 39;
  static constexpr int kHashShift = 64 - kPositionBits;

  PartitionId partition = 0;
  std::uint64_t position = 0;

  std::uint64_t Encode() const { return position << kPartitionBits | partition; }
  static ScanCursor Decode(std::uint64_t cursor) {
    return {static_cast<PartitionId>(cursor & (kSlotCount - 1)), cursor >> kPartitionBits};
  }
  // Whether `cursor` can have come from us.
  static bool IsValid(std::uint64_t cursor, std::uint32_t partition_count) {
    return cursor >> (kPartitionBits + kPositionBits) == 0 &&
           Decode(cursor).partition < partition_count;
  }
};
static_assert(kSlotCount == 1U << ScanCursor::kPartitionBits, "a partition has at least one slot");
static_assert(ScanCursor::kPartitionBits + ScanCursor::kPositionBits <= 53,
              "a double holds the cursor exactly");

}  // namespace gyre
