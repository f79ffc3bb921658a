#include "repair/transfer.h"

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "peer/peer_bounds.h"
#include "proto_gen/cluster.pb.h"
#include "repair/pull_kind.h"

namespace gyre {
namespace {

// Records applied under one hold of the shard's lock.
constexpr std::size_t kApplyBatch = 64;
// Pulls are looked through so often: for their kind, and for the progress.
constexpr Duration kTransferTick = std::chrono::milliseconds(100);
// What comes after so long a quiet is another fill.
constexpr Duration kFillPause = std::chrono::seconds(2);
// Pages that a limit lets through in a second, at least: a page is no longer a burst.
constexpr std::uint64_t kPagesPerSecondMin = 20;
constexpr std::size_t kPulledBytesMin = 4096;
// Of the size of a record, what its value is not.
constexpr std::uint64_t kRecordBytes = 32;

// While clients are at work in less of the loops' time than this, they do not notice the mover.
constexpr double kLoadCalm = 0.10;
// From here on the mover has the least share of a source's time.
constexpr double kLoadFull = 0.30;
constexpr double kShareMin = 0.05;
// However slow pages are, a source has one in this time: a move ends.
constexpr Duration kYieldMax = std::chrono::milliseconds(100);
// A timer fires no sooner.
constexpr Duration kRestMin = std::chrono::milliseconds(1);

}  // namespace

Duration YieldAfter(Duration cost, std::uint32_t load_permille) {
  const double load = static_cast<double>(load_permille) / LoadGauge::kFull;
  const double level = std::clamp((load - kLoadCalm) / (kLoadFull - kLoadCalm), 0.0, 1.0);
  const double share = 1 - level * (1 - kShareMin);
  const double rest = static_cast<double>(cost.count()) * (1 / share - 1);
  return std::min(kYieldMax, Duration(static_cast<Duration::rep>(rest)));
}

Transfer::Transfer(TransferOptions options, NodeId self, Engine& engine, Transport& transport,
                   Done done, std::function<TimePoint()> clock,
                   std::function<UnixMillis()> wall_clock, ViewPublisher* views,
                   const LoadGauge* load)
    : options_(options),
      self_(self),
      engine_(engine),
      transport_(transport),
      done_(std::move(done)),
      clock_(std::move(clock)),
      wall_clock_(std::move(wall_clock)),
      views_(views),
      load_(load),
      limit_(options.bytes_per_second) {
  MutexLock lock(mutex_);
  progress_.limit_bytes_per_second = limit_;
}

Transfer::~Transfer() { *alive_ = false; }

void Transfer::Start(PartitionId partition, const NodeId& source, std::uint64_t pull,
                     bool writes_only) {
  Stop(partition);
  if (pulls_.empty()) BeginFill();
  Pull& started = pulls_[partition];
  started = Pull{
      .source = source, .id = pull, .attempts_left = options_.attempts, .writes_only = writes_only};
  started.move = IsMove(partition);
  counters_[&TransferStats::partitions_left].Set(pulls_.size());
  Queue(partition, started);
  if (!ticking_) {
    ticking_ = true;
    After(kTransferTick, [this] { Tick(); });
  }
  Pump();
}

void Transfer::Stop(PartitionId partition) {
  const auto found = pulls_.find(partition);
  if (found == pulls_.end()) return;
  NoteReached(partition, found->second, /*filled=*/false);
  fill_bytes_done_ -= std::min(fill_bytes_done_, found->second.bytes_done);
  Forget(found);
}

void Transfer::Restrain(bool paused, std::uint64_t bytes_per_second) {
  paused_ = paused;
  limit_ = bytes_per_second;
  next_move_at_ = clock_();
  ShowProgress();
  Pump();
}

// ---- Whose turn it is --------------------------------------------------------------------------

void Transfer::Queue(PartitionId partition, const Pull& pull) {
  Source& source = sources_[pull.source];
  std::deque<Ready>& ready = pull.move ? source.moves : source.repairs;
  if (pull.begun || pull.writes_only) {
    ready.emplace_front(partition, pull.id);
  } else {
    ready.emplace_back(partition, pull.id);
  }
}

// Gives each source a turn, beginning with the one after the last that had one.
void Transfer::Pump() {
  const TimePoint now = clock_();
  TimePoint wake = TimePoint::max();
  bool again = true;
  while (again && active_ < options_.active_max) {
    again = false;
    auto turn = sources_.upper_bound(last_source_);
    for (std::size_t i = 0; i < sources_.size() && active_ < options_.active_max; ++i, ++turn) {
      if (turn == sources_.end()) turn = sources_.begin();
      if (!PumpSource(now, turn->second, wake)) continue;
      last_source_ = turn->first;
      again = true;
    }
  }
  if (wake != TimePoint::max()) WakeAt(wake);
}

// Asks for one page if one may be asked for; else `wake` is no later than when it may.
bool Transfer::PumpSource(TimePoint now, Source& source, TimePoint& wake) {
  if (source.active >= options_.source_active_max) return false;
  if (source.repairs.empty() && source.moves.empty()) return false;
  if (now < source.next_at) {
    wake = std::min(wake, source.next_at);
    return false;
  }
  Ready next;
  if (!TakeReady(false, source, next)) {
    if (paused_ || source.moves.empty()) return false;
    if (limit_ != 0 && now < next_move_at_) {
      wake = std::min(wake, next_move_at_);
      return false;
    }
    if (!TakeReady(true, source, next)) return false;
  }
  Ask(next.first, pulls_[next.first]);
  return true;
}

bool Transfer::TakeReady(bool moves, Source& source, Ready& taken) {
  std::deque<Ready>& ready = moves ? source.moves : source.repairs;
  while (!ready.empty()) {
    taken = ready.front();
    ready.pop_front();
    // Stopped meanwhile, or queued anew as of another kind.
    const Pull* pull = Find(taken.first, taken.second);
    if (pull != nullptr && !pull->asked && pull->move == moves) return true;
  }
  return false;
}

void Transfer::WakeAt(TimePoint at) {
  if (wake_at_ && *wake_at_ <= at) return;
  wake_at_ = at;
  After(at - clock_(), [this, at] {
    if (wake_at_ != at) return;  // an earlier one came between
    wake_at_.reset();
    Pump();
  });
}

// ---- One page ----------------------------------------------------------------------------------

std::size_t Transfer::PageBytes(const Pull& pull) {
  const std::size_t usual = sources_[pull.source].calm
                                ? std::max(options_.page_bytes, options_.calm_page_bytes)
                                : options_.page_bytes;
  if (!pull.move || limit_ == 0) return usual;
  const std::size_t fair = std::max<std::size_t>(limit_ / kPagesPerSecondMin, kPulledBytesMin);
  return std::min(usual, fair);
}

void Transfer::Ask(PartitionId partition, Pull& pull) {
  pull.asked = true;
  if (!std::exchange(pull.begun, true)) BeginPull(partition, pull);
  ++sources_[pull.source].active;
  counters_[&TransferStats::active].Set(++active_);
  std::string payload;
  if (pull.difference != nullptr) {
    payload = pull.difference->Request(wall_clock_());
  } else {
    wire::PeerRequest request;
    wire::Pull& body = *request.mutable_pull();
    body.set_from(std::string(self_.raw()));
    body.set_partition(partition);
    body.set_cursor(pull.cursor.hash);
    body.set_cursor_within(pull.cursor.within);
    body.set_key_hash(pull.key_hash);
    body.set_bytes_max(pull.writes_only ? 1 : static_cast<std::uint32_t>(PageBytes(pull)));
    body.set_writes_only(pull.writes_only);
    payload = request.SerializeAsString();
  }
  transport_.Call(pull.source, FrameType::kPeerRequest, std::move(payload), options_.page_timeout,
                  [this, alive = alive_, source = pull.source, partition,
                   id = pull.id](Result<std::string_view> reply) {
                    if (*alive) OnReply(source, partition, id, reply);
                  });
}

void Transfer::OnReply(const NodeId& source, PartitionId partition, std::uint64_t id,
                       Result<std::string_view> reply) {
  counters_[&TransferStats::active].Set(--active_);
  const auto from = sources_.find(source);
  if (from != sources_.end() && from->second.active > 0) --from->second.active;
  if (Pull* pull = Find(partition, id); pull != nullptr) {
    pull->asked = false;
    OnPage(partition, *pull, reply);
  }
  Pump();
}

void Transfer::OnPage(PartitionId partition, Pull& pull, Result<std::string_view> reply) {
  if (reply && pull.difference != nullptr) return OnDifference(partition, pull, *reply);
  const TimePoint begin = clock_();
  const Status decoded =
      reply ? DecodePullReply(*reply, page_) : Status(tl::unexpected<Error>(reply.error()));
  if (!decoded) return OnNoPage(pull.source, partition, pull);
  const bool advances = page_.done || CursorAdvances(pull.cursor, page_.next);
  if (pull.cursor.is_end()) pull.key_hash = page_.key_hash;
  const bool applied = !page_.refused && advances && Apply(partition, pull, page_) &&
                       (!pull.has_old || pull.writes_only || ForgetVoid(partition, pull, page_));
  Charge(pull, begin, reply->size(), std::chrono::microseconds(page_.served_us),
         page_.load_permille);
  if (!applied || pull.writes_only) return End(partition, applied);
  NoteProgress(pull, page_);
  if (page_.done) return End(partition, true);
  pull.cursor = page_.next;
  pull.attempts_left = options_.attempts;
  Queue(partition, pull);
}

void Transfer::OnDifference(PartitionId partition, Pull& pull, std::string_view reply) {
  using Step = DifferencePull::Step;
  const TimePoint begin = clock_();
  const DifferenceCounts before = pull.difference->counts();
  const Step step = pull.difference->OnReply(reply, wall_clock_());
  const DifferenceCounts& after = pull.difference->counts();
  counters_[&TransferStats::records].Add(after.pulled - before.pulled);
  counters_[&TransferStats::bytes].Add(after.pulled_bytes - before.pulled_bytes);
  counters_[&TransferStats::records_matched].Add(after.matched - before.matched);
  counters_[&TransferStats::records_offered].Add(after.offered - before.offered);
  counters_[&TransferStats::records_forgotten].Add(after.forgotten - before.forgotten);
  counters_[&TransferStats::versions_refused].Add(after.refused - before.refused);
  // The owner's side of a comparison costs what this one does.
  Charge(pull, begin, reply.size(), clock_() - begin, 0);
  if (step == Step::kCollides || step == Step::kReached) {
    if (step == Step::kReached) pull.cursor = {pull.difference->last() + 1, 0};
    pull.key_hash = pull.difference->key_hash();
    pull.difference.reset();
    pull.has_old = true;
  } else if (step != Step::kMore) {
    return End(partition, step == Step::kFilled);
  }
  pull.attempts_left = options_.attempts;
  Queue(partition, pull);
}

// What came here of a partition as new writes alone is not worth comparing.
void Transfer::BeginPull(PartitionId partition, Pull& pull) {
  if (pull.writes_only) return;
  Shard& shard = engine_.ShardOf(partition);
  std::uint64_t gone_through = 0;
  {
    MutexLock lock(shard.mutex());
    const PartitionInfo& info = shard.info(partition);
    pull.has_old = info.records + info.tombstones > 0;
    if (!pull.has_old) return;
    gone_through = info.was_whole ? kHashMax : GoneThrough(partition, shard);
    if (gone_through == 0) return;
    if (!info.was_whole) counters_[&TransferStats::pulls_resumed].Add(1);
  }
  pull.difference = std::make_unique<DifferencePull>(self_, engine_, partition, options_.page_bytes,
                                                     gone_through, table_);
}

// Up to which hash an earlier pull went through the partition; 0: none did. Where most of what it brought
// is gone, the copy is another.
std::uint64_t Transfer::GoneThrough(PartitionId partition, Shard& shard) {
  const auto reached = reached_.find(partition);
  if (reached == reached_.end()) return 0;
  const PartitionInfo& info = shard.info(partition);
  const Reached& then = reached->second;
  const bool same = shard.key_hash(partition).id().tag == then.key_hash &&
                    info.records + info.tombstones > then.records / 2;
  return same ? then.last : 0;
}

// While it compares, it is as far as the one before was.
void Transfer::NoteReached(PartitionId partition, const Pull& pull, bool filled) {
  if (pull.writes_only || !pull.begun || (pull.difference != nullptr && !filled)) return;
  Shard& shard = engine_.ShardOf(partition);
  MutexLock lock(shard.mutex());
  const PartitionInfo& info = shard.info(partition);
  if (!filled && pull.cursor.hash == 0) {
    reached_.erase(partition);
    return;
  }
  reached_[partition] = {filled ? kHashMax : pull.cursor.hash - 1,
                         shard.key_hash(partition).id().tag, info.records + info.tombstones};
}

// Puts the source's next page off for what this one cost: the limit of moves, and the rest.
void Transfer::Charge(const Pull& pull, TimePoint begin, std::size_t bytes, Duration served,
                      std::uint32_t source_load) {
  if (pull.move && limit_ != 0) {
    next_move_at_ = std::max(next_move_at_, begin) +
                    Duration(static_cast<Duration::rep>(1e9 * static_cast<double>(bytes) /
                                                        static_cast<double>(limit_)));
  }
  const std::uint32_t load = std::max(source_load, load_ == nullptr ? 0 : load_->permille());
  const TimePoint end = clock_();
  const Duration rest = YieldAfter(end - begin + served, load);
  Source& source = sources_[pull.source];
  source.calm = load <= kLoadCalm * LoadGauge::kFull;
  source.owed += rest;
  if (source.owed < kRestMin) return;
  source.next_at = std::max(source.next_at, end) + source.owed;
  counters_[&TransferStats::yielded_ns].Add(static_cast<std::uint64_t>(source.owed.count()));
  source.owed = {};
}

// Once a source does not answer at all, none of the pulls from it goes on.
void Transfer::OnNoPage(const NodeId& source, PartitionId partition, Pull& pull) {
  if (--pull.attempts_left > 0) {
    Source& from = sources_[source];
    from.next_at = std::max(from.next_at, clock_() + options_.retry);
    return Queue(partition, pull);
  }
  std::vector<PartitionId> ended;
  for (const auto& [each, other] : pulls_) {
    if (other.source == source && !other.asked) ended.push_back(each);
  }
  for (PartitionId each : ended) {
    if (pulls_.contains(each)) End(each, false);
  }
}

// False: the partition was dropped here meanwhile, or is in the order of another hash. With records goes
// what the owner knows of those that it removed; who has none of them keeps what others bring.
bool Transfer::Apply(PartitionId partition, const Pull& pull, const PullPage& page) {
  const UnixMillis now = wall_clock_();
  Shard& shard = engine_.ShardOf(partition);
  std::size_t next = 0;
  do {
    MutexLock lock(shard.mutex());
    const PartitionInfo& info = shard.info(partition);
    if (info.role == Role::kAbsent) return false;
    // The ring agrees on a hash before data is exchanged.
    if (shard.key_hash(partition).id().tag != page.key_hash) return false;
    if (page.flushed_version > info.flushed && !Refuses(page.flushed_version, now))
      shard.Flush(partition, page.flushed_version);
    if (pull.writes_only) return true;
    if (pull.cursor.is_end() && next == 0 && table_ != nullptr) {
      if (!IsPossible(page.position) || Refuses(page.position.term, now)) return false;
      table_->BeginCopy(partition, page.position);
    }
    shard.SetOutage(partition, page.outage);
    if (!Refuses(page.newest_evicted, now)) shard.NoteEvicted(partition, page.newest_evicted);
    if (!Refuses(page.newest_forgotten, now)) {
      shard.TakeForgotten(partition, page.newest_forgotten);
    }
    const std::size_t end = std::min(next + kApplyBatch, page.mutations.size());
    for (; next < end; ++next) {
      counters_[&TransferStats::bytes].Add(page.mutations[next].key.size() +
                                           page.mutations[next].value.size());
      // One that finds no room is as good as evicted.
      if (!Refuses(page.mutations[next].version, now)) (void)shard.Apply(page.mutations[next], now);
    }
  } while (next < page.mutations.size());
  counters_[&TransferStats::records].Add(page.mutations.size());
  return true;
}

// Of the hashes that the page went through, the records here that it does not have: the owner may
// have removed them and forgotten that (MayOffer). What comes here meanwhile as a new write is
// newer than all that the owner has ever evicted. False: the page's order is no longer that of the
// records here.
bool Transfer::ForgetVoid(PartitionId partition, const Pull& pull, const PullPage& page) {
  std::unordered_set<std::string_view> told;
  for (const Mutation& mutation : page.mutations) told.insert(mutation.key);
  const auto gone_through = [&](std::uint64_t hash) {
    const bool before = hash < pull.cursor.hash || (hash == pull.cursor.hash && pull.cursor.within);
    return !before && (page.done || hash < page.next.hash);
  };
  LoneRecord lone;
  lone.owner_newest_evicted = page.newest_evicted;
  lone.owner_newest_forgotten = page.newest_forgotten;
  lone.owner_remembers_from = page.remembers_from;
  std::vector<std::pair<std::string, Version>> void_here;
  Shard& shard = engine_.ShardOf(partition);
  MutexLock lock(shard.mutex());
  const KeyHash& key_hash = shard.key_hash(partition);
  if (key_hash.id().tag != page.key_hash) return false;
  lone.as_of = shard.info(partition).as_of;
  shard.Walk(partition, WalkPosition{pull.cursor.hash, 0}, std::numeric_limits<std::size_t>::max(),
             wall_clock_(), [&](const RecordView& record) {
               const std::uint64_t hash = key_hash(record.key());
               if (!page.done && hash > page.next.hash) return false;
               lone.version = record.version();
               lone.tombstone = record.is_tombstone();
               if (gone_through(hash) && !told.contains(record.key()) && !MayOffer(lone)) {
                 void_here.emplace_back(record.key(), record.version());
               }
               return true;
             });
  for (const auto& [key, version] : void_here) {
    if (!shard.Forget(engine_.KeyOf(key), version)) continue;
    counters_[&TransferStats::records_forgotten].Add(1);
  }
  return true;
}

bool Transfer::Refuses(Version version, UnixMillis now) {
  if (!IsTooFarAhead(version, now)) return false;
  counters_[&TransferStats::versions_refused].Add(1);
  return true;
}

void Transfer::End(PartitionId partition, bool filled) {
  const auto found = pulls_.find(partition);
  const std::uint64_t id = found->second.id;
  if (filled) NoteReached(partition, found->second, /*filled=*/true);
  if (filled && found->second.writes_only) {
    Forget(found);
  } else if (filled) {
    counters_[&TransferStats::partitions_done].Add(1);
    if (!found->second.move) counters_[&TransferStats::repairs_done].Add(1);
    ++fill_partitions_done_;
    Forget(found);
  } else {
    counters_[&TransferStats::pulls_failed].Add(1);
    Stop(partition);
  }
  done_(partition, id, filled);
}

void Transfer::Forget(std::map<PartitionId, Pull>::iterator pull) {
  pulls_.erase(pull);
  counters_[&TransferStats::partitions_left].Set(pulls_.size());
  if (!pulls_.empty()) return;
  idle_since_ = clock_();
  ShowProgress();
}

Transfer::Pull* Transfer::Find(PartitionId partition, std::uint64_t id) {
  const auto found = pulls_.find(partition);
  return found != pulls_.end() && found->second.id == id ? &found->second : nullptr;
}

// ---- Moves and repairs -------------------------------------------------------------------------

void Transfer::NoteView() {
  if (views_ == nullptr || views_->revision() == view_revision_) return;
  view_revision_ = views_->revision();
  view_ = views_->Load();
  if (view_ != nullptr) copies_wanted_ = CopiesWanted(*view_);
}

bool Transfer::IsMove(PartitionId partition) {
  NoteView();
  return view_ == nullptr || !LacksCopies(*view_, partition, copies_wanted_);
}

void Transfer::Classify() {
  for (auto& [partition, pull] : pulls_) {
    const bool move = IsMove(partition);
    if (std::exchange(pull.move, move) == move || pull.asked) continue;
    Queue(partition, pull);  // its entry in the other queue is passed over: see TakeReady
  }
}

void Transfer::Tick() {
  const TimePoint now = clock_();
  std::erase_if(sources_, [now](const auto& entry) {
    const Source& source = entry.second;
    return source.active == 0 && source.repairs.empty() && source.moves.empty() &&
           source.next_at <= now;
  });
  ticking_ = !pulls_.empty();
  if (!ticking_) return;
  Classify();
  ShowProgress();
  Pump();
  After(kTransferTick, [this] { Tick(); });
}

// ---- Progress ----------------------------------------------------------------------------------

void Transfer::BeginFill() {
  if (clock_() - idle_since_ < kFillPause && fill_partitions_done_ > 0) {
    sizes_stale_ = true;
    return;
  }
  fill_partitions_done_ = 0;
  fill_bytes_done_ = 0;
  sizes_known_ = 0;
  sizes_bytes_ = 0;
  rate_.Clear();
}

// A walk goes in the order of the hashes, which are spread evenly: the cursor says how much of the
// partition lies behind it.
void Transfer::NoteProgress(Pull& pull, const PullPage& page) {
  if (!std::exchange(pull.sized, true)) {
    pull.bytes = page.partition_value_bytes + kRecordBytes * page.partition_records;
    if (std::exchange(sizes_stale_, false)) sizes_known_ = sizes_bytes_ = 0;
    ++sizes_known_;
    sizes_bytes_ += pull.bytes;
  }
  const double walked =
      page.done ? 1.0 : static_cast<double>(page.next.hash) / static_cast<double>(UINT64_MAX);
  const auto done = static_cast<std::uint64_t>(walked * static_cast<double>(pull.bytes));
  const std::uint64_t more = done - std::min(done, pull.bytes_done);
  pull.bytes_done += more;
  fill_bytes_done_ += more;
  bytes_walked_ += more;
}

void Transfer::ShowProgress() {
  rate_.Sample(clock_(), bytes_walked_);
  TransferProgress now;
  now.paused = paused_;
  now.limit_bytes_per_second = limit_;
  now.partitions_left = pulls_.size();
  now.partitions_done = fill_partitions_done_;
  now.bytes_done = fill_bytes_done_;
  const std::uint64_t average = sizes_known_ == 0 ? 0 : sizes_bytes_ / sizes_known_;
  for (const auto& [partition, pull] : pulls_) {
    if (pull.move) ++now.moves_left;
    now.bytes_left += pull.sized ? pull.bytes - pull.bytes_done : average;
  }
  now.bytes_per_second = pulls_.empty() ? 0 : rate_.per_second();
  MutexLock lock(mutex_);
  progress_ = now;
}

void Transfer::After(Duration delay, std::function<void()> task) {
  transport_.After(delay, [alive = alive_, task = std::move(task)] {
    if (*alive) task();
  });
}

TransferStats Transfer::stats() const {
  TransferStats stats = counters_.Read();
  MutexLock lock(mutex_);
  stats.progress = progress_;
  return stats;
}

}  // namespace gyre
