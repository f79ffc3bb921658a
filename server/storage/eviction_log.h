// What left the partitions that this node owns without a command, until the other copies are told: evicted
// and expired records, by hash and version, listed by partition. Fixed memory: one that finds no room is not
// listed, and copies keep it longer than they need, which costs memory and nothing else.
//
// Lists threaded through one pool of entries, so an addition is a write to the end of the pool or to the
// entry freed last. Each list is taken from its newest entry on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "storage/version.h"

namespace gyre {

struct EvictedRecord {
  std::uint64_t hash = 0;  // of the key, as its partition hashes them
  Version version = 0;
  bool expired = false;  // else evicted
};

class EvictionLog {
 public:
  static constexpr std::size_t kEntryBytes = 32;

  // Of so many partitions, numbered from 0. Entries are allocated as they are needed.
  EvictionLog(std::size_t partition_count, std::size_t entries_max)
      : heads_(partition_count), entries_max_(entries_max) {}

  bool Has(std::size_t partition) const { return heads_[partition] != 0; }
  std::size_t size() const { return size_; }
  bool IsHalfFull() const { return size_ * 2 >= entries_max_; }

  // False: there is no room.
  bool Add(std::size_t partition, const EvictedRecord& record) {
    if (size_ == entries_max_) return false;
    if (free_ == 0) {
      entries_.emplace_back();
      free_ = static_cast<std::uint32_t>(entries_.size());
    }
    const std::uint32_t at = free_;
    Entry& entry = entries_[at - 1];
    free_ = entry.next;
    entry = {record, heads_[partition]};
    heads_[partition] = at;
    ++size_;
    return true;
  }
  // Appends up to `count_max` of the partition's records to `out`, and forgets them.
  void Take(std::size_t partition, std::size_t count_max, std::vector<EvictedRecord>& out) {
    for (; count_max > 0 && heads_[partition] != 0; --count_max) {
      out.push_back(entries_[heads_[partition] - 1].record);
      DropHead(partition);
    }
  }
  void Clear(std::size_t partition) {
    while (heads_[partition] != 0) DropHead(partition);
  }

 private:
  struct Entry {
    EvictedRecord record;
    std::uint32_t next = 0;  // of its list, by its number from 1; 0: none
  };

  static_assert(sizeof(Entry) == kEntryBytes);

  void DropHead(std::size_t partition) {
    const std::uint32_t at = heads_[partition];
    Entry& entry = entries_[at - 1];
    heads_[partition] = entry.next;
    entry.next = free_;
    free_ = at;
    --size_;
  }

  std::vector<std::uint32_t> heads_;  // [partition], as Entry::next
  std::vector<Entry> entries_;
  std::uint32_t free_ = 0;  // likewise
  std::size_t size_ = 0;    // in lists
  const std::size_t entries_max_;
};

}  // namespace gyre
