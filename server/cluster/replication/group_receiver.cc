#include "replication/group_receiver.h"

#include <algorithm>
#include <utility>

#include "peer/peer_bounds.h"
#include "replication/copy_rules.h"
#include "stream/arrival.h"

namespace gyre {
namespace {

// Evicted records that are looked for together.
constexpr std::size_t kEvictionsAhead = 8;

}  // namespace

// A batch whose answer is not complete. Of one loop, but each loop may apply what waits of it.
struct GroupBatch {
  GroupBatch(std::shared_ptr<bool> alive_in, std::shared_ptr<const GroupReceiver::Tasks> tasks_in)
      : alive(std::move(alive_in)), tasks(std::move(tasks_in)) {}

  void Begin() {
    waits_for.clear();
    MutexLock lock(mutex);
    result.refused.clear();
    result.absent.clear();
    result.failed.clear();
    result.behind.clear();
    open = 1;
  }
  // On its own loop.
  void Answer() {
    if (!*alive) return;
    std::string encoded;
    {
      MutexLock lock(mutex);
      std::sort(result.failed.begin(), result.failed.end());
      encoded = EncodeReplicateReply(result, BatchForm::kGroups);
    }
    std::exchange(reply, nullptr)(std::move(encoded));
  }

  // Of its own loop.
  const std::shared_ptr<bool> alive;
  const std::shared_ptr<const GroupReceiver::Tasks> tasks;
  GroupReceiver::Reply reply;
  std::vector<PartitionId> waits_for;

