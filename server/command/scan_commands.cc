#include "command/scan_commands.h"

#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "command/arguments.h"
#include "command/binding.h"
#include "command/gather.h"
#include "command/glob.h"
#include "command/messages.h"
#include "command/partition_commands.h"
#include "command/plain_call.h"
#include "command/scan_cursor.h"

namespace gyre {
namespace scan_commands {
namespace {

constexpr std::size_t kScanCountDefault = 10;
// Questions that one SCAN asks at most, so that no call takes long.
constexpr int kScanStepsMax = 64;
// After so many empty partitions it asks for those that are not empty, so many at a time: a few keys
// among many partitions cost one call.
constexpr int kEmptyVisitsMax = 4;
constexpr PartitionId kSurveyMax = 1024;

// A SCAN that has found so many bytes of keys answers, whatever its COUNT.
constexpr std::size_t kScanBytesMax = std::size_t{1} << 20;

// ---- Which partitions ---------------------------------------------------------------------------

bool IsOwnedHere(Engine& engine, PartitionId partition) {
  Shard& shard = engine.ShardOf(partition);
  MutexLock lock(shard.mutex());
  return shard.info(partition).role == Role::kOwner;
}

// The partitions that a question about "all keys" means: those of the whole cluster; on the cluster
// port those of this node, because cluster clients ask every node and put the answers together.
std::vector<PartitionId> PartitionsFor(PlainCall& call) {
  Engine& engine = call.services().engine;
  std::vector<PartitionId> partitions(engine.options().partition_count);
  std::iota(partitions.begin(), partitions.end(), 0);
  if (call.session.cluster_port) {
    std::erase_if(partitions, [&](PartitionId id) { return !IsOwnedHere(engine, id); });
  }
  return partitions;
}

// A command on partitions: its words, then their numbers.
class PartitionRequest {
 public:
  PartitionRequest(std::vector<std::string> words, const std::vector<PartitionId>& partitions)
      : texts_(std::move(words)) {
    texts_.reserve(texts_.size() + partitions.size());
    for (const PartitionId partition : partitions) texts_.push_back(std::to_string(partition));
    args_.assign(texts_.begin(), texts_.end());
  }
  PartitionRequest(const PartitionRequest&) = delete;
  PartitionRequest& operator=(const PartitionRequest&) = delete;
  Arguments args() const { return args_; }

 private:
  std::vector<std::string> texts_;
  std::vector<std::string_view> args_;
};

// ---- DBSIZE, KEYS, FLUSHALL ---------------------------------------------------------------------

void DbSize(PlainCall& call) {
  const std::vector<PartitionId> partitions = PartitionsFor(call);
  if (partitions.empty()) return call.reply().Integer(0);
  const PartitionRequest request({"gyre.count"}, partitions);
  call.router.Answer(request.args(), call.context().DeadlineOf(call.request), call.DeferAlone());
}

// What one gyre.scan found.
struct ScanPage {
  std::uint64_t position = 0;  // to go on from; 0: the end of the partition
  std::size_t visits = 0;
  Reply keys;  // a list
};

Result<ScanPage> ReadPage(Reply&& reply) {
  if (reply.kind == Reply::Kind::kError) return Fail(reply.error, std::move(reply.bytes));
  if (reply.elements.size() != 3) {
    return Fail(ErrorCode::kInternal, "a node's scan reply is malformed");
  }
  return ScanPage{.position = static_cast<std::uint64_t>(reply.elements[0].integer),
                  .visits = static_cast<std::size_t>(reply.elements[1].integer),
                  .keys = std::move(reply.elements[2])};
}

// Asks the owner of the cursor's partition for the next page: at most `count` visits.
void AskForPage(Router& router, ScanCursor cursor, std::size_t count, std::string_view pattern,
                TimePoint deadline, std::function<void(Result<ScanPage>)> done) {
  const KeyHashId& hash = router.context().services().engine.key_hash().id();
  std::vector<std::string> words = {"gyre.scan", std::to_string(cursor.partition),
                                    std::to_string(cursor.position), std::to_string(count),
                                    std::string(pattern)};
  // A node of the release before knows no other than the plain one.
  if (!hash.is_plain()) words.push_back(std::to_string(hash.tag));
  const std::vector<std::string_view> args(words.begin(), words.end());
  router.Ask(args, deadline,
             [done = std::move(done)](Reply reply) { done(ReadPage(std::move(reply))); });
}

// One KEYS: all pages of all partitions, several partitions at a time, each page a step of its own.
// A position means the same on each node (but where the hash of keys changes meanwhile), so a partition may change its owner between two pages.
class KeysWalk : public std::enable_shared_from_this<KeysWalk> {
 public:
  KeysWalk(PlainCall& call, std::vector<PartitionId> partitions)
      : router_(call.router),
        context_(call.context()),
        partitions_(std::move(partitions)),
        pattern_(call.arg(1)),
        patience_(context_.DeadlineOf(call.request) - context_.services().steady_now()),
        gather_({.fold = Fold::kConcat}, 0, call.DeferAlone(), context_.gathered()) {}

