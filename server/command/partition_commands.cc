#include "command/partition_commands.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/prng.h"
#include "command/arguments.h"
#include "command/glob.h"
#include "command/keyed_call.h"
#include "command/messages.h"
#include "command/scan_cursor.h"

namespace gyre {
namespace {

// gyre.count partition...
void Count(KeyedCall& call) GYRE_REQUIRES(call.shard.mutex()) {
  call.reply.Integer(static_cast<std::int64_t>(call.shard.info(call.key.partition).records));
}

// gyre.flush partition...
void Flush(KeyedCall& call) GYRE_REQUIRES(call.shard.mutex()) {
  call.flushed = call.shard.NextVersion(call.now);
  call.shard.Flush(call.key.partition, call.flushed);
  call.reply.Word(Outcome::kOk);
}

// gyre.keys pattern partition...: a list of the partition's keys.
void Keys(KeyedCall& call) GYRE_REQUIRES(call.shard.mutex()) {
  const std::string_view pattern = call.arg(1);
  const bool all = pattern == "*";
  std::vector<std::string> keys;
  std::uint64_t cursor = 0;
  do {
    cursor = call.shard.Walk(
        call.key.partition, cursor, kScanVisitsMax, call.now, [&](const Record& record) {
          if (!record.is_tombstone() && (all || GlobMatches(pattern, record.key()))) {
            keys.emplace_back(record.key());
          }
          return true;
        });
  } while (cursor != 0);
  call.reply.BeginList(ListShape::kArray, keys.size());
  for (const std::string& key : keys) call.reply.Bulk(key);
  call.reply.EndList();
}

// gyre.sample partition...: a random key of each, or null.
void Sample(KeyedCall& call) GYRE_REQUIRES(call.shard.mutex()) {
  static thread_local Prng random(
      static_cast<std::uint64_t>(SteadyNow().time_since_epoch().count()));
  const Record record = call.shard.Sample(call.key.partition, random.Next(), call.now);
  record ? call.reply.Bulk(record.key()) : call.reply.Null();
}

// gyre.scan partition position count pattern -> [next position, 0 at the end; records visited;
// keys]
void Scan(KeyedCall& call) GYRE_REQUIRES(call.shard.mutex()) {
  const std::optional<std::uint64_t> position = ParseUnsigned(call.arg(2));
  const std::optional<std::uint64_t> count = ParseUnsigned(call.arg(3));
  if (!position || *position >> ScanCursor::kPositionBits != 0 || !count || *count == 0) {
    return call.Fail(SyntaxError());
  }
  const std::string_view pattern = call.arg(4);
  const std::uint64_t begin = *position << ScanCursor::kHashShift;
  std::vector<std::string> keys;
  std::size_t visited = 0;
  std::uint64_t cursor = begin;
  // The position is coarser than the walk's own cursor: the walk goes on until the position grows,
  // and leaves out what stands before it (the walk begins with a whole bucket).
  do {
    cursor =
        call.shard.Walk(call.key.partition, cursor, std::min<std::size_t>(*count, kScanVisitsMax),
                        call.now, [&](const Record& record) {
                          ++visited;
                          if (!record.is_tombstone() && HashKey(record.key()) >= begin &&
                              GlobMatches(pattern, record.key())) {
                            keys.emplace_back(record.key());
                          }
                          return true;
                        });
  } while (cursor != 0 && cursor >> ScanCursor::kHashShift == *position);

  call.reply.BeginList(ListShape::kArray, 3);
  call.reply.Integer(static_cast<std::int64_t>(cursor >> ScanCursor::kHashShift));
  call.reply.Integer(static_cast<std::int64_t>(visited));
  call.reply.BeginList(ListShape::kArray, keys.size());
  for (const std::string& key : keys) call.reply.Bulk(key);
  call.reply.EndList();
  call.reply.EndList();
}

constexpr KeyPositions kBehindPattern{2, -1, 1};
constexpr std::uint32_t kRead = kReadOnly | kInternal | kHidden | kPartitionKeys;
constexpr std::string_view kGroup = "gyre";

// clang-format off
constexpr Command kCommands[] = {
    {"gyre.count", -2, kRead, kAllArguments, kGroup, "gyre", "Counts the records of partitions.", Count, nullptr, Fold::kSum},
    {"gyre.sample", -2, kRead, kAllArguments, kGroup, "gyre", "Returns a random key of each partition.", Sample, nullptr, Fold::kArray},
    {"gyre.keys", -3, kRead | kSlow, kBehindPattern, kGroup, "gyre", "Returns the keys of partitions.", Keys, nullptr, Fold::kConcat},
    {"gyre.scan", 5, kRead, kFirstArgument, kGroup, "gyre", "Walks a part of a partition.", Scan},
    {"gyre.flush", -2, kWrite | kRepeatable | kInternal | kHidden | kPartitionKeys, kAllArguments, kGroup, "gyre", "Empties partitions.", Flush, nullptr, Fold::kAllOk},
};
// clang-format on

}  // namespace

std::span<const Command> PartitionCommands() { return kCommands; }

}  // namespace gyre
