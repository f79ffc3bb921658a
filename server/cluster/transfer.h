// Fills partitions: pulls their records, page by page, from the node that owns them.
//
// A few partitions at a time, one page of each on its way, all of them together below the rate
// limit. A pull that is refused or does not get through ends as failed; whoever asked for it
// decides again. Where there is a copy already (it missed writes, or came from a snapshot), only
// what differs is pulled: difference_pull.h. The source sends new writes from the first page on,
// and a receiver keeps the higher version, so pages and writes may come in any order.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string_view>

#include "cluster/difference_pull.h"
#include "cluster/peer_codec.h"
#include "cluster/stats.h"
#include "cluster/transport.h"
#include "proto/node_id.h"
#include "storage/engine.h"

namespace gyre {

struct TransferOptions {
  std::size_t active_max = 16;                      // partitions pulled at once
  std::size_t page_bytes = std::size_t{256} << 10;  // asked for in one Pull
  std::uint64_t bytes_per_second = 0;               // 0: no limit
  Duration page_timeout = std::chrono::seconds(2);  //
  int attempts = 3;                                 // for each page
  Duration retry = std::chrono::milliseconds(50);   // between them
};

class Transfer {
 public:
  // The pull ended: all of the partition is here, or not.
  using Done = std::function<void(PartitionId partition, std::uint64_t pull, bool filled)>;

  // One loop, the one of `transport`; both and `engine` outlive it. `done` comes from the loop, not
  // from within Start or Stop.
  Transfer(TransferOptions options, NodeId self, Engine& engine, Transport& transport, Done done,
           std::function<TimePoint()> clock = SteadyNow,
           std::function<UnixMillis()> wall_clock = UnixNow);
  ~Transfer();

  // Replaces an older pull of the partition. `done` will name `pull`.
  void Start(PartitionId partition, const NodeId& source, std::uint64_t pull);
  // No `done` comes for it any more.
  void Stop(PartitionId partition);

  // Any thread.
  TransferStats stats() const;

 private:
  struct Pull {
    NodeId source;
    std::uint64_t id = 0;
    std::uint64_t cursor = 0;
    int attempts_left = 0;
    bool active = false;
    // Where there is a copy already; made once the pull is active.
    std::unique_ptr<DifferencePull> difference = nullptr;
  };

  void Schedule();
  void Ask(PartitionId partition, std::uint64_t id);
  void OnReply(PartitionId partition, std::uint64_t id, Result<std::string_view> reply);
  void OnDifference(PartitionId partition, Pull& pull, std::string_view reply);
  bool HasCopy(PartitionId partition);
  bool Apply(PartitionId partition, const PullPage& page);
  void End(PartitionId partition, bool filled);
  Pull* Find(PartitionId partition, std::uint64_t id);
  Duration Pace(std::size_t bytes);
  void After(Duration delay, std::function<void()> task);

  const TransferOptions options_;
  const NodeId self_;
  Engine& engine_;
  Transport& transport_;
  const Done done_;
  const std::function<TimePoint()> clock_;
  const std::function<UnixMillis()> wall_clock_;

  std::map<PartitionId, Pull> pulls_;
  std::deque<std::pair<PartitionId, std::uint64_t>> queue_;  // not yet active
  std::size_t active_ = 0;
  TimePoint next_page_at_{};
  PullPage page_;  // kept for its memory
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);

  struct Counters {
    std::atomic<std::uint64_t> left{0}, active{0}, done{0}, failed{0}, records{0}, bytes{0};
    std::atomic<std::uint64_t> matched{0}, offered{0}, forgotten{0};
  };
  Counters counters_;
};

}  // namespace gyre
