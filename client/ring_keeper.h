// Keeps the ring fresh: publishes the newest routing table to all threads, and says when to ask for
// it again: at an interval, and soon after anything hints that it changed, but never in a storm of
// hints more often than each kGapMin, nor twice at once. While a node does not answer it is asked
// for each kSilenceGap: the others may declare that node dead at any moment.
#pragma once

#include <memory>

#include "client/node_selector.h"
#include "client/request.h"
#include "common/mutex.h"

namespace gyre::client {

class RingKeeper {
 public:
  static constexpr Milliseconds kGapMin{50};
  static constexpr Milliseconds kSilenceGap{200};

  RingKeeper(NodeSelector& selector, Milliseconds interval, TimePoint now)
      : selector_(selector), interval_(interval), due_(now + interval) {}

  // Any thread.
  std::shared_ptr<const RoutingTable> table() const {
    MutexLock lock(mutex_);
    return table_;
  }
  std::uint64_t adopted_count() const {
    MutexLock lock(mutex_);
    return adopted_count_;
  }

  // The rest: I/O thread.

  // Takes a reply to RING. An unchanged digest changes nothing.
  Result<RingInfo> Adopt(const Value& reply);

  // Something hints that the ring changed.
  void Hint(TimePoint now) { AskBy(std::max(now, asked_ + kGapMin)); }
  // A node leaves requests without an answer.
  void HintSilence(TimePoint now) { AskBy(std::max(now, asked_ + kSilenceGap)); }
  // When to ask next; never while an answer is awaited.
  TimePoint due() const { return awaiting_ ? TimePoint::max() : due_; }
  void OnAsk(TimePoint now) {
    awaiting_ = true;
    asked_ = now;
    due_ = now + interval_;
  }
  void OnAnswer(bool adopted, TimePoint now) {
    awaiting_ = false;
    if (!adopted) Hint(now);
  }

 private:
  void AskBy(TimePoint time) { due_ = std::min(due_, time); }

  NodeSelector& selector_;
  const Milliseconds interval_;
  TimePoint due_;
  TimePoint asked_{};
  bool awaiting_ = false;

  mutable Mutex mutex_;
  std::shared_ptr<const RoutingTable> table_ GYRE_GUARDED_BY(mutex_) =
      std::make_shared<const RoutingTable>();
  std::uint64_t adopted_count_ GYRE_GUARDED_BY(mutex_) = 0;
};

}  // namespace gyre::client
