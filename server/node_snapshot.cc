#include "node_snapshot.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/log.h"

namespace gyre {
namespace {

constexpr Duration kProgressInterval = std::chrono::seconds(2);
// A record without its key and value, at least.
constexpr std::uint64_t kRecordBytesLeast = 18;

double SecondsSince(TimePoint begin) {
  return std::chrono::duration<double>(SteadyNow() - begin).count();
}

std::uint64_t MebibytesPerSecond(std::uint64_t bytes, double seconds) {
  return static_cast<std::uint64_t>(static_cast<double>(bytes) / (1 << 20) /
                                    std::max(seconds, 1e-9));
}

std::uint64_t Millis(double seconds) { return static_cast<std::uint64_t>(seconds * 1000); }

// Logs now and then how far it is.
SnapshotProgress LogProgress(const char* what) {
  return [what, next = SteadyNow() + kProgressInterval](std::uint64_t records,
                                                        std::uint64_t records_all) mutable {
    if (SteadyNow() < next) return;
    next = SteadyNow() + kProgressInterval;
    LogInfo(what, {{"records", records},
                   {"of", records_all},
                   {"percent", records_all == 0 ? 100 : records * 100 / records_all}});
  };
}

std::uint64_t BytesLeast(Engine& engine, const SnapshotHeader& header) {
  std::uint64_t bytes = (header.records + header.tombstones) * kRecordBytesLeast;
  for (PartitionId partition = 0; partition < header.partition_count; ++partition) {
    Shard& shard = engine.ShardOf(partition);
    MutexLock lock(shard.mutex());
    if (shard.info(partition).role >= Role::kReplica) bytes += shard.info(partition).value_bytes;
  }
  return bytes;
}

}  // namespace

NodeSnapshot::NodeSnapshot(const std::string& directory, SnapshotOwner owner)
    : owner_(std::move(owner)) {
  if (!directory.empty()) file_.emplace(directory);
}

std::optional<RestoredSnapshot> NodeSnapshot::Restore(Engine& engine) {
  if (!file_) return std::nullopt;
  if (file_->RemoveHalf()) {
    stats_.outcome = SnapshotStats::Outcome::kUnfinished;
    LogWarn("the last snapshot was not finished when the node ended: removed");
  }
  Result<std::unique_ptr<SnapshotFile::Opened>> opened = file_->Open();
  if (!opened) {
    Refuse(opened.error());
    return std::nullopt;
  }
  if (*opened == nullptr) return std::nullopt;
  const TimePoint begin = SteadyNow();
  const UnixMillis now = UnixNow();
  SnapshotReader reader((*opened)->source, (*opened)->bytes);
  Result<RestoredSnapshot> restored =
      RestoreSnapshot(engine, owner_, now, reader, LogProgress("loading the snapshot"));
  if (!restored) {
    Refuse(restored.error());
    return std::nullopt;
  }
  stats_.outcome = SnapshotStats::Outcome::kLoaded;
  stats_.records = restored->header.records + restored->header.tombstones;
  stats_.bytes = (*opened)->bytes;
  stats_.seconds = SecondsSince(begin);
  stats_.taken_ms = restored->header.taken_ms;
  LogInfo("snapshot loaded", {{"records", restored->header.records},
                              {"tombstones", restored->header.tombstones},
                              {"partitions", restored->partitions.size()},
                              {"bytes", stats_.bytes},
                              {"duration_ms", Millis(stats_.seconds)},
                              {"mib_per_second", MebibytesPerSecond(stats_.bytes, stats_.seconds)},
                              {"age_seconds", (now - restored->header.taken_ms) / 1000}});
  if (now - restored->as_of > engine.options().tombstone_ttl_ms) {
    LogWarn(
        "the snapshot is older than --tombstone-ttl: where other nodes went on, what they do not "
        "have any more counts as deleted");
  }
  return std::move(*restored);
}

void NodeSnapshot::Refuse(const Error& why) {
  stats_.outcome = SnapshotStats::Outcome::kRefused;
  stats_.reason = why.message;
  const Status aside = file_->SetAside();
  LogError("snapshot refused, starting empty",
           {{"file", file_->path()},
            {"error", why.message},
            aside ? LogField("kept_as", file_->refused_path())
                  : LogField("not_kept", aside.error().message)});
}

Status NodeSnapshot::Consume() {
  if (stats_.outcome != SnapshotStats::Outcome::kLoaded) return {};
  if (Status removed = file_->Remove(); !removed) {
    return Fail(removed.error().code,
                removed.error().message +
                    ": a snapshot must not be loaded twice, so remove it, or make --data-dir "
                    "writable");
  }
  return {};
}

void NodeSnapshot::Write(Engine& engine) {
  if (!file_) return;
  const SnapshotHeader header = DescribeSnapshot(engine, owner_, UnixNow());
  LogInfo("writing the snapshot", {{"records", header.records},
                                   {"tombstones", header.tombstones},
                                   {"partitions", header.partitions}});
  const TimePoint begin = SteadyNow();
  const Result<std::uint64_t> bytes =
      file_->Write(BytesLeast(engine, header), [&](const SnapshotWriter::Sink& sink) {
        return WriteSnapshot(engine, header, sink, LogProgress("writing the snapshot"));
      });
  if (!bytes) {
    LogError("no snapshot, the node will start empty", {{"error", bytes.error().message}});
    return;
  }
  const double seconds = SecondsSince(begin);
  LogInfo("snapshot written", {{"bytes", *bytes},
                               {"duration_ms", Millis(seconds)},
                               {"mib_per_second", MebibytesPerSecond(*bytes, seconds)}});
}

}  // namespace gyre
