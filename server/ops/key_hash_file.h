// The ring's secret for the hash of keys (storage/key.h), in the data directory beside the identity, and
// as private (mode 0600): so that a ring that was stopped as a whole has the same again, and a node does
// not put its records in another order at each start.
//
// Text (word_file.h):
//
//   gyre-key-hash 1 <cluster> <created, unix ms> <tag> <secret>
//   end 0
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/statistic.h"
#include "ops/file_writer.h"
#include "proto/result.h"
#include "storage/key.h"

namespace gyre {

struct KeyHashFileContents {
  std::string cluster;
  std::shared_ptr<const KeyHash> hash;
};
std::string FormatKeyHash(const std::string& cluster, const KeyHash& hash);
// The error says what is wrong with the text, and never what stands in it.
Result<KeyHashFileContents> ParseKeyHash(std::string_view text);

struct KeyHashFileStats {
  std::uint64_t writes = 0;
  std::uint64_t failures = 0;

  static constexpr Statistic<KeyHashFileStats> kStatistics[] = {
      {&KeyHashFileStats::writes,
       {.name = "gyre_key_hash_file_writes_total",
        .help = "Times that the ring's secret for the hash of keys was written to --data-dir."}},
      {&KeyHashFileStats::failures,
       {.name = "gyre_key_hash_file_failures_total",
        .help = "Attempts to do so that failed: after a restart this node takes it from another."}},
  };
};
static_assert(AllDescribed<KeyHashFileStats>(),
              "see AllDescribed (base/statistic.h): a number without its row, or a bad row");

class KeyHashFile {
 public:
  // `directory` exists; `writer` outlives it.
  KeyHashFile(const std::string& directory, std::string cluster, FileWriter& writer);

  // What an earlier life kept; null if there was none, it belonged to another cluster or cannot be read
  // (that is logged): then the other nodes have it. Blocks on the disk.
  std::shared_ptr<const KeyHash> Read() const;

  // From now on this is the one to remember. Any thread; never waits for the disk.
  void Keep(std::shared_ptr<const KeyHash> hash);

  KeyHashFileStats stats() const;

 private:
  const std::string path_;
  const std::string cluster_;
  FileWriter& writer_;
  const FileWriter::File file_;
};

}  // namespace gyre
