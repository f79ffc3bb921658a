#include "command/prefetcher.h"

#include <algorithm>
#include <utility>

namespace gyre {

void Prefetcher::Run(const Lookahead& lookahead) {
  keys_.clear();
  for (const Lookahead::Entry& entry : lookahead.entries()) {
    if (!entry.has_key) continue;
    keys_.push_back(&entry.key);
    if (entry.command->Is(kWrite)) replication_.PrefetchSet(entry.key.partition);
  }
  Fetch();
}

void Prefetcher::Run(std::span<const Key> keys) {
  keys_.clear();
  for (const Key& key : keys.first(std::min(keys.size(), kKeysMax))) keys_.push_back(&key);
  Fetch();
}

void Prefetcher::Fetch() {
  if (keys_.size() < kKeysMin) return;
  next_.resize(keys_.size());
  for (std::size_t i = keys_.size(); i-- > 0;) {
    next_[i] =
        std::exchange(first_of_shard_[IndexOf(*keys_[i])], static_cast<std::uint32_t>(i + 1));
    engine_.ShardOf(keys_[i]->partition).PrefetchPartition(keys_[i]->partition);
  }
  for (const Key* key : keys_) {
    if (const std::uint32_t first = std::exchange(first_of_shard_[IndexOf(*key)], 0)) {
      TouchShard(first);
    }
  }
}

void Prefetcher::TouchShard(std::uint32_t first) {
  Shard& shard = engine_.ShardOf(keys_[first - 1]->partition);
  MutexLock lock(shard.mutex());
  for (std::uint32_t at = first; at != 0; at = next_[at - 1]) {
    shard.Prefetch(*keys_[at - 1]);
    shard.PrefetchUse(*keys_[at - 1]);
  }
  for (std::uint32_t at = first; at != 0; at = next_[at - 1]) {
    shard.PrefetchRecord(*keys_[at - 1]);
    shard.PrefetchUseSlot(*keys_[at - 1]);
  }
}

}  // namespace gyre
