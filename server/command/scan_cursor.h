// The cursor of SCAN: a place in the cluster's key space, in one number. Clients only hand it back.
//
//   52                14 13            0       position:  | 31 bits of the hash | 8 zeros |
//   |   position 39   | partition 14  |
//
// Partitions are walked in the order of their numbers, each in the order of its keys' hashes;
// `position` has the upper 31 bits of the hash to go on from. Both are the same on every node and
// survive a handover, a growing table and other keys coming and going: a key that is there
// throughout is met. 53 bits in all, because clients written in JavaScript keep numbers as doubles.
// 0 is both the begin and, in a reply, the end.
//
// The hash is a secret of the ring (storage/key.h), and so are bits of it: in a cursor the position is
// enciphered, with a key that the nodes have with the secret. By its zeros a cursor is known that was
// given under another secret (255 times of 256), which is when two rings met meanwhile, or the ring got
// its first: the walk then begins its partition anew, so that keys may come twice, and none is left out.
#pragma once

#include <cstdint>
#include <optional>

#include "crypto/number_cipher.h"
#include "proto/slot.h"
#include "storage/key.h"

namespace gyre {

struct ScanCursor {
  static constexpr int kPartitionBits = 14;
  static constexpr int kPositionBits = 39;
  static constexpr int kZeroBits = 8;
  static constexpr int kHashShift = 64 - kPositionBits;

  PartitionId partition = 0;
  std::uint64_t position = 0;

  // Where a walk of the partition is that goes on from that hash; what shares the upper bits comes
  // together.
  static constexpr std::uint64_t PositionOf(std::uint64_t hash) {
    return hash >> (kHashShift + kZeroBits) << kZeroBits;
  }

  // Whether `cursor` can have come from us.
  static bool IsValid(std::uint64_t cursor, std::uint32_t partition_count) {
    return cursor >> (kPartitionBits + kPositionBits) == 0 &&
           (cursor & (kSlotCount - 1)) < partition_count;
  }
};
static_assert(kSlotCount == 1U << ScanCursor::kPartitionBits, "a partition has at least one slot");
static_assert(ScanCursor::kPartitionBits + ScanCursor::kPositionBits <= 53,
              "a double holds the cursor exactly");

// Between the number and the place, while the ring has that hash.
class ScanCursorCodec {
 public:
  explicit ScanCursorCodec(const KeyHash& hash) {
    // Nodes of the release before, which may be on the ring until it has a secret, read the number.
    if (!hash.is_plain()) cipher_.emplace(hash.cursor_secret(), ScanCursor::kPositionBits);
  }

  std::uint64_t Encode(const ScanCursor& cursor) const {
    const std::uint64_t position =
        cipher_ ? cipher_->Encipher(cursor.position, cursor.partition) : cursor.position;
    return position << ScanCursor::kPartitionBits | cursor.partition;
  }
  // Requires ScanCursor::IsValid.
  ScanCursor Decode(std::uint64_t cursor) const {
    const auto partition = static_cast<PartitionId>(cursor & (kSlotCount - 1));
    std::uint64_t position = cursor >> ScanCursor::kPartitionBits;
    if (cipher_) {
      constexpr std::uint64_t kZeros = (std::uint64_t{1} << ScanCursor::kZeroBits) - 1;
      position = cipher_->Decipher(position, partition);
      if ((position & kZeros) != 0) position = 0;  // of another secret
    }
    return {partition, position};
  }

 private:
  std::optional<NumberCipher> cipher_;
};

}  // namespace gyre