  void Start() {
    for (int i = 0; i < kPartitionsAtOnce; ++i) NextPartition();
    gather_.Started();
  }

 private:
  static constexpr int kPartitionsAtOnce = 16;

  void NextPartition() {
    if (!failed_ && !gather_.failed() && next_ < partitions_.size())
      NextPage({partitions_[next_++], 0});
  }
  void NextPage(ScanCursor cursor) {
    gather_.ExpectPart();
    context_.NextTurn([self = shared_from_this(), cursor] {
      AskForPage(self->router_, cursor, kScanVisitsMax, self->pattern_,
                 self->context_.services().steady_now() + self->patience_,
                 [self, partition = cursor.partition](Result<ScanPage> page) {
                   self->OnPage(partition, std::move(page));
                 });
    });
  }
  void OnPage(PartitionId partition, Result<ScanPage> page) {
    Reply keys;
    if (!page) {
      failed_ = true;
      keys = ReplyOf(page.error());
    } else {
      if (page->position != 0 && !gather_.failed()) {
        NextPage({partition, page->position});
      } else {
        NextPartition();
      }
      keys = std::move(page->keys);
    }
    gather_.Deliver({}, std::move(keys));
  }

  Router& router_;
  CommandContext& context_;
  const std::vector<PartitionId> partitions_;
  const std::string pattern_;
  const Duration patience_;  // for each page
  std::size_t next_ = 0;
  bool failed_ = false;
  Gather gather_;
};

void Keys(PlainCall& call) {
  if (const Result<Glob> glob = Glob::Parse(call.arg(1)); !glob) return call.Fail(glob.error());
  std::vector<PartitionId> partitions = PartitionsFor(call);
  std::make_shared<KeysWalk>(call, std::move(partitions))->Start();
}

// FLUSHALL [ASYNC|SYNC]: both are the same, for the memory is always reclaimed in the background.
void FlushAll(PlainCall& call) {
  const bool understood =
      call.argument_count() == 1 ||
      (call.argument_count() == 2 && (IsWord(call.arg(1), "ASYNC") || IsWord(call.arg(1), "SYNC")));
  if (!understood) return call.Fail(SyntaxError());
  FlushCluster(call);
}

std::vector<PartitionId> AllPartitions(Router& router) {
  std::vector<PartitionId> partitions(router.context().services().engine.options().partition_count);
  std::iota(partitions.begin(), partitions.end(), 0);
  return partitions;
}

// ---- RANDOMKEY ----------------------------------------------------------------------------------

Prng& Random() {
  static thread_local Prng random(
      static_cast<std::uint64_t>(SteadyNow().time_since_epoch().count()));
  return random;
}

// One of the samples that is a key.
void AnswerSample(const Reply& samples, PendingReply& pending) {
  if (samples.kind == Reply::Kind::kError) {
    return pending.FinishWithError({samples.error, samples.bytes});
  }
  std::vector<const Reply*> keys;
  for (const Reply& sample : samples.elements) {
    if (sample.kind == Reply::Kind::kBulk) keys.push_back(&sample);
  }
  pending.FinishWith([&keys](ReplyWriter& reply) {
    keys.empty() ? reply.Null() : reply.Bulk(keys[Random().Below(keys.size())]->bytes);
  });
}

// Partitions hold about the same number of keys, so a random key of a random partition is fair
// enough; where that one is empty, all are asked.
void RandomKey(PlainCall& call) {
  std::vector<PartitionId> partitions = PartitionsFor(call);
  if (partitions.empty()) return call.reply().Null();
  const PartitionId chosen = partitions[Random().Below(partitions.size())];
  const TimePoint deadline = call.context().DeadlineOf(call.request);
  const PartitionRequest one({"gyre.sample"}, {chosen});
  call.router.Ask(one.args(), deadline,
                  [&router = call.router, partitions = std::move(partitions), deadline,
                   pending = call.DeferAlone()](const Reply& sample) mutable {
                    const bool empty = sample.kind == Reply::Kind::kList &&
                                       sample.elements.front().kind == Reply::Kind::kNull;
                    if (!empty) return AnswerSample(sample, pending);
                    const PartitionRequest all({"gyre.sample"}, partitions);
                    router.Ask(all.args(), deadline, [pending](const Reply& samples) mutable {
                      AnswerSample(samples, pending);
                    });
                  });
}

// ---- SCAN ---------------------------------------------------------------------------------------

struct ScanOptions {
  std::string pattern = "*";
  std::size_t count = kScanCountDefault;
  bool wants_strings = true;  // false: TYPE names a type of which there are no keys
};

Result<ScanOptions> ParseScanOptions(const PlainCall& call) {
  ScanOptions options;
  for (std::size_t i = 2; i < call.argument_count(); i += 2) {
    if (i + 1 >= call.argument_count()) return tl::unexpected(SyntaxError());
    const std::string_view value = call.arg(i + 1);
    if (IsWord(call.arg(i), "MATCH")) {
      if (const Result<Glob> glob = Glob::Parse(value); !glob) return tl::unexpected(glob.error());
      options.pattern = value;
    } else if (IsWord(call.arg(i), "TYPE")) {
      options.wants_strings = IsWord(value, "STRING");
    } else if (IsWord(call.arg(i), "COUNT")) {
      const std::optional<std::int64_t> count = ParseInteger(value);
      if (!count) return tl::unexpected(NotAnInteger());
      if (*count < 1) return tl::unexpected(SyntaxError());
      options.count = std::min(static_cast<std::size_t>(*count), kScanVisitsMax);
    } else {
      return tl::unexpected(SyntaxError());
    }
  }
  return options;
}

// One SCAN: visits partition after partition until it has seen enough.
class Scan : public std::enable_shared_from_this<Scan> {
 public:
  Scan(PlainCall& call, const ScanCursorCodec& codec, ScanCursor cursor, ScanOptions options)
      : router_(call.router),
        engine_(call.services().engine),
        codec_(codec),
        only_here_(call.session.cluster_port),
        options_(std::move(options)),
        deadline_(call.context().DeadlineOf(call.request)),
        cursor_(cursor),
        left_(options_.count),
        pending_(call.DeferAlone()) {}

