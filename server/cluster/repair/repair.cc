#include "repair/repair.h"

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "peer/peer_bounds.h"
#include "peer/peer_codec.h"
#include "peer/pull_codec.h"
#include "repair/range_comparison.h"

namespace gyre {
namespace {

constexpr Duration kRoundInterval = std::chrono::milliseconds(250);
constexpr std::uint32_t kRoundsPerSecond = 4;
constexpr Duration kTellInterval = std::chrono::milliseconds(10);
// Where more records stand in ranges that differ, the partition is left alone: their versions would take
// too much memory here.
constexpr std::size_t kRecordsMax = std::size_t{1} << 20;
constexpr std::size_t kDifferingMax = 1024;  // waiting; more are found again in the next cycle
constexpr std::uint32_t kPageRecords = 1024;
constexpr std::size_t kSendBytes = std::size_t{256} << 10;
constexpr std::size_t kFetchHashes = 8192;  // more are found again in the next cycle
constexpr std::size_t kDigestsMax = 512;    // asked for in one request
constexpr UnixMillis kNothingIsYoung = std::numeric_limits<UnixMillis>::max();

// The first of the sorted hashes from the position on; false: there is none.
bool SkipTo(const std::vector<std::uint64_t>& hashes, WalkPosition& position) {
  const auto next = std::lower_bound(hashes.begin(), hashes.end(), position.hash);
  if (next == hashes.end()) return false;
  if (*next > position.hash) position = {*next, 0};
  return true;
}

bool MayRepair(Role role) { return role == Role::kOwner || role == Role::kRecovering; }

}  // namespace

struct Repair::Job {
  Pair pair;
  bool recovers = false;
  bool after_death = false;       // the partition was taken over: nobody orders its writes yet
  bool abandoned = false;         // another job of the pair replaced it
  const KeyHash* hash = nullptr;  // that both sides are in the order of
  std::unique_ptr<RangeComparison> comparison;
  std::deque<HashRange> ranges;   // that differ, and are still to be listed
  std::vector<HashRange> listed;  // those that were
  RepairSide here;
  RepairSide there;
  UnixMillis remembers_from = 0;  // deletions here
  RepairPlan plan;
  std::unordered_set<std::uint64_t> send;
  std::uint64_t cursor = 0;  // of the other side's versions, in the first of the ranges
  WalkPosition position;     // of what is sent or fetched
  bool truncated = false;    // there is more to fetch than one job does
  std::uint64_t fetched = 0;
};

RepairPlan PlanRepair(const RepairSide& here, const RepairSide& there, UnixMillis reliable_from,
                      UnixMillis young_from, UnixMillis missed_from) {
  RepairPlan plan;
  const auto plan_one_way = [&](const RepairSide& from, const RepairSide& to,
                                std::vector<std::uint64_t>& shipped, auto&& void_there) {
    for (const auto& [hash, version] : from.versions) {
      const auto other = to.versions.find(hash);
      if (other != to.versions.end() && other->second >= version) continue;
      const UnixMillis written = MillisOf(version);
      if (written >= young_from) continue;
      const bool missing = other == to.versions.end();
      const bool forgotten = version <= to.newest_forgotten;
      if (missing && (forgotten || version <= to.newest_evicted || written < reliable_from)) {
        ++plan.withheld;
        const bool outdated =
            version <= to.newest_evicted && MillisOf(to.newest_evicted) >= missed_from;
        if (outdated) void_there(hash);
        continue;
      }
      shipped.push_back(hash);
    }
    std::sort(shipped.begin(), shipped.end());  // so that a run can be repeated exactly
  };
  plan_one_way(here, there, plan.send,
               [&plan](std::uint64_t hash) { plan.void_here.push_back(hash); });
  plan_one_way(there, here, plan.fetch, [&plan](std::uint64_t) { ++plan.void_there; });
  return plan;
}

Repair::Repair(RepairOptions options, NodeId self, Engine& engine, ViewPublisher& views,
               Transport& transport, std::function<UnixMillis()> wall_clock)
    : options_(options),
      self_(self),
      engine_(engine),
      views_(views),
      transport_(transport),
      wall_clock_(std::move(wall_clock)) {}

Repair::~Repair() { *alive_ = false; }

void Repair::Start() {
  if (options_.partitions_per_second == 0) return;
  After(kRoundInterval, [this] {
    Round();
    Start();
  });
}

// ---- Finding what differs ---------------------------------------------------------------------

bool Repair::Owns(PartitionId partition) {
  Shard& shard = engine_.ShardOf(partition);
  MutexLock lock(shard.mutex());
  return MayRepair(shard.info(partition).role);
}

void Repair::Round() {
  const ClusterViewPtr view = views_.Load();
  if (view == nullptr) return;
  const std::uint32_t count = view->partition_count;
  const std::uint32_t share =
      std::min(count, std::max(1U, options_.partitions_per_second / kRoundsPerSecond));
  std::map<NodeId, std::vector<PartitionId>> requests;
  for (std::uint32_t i = 0, seen = 0; i < count && seen < share; ++i) {
    const PartitionId partition = next_;
    next_ = (next_ + 1) % count;
    if (view->owner[partition] != view->self || !Owns(partition)) continue;
    ++seen;
    for (MemberIndex member : view->complete[partition]) {
      if (member != view->self) requests[view->members[member].id].push_back(partition);
    }
  }
  for (const auto& [node, partitions] : requests) CompareDigests(node, partitions);
  CountDiffering();
  while (!differing_.empty() && jobs_.size() - recoveries_ < options_.jobs_max) {
    const Pair pair = differing_.back();
    differing_.pop_back();
    if (!jobs_.contains(pair)) Begin(pair, /*recovers=*/false);  // a recovery evens out all of it
  }
}

void Repair::CompareDigests(const NodeId& node, const std::vector<PartitionId>& partitions) {
  wire::PeerRequest request;
  wire::Digests& body = *request.mutable_digests();
  body.set_from(std::string(self_.raw()));
  body.mutable_partitions()->Add(partitions.begin(), partitions.end());
  Call(node, request, [this, node](const wire::PeerReply* reply) {
    if (reply != nullptr && reply->has_digests()) OnDigests(node, reply->digests());
  });
}

void Repair::OnDigests(const NodeId& node, const wire::DigestsReply& digests) {
  for (const wire::PartitionDigest& digest : digests.digests()) {
    if (digest.partition() >= engine_.options().partition_count || !digest.complete()) continue;
    const Pair pair{digest.partition(), node};
    if (!IsComparable(digest) || Agrees(pair, digest)) continue;
    const bool waits = std::find(differing_.begin(), differing_.end(), pair) != differing_.end();
    if (waits || jobs_.contains(pair) || differing_.size() >= kDifferingMax) continue;
    differing_.push_back(pair);
  }
}

// Not while one side is on its way to another secret.
bool Repair::IsComparable(const wire::PartitionDigest& digest) {
  Shard& shard = engine_.ShardOf(digest.partition());
  MutexLock lock(shard.mutex());
  return shard.key_hash(digest.partition()).id().tag == digest.key_hash();
}

bool Repair::Agrees(const Pair& pair, const wire::PartitionDigest& digest) {
  std::uint64_t here = 0;
  {
    Shard& shard = engine_.ShardOf(pair.partition);
    MutexLock lock(shard.mutex());
    here = shard.info(pair.partition).digest;
  }
  counters_[&RepairStats::compared].Add(1);
  if (here == digest.digest()) {
    agreed_[pair] = wall_clock_();
    return true;
  }
  counters_[&RepairStats::different].Add(1);
  return false;
}

// ---- Recoveries -------------------------------------------------------------------------------

void Repair::Recover(PartitionId partition, const NodeId& node) {
  to_recover_.push_back({partition, node});
  // A death brings hundreds of them at once: they are asked about together.
  if (to_recover_.size() == 1) After(Duration{}, [this] { CompareForRecovery(); });
}

void Repair::CompareForRecovery() {
  std::map<NodeId, std::vector<PartitionId>> by_node;
  for (const Pair& pair : std::exchange(to_recover_, {})) {
    by_node[pair.node].push_back(pair.partition);
  }
  for (const auto& [node, all] : by_node) {
    for (std::size_t begin = 0; begin < all.size(); begin += kDigestsMax) {
      const std::size_t end = std::min(begin + kDigestsMax, all.size());
      std::vector<PartitionId> part(all.begin() + static_cast<std::ptrdiff_t>(begin),
                                    all.begin() + static_cast<std::ptrdiff_t>(end));
      wire::PeerRequest request;
      wire::Digests& body = *request.mutable_digests();
      body.set_from(std::string(self_.raw()));
      body.mutable_partitions()->Add(part.begin(), part.end());
      Call(node, request, [this, node = node, part](const wire::PeerReply* reply) {
        if (reply != nullptr && reply->has_digests()) {
          return OnRecoveryDigests(node, part, reply->digests());
        }
        for (PartitionId partition : part) EndRecovery({partition, node}, RecoveryOutcome::kFailed);
      });
    }
  }
}

void Repair::OnRecoveryDigests(const NodeId& node, std::vector<PartitionId> partitions,
                               const wire::DigestsReply& digests) {
  for (const wire::PartitionDigest& digest : digests.digests()) {
    const auto asked = std::find(partitions.begin(), partitions.end(), digest.partition());
    if (asked == partitions.end()) continue;
    partitions.erase(asked);
    const Pair pair{digest.partition(), node};
    if (GoesFirst(node, digest)) {
      EndRecovery(pair, RecoveryOutcome::kContended);
    } else if (digest.holds() && !IsComparable(digest)) {
      EndRecovery(pair, RecoveryOutcome::kFailed);
    } else if (!digest.holds() || Agrees(pair, digest)) {
      EndRecovery(pair, RecoveryOutcome::kAgreed);
    } else {
      recovering_.push_back(pair);
    }
  }
  for (PartitionId unanswered : partitions) {
    EndRecovery({unanswered, node}, RecoveryOutcome::kFailed);
  }
  BeginRecoveries();
}

// Two nodes that saw a death with different rings before them may both take its partitions over.
// Who orders the writes already goes on, of two that still compare the one with the lower id.
bool Repair::GoesFirst(const NodeId& node, const wire::PartitionDigest& digest) const {
  if (!options_.yields) return false;
  return digest.claim() == wire::CLAIM_OWNS ||
         (digest.claim() == wire::CLAIM_RECOVERS && node < self_);
}

void Repair::BeginRecoveries() {
  while (!recovering_.empty() && recoveries_ < options_.recoveries_max) {
    const Pair pair = recovering_.front();
    recovering_.pop_front();
    Begin(pair, /*recovers=*/true);
  }
}

void Repair::EndRecovery(const Pair& pair, RecoveryOutcome outcome) {
  if (on_recovered) on_recovered(pair.partition, pair.node, outcome);
}

// ---- Reading both sides -----------------------------------------------------------------------

void Repair::Begin(const Pair& pair, bool recovers) {
  if (!Owns(pair.partition)) {
    if (recovers) EndRecovery(pair, RecoveryOutcome::kFailed);
    return;
  }
  if (const auto older = jobs_.find(pair); older != jobs_.end()) {
    older->second->abandoned = true;  // it may have left out what is young
    recoveries_ -= older->second->recovers ? 1 : 0;
  }
  auto job = std::make_shared<Job>();
  job->pair = pair;
  job->recovers = recovers;
  {
    Shard& shard = engine_.ShardOf(pair.partition);
    MutexLock lock(shard.mutex());
    job->hash = &shard.key_hash(pair.partition);
  }
  job->comparison = std::make_unique<RangeComparison>(
      engine_.ShardOf(pair.partition), pair.partition, *job->hash, kHashMax, kPageRecords);
  recoveries_ += recovers ? 1 : 0;
  jobs_[pair] = job;
  AskRanges(job);
}

void Repair::AskRanges(const JobPtr& job) {
  wire::PeerRequest request;
  wire::Compare& body = *request.mutable_compare();
  body.set_from(std::string(self_.raw()));
  body.set_looks(true);
  job->comparison->Ask(body);
  Call(job->pair.node, request, [this, job](const wire::PeerReply* reply) {
    if (reply == nullptr || !reply->has_compare()) return End(job, false);
    if (reply->compare().refused()) {
      job->ranges = {{0, kHashMax}};  // a node of an older release
    } else {
      if (!job->comparison->OnReply(reply->compare(), wall_clock_())) return End(job, false);
      if (!job->comparison->done()) return AskRanges(job);
      job->ranges = job->comparison->TakeDiffering();
    }
    AskVersions(job);
  });
}

void Repair::AskVersions(const JobPtr& job) {
  if (job->ranges.empty()) return AskEvicted(job);
  const HashRange range = job->ranges.front();
  job->cursor = std::max(job->cursor, range.first);
  wire::PeerRequest request;
  wire::Versions& body = *request.mutable_versions();
  body.set_from(std::string(self_.raw()));
  body.set_partition(job->pair.partition);
  body.set_cursor(job->cursor);
  body.set_last_hash(range.last);
  body.set_records_max(kPageRecords);
  Call(job->pair.node, request, [this, job, range](const wire::PeerReply* reply) {
    if (reply == nullptr || !reply->has_versions()) return End(job, false);
    const wire::VersionsReply& page = reply->versions();
    if (page.key_hash() != job->hash->id().tag) return End(job, false);
    const int count = std::min(page.key_hashes_size(), page.versions_size());
    for (int i = 0; i < count; ++i) {
      const std::uint64_t hash = page.key_hashes(i);
      if (hash < range.first || hash > range.last) continue;
      job->there.versions[hash] = page.versions(i);
    }
    counters_[&RepairStats::listed].Add(static_cast<std::uint64_t>(count));
    if (job->there.versions.size() > kRecordsMax ||
        !CursorAdvances(job->cursor, page.next_cursor())) {
      return End(job, false);
    }
    job->cursor = page.next_cursor();
    if (page.done() || job->cursor == 0 || job->cursor > range.last) {
      job->cursor = 0;
      job->listed.push_back(range);
      job->ranges.pop_front();
    }
    AskVersions(job);
  });
}

// After its versions: what it evicted while they were read is covered.
void Repair::AskEvicted(const JobPtr& job) {
  wire::PeerRequest request;
  wire::Digests& body = *request.mutable_digests();
  body.set_from(std::string(self_.raw()));
  body.add_partitions(job->pair.partition);
  Call(job->pair.node, request, [this, job](const wire::PeerReply* reply) {
    const bool answered =
        reply != nullptr && reply->has_digests() && reply->digests().digests_size() == 1;
    if (!answered) return End(job, false);
    const wire::PartitionDigest& digest = reply->digests().digests(0);
    if (!digest.complete() && !(job->recovers && digest.holds())) return End(job, false);
    job->there.newest_evicted = digest.newest_evicted();
    job->there.newest_forgotten = digest.newest_forgotten();
    if (!ReadHere(job)) return End(job, false);
    Even(job);
  });
}

bool Repair::ReadHere(const JobPtr& job) {
  const PartitionId partition = job->pair.partition;
  Shard& shard = engine_.ShardOf(partition);
  std::size_t range = 0;  // of those that were listed
  std::uint64_t cursor = 0;
  do {
    MutexLock lock(shard.mutex());
    if (!MayRepair(shard.info(partition).role) || &shard.key_hash(partition) != job->hash)
      return false;
    job->after_death = shard.info(partition).role == Role::kRecovering;
    job->here.newest_evicted = shard.info(partition).newest_evicted;
    job->here.newest_forgotten = shard.info(partition).newest_forgotten;
    job->remembers_from = shard.RemembersFrom(partition, wall_clock_());
    if (range == job->listed.size()) return true;
    const auto [first, last] = job->listed[range];
    const auto read = [&job, last = last](const RecordView& record) {
      const std::uint64_t hash = (*job->hash)(record.key());
      if (hash > last) return false;
      job->here.versions[hash] = record.version();
      return true;
    };
    cursor = shard.Walk(partition, std::max(cursor, first), kPageRecords, wall_clock_(), read);
    if (cursor == 0 || cursor > last) {
      cursor = 0;
      ++range;
    }
  } while (job->here.versions.size() <= kRecordsMax);
  return false;
}

// ---- Evening out ------------------------------------------------------------------------------

void Repair::Even(const JobPtr& job) {
  const UnixMillis now = wall_clock_();
  const UnixMillis forgotten =
      job->recovers ? job->remembers_from : now - engine_.options().tombstone_ttl_ms;
  const auto agreed = agreed_.find(job->pair);
  const bool reliable = agreed != agreed_.end() && agreed->second >= forgotten;
  const UnixMillis young_from = job->recovers ? kNothingIsYoung : now - options_.young_ms;
  const UnixMillis missed_from = job->after_death ? now - options_.missed_ms : kNothingIsYoung;
  job->plan = PlanRepair(job->here, job->there, reliable ? 0 : forgotten, young_from, missed_from);
  ForgetRemovals(job);
  ForgetVoid(job);
  counters_[&RepairStats::withheld].Add(job->plan.withheld);
  counters_[&RepairStats::divergent].Add(job->plan.send.size() + job->plan.fetch.size() +
                                         job->plan.withheld);
  job->send.insert(job->plan.send.begin(), job->plan.send.end());
  if (job->plan.fetch.size() > kFetchHashes) {
    job->plan.fetch.resize(kFetchHashes);
    job->truncated = true;
  }
  if (job->send.empty()) return FetchNext(job);
  SendNext(job);
}

// What all holders had was said to the other; the owner who said so may have died before it came here.
void Repair::ForgetRemovals(const JobPtr& job) {
  const Version forgotten = job->there.newest_forgotten;
  if (forgotten <= job->here.newest_forgotten || IsTooFarAhead(forgotten, wall_clock_())) return;
  Shard& shard = engine_.ShardOf(job->pair.partition);
  MutexLock lock(shard.mutex());
  if (MayRepair(shard.info(job->pair.partition).role)) {
    shard.ForgetRemovals(job->pair.partition, forgotten);
  }
}

void Repair::ForgetVoid(const JobPtr& job) {
  const std::vector<std::uint64_t>& hashes = job->plan.void_here;
  if (hashes.empty()) return;
  const std::unordered_set<std::uint64_t> void_here(hashes.begin(), hashes.end());
  std::vector<std::pair<std::string, Version>> records;
  Shard& shard = engine_.ShardOf(job->pair.partition);
  MutexLock lock(shard.mutex());
  shard.Walk(job->pair.partition, WalkPosition{}, kRecordsMax, wall_clock_(),
             [&](const RecordView& record) {
               const std::uint64_t hash = (*job->hash)(record.key());
               if (void_here.contains(hash) && job->here.versions[hash] == record.version()) {
                 records.emplace_back(record.key(), record.version());
               }
               return true;
             });
  for (const auto& [key, version] : records) shard.Forget(engine_.KeyOf(key), version);
}

void Repair::SendNext(const JobPtr& job) {
  const PartitionId partition = job->pair.partition;
  std::string payload;
  BeginReplicate(payload);
  std::uint64_t sent = 0;
  Shard& shard = engine_.ShardOf(partition);
  do {
    MutexLock lock(shard.mutex());
    if (!MayRepair(shard.info(partition).role) || &shard.key_hash(partition) != job->hash) {
      return End(job, false);
    }
    if (!SkipTo(job->plan.send, job->position)) {
      job->position = {};
      break;
    }
    job->position = shard.Walk(partition, job->position, kPageRecords, wall_clock_(),
                               [&](const RecordView& record) {
                                 if (!job->send.contains((*job->hash)(record.key()))) return true;
                                 AppendMutation(partition, record, payload);
                                 ++sent;
                                 return payload.size() < kSendBytes;
                               });
  } while (!job->position.is_end() && payload.size() < kSendBytes);
  SealReplicate(payload);
  transport_.Call(job->pair.node, FrameType::kPeerRequest, std::move(payload),
                  options_.call_timeout,
                  [this, alive = alive_, job, sent](Result<std::string_view> reply) {
                    if (!*alive) return;
                    if (!reply || !DecodeReplicateReply(*reply)) return End(job, false);
                    counters_[&RepairStats::sent].Add(sent);
                    if (!job->position.is_end()) return SendNext(job);
                    FetchNext(job);
                  });
}

void Repair::FetchNext(const JobPtr& job) {
  if (!SkipTo(job->plan.fetch, job->position)) return End(job, !job->truncated);
  wire::PeerRequest request;
  wire::Fetch& body = *request.mutable_fetch();
  body.set_from(std::string(self_.raw()));
  body.set_partition(job->pair.partition);
  body.set_cursor(job->position.hash);
  body.set_cursor_within(job->position.within);
  body.set_key_hash(job->hash->id().tag);
  body.mutable_key_hashes()->Add(job->plan.fetch.begin(), job->plan.fetch.end());
  transport_.Call(job->pair.node, FrameType::kPeerRequest, request.SerializeAsString(),
                  options_.call_timeout,
                  [this, alive = alive_, job](Result<std::string_view> reply) {
                    if (!*alive) return;
                    WalkPosition next;
                    if (!reply || !ApplyFetched(job, *reply, next)) return End(job, false);
                    if (next.is_end()) return End(job, !job->truncated);
                    job->position = next;
                    FetchNext(job);
                  });
}

bool Repair::ApplyFetched(const JobPtr& job, std::string_view reply, WalkPosition& next) {
  PullPage page;
  if (!DecodePullReply(reply, page) || page.refused) return false;
  next = page.done ? WalkPosition{} : page.next;
  if (!CursorAdvances(job->position, next)) return false;
  const UnixMillis now = wall_clock_();
  Shard& shard = engine_.ShardOf(job->pair.partition);
  MutexLock lock(shard.mutex());
  if (!MayRepair(shard.info(job->pair.partition).role)) return false;
  for (const Mutation& mutation : page.mutations) {
    if (IsTooFarAhead(mutation.version, now)) {
      counters_[&RepairStats::versions_refused].Add(1);
      continue;
    }
    const Result<bool> applied = shard.Apply(mutation, now);
    if (!applied || !*applied) continue;
    ++job->fetched;
    counters_[&RepairStats::fetched].Add(1);
    if (table_ == nullptr) continue;
    const RecordView record = shard.Peek(engine_.KeyOf(mutation.key));
    if (record) table_->NoteTaken(job->pair.partition, record);
  }
  return true;
}

// Who still compares waits with it until it orders the writes.
void Repair::TellTaken(PartitionId partition) {
  if (table_ == nullptr) return;
  {
    Shard& shard = engine_.ShardOf(partition);
    MutexLock lock(shard.mutex());
    if (!table_->sets[partition].has_taken) return;
    if (shard.info(partition).role == Role::kRecovering) {
      return After(kTellInterval, [this, partition] { TellTaken(partition); });
    }
    (void)replicator_->Submit(partition, {});
  }
  replicator_->Flush();
}

void Repair::End(const JobPtr& job, bool agreed) {
  TellTaken(job->pair.partition);
  if (job->abandoned) return;
  // What was too young to be compared is not agreed on.
  if (agreed) agreed_[job->pair] = wall_clock_() - options_.young_ms;
  jobs_.erase(job->pair);
  if (!job->recovers) return;
  --recoveries_;
  const RecoveryOutcome evened = job->after_death && job->fetched > 0 ? RecoveryOutcome::kGained
                                 : job->plan.void_there == 0          ? RecoveryOutcome::kAgreed
                                                                      : RecoveryOutcome::kOutdated;
  EndRecovery(job->pair, agreed ? evened : RecoveryOutcome::kFailed);
  BeginRecoveries();
}

void Repair::Call(const NodeId& to, const wire::PeerRequest& request,
                  std::function<void(const wire::PeerReply*)> done) {
  transport_.Call(to, FrameType::kPeerRequest, request.SerializeAsString(), options_.call_timeout,
                  [alive = alive_, done = std::move(done)](Result<std::string_view> bytes) {
                    if (!*alive) return;
                    wire::PeerReply reply;
                    const bool heard = bytes && reply.ParseFromArray(
                                                    bytes->data(), static_cast<int>(bytes->size()));
                    done(heard ? &reply : nullptr);
                  });
}

void Repair::After(Duration delay, std::function<void()> task) {
  transport_.After(delay, [alive = alive_, task = std::move(task)] {
    if (*alive) task();
  });
}

void Repair::CountDiffering() {
  counters_[&RepairStats::differing].Set(differing_.size() + recovering_.size() + jobs_.size());
}

}  // namespace gyre
