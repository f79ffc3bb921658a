#include "sim/sim_snapshot.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "storage/snapshot.h"

namespace gyre::sim {

std::string TakeSnapshot(Engine& engine, const NodeId& id, UnixMillis now) {
  std::string bytes;
  const auto sink = [&bytes](std::string_view part) -> Status {
    bytes += part;
    return {};
  };
  const SnapshotOwner owner{id, "gyre"};
  const Status written = WriteSnapshot(engine, DescribeSnapshot(engine, owner, now), sink, nullptr);
  if (!written) std::abort();
  return bytes;
}

RestoredCopies LoadSnapshot(Engine& engine, const NodeId& id, UnixMillis now,
                            const std::string& bytes) {
  std::string_view left = bytes;
  const auto source = [&left](char* to, std::size_t size) -> Result<std::size_t> {
    const std::size_t taken = std::min(size, left.size());
    std::memcpy(to, left.data(), taken);
    left.remove_prefix(taken);
    return taken;
  };
  SnapshotReader reader(source, bytes.size());
  const Result<RestoredSnapshot> restored =
      RestoreSnapshot(engine, {id, "gyre"}, now, reader, nullptr);
  if (!restored) std::abort();
  RestoredCopies copies;
  copies.as_of = restored->as_of;
  copies.partitions = PartitionSet(engine.options().partition_count);
  for (PartitionId partition : restored->partitions) copies.partitions.Set(partition);
  return copies;
}

}  // namespace gyre::sim
