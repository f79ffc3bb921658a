#include "command/key_claims.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace gyre {

std::vector<Claim> KeyClaims::Needed(const Engine& engine, const std::vector<Key>& keys) {
  std::vector<Claim> claims;
  claims.reserve(keys.size());
  for (const Key& key : keys) claims.push_back(Claim::OfKey(key));
  const PartitionId shard_mask = engine.shard_count() - 1;
  std::sort(claims.begin(), claims.end(), [shard_mask](const Claim& a, const Claim& b) {
    const PartitionId shard_of_a = a.partition & shard_mask;
    const PartitionId shard_of_b = b.partition & shard_mask;
    return shard_of_a != shard_of_b ? shard_of_a < shard_of_b : a < b;
  });
  claims.erase(std::unique(claims.begin(), claims.end()), claims.end());
  std::size_t kept = 0;
  for (std::size_t begin = 0, end = 0; begin < claims.size(); begin = end) {
    const PartitionId partition = claims[begin].partition;
    while (end < claims.size() && claims[end].partition == partition) ++end;
    if (end - begin > kKeysOfPartitionMax) {
      claims[kept++] = Claim::OfPartition(partition);
    } else {
      while (begin < end) claims[kept++] = claims[begin++];
    }
  }
  claims.resize(kept);
  return claims;
}

bool KeyClaims::Take(const Claim& claim) GYRE_NO_THREAD_SAFETY_ANALYSIS {
  if (!engine_.ShardOf(claim.partition).TakeClaim(claim, mode_, holder_)) return false;
  const bool is_first = taken_.empty() || taken_.back().partition != claim.partition;
  if (is_first && mode_ == ClaimMode::kExclusive) {
    replication_.in_flight[claim.partition].fetch_add(1, std::memory_order_relaxed);
  }
  taken_.push_back(claim);
  return true;
}

void KeyClaims::GiveBack() {
  const std::vector<Claim> taken = std::exchange(taken_, {});
  for (std::size_t begin = 0, end = 0; begin < taken.size(); begin = end) {
    Shard& shard = engine_.ShardOf(taken[begin].partition);
    MutexLock lock(shard.mutex());
    for (; end < taken.size() && &engine_.ShardOf(taken[end].partition) == &shard; ++end) {
      const PartitionId partition = taken[end].partition;
      shard.GiveBackClaim(taken[end], mode_, holder_);
      const bool is_last = end + 1 == taken.size() || taken[end + 1].partition != partition;
      if (is_last && mode_ == ClaimMode::kExclusive) {
        replication_.in_flight[partition].fetch_sub(1, std::memory_order_release);
      }
    }
  }
}

}  // namespace gyre
