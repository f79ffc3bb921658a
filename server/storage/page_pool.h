// The pages of a node's memory, lent to its shards, so that the limit belongs to the node: a shard
// whose data outgrows its share borrows what others do not use, and what they use less.
//
//   pages of the node = granted to shards + free
//
// A shard has a floor that nobody can borrow. Above it, it takes a page from the pool when it needs
// one, and gives those back that it does not use. When none is free it evicts; from time to time it
// compares what its next page is worth with what the others offered theirs for, and asks the shard
// whose page is worth clearly less to give some. That one evicts them at its next tick. No lock is
// taken: who asks goes on with what it has.
//
// A part is kept from who has its equal share of the memory already: for the largest value that a shard
// with less may have to store. So where all shards need much, each comes to its share and nothing is
// left.
//
// Pages are compared by their age in records written to the node, so shards share one clock.
//
// Any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "storage/memory_shares.h"

namespace gyre {

class PagePool {
 public:
  // Pages that a shard may be asked for and has not given yet, about.
  static constexpr std::uint32_t kAskedMax = 1024;

  // Pages that are free at first, and how many of these are not for who has its share.
  PagePool(std::size_t free, std::size_t reserve, std::uint32_t shards)
      : reserve_(reserve), free_(free), desks_(shards) {}

  // All of so many pages, or none. `beyond_share`: who asks has its share.
  bool Take(std::size_t pages, bool beyond_share) {
    std::size_t free = free_.load(std::memory_order_relaxed);
    do {
      if (free < pages + (beyond_share ? reserve_ : 0)) return false;
    } while (!free_.compare_exchange_weak(free, free - pages, std::memory_order_relaxed));
    return true;
  }
  void Give(std::size_t pages) { free_.fetch_add(pages, std::memory_order_relaxed); }
  std::size_t free() const { return free_.load(std::memory_order_relaxed); }
  // Whether anybody may have what it could ask for: nobody needs to give.
  bool HasPlenty() const { return free() >= reserve_ + kAskedMax; }

  // Records written to the node, `more` of them just now.
  std::uint64_t Advance(std::uint64_t more) {
    return clock_.fetch_add(more, std::memory_order_relaxed) + more;
  }

  // ---- Between shards -------------------------------------------------------------------------

  // The page that this shard would give next; the higher the value, the less it is worth. 0: none.
  void Offer(std::uint32_t shard, double value) {
    desks_[shard].offered.store(value, std::memory_order_relaxed);
  }
  // Asks the shard with the best offer above `value` for pages. False: there is none.
  bool Ask(std::uint32_t shard, double value, std::uint32_t pages);
  // Pages that this shard was asked for since the last time.
  std::uint32_t Asked(std::uint32_t shard) {
    return desks_[shard].asked.exchange(0, std::memory_order_relaxed);
  }

  // Of this shard, which said `before` last, it is `now`. Returns the sum of all, about.
  MemoryShares TellShares(const MemoryShares& before, const MemoryShares& now);

 private:
  struct alignas(64) Shares {
    std::atomic<std::uint64_t> owned_bytes{0};
    std::atomic<std::uint64_t> owned_partitions{0};
    std::atomic<std::uint64_t> copied_bytes{0};
    std::atomic<std::uint64_t> copied_partitions{0};
    std::atomic<std::uint64_t> used_bytes{0};
    std::atomic<std::uint64_t> limit_bytes{0};
  };
  struct alignas(64) Desk {
    std::atomic<double> offered{0};
    std::atomic<std::uint32_t> asked{0};
  };

  const std::size_t reserve_;
  alignas(64) std::atomic<std::size_t> free_;
  alignas(64) std::atomic<std::uint64_t> clock_{0};
  Shares shares_;
  std::vector<Desk> desks_;
};

}  // namespace gyre
