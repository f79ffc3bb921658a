#include "storage/claims.h"

#include <xxhash.h>

#include <random>

namespace gyre {

Claim Claim::OfKey(const Key& key) {
  static const std::uint64_t seed =
      std::uint64_t{std::random_device{}()} << 32 | std::random_device{}();
  const std::uint64_t hash = XXH3_64bits_withSeed(key.bytes.data(), key.bytes.size(), seed);
  return {key.partition, false, hash, key.bytes};
}

void Claims::Lock::Take(ClaimMode mode, ClaimHolder by) {
  if (mode == ClaimMode::kExclusive) {
    exclusive = by;
  } else {
    ++shared;
  }
}

void Claims::Lock::GiveBack(ClaimMode mode, ClaimHolder by) {
  if (mode == ClaimMode::kShared) {
    --shared;
  } else if (exclusive == by) {
    exclusive = kNoHolder;
  }
}

bool Claims::Admits(const Claim& wanted, ClaimMode use, ClaimHolder by) const {
  const auto found = partitions_.find(wanted.partition);
  if (found == partitions_.end()) return true;
  const Partition& partition = found->second;
  if (!partition.whole.Admits(use, by)) return false;
  if (wanted.whole) {
    return use == ClaimMode::kShared ? partition.exclusive_keys == 0 : partition.keys.empty();
  }
  const auto key = partition.keys.find(wanted.hash);
  return key == partition.keys.end() || key->second.Admits(use, by);
}

bool Claims::Take(const Claim& wanted, ClaimMode mode, ClaimHolder by) {
  if (!Admits(wanted, mode, by)) return false;
  if (wanted.whole) {
    partitions_[wanted.partition].whole.Take(mode, by);
    return true;
  }
  if (key_count_ >= kKeysMax) return false;
  Partition& partition = partitions_[wanted.partition];
  const auto [key, is_new] = partition.keys.try_emplace(wanted.hash);
  if (is_new) {
    ++key_count_;
    if (mode == ClaimMode::kExclusive) ++partition.exclusive_keys;
  }
  key->second.Take(mode, by);
  return true;
}

void Claims::GiveBack(const Claim& taken, ClaimMode mode, ClaimHolder by) {
  const auto found = partitions_.find(taken.partition);
  if (found == partitions_.end()) return;
  Partition& partition = found->second;
  if (taken.whole) {
    partition.whole.GiveBack(mode, by);
  } else if (const auto key = partition.keys.find(taken.hash); key != partition.keys.end()) {
    key->second.GiveBack(mode, by);
    if (key->second.is_free()) {
      partition.keys.erase(key);
      --key_count_;
      if (mode == ClaimMode::kExclusive) --partition.exclusive_keys;
    }
  }
  if (partition.whole.is_free() && partition.keys.empty()) partitions_.erase(found);
}

bool Claims::Holds(const Claim& claim, ClaimHolder by) const {
  const auto found = partitions_.find(claim.partition);
  if (found == partitions_.end() || by == kNoHolder) return false;
  if (found->second.whole.exclusive == by) return true;
  const auto key = found->second.keys.find(claim.hash);
  return !claim.whole && key != found->second.keys.end() && key->second.exclusive == by;
}

}  // namespace gyre
