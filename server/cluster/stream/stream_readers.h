// Who reads the streams of this node's partitions as they go on (the feed), and is told when there is
// more. Where nobody reads, that costs the write path one look at a word; where somebody does, two atomic
// operations for each reader, and a wake-up for each of its turns.
//
//   loop of a writer:  Settled(p) --bit p, once--> Reader --Waker, once a turn--> loop of the reader
//
// A reader that begins to watch may miss what is settled in that very moment: it looks once more a
// little later.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/mutex.h"
#include "proto/slot.h"

namespace gyre {

class StreamReaders {
 public:
  // Of a node at a time; a bit each.
  static constexpr std::size_t kReadersMax = 64;

  explicit StreamReaders(std::uint32_t partition_count) : watched_(partition_count) {}
  StreamReaders(const StreamReaders&) = delete;
  StreamReaders& operator=(const StreamReaders&) = delete;

  // More of the partition is settled. Any thread.
  void Settled(PartitionId partition) {
    const std::uint64_t readers = watched_[partition].load(std::memory_order_acquire);
    if (readers != 0) [[unlikely]]
      Tell(partition, readers);
  }
  // Whether anybody reads the partition. Under the mutex of its shard it is known who began before.
  bool Reads(PartitionId partition) const {
    return watched_[partition].load(std::memory_order_acquire) != 0;
  }
  // Any thread.
  std::size_t count() const { return count_.load(std::memory_order_relaxed); }

  // One reader, of one thread. Leaves when it is destroyed; `readers` outlives it.
  class Reader {
   public:
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    // `wake` is called from any thread, once until the next Take, and not after the reader is gone.
    void OnNews(std::function<void()> wake);
    void Watch(PartitionId partition);
    void Unwatch(PartitionId partition);
    // Calls `visit` with each watched partition of which more was settled since the last call.
    template <typename Visit>
    void Take(Visit&& visit);

   private:
    friend class StreamReaders;
    Reader(StreamReaders& readers, std::size_t index) : readers_(readers), index_(index) {}

    StreamReaders& readers_;
    const std::size_t index_;
  };
  // Null: there are kReadersMax already.
  std::unique_ptr<Reader> Join();

 private:
  struct Place {
    std::vector<std::atomic<std::uint64_t>>
        news;  // a bit for each partition; made with the first Join
    std::atomic<bool> told{false};
    Mutex mutex;
    bool taken GYRE_GUARDED_BY(mutex) = false;
    std::function<void()> wake GYRE_GUARDED_BY(mutex);
  };

  void Tell(PartitionId partition, std::uint64_t readers);

  std::vector<std::atomic<std::uint64_t>> watched_;  // [partition] a bit for each reader
  std::atomic<std::size_t> count_{0};
  std::array<Place, kReadersMax> places_;
};

template <typename Visit>
void StreamReaders::Reader::Take(Visit&& visit) {
  Place& place = readers_.places_[index_];
  // First: what comes after this wakes the reader again.
  place.told.exchange(false, std::memory_order_acq_rel);
  for (std::size_t word = 0; word < place.news.size(); ++word) {
    if (place.news[word].load(std::memory_order_relaxed) == 0) continue;
    std::uint64_t bits = place.news[word].exchange(0, std::memory_order_acq_rel);
    for (; bits != 0; bits &= bits - 1) {
      visit(static_cast<PartitionId>(word * 64 + static_cast<std::size_t>(std::countr_zero(bits))));
    }
  }
}

}  // namespace gyre
