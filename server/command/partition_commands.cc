#include "command/partition_commands.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/prng.h"
#include "command/arguments.h"
#include "command/binding.h"
#include "command/glob.h"
#include "command/keyed_call.h"
#include "command/messages.h"
#include "command/scan_cursor.h"

namespace gyre {
namespace partition_commands {
namespace {

// Steps of matching and bytes of keys that cost about what finding a record does.
constexpr std::size_t kCostOfVisit = 256;
// Of the keys of one position, between which a scan cannot stop. Usually that is one key.
constexpr std::size_t kVisitsOfPositionMax = 65'536;

// gyre.count partition...: of all; gyre.counts partition...: of each.
void Count(KeyedCall& call) GYRE_REQUIRES(call.shard.mutex()) {
  call.reply.Integer(static_cast<std::int64_t>(call.shard.info(call.key.partition).records));
}

// gyre.flush partition...
void Flush(KeyedCall& call) GYRE_REQUIRES(call.shard.mutex()) {
  call.Flush();
  call.reply.Word(Outcome::kOk);
}

// gyre.flush.since unix-ms partition...: those that were not emptied since then. Within one
// millisecond the order is not known: then once more does less harm than not at all.
void FlushUnlessSince(KeyedCall& call) GYRE_REQUIRES(call.shard.mutex()) {
  const std::optional<std::int64_t> since = ParseInteger(call.arg(1));
  if (!since) return call.Fail(NotAnInteger());
  if (MillisOf(call.shard.info(call.key.partition).flushed) <= *since) return Flush(call);
  call.reply.Word(Outcome::kOk);
}

// gyre.sample partition...: a random key of each, or null.
void Sample(KeyedCall& call) GYRE_REQUIRES(call.shard.mutex()) {
  static thread_local Prng random(
      static_cast<std::uint64_t>(SteadyNow().time_since_epoch().count()));
  const RecordView record = call.shard.Sample(call.key.partition, random.Next(), call.now);
  record ? call.reply.Bulk(record.key()) : call.reply.Null();
}

// The pattern of the latest gyre.scan of this loop: a walk asks with the same one again and again.
const Result<Glob>& ParsedPattern(std::string_view pattern) {
  static thread_local std::string latest = "*";
  static thread_local Result<Glob> glob = Glob::Parse(latest);
  if (pattern != latest) {
    glob = Glob::Parse(pattern);
    latest = pattern.substr(0, Glob::kPatternBytesMax + 1);  // one that is refused, as well
  }
  return glob;
}

// gyre.scan partition position count pattern [hash] -> [next position, 0 at the end; visits; keys]
//
// `hash` says whose order the position is of (KeyHashId::tag; none: the plain one's). While the
// partition is in another there is no place to go on from.
//
// A record that cost more than a visit does, because its key is long or the pattern is hard, counts
// as several visits: so what one call costs is bounded by `count`.
void Scan(KeyedCall& call) GYRE_REQUIRES(call.shard.mutex()) {
  const std::optional<std::uint64_t> position = ParseUnsigned(call.arg(2));
  const std::optional<std::uint64_t> count = ParseUnsigned(call.arg(3));
  if (!position || *position >> ScanCursor::kPositionBits != 0 || !count || *count == 0) {
    return call.Fail(SyntaxError());
  }
  const std::uint64_t hash = call.args.size() > 5 ? ParseUnsigned(call.arg(5)).value_or(0) : 0;
  if (call.shard.key_hash(call.key.partition).id().tag != hash) {
    return call.Fail(
        ErrorCode::kUnavailable,
        "the keys are being put in another order, for the secret of the ring: try again");
  }
  const Result<Glob>& glob = ParsedPattern(call.arg(4));
  if (!glob) return call.Fail(glob.error());
  const std::size_t visits_max = std::min<std::size_t>(*count, kScanVisitsMax);
  std::vector<std::string> keys;
  std::size_t visited = 0;
  WalkPosition at{*position << ScanCursor::kHashShift, 0};
  // The position is coarser than the walk's own: the walk goes on until the position grows.
  do {
    if (visited > kVisitsOfPositionMax) {
      return call.Fail(ErrorCode::kTooLarge, "too many keys share a place in the order of hashes");
    }
    at = call.shard.Walk(call.key.partition, at, visits_max, call.now,
                         [&](const RecordView& record) {
                           std::size_t cost = 0;
                           if (!record.is_tombstone()) {
                             cost = record.key().size();
                             if (glob->matches_all() || glob->Matches(record.key(), cost)) {
                               keys.emplace_back(record.key());
                             }
                           }
                           visited += 1 + cost / kCostOfVisit;
                           return visited < visits_max;
                         });
  } while (!at.is_end() && ScanCursor::PositionOf(at.hash) <= *position);

  call.reply.BeginList(ListShape::kArray, 3);
  call.reply.Integer(static_cast<std::int64_t>(ScanCursor::PositionOf(at.hash)));
  call.reply.Integer(static_cast<std::int64_t>(visited));
  call.reply.BeginList(ListShape::kArray, keys.size());
  for (const std::string& key : keys) call.reply.Bulk(key);
  call.reply.EndList();
  call.reply.EndList();
}

// clang-format off
constexpr Binding kBindings[] = {
    Bind("gyre.count", Count),
    Bind("gyre.counts", Count),
    Bind("gyre.sample", Sample),
    Bind("gyre.scan", Scan),
    Bind("gyre.flush", Flush),
    Bind("gyre.flush.since", FlushUnlessSince),
};
// clang-format on

}  // namespace
}  // namespace partition_commands

std::span<const Binding> PartitionCommands() { return partition_commands::kBindings; }

}  // namespace gyre