  void Step() {
    while (cursor_.partition < partition_count() && MayPass(cursor_)) {
      cursor_ = {cursor_.partition + 1, 0};
    }
    if (cursor_.partition >= partition_count()) return Finish(0);
    if (left_ == 0 || steps_++ >= kScanStepsMax) return Finish(codec_.Encode(cursor_));
    if (empty_visits_ >= kEmptyVisitsMax && cursor_.position == 0 &&
        cursor_.partition >= surveyed_end()) {
      return Survey();
    }

    AskForPage(
        router_, cursor_, left_, options_.pattern, deadline_,
        [self = shared_from_this()](Result<ScanPage> page) { self->OnPage(std::move(page)); });
  }

 private:
  PartitionId partition_count() const { return engine_.options().partition_count; }
  PartitionId surveyed_end() const {
    return surveyed_begin_ + static_cast<PartitionId>(records_.size());
  }
  // Whether there is nothing for us in the partition from there on.
  bool MayPass(const ScanCursor& at) {
    const bool surveyed = at.partition >= surveyed_begin_ && at.partition < surveyed_end();
    if (surveyed && at.position == 0 && records_[at.partition - surveyed_begin_] == 0) return true;
    return only_here_ && !IsOwnedHere(engine_, at.partition);
  }

  // Learns how many records the next partitions have.
  void Survey() {
    const PartitionId end = std::min(cursor_.partition + kSurveyMax, partition_count());
    std::vector<PartitionId> partitions(end - cursor_.partition);
    std::iota(partitions.begin(), partitions.end(), cursor_.partition);
    surveyed_begin_ = cursor_.partition;
    records_.assign(partitions.size(), 1);
    if (only_here_) {
      std::erase_if(partitions, [this](PartitionId id) { return !IsOwnedHere(engine_, id); });
    }
    if (partitions.empty()) return Finish(codec_.Encode(cursor_));  // they went to others just now
    const PartitionRequest request({"gyre.counts"}, partitions);
    router_.Ask(request.args(), deadline_,
                [self = shared_from_this(), partitions](const Reply& counts) {
                  self->OnSurvey(partitions, counts);
                });
  }

