// Who may use which keys of a shard meanwhile: a command that goes on in steps, and is one step for
// others all the same, claims its keys, shared if it reads them, exclusive if it writes. What is
// incompatible with a claim is held off: it is refused and comes again, so that nobody waits on the
// shard's mutex. The storage only keeps the claims, under that mutex, so that a look at them and what
// is done then are one step.
//
//   what is wanted        beside shared claims of others   beside an exclusive one of another
//   -------------------   ------------------------------   ----------------------------------
//   to read, or shared    yes                              no
//   to write, exclusive   no                               no
//
// A whole partition may be claimed, too: for a command that would claim very many keys of it, or that
// does not know them. It concerns all keys of it, and all of them concern it.
//
// A key is known by a hash that only this process can tell (and not by the one of the index, which may
// change while a key is claimed): two that share one hold each other off, which does no harm.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "proto/slot.h"
#include "storage/key.h"

namespace gyre {

// A command that has claims; unique in the node (Engine::NewClaimHolder).
using ClaimHolder = std::uint64_t;
inline constexpr ClaimHolder kNoHolder = 0;

enum class ClaimMode : std::uint8_t { kShared, kExclusive };

// What is claimed, or wanted: a key, or all of a partition.
struct Claim {
  static Claim OfKey(const Key& key);
  static Claim OfPartition(PartitionId partition) { return {partition, true, 0, {}}; }

  PartitionId partition = 0;
  bool whole = false;
  std::uint64_t hash = 0;     // of the key
  std::string_view key = {};  // borrowed; whom it is compared with need not have it

  friend auto operator<=>(const Claim& a, const Claim& b) {
    return std::tie(a.partition, a.whole, a.hash) <=> std::tie(b.partition, b.whole, b.hash);
  }
  friend bool operator==(const Claim& a, const Claim& b) { return (a <=> b) == 0; }
};

class Claims {
 public:
  // Claimed keys of a shard. While there are so many, nobody claims another.
  static constexpr std::size_t kKeysMax = 64 * 1024;

  // Whether `by` may use it so now. A holder of claims on single keys may not use the whole.
  bool Admits(const Claim& wanted, ClaimMode use, ClaimHolder by) const;
  // False, and nothing is claimed: it is not admitted, or there are too many. Who claims something
  // again as exclusive has it once.
  bool Take(const Claim& wanted, ClaimMode mode, ClaimHolder by);
  // What was taken, in the same mode.
  void GiveBack(const Claim& taken, ClaimMode mode, ClaimHolder by);

  // Whether `by` has claimed it as exclusive.
  bool Holds(const Claim& claim, ClaimHolder by) const;
  // Whether anything of the partition is claimed.
  bool Any(PartitionId partition) const { return partitions_.count(partition) != 0; }
  std::size_t key_count() const { return key_count_; }

 private:
  struct Lock {
    ClaimHolder exclusive = kNoHolder;
    std::uint32_t shared = 0;

    bool is_free() const { return exclusive == kNoHolder && shared == 0; }
    bool Admits(ClaimMode use, ClaimHolder by) const {
      if (exclusive != kNoHolder) return exclusive == by;
      return use == ClaimMode::kShared || shared == 0;
    }
    void Take(ClaimMode mode, ClaimHolder by);
    void GiveBack(ClaimMode mode, ClaimHolder by);
  };
  struct Partition {
    Lock whole;
    std::unordered_map<std::uint64_t, Lock> keys;  // none is free
    std::size_t exclusive_keys = 0;
  };

  std::unordered_map<PartitionId, Partition> partitions_;  // none is without a claim
  std::size_t key_count_ = 0;
};

}  // namespace gyre
