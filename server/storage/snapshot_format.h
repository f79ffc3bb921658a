// A snapshot: the records of one node as a stream of bytes. Format version 1.
//
//   snapshot  = header, data block ..., end block        integers are little-endian
//   header    = magic "GYRESNAP", u32 format version, u32 bytes of the header, node id (16 bytes),
//               u32 partition count of the cluster, i64 taken (unix ms), u64 partitions, u64
//               records, u64 tombstones, u16 length and cluster name, u64 XXH3 of all before
//   block     = u32 kind (1 data, 2 end), u32 payload bytes, u64 checksum, payload
//               checksum: XXH3 of the payload, with (number of the block, kind, bytes) as the seed
//   data      = entry ...                                 an entry never spans two blocks
//   entry     = partition or record
//   partition = u8 1, u32 partition, u64 flushed, u64 newest evicted, i64 as of (unix ms),
//               i64 outage (ms)
//   record    = u8 2, u8 bits, u32 key bytes, u32 value bytes, u64 version, [i64 expiry],
//               [u32 flags], key, value        (bits: 1 tombstone, 2 has expiry, 4 has flags)
//   end       = u64 blocks, u64 partitions, u64 records, u64 tombstones: what stands before it
//
// Partitions come in ascending order, each followed by its records. The seed makes a block that is
// missing, doubled or out of place as wrong as one whose bits changed; the end block, after which
// nothing may stand, tells a whole snapshot from one whose tail is torn. Whoever changes anything
// here raises the format version; a reader refuses a version that it does not know.
//
// Cost: the bytes of keys and values, 18 bytes a record and 16 a block of about a mebibyte. Memory:
// one block, which is as large as the largest record where that is larger.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "proto/node_id.h"
#include "proto/result.h"
#include "storage/record.h"

namespace gyre {

inline constexpr std::uint32_t kSnapshotFormat = 1;
inline constexpr std::size_t kSnapshotBlockBytes = std::size_t{1} << 20;
inline constexpr std::size_t kSnapshotClusterBytesMax = 1024;

struct SnapshotHeader {
  NodeId node;
  std::string cluster;
  std::uint32_t partition_count = 0;
  UnixMillis taken_ms = 0;
  // What follows.
  std::uint64_t partitions = 0;
  std::uint64_t records = 0;
  std::uint64_t tombstones = 0;

  friend bool operator==(const SnapshotHeader&, const SnapshotHeader&) = default;
};

// Begins the records of one partition.
struct SnapshotPartition {
  PartitionId partition = 0;
  Version flushed = 0;
  Version newest_evicted = 0;
  UnixMillis as_of = 0;   // the copy was whole then
  UnixMillis outage = 0;  // length of the one that still counted then (Outage in shard.h)

  friend bool operator==(const SnapshotPartition&, const SnapshotPartition&) = default;
};

class SnapshotWriter {
 public:
  // Takes the next bytes of the snapshot; its error ends the writing.
  using Sink = std::function<Status(std::string_view)>;

  explicit SnapshotWriter(Sink sink) : sink_(std::move(sink)) {}

  Status Begin(const SnapshotHeader& header);
  Status Add(const SnapshotPartition& partition);
  // Of the partition added last.
  Status Add(const RecordView& record);
  Status End();

  std::uint64_t records() const { return records_; }
  std::uint64_t tombstones() const { return tombstones_; }

 private:
  Status EndEntry();
  Status Seal(std::uint32_t kind);

  const Sink sink_;
  std::string block_;  // its head is filled in when it is sealed
  std::uint64_t blocks_ = 0;
  std::uint64_t partitions_ = 0;
  std::uint64_t records_ = 0;
  std::uint64_t tombstones_ = 0;
};

class SnapshotReader {
 public:
  // Fills `size` bytes, or as many as there are before the end; returns how many.
  using Source = std::function<Result<std::size_t>(char* to, std::size_t size)>;

  // `bytes` is how long the snapshot is: no length in it is believed beyond that.
  SnapshotReader(Source source, std::uint64_t bytes) : source_(std::move(source)), left_(bytes) {}

  // kInvalidArgument: it is none, of another format, or damaged. kIo: from the source. An error is
  // final.
  Result<SnapshotHeader> Begin();

  enum class Kind : std::uint8_t { kPartition, kRecord, kEnd };
  // The next entry, then in `partition()` or `record()`. A record is of the partition before it;
  // its views are valid until the next call. kEnd: everything was there.
  Result<Kind> Next();
  const SnapshotPartition& partition() const { return partition_; }
  const Mutation& record() const { return record_; }

 private:
  Result<bool> ReadBlock();
  Status ReadExactly(std::size_t bytes, std::string& out);
  Status ReadPartition();
  Status ReadRecord();
  Status CheckEnd();

  const Source source_;
  std::uint64_t left_;
  SnapshotHeader header_;
  std::string block_;
  std::string_view rest_;  // of the block
  std::uint64_t blocks_ = 0;
  std::uint64_t partitions_ = 0;
  std::uint64_t records_ = 0;
  std::uint64_t tombstones_ = 0;
  SnapshotPartition partition_;
  Mutation record_;
};

}  // namespace gyre
