// The client's heart: one thread, one libuv loop, all requests in flight.
//
//   callers --Submit--> queue --(uv_async)--> Start -> Dispatch -> Link --> node
//                                               ^         |          |
//                                               |     no node now    reply, loss, deadline
//                                               +-- pause (wheel) <--+--> Finish -> ReplySink
//
// Invariant: every live request is armed in the timing wheel, for its deadline or for something
// earlier. So none can be forgotten, and shutting down is emptying the wheel.
//
// Cost: requests that are submitted together take one lock and one wake; all that wait when the
// loop wakes leave in one write for each node.
#pragma once

#include <uv.h>

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "client/byte_budget.h"
#include "client/fork_count.h"
#include "client/link.h"
#include "client/node_selector.h"
#include "client/request.h"
#include "client/retry.h"
#include "client/ring_keeper.h"
#include "client/timer_wheel.h"
#include "common/mutex.h"

namespace gyre::client {

class ClientCore final : public std::enable_shared_from_this<ClientCore>, private Link::Owner {
 public:
  // So that no sum of a time and a duration overflows; the wire has 32 bits of milliseconds.
  static constexpr Milliseconds kDurationMax = std::chrono::hours(24 * 24);

  // Checks the options, starts the thread, learns the ring. Blocks.
  static Result<std::shared_ptr<ClientCore>> Start(Options options);
  ~ClientCore();

  // Once, by the last caller; ends all requests and joins the thread (from a callback: lets it
  // end by itself).
  void Stop();

  // Ends all callers' requests that are in flight, with kCancelled or kUnknownOutcome. Any thread
  // and any signal handler, before Stop.
  void Cancel();

  const Options& options() const { return options_; }
  // This process is a child that was forked off after Start: the I/O thread is not in it, and its
  // locks may be held for ever. Nothing but this may be called.
  bool forked() const { return fork_count_ != ForkCount(); }
  std::thread::id io_thread() const { return thread_id_.load(); }
  bool OnIoThread() const { return std::this_thread::get_id() == io_thread(); }

  // Takes the requests, in order, for as long as the budget has room; `wait`: waits for it, until
  // the first one's deadline. Nothing: all are taken. Else the sinks of the others, which are all
  // those behind the first that is not, were told this error. Any thread.
  std::optional<Error> Submit(std::span<std::unique_ptr<Request>> requests, bool wait);

  // More acknowledgements than there are copies are an error at once. Any thread.
  std::optional<Error> CheckAcks(std::uint32_t write_acks) const;

  // As last learned. Any thread.
  std::shared_ptr<const RoutingTable> table() const { return ring_.table(); }
  // Parses a RING reply and adopts it. I/O thread.
  Result<RingInfo> AdoptRing(const Value& reply);
  Stats stats() const;

 private:
  // A link on which requests were given up and that was silent for so long is broken and made anew.
  static constexpr Milliseconds kLinkSilenceMax{1500};
  static constexpr Milliseconds kMaintenanceInterval{250};
  // What waits for a node that the ring calls dead is taken elsewhere after so long without a sign
  // of life from it.
  static constexpr Milliseconds kDeadSilenceMin{100};
  // The node gets a little less time than we have, so that its own, better informed error comes in
  // time.
  static constexpr Milliseconds kDeadlineMargin{20};

  // What DNS says of a node's host.
  struct Lookup {
    std::string node;
    int status = 0;  // getaddrinfo's
    std::vector<sockaddr_storage> addresses;
  };

  struct Counters {
    std::atomic<std::uint64_t> requests{0};
    std::atomic<std::uint64_t> retries{0};
    std::atomic<std::uint64_t> hedges{0};
    std::atomic<std::uint64_t> unknown_outcomes{0};
    std::atomic<std::uint64_t> timeouts{0};
    std::atomic<std::uint64_t> stale_replies{0};
    std::atomic<std::uint64_t> connections_opened{0};
    std::atomic<std::uint64_t> connections_lost{0};
  };

  explicit ClientCore(Options options);
  static Result<std::vector<NodeAddress>> Check(const Options& options);
  Result<bool> LearnFirstRing(const std::vector<NodeAddress>& seeds);
  // False: the client is being destroyed, and they stay the caller's.
  bool Enqueue(std::span<std::unique_ptr<Request>> requests);

  // ---- I/O thread -----------------------------------------------------------------------------
  void Run();
  void DrainQueue();
  void OnTick();
  void OnMaintenance();
  void HintRing();
  void BreakDeadLinks(TimePoint now);
  void ArmRingTimer();
  void AskRing();
  void FlushDirty();
  void EndAll(const Error& error);
  void CloseAll();

  void Start(std::unique_ptr<Request> request);
  // False: no node is worth a try now.
  bool Dispatch(Request& request, TimePoint now);
  void DispatchOrPause(Request& request, TimePoint now);
  // Begins a new round after a while.
  void Pause(Request& request, TimePoint now);
  void OnDue(Request& request, TimePoint now);
  void ArmNext(Request& request, TimePoint now);
  void NoteSilence(const Request& request, TimePoint now);
  bool MayHedge(const Request& request, TimePoint now) const;
  void Hedge(Request& request, TimePoint now);
  void OnLostAttempt(Request& request, bool sent, Error error);
  void AfterFailedAttempt(Request& request, Verdict verdict, Error error);
  void FailAtDeadline(Request& request);
  void FailExhausted(Request& request);
  void FailNow(Request& request, Error error);
  void Finish(Request& request, Result<Value> result);

  // Link::Owner
  uv_loop_t* loop() override { return &loop_; }
  void OnDirty(Link& link) override { dirty_.push_back(&link); }
  void Resolve(Link& link) override;
  static Lookup LookUp(const std::string& node, const NodeAddress& address);
  // The thread that looked it up.
  void OnLookedUp(Lookup lookup);
  void OnResolved(const Lookup& lookup);
  void OnConnected(Link& link) override;
  void OnAlive(Link& link) override { link.node().set_stalled(false); }
  bool OnReply(Link& link, Request& request, std::string_view payload) override;
  void OnReadEnd() override { FlushDirty(); }
  void OnLost(Link& link, bool was_connected, const Error& error,
              std::vector<Link::Lost> lost) override;

  static TimePoint Now() { return std::chrono::steady_clock::now(); }
  static std::uint64_t Millis(TimePoint time) {
    return static_cast<std::uint64_t>(
        std::chrono::ceil<Milliseconds>(time.time_since_epoch()).count());
  }

  // Immutable after construction.
  const Options options_;
  const std::uint32_t fork_count_ = ForkCount();

  // The I/O thread's only.
  uv_loop_t loop_{};
  uv_async_t wake_{};
  uv_timer_t tick_{};
  uv_timer_t maintenance_{};
  uv_timer_t ring_timer_{};
  NodeSelector selector_;
  RingKeeper ring_;
  TimerWheel wheel_;
  std::vector<Link*> dirty_;
  std::vector<Lookup> failed_lookups_;  // told at the next maintenance
  bool closing_ = false;

  // Any thread.
  Mutex mutex_;
  std::vector<std::unique_ptr<Request>> queue_ GYRE_GUARDED_BY(mutex_);
  std::vector<Lookup> lookups_ GYRE_GUARDED_BY(mutex_);
  bool stopping_ GYRE_GUARDED_BY(mutex_) = false;
  ByteBudget budget_;
  Counters counters_;
  std::thread thread_;
  std::atomic<std::thread::id> thread_id_{};
  std::atomic<bool> cancel_{false};
};

}  // namespace gyre::client
