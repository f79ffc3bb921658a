#include "stream/stream_readers.h"

#include <utility>

namespace gyre {

std::unique_ptr<StreamReaders::Reader> StreamReaders::Join() {
  for (std::size_t index = 0; index < kReadersMax; ++index) {
    Place& place = places_[index];
    MutexLock lock(place.mutex);
    if (std::exchange(place.taken, true)) continue;
    if (place.news.empty()) {
      place.news = std::vector<std::atomic<std::uint64_t>>((watched_.size() + 63) / 64);
    }
    count_.fetch_add(1, std::memory_order_relaxed);
    return std::unique_ptr<Reader>(new Reader(*this, index));
  }
  return nullptr;
}

// The bit goes first, so that who sees that the reader was told knows that it will see the bit.
void StreamReaders::Tell(PartitionId partition, std::uint64_t readers) {
  for (; readers != 0; readers &= readers - 1) {
    Place& place = places_[static_cast<std::size_t>(std::countr_zero(readers))];
    place.news[partition / 64].fetch_or(std::uint64_t{1} << (partition % 64),
                                        std::memory_order_acq_rel);
    if (place.told.exchange(true, std::memory_order_acq_rel)) continue;
    MutexLock lock(place.mutex);
    if (place.wake) place.wake();
  }
}

void StreamReaders::Reader::OnNews(std::function<void()> wake) {
  MutexLock lock(readers_.places_[index_].mutex);
  readers_.places_[index_].wake = std::move(wake);
}

void StreamReaders::Reader::Watch(PartitionId partition) {
  readers_.watched_[partition].fetch_or(std::uint64_t{1} << index_);
}

void StreamReaders::Reader::Unwatch(PartitionId partition) {
  readers_.watched_[partition].fetch_and(~(std::uint64_t{1} << index_));
}

StreamReaders::Reader::~Reader() {
  for (PartitionId partition = 0; partition < readers_.watched_.size(); ++partition) {
    Unwatch(partition);
  }
  // Who found a bit before may still tell: the next reader of this place takes it for news of its own,
  // and finds none.
  Place& place = readers_.places_[index_];
  MutexLock lock(place.mutex);
  place.wake = nullptr;
  place.taken = false;
  place.told.store(false);
  readers_.count_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace gyre
