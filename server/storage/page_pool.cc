#include "storage/page_pool.h"

namespace gyre {

bool PagePool::Ask(std::uint32_t shard, double value, std::uint32_t pages) {
  Desk* best = nullptr;
  for (std::uint32_t other = 0; other < desks_.size(); ++other) {
    const double offered = desks_[other].offered.load(std::memory_order_relaxed);
    if (other == shard || offered <= value) continue;
    if (desks_[other].asked.load(std::memory_order_relaxed) >= kAskedMax) continue;
    value = offered;
    best = &desks_[other];
  }
  if (best == nullptr) return false;
  best->asked.fetch_add(pages, std::memory_order_relaxed);
  return true;
}

MemoryShares PagePool::TellShares(const MemoryShares& before, const MemoryShares& now) {
  // Differences may be negative: these numbers wrap.
  const auto change = [](std::atomic<std::uint64_t>& sum, std::uint64_t from, std::uint64_t to) {
    return sum.fetch_add(to - from, std::memory_order_relaxed) + (to - from);
  };
  return {
      .owned_bytes = change(shares_.owned_bytes, before.owned_bytes, now.owned_bytes),
      .owned_partitions =
          change(shares_.owned_partitions, before.owned_partitions, now.owned_partitions),
      .copied_bytes = change(shares_.copied_bytes, before.copied_bytes, now.copied_bytes),
      .copied_partitions =
          change(shares_.copied_partitions, before.copied_partitions, now.copied_partitions),
      .used_bytes = change(shares_.used_bytes, before.used_bytes, now.used_bytes),
      .limit_bytes = change(shares_.limit_bytes, before.limit_bytes, now.limit_bytes),
  };
}

}  // namespace gyre
