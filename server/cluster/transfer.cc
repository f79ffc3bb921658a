#include "cluster/transfer.h"

#include <algorithm>

#include "proto_gen/cluster.pb.h"

namespace gyre {
namespace {

// Records applied under one hold of the shard's lock.
constexpr std::size_t kApplyBatch = 64;

}  // namespace

Transfer::Transfer(TransferOptions options, NodeId self, Engine& engine, Transport& transport,
                   Done done, std::function<TimePoint()> clock,
                   std::function<UnixMillis()> wall_clock)
    : options_(options),
      self_(self),
      engine_(engine),
      transport_(transport),
      done_(std::move(done)),
      clock_(std::move(clock)),
      wall_clock_(std::move(wall_clock)) {}

Transfer::~Transfer() { *alive_ = false; }

void Transfer::Start(PartitionId partition, const NodeId& source, std::uint64_t pull) {
  Stop(partition);
  pulls_[partition] = Pull{source, pull, 0, options_.attempts, false};
  queue_.emplace_back(partition, pull);
  counters_.left.store(pulls_.size(), std::memory_order_relaxed);
  Schedule();
}

void Transfer::Stop(PartitionId partition) {
  const auto found = pulls_.find(partition);
  if (found == pulls_.end()) return;
  if (found->second.active) --active_;
  pulls_.erase(found);
  counters_.left.store(pulls_.size(), std::memory_order_relaxed);
  counters_.active.store(active_, std::memory_order_relaxed);
  Schedule();
}

void Transfer::Schedule() {
  while (active_ < options_.active_max && !queue_.empty()) {
    const auto [partition, id] = queue_.front();
    queue_.pop_front();
    Pull* pull = Find(partition, id);
    if (pull == nullptr) continue;  // stopped while it stood in the queue
    pull->active = true;
    if (HasCopy(partition)) {
      pull->difference =
          std::make_unique<DifferencePull>(self_, engine_, partition, options_.page_bytes);
    }
    ++active_;
    counters_.active.store(active_, std::memory_order_relaxed);
    Ask(partition, id);
  }
}

void Transfer::Ask(PartitionId partition, std::uint64_t id) {
  const Pull* pull = Find(partition, id);
  if (pull == nullptr) return;
  std::string payload;
  if (pull->difference != nullptr) {
    payload = pull->difference->Request(wall_clock_());
  } else {
    wire::PeerRequest request;
    wire::Pull& body = *request.mutable_pull();
    body.set_from(std::string(self_.raw()));
    body.set_partition(partition);
    body.set_cursor(pull->cursor);
    body.set_bytes_max(static_cast<std::uint32_t>(options_.page_bytes));
    payload = request.SerializeAsString();
  }
  transport_.Call(pull->source, FrameType::kPeerRequest, std::move(payload), options_.page_timeout,
                  [this, alive = alive_, partition, id](Result<std::string_view> reply) {
                    if (*alive) OnReply(partition, id, reply);
                  });
}

void Transfer::OnReply(PartitionId partition, std::uint64_t id, Result<std::string_view> reply) {
  Pull* pull = Find(partition, id);
  if (pull == nullptr) return;
  if (reply && pull->difference != nullptr) return OnDifference(partition, *pull, *reply);
  const Status decoded =
      reply ? DecodePullReply(*reply, page_) : Status(tl::unexpected<Error>(reply.error()));
  if (!decoded) {
    if (--pull->attempts_left <= 0) return End(partition, false);
    return After(options_.retry, [this, partition, id] { Ask(partition, id); });
  }
  if (page_.refused || !Apply(partition, page_)) return End(partition, false);
  if (page_.done) return End(partition, true);
  pull->cursor = page_.next_cursor;
  pull->attempts_left = options_.attempts;
  const Duration pause = Pace(reply->size());
  if (pause == Duration{}) return Ask(partition, id);
  After(pause, [this, partition, id] { Ask(partition, id); });
}

void Transfer::OnDifference(PartitionId partition, Pull& pull, std::string_view reply) {
  using Step = DifferencePull::Step;
  const DifferenceCounts before = pull.difference->counts();
  const Step step = pull.difference->OnReply(reply, wall_clock_());
  const DifferenceCounts& after = pull.difference->counts();
  const auto add = [](std::atomic<std::uint64_t>& counter, std::uint64_t count) {
    counter.fetch_add(count, std::memory_order_relaxed);
  };
  add(counters_.records, after.pulled - before.pulled);
  add(counters_.bytes, after.pulled_bytes - before.pulled_bytes);
  add(counters_.matched, after.matched - before.matched);
  add(counters_.offered, after.offered - before.offered);
  add(counters_.forgotten, after.forgotten - before.forgotten);
  if (step != Step::kMore) return End(partition, step == Step::kFilled);
  pull.attempts_left = options_.attempts;
  const std::uint64_t id = pull.id;
  const Duration pause = Pace(reply.size());
  if (pause == Duration{}) return Ask(partition, id);
  After(pause, [this, partition, id] { Ask(partition, id); });
}

// What has come here of a partition that never was whole is not worth comparing.
bool Transfer::HasCopy(PartitionId partition) {
  Shard& shard = engine_.ShardOf(partition);
  MutexLock lock(shard.mutex());
  const PartitionInfo& info = shard.info(partition);
  return info.was_whole && info.records + info.tombstones > 0;
}

// False: the partition was dropped here meanwhile.
bool Transfer::Apply(PartitionId partition, const PullPage& page) {
  const UnixMillis now = wall_clock_();
  Shard& shard = engine_.ShardOf(partition);
  std::size_t next = 0;
  do {
    MutexLock lock(shard.mutex());
    const PartitionInfo& info = shard.info(partition);
    if (info.role == Role::kAbsent) return false;
    shard.SetOutage(partition, page.outage);
    if (page.flushed_version > info.flushed) shard.Flush(partition, page.flushed_version);
    const std::size_t end = std::min(next + kApplyBatch, page.mutations.size());
    for (; next < end; ++next) {
      counters_.bytes.fetch_add(page.mutations[next].key.size() + page.mutations[next].value.size(),
                                std::memory_order_relaxed);
      // One that finds no room is as good as evicted.
      (void)shard.Apply(page.mutations[next], now);
    }
  } while (next < page.mutations.size());
  counters_.records.fetch_add(page.mutations.size(), std::memory_order_relaxed);
  return true;
}

void Transfer::End(PartitionId partition, bool filled) {
  const std::uint64_t id = pulls_[partition].id;
  (filled ? counters_.done : counters_.failed).fetch_add(1, std::memory_order_relaxed);
  Stop(partition);
  done_(partition, id, filled);
}

Transfer::Pull* Transfer::Find(PartitionId partition, std::uint64_t id) {
  const auto found = pulls_.find(partition);
  return found != pulls_.end() && found->second.id == id ? &found->second : nullptr;
}

// How long to wait before the next page, now that `bytes` came in.
Duration Transfer::Pace(std::size_t bytes) {
  if (options_.bytes_per_second == 0) return Duration{};
  const TimePoint now = clock_();
  next_page_at_ =
      std::max(next_page_at_, now) +
      Duration(static_cast<std::int64_t>(1e9 * static_cast<double>(bytes) /
                                         static_cast<double>(options_.bytes_per_second)));
  return next_page_at_ - now;
}

void Transfer::After(Duration delay, std::function<void()> task) {
  transport_.After(delay, [alive = alive_, task = std::move(task)] {
    if (*alive) task();
  });
}

TransferStats Transfer::stats() const {
  TransferStats stats;
  stats.partitions_left = counters_.left.load(std::memory_order_relaxed);
  stats.active = counters_.active.load(std::memory_order_relaxed);
  stats.partitions_done = counters_.done.load(std::memory_order_relaxed);
  stats.pulls_failed = counters_.failed.load(std::memory_order_relaxed);
  stats.records = counters_.records.load(std::memory_order_relaxed);
  stats.bytes = counters_.bytes.load(std::memory_order_relaxed);
  stats.records_matched = counters_.matched.load(std::memory_order_relaxed);
  stats.records_offered = counters_.offered.load(std::memory_order_relaxed);
  stats.records_forgotten = counters_.forgotten.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace gyre
