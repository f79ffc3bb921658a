// The node's snapshot over its life: restored before it joins, written when it has stopped. Says in
// the log what it does, and keeps figures for the status and the metrics.
#pragma once

#include <optional>
#include <string>

#include "ops/snapshot_stats.h"
#include "storage/engine.h"
#include "storage/snapshot.h"
#include "storage/snapshot_file.h"

namespace gyre {

class NodeSnapshot {
 public:
  // Without a `directory` (--data-dir) there is none: all calls do nothing.
  NodeSnapshot(const std::string& directory, SnapshotOwner owner);

  // Restores what the last life left, if anything, into the empty engine. What cannot be used is
  // set aside and the engine stays empty.
  std::optional<RestoredSnapshot> Restore(Engine& engine);
  // Removes the file that was restored. After that, and not before, the node may take part: what it
  // restored is never loaded a second time. An error says what to do.
  Status Consume();
  // Once nothing changes the engine any more. A failure is logged; the process ends as it would
  // have.
  void Write(Engine& engine);

  // Any thread, once Restore has returned.
  const SnapshotStats& stats() const { return stats_; }

 private:
  void Refuse(const Error& why);

  const SnapshotOwner owner_;
  std::optional<SnapshotFile> file_;
  SnapshotStats stats_;
};

}  // namespace gyre
