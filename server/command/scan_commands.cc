#include "command/scan_commands.h"

#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/prng.h"
#include "command/arguments.h"
#include "command/flush.h"
#include "command/messages.h"
#include "command/partition_commands.h"
#include "command/plain_call.h"
#include "command/scan_cursor.h"

namespace gyre {
namespace {

constexpr std::size_t kScanCountDefault = 10;
// Partitions that one SCAN visits at most, so that an empty cluster costs a few dozen calls and no
// call takes long.
constexpr int kScanStepsMax = 64;

// ---- Which partitions ---------------------------------------------------------------------------

bool IsOwnedHere(Engine& engine, PartitionId partition) {
  Shard& shard = engine.ShardOf(partition);
  MutexLock lock(shard.mutex());
  return shard.info(partition).role == Role::kOwner;
}

// The partitions that a question about "all keys" means: those of the whole cluster; on the cluster
// port those of this node, because cluster clients ask every node and put the answers together.
std::vector<PartitionId> PartitionsFor(PlainCall& call) {
  Engine& engine = call.router.services().engine;
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
  call.router.Answer(request.args(), call.router.DeadlineOf(call.request), call.DeferAlone());
}

void Keys(PlainCall& call) {
  const std::vector<PartitionId> partitions = PartitionsFor(call);
  if (partitions.empty()) {
    call.reply().BeginList(ListShape::kArray, 0);
    return call.reply().EndList();
  }
  const PartitionRequest request({"gyre.keys", std::string(call.arg(1))}, partitions);
  call.router.Answer(request.args(), call.router.DeadlineOf(call.request), call.DeferAlone());
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
  std::vector<PartitionId> partitions(router.services().engine.options().partition_count);
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
  keys.empty() ? pending.writer().Null()
               : pending.writer().Bulk(keys[Random().Below(keys.size())]->bytes);
  pending.Finish();
}

// Partitions hold about the same number of keys, so a random key of a random partition is fair
// enough; where that one is empty, all are asked.
void RandomKey(PlainCall& call) {
  std::vector<PartitionId> partitions = PartitionsFor(call);
  if (partitions.empty()) return call.reply().Null();
  const PartitionId chosen = partitions[Random().Below(partitions.size())];
  const TimePoint deadline = call.router.DeadlineOf(call.request);
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
  Scan(PlainCall& call, ScanCursor cursor, ScanOptions options)
      : router_(call.router),
        only_here_(call.session.cluster_port),
        options_(std::move(options)),
        deadline_(call.router.DeadlineOf(call.request)),
        cursor_(cursor),
        left_(options_.count),
        pending_(call.DeferAlone()) {}

  void Step() {
    Engine& engine = router_.services().engine;
    while (only_here_ && cursor_.partition < engine.options().partition_count &&
           !IsOwnedHere(engine, cursor_.partition)) {
      cursor_ = {cursor_.partition + 1, 0};
    }
    if (cursor_.partition >= engine.options().partition_count) return Finish(0);
    if (left_ == 0 || steps_++ >= kScanStepsMax) return Finish(cursor_.Encode());

    const std::string words[] = {"gyre.scan", std::to_string(cursor_.partition),
                                 std::to_string(cursor_.position), std::to_string(left_),
                                 options_.pattern};
    const std::vector<std::string_view> args(std::begin(words), std::end(words));
    router_.Ask(args, deadline_,
                [self = shared_from_this()](Reply part) { self->OnPart(std::move(part)); });
  }

 private:
  void OnPart(Reply part) {
    if (part.kind == Reply::Kind::kError) {
      return pending_.FinishWithError({part.error, part.bytes});
    }
    if (part.elements.size() != 3) {
      return pending_.FinishWithError({ErrorCode::kInternal, "a node's scan reply is malformed"});
    }
    const auto position = static_cast<std::uint64_t>(part.elements[0].integer);
    const auto visited = static_cast<std::size_t>(part.elements[1].integer);
    cursor_ = position == 0 ? ScanCursor{cursor_.partition + 1, 0}
                            : ScanCursor{cursor_.partition, position};
    left_ -= std::min(left_, visited);
    if (options_.wants_strings) {
      for (Reply& key : part.elements[2].elements) keys_.push_back(std::move(key.bytes));
    }
    Step();
  }

  void Finish(std::uint64_t cursor) {
    ReplyWriter& reply = pending_.writer();
    reply.BeginList(ListShape::kArray, 2);
    reply.Bulk(std::to_string(cursor));
    reply.BeginList(ListShape::kArray, keys_.size());
    for (const std::string& key : keys_) reply.Bulk(key);
    reply.EndList();
    reply.EndList();
    pending_.Finish();
  }

  Router& router_;
  const bool only_here_;
  const ScanOptions options_;
  const TimePoint deadline_;
  ScanCursor cursor_;
  std::size_t left_;  // of the count
  int steps_ = 0;
  std::vector<std::string> keys_;
  PendingReply pending_;
};

void ScanKeys(PlainCall& call) {
  const std::optional<std::uint64_t> cursor = ParseUnsigned(call.arg(1));
  const std::uint32_t partition_count = call.router.services().engine.options().partition_count;
  if (!cursor || !ScanCursor::IsValid(*cursor, partition_count)) {
    return call.Fail(ErrorCode::kInvalidArgument, "invalid cursor");
  }
  Result<ScanOptions> options = ParseScanOptions(call);
  if (!options) return call.Fail(options.error());
  std::make_shared<Scan>(call, ScanCursor::Decode(*cursor), std::move(*options))->Step();
}

constexpr std::string_view kGroup = "generic";

// clang-format off
constexpr Command kCommands[] = {
    {"keys", 2, kReadOnly, kNoKey, kGroup, "1.0.0", "Returns all keys that match a pattern.", nullptr, Keys},
    {"scan", -2, kReadOnly, kNoKey, kGroup, "2.8.0", "Walks the key space in steps.", nullptr, ScanKeys},
    {"randomkey", 1, kReadOnly, kNoKey, kGroup, "1.0.0", "Returns a random key.", nullptr, RandomKey},
    {"dbsize", 1, kReadOnly | kFast, kNoKey, "server", "1.0.0", "Counts the keys.", nullptr, DbSize},
    {"flushall", -1, kWrite, kNoKey, "server", "1.0.0", "Removes all keys of the cluster.", nullptr, FlushAll},
    {"flushdb", -1, kWrite, kNoKey, "server", "1.0.0", "Removes all keys of the cluster (there is one database).", nullptr, FlushAll},
};
// clang-format on

}  // namespace

void FlushCluster(PlainCall& call) {
  const PartitionRequest request({"gyre.flush"}, AllPartitions(call.router));
  call.router.Answer(request.args(), call.router.DeadlineOf(call.request), call.DeferAlone());
}

void FlushClusterSilently(Router& router) {
  const PartitionRequest request({"gyre.flush"}, AllPartitions(router));
  router.Ask(request.args(), router.DeadlineOf(Request{}), [](const Reply&) {});
}

std::span<const Command> ScanCommands() { return kCommands; }

}  // namespace gyre
