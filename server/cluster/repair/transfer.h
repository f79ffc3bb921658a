// Fills partitions: pulls their records, page by page, from the node that owns them.
//
// Pulls are moves or repairs (pull_kind.h). Repairs go first; an operator's pause and limit hold up
// moves alone. A paused move keeps its place: the source goes on sending it new writes.
//
// Clients go before. One or two small pages are on their way from each source, so that none of its
// loops is held up for longer than a page takes; and after a page, that source has a rest in
// proportion to what the page cost, there and here: none while both nodes idle, most of the time
// while clients keep their loops busy (YieldAfter). What was begun is finished first, so that
// partitions change hands one after the other and not all at the end.
//
// Where there is a copy already (it missed writes, or came from a snapshot), only what differs is
// pulled: difference_pull.h. Where keys share a hash, or there is but a part of a copy, everything
// is, and of what was here before goes what the owner lacks and may have removed.
//
// A pull that is refused or does not get through ends as failed; whoever asked for it decides
// again. The source sends new writes from the first page on, and a receiver keeps the higher
// version, so pages and writes may come in any order.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string_view>

#include "base/mutex.h"
#include "cluster/transport.h"
#include "cluster/view.h"
#include "peer/peer_codec.h"
#include "proto/node_id.h"
#include "repair/difference_pull.h"
#include "repair/load_gauge.h"
#include "repair/progress.h"
#include "storage/engine.h"

namespace gyre {

struct TransferOptions {
  std::size_t active_max = 16;                     // pages on their way
  std::size_t source_active_max = 2;               // of those, from one source
  std::size_t page_bytes = std::size_t{64} << 10;  // asked for in one Pull
  std::uint64_t bytes_per_second = 0;              // of moves; 0: no limit
  Duration page_timeout = std::chrono::seconds(5);
  int attempts = 3;                                // for each page
  Duration retry = std::chrono::milliseconds(50);  // between them
};

struct TransferStats {
  std::uint64_t partitions_left = 0;  // gauge: to be filled, the ones in progress included
  std::uint64_t active = 0;           // gauge: being pulled now
  std::uint64_t partitions_done = 0;
  std::uint64_t repairs_done = 0;  // of those, the ones that brought back a lacking copy
  std::uint64_t pulls_failed = 0;  // begun again later
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  // Of copies that were here already (difference_pull.h):
  std::uint64_t records_matched = 0;    // not pulled, the owner has the same
  std::uint64_t records_offered = 0;    // sent to the owner, which lacked them
  std::uint64_t records_forgotten = 0;  // void: the owner may have evicted or deleted them
  Duration yielded{};                   // that sources rested for the sake of clients
  TransferProgress progress;            // gauges
  std::uint64_t versions_refused = 0;   // as in PeerServiceStats
};

// The rest that a source has after a page that cost `cost`, while clients keep it and this node
// busy to `load_permille` (LoadGauge).
Duration YieldAfter(Duration cost, std::uint32_t load_permille);

class Transfer {
 public:
  // The pull ended: all of the partition is here, or not.
  using Done = std::function<void(PartitionId partition, std::uint64_t pull, bool filled)>;

  // One loop, the one of `transport`; it, `engine`, `views` and `load` outlive it. `done` comes
  // from the loop, not from within Start or Stop. No `views`: every pull is a move. No `load`:
  // nobody is yielded to.
  Transfer(TransferOptions options, NodeId self, Engine& engine, Transport& transport, Done done,
           std::function<TimePoint()> clock = SteadyNow,
           std::function<UnixMillis()> wall_clock = UnixNow, ViewPublisher* views = nullptr,
           const LoadGauge* load = nullptr);
  ~Transfer();

  // Replaces an older pull of the partition. `done` will name `pull`.
  void Start(PartitionId partition, const NodeId& source, std::uint64_t pull);
  // No `done` comes for it any more.
  void Stop(PartitionId partition);
  // What the operator wants of moves; 0: no limit.
  void Restrain(bool paused, std::uint64_t bytes_per_second);

  // Any thread. The progress is as of a moment ago.
  TransferStats stats() const;