  Mutex mutex;  // taken within a shard's
  ReplicateResult result GYRE_GUARDED_BY(mutex);
  std::size_t open GYRE_GUARDED_BY(mutex) = 0;  // groups that wait, and one while it is read
};

GroupReceiver::GroupReceiver(Engine& engine, ReplicationTable& table,
                             std::function<UnixMillis()> wall_clock)
    : engine_(engine), table_(table), wall_clock_(std::move(wall_clock)) {}

GroupReceiver::~GroupReceiver() { *alive_ = false; }

Status GroupReceiver::Handle(std::string_view body, Reply& reply) {
  if (Status decoded = DecodeGroups(body, groups_); !decoded) return decoded;
  LookAhead();
  const BatchPtr batch = NewBatch();
  for (std::uint32_t index = 0; index < groups_.size(); ++index) {
    const GroupView& group = groups_[index];
    Status possible = group.partition < engine_.options().partition_count
                          ? DecodeEffects(group.partition, group.effects, effects_, &notes_)
                          : Fail(ErrorCode::kInvalidArgument, "no such partition");
    if (!possible) {
      GiveUp(batch);
      return possible;
    }
    Receive(group, index, batch);
  }
  batch->reply = std::move(reply);
  if (!batch->waits_for.empty()) {
    tasks_->after(kEarlyWait, [this, alive = alive_, batch] {
      if (*alive) GiveUp(batch);
    });
  }
  Finish(batch);
  AnswerFinished();
  return {};
}

// What the groups of the batch will look at is fetched together: heads of chains, and where evicted records
// stand in their indexes.
void GroupReceiver::LookAhead() {
  for (const GroupView& group : groups_) {
    if (group.partition >= engine_.options().partition_count) continue;
    table_.StreamsOf(group.partition).kept.Prefetch(group.partition);
  }
  for (const bool records : {false, true}) {
    for (const GroupView& group : groups_) {
      if (group.partition >= engine_.options().partition_count) continue;
      PeekEvictions(group.effects, ahead_);
      if (ahead_.evicted.empty()) continue;
      const std::size_t count = std::min(ahead_.evicted.size(), kEvictionsAhead);
      Shard& shard = engine_.ShardOf(group.partition);
      MutexLock lock(shard.mutex());
      for (std::size_t i = 0; i < count; ++i) {
        shard.PrefetchEvicted(group.partition, ahead_.evicted[i], records);
      }
    }
  }
}

const GroupReceiver::BatchPtr& GroupReceiver::NewBatch() {
  if (batch_ == nullptr || batch_.use_count() > 1) {
    batch_ = std::make_shared<GroupBatch>(alive_, tasks_);
  }
  batch_->Begin();
  return batch_;
}

void GroupReceiver::Receive(const GroupView& group, std::uint32_t index, const BatchPtr& batch) {
  Shard& shard = engine_.ShardOf(group.partition);
  MutexLock lock(shard.mutex());
  const bool too_far_ahead = IsTooFarAhead(group.position.term, wall_clock_());
  if (too_far_ahead) counters_[&GroupReceiverStats::versions_refused].Add(1);
  if (too_far_ahead || RefusesWrites(shard.info(group.partition).role)) {
    MutexLock results(batch->mutex);
    batch->result.refused.push_back(group.partition);
    if (shard.info(group.partition).role == Role::kAbsent) {
      batch->result.absent.push_back(group.partition);
    }
    return;
  }
  Place(shard, group, index, batch);
  PlaceReady(shard, group.partition);
}

// What becomes of one group; it is no longer waited for, unless it waits now.
void GroupReceiver::Place(Shard& shard, const GroupView& group, std::uint32_t index,
                          const BatchPtr& batch) {
  const bool warming = shard.info(group.partition).role == Role::kWarming;
  const StreamPosition last = table_.LastOf(group.partition);
  bool failed = false;
  switch (Judge(last, group.position, group.base, warming)) {
    case Arrival::kMerge:
      failed = !Merge(shard, group);
      break;
    case Arrival::kDiverged:
      counters_[&GroupReceiverStats::diverged].Add(1);
      [[fallthrough]];
    case Arrival::kNext:
      failed = !Advance(shard, group);
      break;
    case Arrival::kDuplicate:
      break;
    case Arrival::kStale: {
      counters_[&GroupReceiverStats::stale].Add(1);
      MutexLock results(batch->mutex);
      batch->result.refused.push_back(group.partition);
      return;
    }
    case Arrival::kEarly:
      return Wait(shard, group, index, batch);
    case Arrival::kBehind:
      return SayBehind(group.partition, *batch);
  }
  if (!failed) return;
  MutexLock results(batch->mutex);
  batch->result.failed.push_back(index);
}

void GroupReceiver::Wait(Shard& shard, const GroupView& group, std::uint32_t index,
                         const BatchPtr& batch) {
  GroupInbox& inbox = table_.StreamsOf(group.partition).inbox;
  // It was applied while the copy was warming.
  if (inbox.HasApplied(group.partition, group.position)) return;
  if (faults_.ignore_order) return (void)Apply(shard, group);
  if (batch->tasks->after == nullptr ||
      !inbox.Add(group.partition,
                 {group.position, group.base, std::string(group.effects), batch, index})) {
    return SayBehind(group.partition, *batch);
  }
  counters_[&GroupReceiverStats::waited].Add(1);
  if (std::find(batch->waits_for.begin(), batch->waits_for.end(), group.partition) ==
      batch->waits_for.end()) {
    batch->waits_for.push_back(group.partition);
  }
  MutexLock results(batch->mutex);
  ++batch->open;
}

void GroupReceiver::SayBehind(PartitionId partition, GroupBatch& batch) {
  counters_[&GroupReceiverStats::behind].Add(1);
  const StreamPosition last = table_.LastOf(partition);
  MutexLock results(batch.mutex);
  for (ReplicateResult::Behind& each : batch.result.behind) {
    if (each.partition != partition) continue;
    each.position = std::min(each.position, last);
    return;
  }
  batch.result.behind.push_back({partition, last});
}

// False: some of it found no room, or a newer state of another node.
bool GroupReceiver::Apply(Shard& shard, const GroupView& group) {
  counters_[&GroupReceiverStats::applied].Add(1);
  const UnixMillis now = wall_clock_();
  ApplyEvictions(shard, group.partition, now);
  bool whole = true;
  for (const DecodedEffect& effect : effects_) {
    const Version version = effect.is_flush ? effect.flush.version : effect.mutation.version;
    if (IsTooFarAhead(version, now)) {
      counters_[&GroupReceiverStats::versions_refused].Add(1);
      whole = false;
    } else if (effect.is_flush) {
      shard.Flush(group.partition, version);
    } else {
      whole = ApplyWrite(shard, engine_, effect.mutation, now) && whole;
    }
  }
  return whole;
}

void GroupReceiver::ApplyEvictions(Shard& shard, PartitionId partition, UnixMillis now) {
  const std::vector<EvictedRecord>& evicted = notes_.evicted;
  if (evicted.empty() || notes_.key_hash != shard.key_hash(partition).id().tag) return;
  for (std::size_t i = 0; i < evicted.size(); ++i) {
    if (i + kEvictionsAhead < evicted.size()) {
      shard.PrefetchEvicted(partition, evicted[i + kEvictionsAhead], /*record=*/false);
    }
    shard.DropEvicted(partition, evicted[i], now);
  }
}

bool GroupReceiver::Merge(Shard& shard, const GroupView& group) {
  ShardStreams& streams = table_.StreamsOf(group.partition);
  const bool whole = Apply(shard, group);
  const StreamPosition last = streams.kept.last(group.partition);
  const StreamPosition reached =
      streams.inbox.Applied(group.partition, last, group.position, group.base);
  if (reached != last) streams.kept.Restart(group.partition, reached);
  return whole;
}

bool GroupReceiver::Advance(Shard& shard, const GroupView& group) {
  ShardStreams& streams = table_.StreamsOf(group.partition);
  KeptStream& kept = streams.kept;
  const bool whole = Apply(shard, group);
  // Not while the copy is warming: what was removed may still come with a page.
  if (notes_.forgotten != 0 && !IsTooFarAhead(notes_.forgotten, wall_clock_())) {
    shard.ForgetRemovals(group.partition, notes_.forgotten);
  }
  if (group.position.term != kept.last(group.partition).term) {
    kept.Open(group.partition, group.position.term, group.base);
  }
  if (group.position.number != 0) kept.Append(group.partition, group.position, group.effects);
  const StreamPosition reached = streams.inbox.Reach(group.partition, group.position);
  if (reached != group.position) kept.Restart(group.partition, reached);
  return whole;
}

// What waited for what was just applied.
void GroupReceiver::PlaceReady(Shard& shard, PartitionId partition) {
  GroupInbox& inbox = table_.StreamsOf(partition).inbox;
  while (inbox.waiting_bytes() != 0) {
    const auto waiting = inbox.TakeReady(partition, table_.LastOf(partition));
    if (!waiting) return;
    (void)DecodeEffects(partition, waiting->effects, effects_,
                        &notes_);  // it was decoded when it came
    Place(shard, {partition, waiting->position, waiting->base, waiting->effects}, waiting->index,
          waiting->batch);
    Finish(waiting->batch);
  }
}

// The time of what still waits of the batch is over.
void GroupReceiver::GiveUp(const BatchPtr& batch) {
  for (const PartitionId partition : batch->waits_for) {
    Shard& shard = engine_.ShardOf(partition);
    MutexLock lock(shard.mutex());
    const Role role = shard.info(partition).role;
    for (const GroupInbox::Waiting& each :
         table_.StreamsOf(partition).inbox.TakeOf(partition, batch.get())) {
      if (RefusesWrites(role)) {
        MutexLock results(batch->mutex);
        batch->result.refused.push_back(partition);
      } else if (role == Role::kWarming) {
        (void)DecodeEffects(partition, each.effects, effects_, &notes_);
        Place(shard, {partition, each.position, each.base, each.effects}, each.index, batch);
      } else {
        SayBehind(partition, *batch);
      }
      Finish(batch);
    }
  }
  AnswerFinished();
}

// One thing less that the batch waits for.
void GroupReceiver::Finish(const BatchPtr& batch) {
  MutexLock lock(batch->mutex);
  if (--batch->open == 0) finished_.push_back(batch);
}

void GroupReceiver::AnswerFinished() {
  for (std::size_t i = 0; i < finished_.size(); ++i) {
    const BatchPtr batch = std::move(finished_[i]);
    if (batch->alive == alive_) {
      batch->Answer();
    } else {
      batch->tasks->post([batch] { batch->Answer(); });
    }
  }
  finished_.clear();
}

}  // namespace gyre