  void OnSurvey(const std::vector<PartitionId>& partitions, const Reply& counts) {
    if (counts.kind == Reply::Kind::kError) {
      return pending_.FinishWithError({counts.error, counts.bytes});
    }
    for (std::size_t i = 0; i < std::min(partitions.size(), counts.elements.size()); ++i) {
      records_[partitions[i] - surveyed_begin_] = counts.elements[i].integer;
    }
    Step();
  }

  void OnPage(Result<ScanPage> page) {
    if (!page) return pending_.FinishWithError(page.error());
    cursor_ = page->position == 0 ? ScanCursor{cursor_.partition + 1, 0}
                                  : ScanCursor{cursor_.partition, page->position};
    left_ -= std::min(left_, page->visits);
    if (page->visits == 0) ++empty_visits_;
    if (options_.wants_strings) {
      for (Reply& key : page->keys.elements) {
        key_bytes_ += key.bytes.size();
        keys_.push_back(std::move(key.bytes));
      }
      if (key_bytes_ >= kScanBytesMax) left_ = 0;
    }
    Step();
  }

  void Finish(std::uint64_t cursor) {
    pending_.FinishWith([this, cursor](ReplyWriter& reply) {
      reply.BeginList(ListShape::kArray, 2);
      reply.Bulk(std::to_string(cursor));
      reply.BeginList(ListShape::kArray, keys_.size());
      for (const std::string& key : keys_) reply.Bulk(key);
      reply.EndList();
      reply.EndList();
    });
  }

  Router& router_;
  Engine& engine_;
  const ScanCursorCodec codec_;
  const bool only_here_;
  const ScanOptions options_;
  const TimePoint deadline_;
  ScanCursor cursor_;
  std::size_t left_;  // of the count
  int steps_ = 0;
  int empty_visits_ = 0;
  // Of the partitions from there on, as the last survey found them.
  PartitionId surveyed_begin_ = 0;
  std::vector<std::int64_t> records_;
  std::vector<std::string> keys_;
  std::size_t key_bytes_ = 0;
  PendingReply pending_;
};

void ScanKeys(PlainCall& call) {
  const std::optional<std::uint64_t> cursor = ParseUnsigned(call.arg(1));
  const std::uint32_t partition_count = call.services().engine.options().partition_count;
  if (!cursor || !ScanCursor::IsValid(*cursor, partition_count)) {
    return call.Fail(ErrorCode::kInvalidArgument, "invalid cursor");
  }
  Result<ScanOptions> options = ParseScanOptions(call);
  if (!options) return call.Fail(options.error());
  const ScanCursorCodec codec(call.services().engine.key_hash());
  std::make_shared<Scan>(call, codec, codec.Decode(*cursor), std::move(*options))->Step();
}

// clang-format off
constexpr Binding kBindings[] = {
    Bind("keys", Keys),
    Bind("scan", ScanKeys),
    Bind("randomkey", RandomKey),
    Bind("dbsize", DbSize),
    Bind("flushall", FlushAll),
    Bind("flushdb", FlushAll),
};
// clang-format on

}  // namespace

void Flush(PlainCall& call) {
  const PartitionRequest request({"gyre.flush"}, AllPartitions(call.router));
  call.router.Answer(request.args(), call.context().DeadlineOf(call.request), call.DeferAlone());
}

void FlushUnlessSince(Router& router, UnixMillis since) {
  const PartitionRequest request({"gyre.flush.since", std::to_string(since)},
                                 AllPartitions(router));
  router.Ask(request.args(), router.context().DeadlineOf(Request{}), [](const Reply&) {});
}

}  // namespace scan_commands

void FlushCluster(PlainCall& call) { scan_commands::Flush(call); }
void FlushClusterUnlessSince(Router& router, UnixMillis since) {
  scan_commands::FlushUnlessSince(router, since);
}

std::span<const Binding> ScanCommands() { return scan_commands::kBindings; }

}  // namespace gyre
