// Fills partitions: pulls their records, page by page, from the node that owns them.
//
// Pulls are moves or repairs (pull_kind.h). Repairs go first; an operator's pause and limit hold up
// moves alone. A paused move keeps its place: the source goes on sending it new writes.
//
// Clients go before. One or two small pages are on their way from each source, so that none of its
// loops is held up for longer than a page takes (larger ones while there is nobody to be held up); and
// after a page, that source has a rest in proportion to what the page cost, there and here: none while
// both nodes idle, most of the time while clients keep their loops busy (YieldAfter). What was begun is
// finished first, so that partitions change hands one after the other and not all at the end.
//
// Where there is a copy already (it missed writes, or came from a snapshot), only what differs is
// pulled: difference_pull.h. Where keys share a hash, or there are but writes of a copy, everything
// is, and of what was here before goes what the owner lacks and may have removed.
//
// A pull that is refused or does not get through ends as failed; whoever asked for it decides
// again. How far it had come is remembered: the next one, from whichever node orders the writes by then,
// compares what was gone through, which costs some bytes for each 64 records, and goes on behind it. What
// is remembered is a hint and no more: whatever became of the copy since, what differs is found.
//
// The source sends new writes from the first page on, and a receiver keeps the higher
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

#include "base/statistic.h"
#include "base/tally.h"
#include "cluster/transport.h"
#include "cluster/view.h"
#include "common/mutex.h"
#include "peer/pull_codec.h"
#include "proto/node_id.h"
#include "repair/difference_pull.h"
#include "repair/load_gauge.h"
#include "repair/progress.h"
#include "storage/engine.h"

namespace gyre {

struct TransferOptions {
  std::size_t active_max = 16;                           // pages on their way
  std::size_t source_active_max = 2;                     // of those, from one source
  std::size_t page_bytes = std::size_t{64} << 10;        // asked for in one Pull
  std::size_t calm_page_bytes = std::size_t{128} << 10;  // likewise, of a source without clients
  std::uint64_t bytes_per_second = 0;                    // of moves; 0: no limit
  Duration page_timeout = std::chrono::seconds(5);
  int attempts = 3;                                // for each page
  Duration retry = std::chrono::milliseconds(50);  // between them
};

struct TransferStats {
  std::uint64_t partitions_left = 0;
  std::uint64_t active = 0;
  std::uint64_t partitions_done = 0;
  std::uint64_t pulls_failed = 0;
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;
  std::uint64_t records_matched = 0;
  std::uint64_t records_offered = 0;
  std::uint64_t records_forgotten = 0;
  std::uint64_t pulls_resumed = 0;
  std::uint64_t repairs_done = 0;
  std::uint64_t yielded_ns = 0;
  std::uint64_t versions_refused = 0;  // shown with those of PeerServiceStats
  TransferProgress progress;

  static constexpr Statistic<TransferStats> kStatistics[] = {
      {&TransferStats::partitions_left,
       {.kind = StatKind::kGauge,
        .name = "gyre_transfer_partitions_left",
        .help = "Partitions still to be filled."}},
      {&TransferStats::active,
       {.kind = StatKind::kGauge,
        .name = "gyre_transfer_partitions_active",
        .help = "Partitions being filled now."}},
      {&TransferStats::partitions_done,
       {.name = "gyre_transfer_partitions_total", .help = "Partitions filled."}},
      {&TransferStats::pulls_failed,
       {.name = "gyre_transfer_failures_total", .help = "Fills that broke off; others follow."}},
      {&TransferStats::records,
       {.name = "gyre_transfer_records_total", .help = "Records received while filling."}},
      {&TransferStats::bytes,
       {.unit = StatUnit::kBytes,
        .name = "gyre_transfer_bytes_total",
        .help = "Bytes received while filling."}},
      {&TransferStats::records_matched,
       {.name = "gyre_transfer_records_matched_total",
        .help = "Records of copies that were here already and that the owner has the same: not "
                "pulled."}},
      {&TransferStats::records_offered,
       {.name = "gyre_transfer_records_offered_total",
        .help = "Records of such copies that the owner lacked, sent to it."}},
      {&TransferStats::records_forgotten,
       {.name = "gyre_transfer_records_forgotten_total",
        .help = "Records of such copies that the owner may have evicted or deleted: removed."}},
      {&TransferStats::pulls_resumed,
       {.name = "gyre_transfer_resumed_total",
        .help = "Fills that went on where an earlier one had come to before it broke off."}},
      {&TransferStats::repairs_done,
       {.name = "gyre_transfer_repairs_total",
        .help = "Partitions filled because a copy was lacking: after a death or missed writes."}},
      {&TransferStats::yielded_ns,
       {.kind = StatKind::kGauge,
        .unit = StatUnit::kNanoseconds,
        .name = "gyre_transfer_yield_seconds",
        .help =
            "Seconds that sources rested between pages for the sake of clients, since the start."}},
      {&TransferStats::versions_refused, {}},
  };
};
static_assert(AllDescribed<TransferStats>(sizeof(TransferProgress)),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

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

  // So that copies know their place in their streams. Outlives it.
  void set_streams(ReplicationTable& table) { table_ = &table; }

  // Replaces an older pull of the partition. `done` will name `pull`. `writes_only`: it is filled once
  // the source sends its new writes here, and no records are pulled.
  void Start(PartitionId partition, const NodeId& source, std::uint64_t pull,
             bool writes_only = false);
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
    std::uint64_t key_hash = 0;  // whose order the cursor is in (KeyHashId::tag)
    int attempts_left = 0;
    bool writes_only = false;
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
  // How far the last pull of a copy that never was whole has come.
  struct Reached {
    std::uint64_t last = 0;      // hashes up to this one were gone through
    std::uint64_t key_hash = 0;  // in this order
    std::uint64_t records = 0;   // of the copy then
  };
  using Ready = std::pair<PartitionId, std::uint64_t>;  // a pull and its id: gone if it is another
  struct Source {
    std::deque<Ready> repairs;
    std::deque<Ready> moves;
    std::size_t active = 0;  // pages on their way
    TimePoint next_at{};
    Duration owed{};    // of rests too short for a timer: taken together
    bool calm = false;  // as of the last page, there are too few clients to notice a large one
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
  std::uint64_t GoneThrough(PartitionId partition, Shard& shard) GYRE_REQUIRES(shard.mutex());
  void NoteReached(PartitionId partition, const Pull& pull, bool filled);
  void OnNoPage(const NodeId& source, PartitionId partition, Pull& pull);
  bool Apply(PartitionId partition, const Pull& pull, const PullPage& page);
  bool ForgetVoid(PartitionId partition, const Pull& pull, const PullPage& page);
  bool Refuses(Version version, UnixMillis now);
  void End(PartitionId partition, bool filled);
  void Forget(std::map<PartitionId, Pull>::iterator pull);
  Pull* Find(PartitionId partition, std::uint64_t id);
  std::size_t PageBytes(const Pull& pull);
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
  ReplicationTable* table_ = nullptr;

  std::map<PartitionId, Pull> pulls_;
  std::map<PartitionId, Reached> reached_;
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

  Tally<TransferStats> counters_;
  mutable Mutex mutex_;
  TransferProgress progress_ GYRE_GUARDED_BY(mutex_);
};

}  // namespace gyre
