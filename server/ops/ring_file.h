// The ring as it was last seen, in the data directory, so that a node goes back to it whether it is
// told to join or not (cluster/remembered_ring.h).
//
// Text, a line a member, at most kMembersMax of them:
//
//   gyre-ring 2 <cluster> <id of the node that wrote it>
//   <id> <revision> <place> <weight> <zone> <host> <port> <name> <proof> <byte in its versions>
//   end <members>
//
// where a place is present, removed, evicted or drained.
//
// Words are those of word_file.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/statistic.h"
#include "membership/remembered_ring.h"
#include "ops/file_writer.h"
#include "proto/node_id.h"
#include "proto/result.h"

namespace gyre {

struct RingFileContents {
  std::string cluster;
  NodeId self;
  RememberedRing ring;
};
std::string FormatRing(const RingFileContents& contents);
// The error says what is wrong with the text.
Result<RingFileContents> ParseRing(std::string_view text);

struct RingFileStats {
  std::uint64_t writes = 0;
  std::uint64_t failures = 0;

  static constexpr Statistic<RingFileStats> kStatistics[] = {
      {&RingFileStats::writes,
       {.name = "gyre_ring_file_writes_total",
        .help = "Times that the ring was written to --data-dir."}},
      {&RingFileStats::failures,
       {.name = "gyre_ring_file_failures_total",
        .help = "Attempts to do so that failed: after a restart this node may not find its ring."}},
  };
};
static_assert(AllDescribed<RingFileStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

class RingFile {
 public:
  // `directory` exists; `cluster` and `self` are this node's; `writer` outlives it.
  RingFile(const std::string& directory, std::string cluster, NodeId self, FileWriter& writer);

  // What an earlier life kept; nothing if there was none, or it belonged to another cluster (that is
  // logged). An error names the file and what to do. Blocks on the disk.
  Result<std::optional<RememberedRing>> Read() const;

  // From now on this is the ring to remember. Any thread; never waits for the disk.
  void Keep(RememberedRing ring);

  RingFileStats stats() const;

 private:
  const std::string path_;
  const std::string cluster_;
  const NodeId self_;
  FileWriter& writer_;
  const FileWriter::File file_;
};

}  // namespace gyre
