// Requests as their clients know them: how long they took and how large they and their replies were,
// by who asks.
//
// The time of a request begins when the loop learned that its last bytes had come: the time of the
// iteration that read them, which is there anyway. It ends when its reply was given to the kernel;
// for a reply that comes later, when it was finished. (A reply that waits for an earlier one of its
// connection, or for its client to read, does not count as slow: the earlier one does, or nobody.)
// The end is not worth a clock of its own for each request: what was answered is noted, and
// gets the next time that the loop reads for another reason, with the next read or at the end of
// the iteration.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/clock.h"
#include "base/duration_histogram.h"
#include "base/size_histogram.h"
#include "protocol/request.h"

namespace gyre {

enum class Asker : std::uint8_t { kNative, kResp, kMemcached, kHttp, kPeer };
inline constexpr std::array<std::string_view, 5> kAskerNames = {"native", "resp", "memcached",
                                                                "http", "peer"};

struct TrafficCounts {
  bool open = false;  // there is a port for it
  RequestHistogram::Snapshot durations;
  SizeCounts request_bytes;
  SizeCounts reply_bytes;

  TrafficCounts& operator+=(const TrafficCounts& other) {
    open = open || other.open;
    durations += other.durations;
    request_bytes += other.request_bytes;
    reply_bytes += other.reply_bytes;
    return *this;
  }
};
using TrafficByAsker = std::array<TrafficCounts, kAskerNames.size()>;

// What all who ask over one protocol have in common.
struct TrafficOf {
  Counter open;
  RequestHistogram durations;
  SizeHistogram request_bytes;
  SizeHistogram reply_bytes;
};

// Of one loop, on its thread, but for Read.
class Traffic {
 public:
  static constexpr Asker AskerOf(Protocol protocol) {
    switch (protocol) {
      case Protocol::kNative:
        return Asker::kNative;
      case Protocol::kResp:
        return Asker::kResp;
      case Protocol::kMemcached:
        return Asker::kMemcached;
      case Protocol::kHttp:
        break;
    }
    return Asker::kHttp;
  }

  TrafficOf& of(Asker asker) { return all_[static_cast<std::size_t>(asker)]; }
  void Open(Protocol protocol) {
    of(AskerOf(protocol)).open.Set(1);
    if (protocol == Protocol::kNative) of(Asker::kPeer).open.Set(1);
  }

  // `count` requests were answered that had come at `began`.
  void Answered(TrafficOf& by, TimePoint began, std::uint64_t count) {
    Batch& last = noted_[noted_count_ == 0 ? 0 : noted_count_ - 1];
    if (noted_count_ != 0 && last.by == &by && last.began == began) {
      last.count += count;
      return;
    }
    if (noted_count_ == noted_.size()) Settle(SteadyNow());
    noted_[noted_count_++] = {&by, began, count};
  }
  // It is `now`: what was answered since the last call took until now.
  void Settle(TimePoint now) {
    for (std::size_t i = 0; i < noted_count_; ++i) {
      const Batch& batch = noted_[i];
      batch.by->durations.Record(now - batch.began, batch.count);
      batch.by->request_bytes.Settle();
      batch.by->reply_bytes.Settle();
    }
    noted_count_ = 0;
  }

  // Any thread.
  TrafficByAsker Read() const {
    TrafficByAsker read;
    for (std::size_t i = 0; i < all_.size(); ++i) {
      read[i] = {all_[i].open.value() != 0, all_[i].durations.Read(), all_[i].request_bytes.Read(),
                 all_[i].reply_bytes.Read()};
    }
    return read;
  }

 private:
  struct Batch {
    TrafficOf* by = nullptr;
    TimePoint began{};
    std::uint64_t count = 0;
  };

  std::array<TrafficOf, kAskerNames.size()> all_;
  std::array<Batch, 32> noted_;
  std::size_t noted_count_ = 0;
};

}  // namespace gyre