 private:
  struct Pull {
    NodeId source;
    std::uint64_t id = 0;
    WalkPosition cursor;
    int attempts_left = 0;
    bool move = true;
    bool asked = false;  // its page is on its way
    bool begun = false;
    bool has_old = false;          // there were records here before it began
    bool sized = false;            // the source told its size
    std::uint64_t bytes = 0;       // that size
    std::uint64_t bytes_done = 0;  // by the part of it that was walked
    // Where there is a copy already; made once the pull is begun.
    std::unique_ptr<DifferencePull> difference = nullptr;
  };
  using Ready = std::pair<PartitionId, std::uint64_t>;  // a pull and its id: gone if it is another
  struct Source {
    std::deque<Ready> repairs;
    std::deque<Ready> moves;
    std::size_t active = 0;  // pages on their way
    TimePoint next_at{};
  };

  void Queue(PartitionId partition, const Pull& pull);
  void Pump();
  bool PumpSource(TimePoint now, Source& source, TimePoint& wake);
  bool TakeReady(bool moves, Source& source, Ready& taken);
  void WakeAt(TimePoint at);
  void Ask(PartitionId partition, Pull& pull);
  void OnReply(const NodeId& source, PartitionId partition, std::uint64_t id,
               Result<std::string_view> reply);
  void OnPage(PartitionId partition, Pull& pull, Result<std::string_view> reply);
  void OnDifference(PartitionId partition, Pull& pull, std::string_view reply);
  void Charge(const Pull& pull, TimePoint begin, std::size_t bytes, Duration served,
              std::uint32_t source_load);
  void BeginPull(PartitionId partition, Pull& pull);
  void OnNoPage(const NodeId& source, PartitionId partition, Pull& pull);
  bool Apply(PartitionId partition, const PullPage& page);
  void ForgetVoid(PartitionId partition, const Pull& pull, const PullPage& page);
  bool Refuses(Version version, UnixMillis now);
  void End(PartitionId partition, bool filled);
  void Forget(std::map<PartitionId, Pull>::iterator pull);
  Pull* Find(PartitionId partition, std::uint64_t id);
  std::size_t PageBytes(bool move) const;
  bool IsMove(PartitionId partition);
  void NoteView();
  void Classify();
  void Tick();
  void NoteProgress(Pull& pull, const PullPage& page);
  void BeginFill();
  void ShowProgress();
  void After(Duration delay, std::function<void()> task);

  const TransferOptions options_;
  const NodeId self_;
  Engine& engine_;
  Transport& transport_;
  const Done done_;
  const std::function<TimePoint()> clock_;
  const std::function<UnixMillis()> wall_clock_;
  ViewPublisher* const views_;
  const LoadGauge* const load_;

  std::map<PartitionId, Pull> pulls_;
  std::map<NodeId, Source> sources_;
  NodeId last_source_;  // the next one has the next turn
  std::size_t active_ = 0;
  bool paused_ = false;
  std::uint64_t limit_ = 0;
  TimePoint next_move_at_{};
  std::optional<TimePoint> wake_at_;
  bool ticking_ = false;
  std::uint64_t view_revision_ = 0;
  ClusterViewPtr view_;
  std::size_t copies_wanted_ = 0;
  PullPage page_;  // kept for its memory
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  // Of this fill.
  std::uint64_t fill_partitions_done_ = 0;
  std::uint64_t fill_bytes_done_ = 0;  // walked; of pulls that failed, taken back
  std::uint64_t sizes_known_ = 0;
  std::uint64_t sizes_bytes_ = 0;  // their sum
  // Nothing was left in between: what comes now need not be of such sizes (a ring that was formed
  // empty, and filled by clients since). They stand until the first new one is known.
  bool sizes_stale_ = false;
  std::uint64_t bytes_walked_ = 0;  // only grows
  TimePoint idle_since_{};
  RateMeter rate_;

  struct Counters {
    std::atomic<std::uint64_t> left{0}, active{0}, done{0}, failed{0}, records{0}, bytes{0},
        repairs{0}, yielded_ns{0}, matched{0}, offered{0}, forgotten{0}, refused{0};
  };
  Counters counters_;
  mutable Mutex mutex_;
  TransferProgress progress_ GYRE_GUARDED_BY(mutex_);
};

}  // namespace gyre
