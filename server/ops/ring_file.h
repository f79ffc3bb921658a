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
// Words that hold anything but what names and addresses are made of are percent-encoded; an empty
// one is "%".
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "membership/remembered_ring.h"
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
};

class RingFile {
 public:
  // `directory` exists; `cluster` and `self` are this node's.
  RingFile(const std::string& directory, std::string cluster, NodeId self);
  // Writes what is to be written still, once.
  ~RingFile();

  // What an earlier life kept; nothing if there was none, or it belonged to another cluster (that is
  // logged). An error names the file and what to do. Blocks on the disk.
  Result<std::optional<RememberedRing>> Read() const;

  // From now on this is the ring to remember. Any thread; never waits for the disk: a thread of its
  // own writes, and tries again as long as it fails.
  void Keep(RememberedRing ring);

  RingFileStats stats() const { return {writes_.load(), failures_.load()}; }

 private:
  void Run();
  bool Write(const RememberedRing& ring);

  const std::string path_;
  const std::string cluster_;
  const NodeId self_;
  std::atomic<std::uint64_t> writes_{0};
  std::atomic<std::uint64_t> failures_{0};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<RememberedRing> next_;  // to be written
  bool ending_ = false;
  std::thread thread_;  // from the first Keep on
};

}  // namespace gyre
