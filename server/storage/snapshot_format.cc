#include "storage/snapshot_format.h"

#include <xxhash.h>

#include <bit>
#include <cstring>
#include <utility>

#include "proto/limits.h"

namespace gyre {
namespace {

static_assert(std::endian::native == std::endian::little, "integers are copied as they stand");

constexpr std::string_view kMagic = "GYRESNAP";
// Magic, format, and the bytes of the header: what every format begins with.
constexpr std::size_t kPreambleBytes = 16;
// All of the header but the name.
constexpr std::size_t kHeaderBytes = kPreambleBytes + 16 + 4 + 8 + 3 * 8 + 2 + 8;
constexpr std::size_t kBlockHeadBytes = 16;
constexpr std::size_t kEndBytes = 32;
constexpr std::uint32_t kDataBlock = 1;
constexpr std::uint32_t kEndBlock = 2;
// A block of one record of the largest size.
constexpr std::size_t kBlockBytesMax = kValueBytesHardMax + kKeyBytesMax + 64;

constexpr char kPartitionEntry = 1;
constexpr char kRecordEntry = 2;
constexpr std::uint8_t kTombstoneBit = 1;
constexpr std::uint8_t kExpiryBit = 2;
constexpr std::uint8_t kFlagsBit = 4;

template <typename Number>
void Append(Number number, std::string& out) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

// False: too few bytes.
template <typename Number>
bool Take(std::string_view& bytes, Number& number) {
  if (bytes.size() < sizeof number) return false;
  std::memcpy(&number, bytes.data(), sizeof number);
  bytes.remove_prefix(sizeof number);
  return true;
}

bool Take(std::string_view& bytes, std::size_t size, std::string_view& taken) {
  if (bytes.size() < size) return false;
  taken = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return true;
}

std::uint64_t Checksum(std::uint64_t number, std::uint32_t kind, std::string_view payload) {
  const std::uint64_t place[] = {number, kind, payload.size()};
  return XXH3_64bits_withSeed(payload.data(), payload.size(), XXH3_64bits(place, sizeof place));
}

tl::unexpected<Error> Damaged(const std::string& how) {
  return Fail(ErrorCode::kInvalidArgument, how);
}

}  // namespace

// ---- Writing ----------------------------------------------------------------------------------

Status SnapshotWriter::Begin(const SnapshotHeader& header) {
  std::string bytes(kMagic);
  Append(kSnapshotFormat, bytes);
  Append(static_cast<std::uint32_t>(kHeaderBytes + header.cluster.size()), bytes);
  bytes.append(header.node.raw());
  Append(header.partition_count, bytes);
  Append(header.taken_ms, bytes);
  Append(header.partitions, bytes);
  Append(header.records, bytes);
  Append(header.tombstones, bytes);
  Append(static_cast<std::uint16_t>(header.cluster.size()), bytes);
  bytes.append(header.cluster);
  Append(XXH3_64bits(bytes.data(), bytes.size()), bytes);
  block_.assign(kBlockHeadBytes, '\0');
  return sink_(bytes);
}

Status SnapshotWriter::Add(const SnapshotPartition& partition) {
  block_.push_back(kPartitionEntry);
  Append(partition.partition, block_);
  Append(partition.flushed, block_);
  Append(partition.newest_evicted, block_);
  Append(partition.as_of, block_);
  Append(partition.outage, block_);
  ++partitions_;
  return EndEntry();
}

Status SnapshotWriter::Add(const RecordView& record) {
  const std::string_view key = record.key();
  const bool tombstone = record.is_tombstone();
  const bool expires = record.expiry_ms() != kNeverExpires;
  block_.push_back(kRecordEntry);
  block_.push_back(static_cast<char>((tombstone ? kTombstoneBit : 0) | (expires ? kExpiryBit : 0) |
                                     (record.flags() != 0 ? kFlagsBit : 0)));
  Append(static_cast<std::uint32_t>(key.size()), block_);
  Append(static_cast<std::uint32_t>(tombstone ? 0 : record.value_bytes()), block_);
  Append(record.version(), block_);
  if (expires) Append(record.expiry_ms(), block_);
  if (record.flags() != 0) Append(record.flags(), block_);
  block_.append(key);
  if (!tombstone) record.ForEachChunk([this](std::string_view chunk) { block_.append(chunk); });
  ++(tombstone ? tombstones_ : records_);
  return EndEntry();
}

Status SnapshotWriter::End() {
  if (block_.size() > kBlockHeadBytes) {
    if (Status sealed = Seal(kDataBlock); !sealed) return sealed;
  }
  for (std::uint64_t count : {blocks_, partitions_, records_, tombstones_}) Append(count, block_);
  return Seal(kEndBlock);
}

Status SnapshotWriter::EndEntry() {
  return block_.size() < kSnapshotBlockBytes ? Status{} : Seal(kDataBlock);
}

Status SnapshotWriter::Seal(std::uint32_t kind) {
  const std::string_view payload = std::string_view(block_).substr(kBlockHeadBytes);
  std::string head;
  Append(kind, head);
  Append(static_cast<std::uint32_t>(payload.size()), head);
  Append(Checksum(blocks_++, kind, payload), head);
  head.copy(block_.data(), kBlockHeadBytes);
  Status written = sink_(block_);
  const bool huge = block_.capacity() > 4 * kSnapshotBlockBytes;
  if (huge) std::string().swap(block_);
  block_.assign(kBlockHeadBytes, '\0');
  return written;
}

// ---- Reading ----------------------------------------------------------------------------------

Status SnapshotReader::ReadExactly(std::size_t bytes, std::string& out) {
  if (bytes > left_) return Damaged("it ends too early: its tail is missing");
  out.resize(bytes);
  const Result<std::size_t> read = source_(out.data(), bytes);
  if (!read) return tl::unexpected<Error>(read.error());
  if (*read != bytes) return Damaged("it ends too early: its tail is missing");
  left_ -= bytes;
  return {};
}

Result<SnapshotHeader> SnapshotReader::Begin() {
  std::string bytes;
  if (Status read = ReadExactly(kPreambleBytes, bytes); !read) {
    return tl::unexpected<Error>(read.error());
  }
  std::string_view preamble = std::string_view(bytes).substr(kMagic.size());
  std::uint32_t format = 0;
  std::uint32_t header_bytes = 0;
  Take(preamble, format);
  Take(preamble, header_bytes);
  if (bytes.substr(0, kMagic.size()) != kMagic) return Damaged("it is not a snapshot");
  if (format != kSnapshotFormat) {
    return Damaged("it has format " + std::to_string(format) + ", this release reads " +
                   std::to_string(kSnapshotFormat));
  }
  if (header_bytes < kHeaderBytes || header_bytes > kHeaderBytes + kSnapshotClusterBytesMax) {
    return Damaged("its header is damaged");
  }
  std::string more;
  if (Status read = ReadExactly(header_bytes - kPreambleBytes, more); !read) {
    return tl::unexpected<Error>(read.error());
  }
  bytes += more;
  std::string_view sum = std::string_view(bytes).substr(bytes.size() - 8);
  std::uint64_t checksum = 0;
  Take(sum, checksum);
  if (checksum != XXH3_64bits(bytes.data(), bytes.size() - 8)) {
    return Damaged("its header is damaged");
  }
  std::string_view rest = std::string_view(bytes).substr(kPreambleBytes);
  rest.remove_suffix(8);
  std::string_view id;
  std::string_view cluster;
  std::uint16_t cluster_bytes = 0;
  const bool whole = Take(rest, 16, id) && Take(rest, header_.partition_count) &&
                     Take(rest, header_.taken_ms) && Take(rest, header_.partitions) &&
                     Take(rest, header_.records) && Take(rest, header_.tombstones) &&
                     Take(rest, cluster_bytes) && Take(rest, cluster_bytes, cluster) &&
                     rest.empty();
  if (!whole || header_.taken_ms <= 0) return Damaged("its header is damaged");
  header_.node = *NodeId::FromBytes(id);
  header_.cluster = cluster;
  return header_;
}

Result<SnapshotReader::Kind> SnapshotReader::Next() {
  while (rest_.empty()) {
    const Result<bool> more = ReadBlock();
    if (!more) return tl::unexpected<Error>(more.error());
    if (!*more) return Kind::kEnd;
  }
  const char kind = rest_.front();
  rest_.remove_prefix(1);
  if (kind != kPartitionEntry && kind != kRecordEntry) return Damaged("an entry is of no kind");
  const Status read = kind == kPartitionEntry ? ReadPartition() : ReadRecord();
  if (!read) return tl::unexpected<Error>(read.error());
  return kind == kPartitionEntry ? Kind::kPartition : Kind::kRecord;
}

// False: that was the end.
Result<bool> SnapshotReader::ReadBlock() {
  std::string head_bytes;
  if (Status read = ReadExactly(kBlockHeadBytes, head_bytes); !read) {
    return tl::unexpected<Error>(read.error());
  }
  std::string_view head = head_bytes;
  std::uint32_t kind = 0;
  std::uint32_t size = 0;
  std::uint64_t checksum = 0;
  Take(head, kind);
  Take(head, size);
  Take(head, checksum);
  const std::string number = std::to_string(blocks_);
  if ((kind != kDataBlock && kind != kEndBlock) || size == 0 || size > kBlockBytesMax) {
    return Damaged("the head of block " + number + " is damaged");
  }
  if (Status read = ReadExactly(size, block_); !read) return tl::unexpected<Error>(read.error());
  if (checksum != Checksum(blocks_, kind, block_)) {
    return Damaged("block " + number + " does not have its checksum");
  }
  rest_ = block_;
  if (kind == kEndBlock) {
    if (Status end = CheckEnd(); !end) return tl::unexpected<Error>(end.error());
    return false;
  }
  ++blocks_;
  return true;
}

Status SnapshotReader::CheckEnd() {
  std::uint64_t blocks = 0;
  std::uint64_t partitions = 0;
  std::uint64_t records = 0;
  std::uint64_t tombstones = 0;
  const bool whole = rest_.size() == kEndBytes && Take(rest_, blocks) && Take(rest_, partitions) &&
                     Take(rest_, records) && Take(rest_, tombstones);
  if (!whole) return Damaged("its end is damaged");
  if (blocks != blocks_ || partitions != partitions_ || records != records_ ||
      tombstones != tombstones_ || header_.partitions != partitions_) {
    return Damaged("its counts disagree with what is there");
  }
  if (left_ != 0) return Damaged("something follows its end");
  return {};
}

Status SnapshotReader::ReadPartition() {
  const PartitionId before = partition_.partition;
  const bool whole = Take(rest_, partition_.partition) && Take(rest_, partition_.flushed) &&
                     Take(rest_, partition_.newest_evicted) && Take(rest_, partition_.as_of) &&
                     Take(rest_, partition_.outage);
  const bool is_time = partition_.as_of > 0 && partition_.outage >= 0;
  const bool ascends = partitions_ == 0 || partition_.partition > before;
  if (!whole || !is_time || !ascends || partition_.partition >= header_.partition_count) {
    return Damaged("a partition's entry is damaged");
  }
  ++partitions_;
  return {};
}

Status SnapshotReader::ReadRecord() {
  std::uint8_t bits = 0;
  std::uint32_t key_bytes = 0;
  std::uint32_t value_bytes = 0;
  record_ = Mutation{};
  record_.partition = partition_.partition;
  const bool whole = Take(rest_, bits) && Take(rest_, key_bytes) && Take(rest_, value_bytes) &&
                     Take(rest_, record_.version) &&
                     ((bits & kExpiryBit) == 0 || Take(rest_, record_.expiry_ms)) &&
                     ((bits & kFlagsBit) == 0 || Take(rest_, record_.flags)) &&
                     Take(rest_, key_bytes, record_.key) && Take(rest_, value_bytes, record_.value);
  if (!whole || partitions_ == 0) return Damaged("a record's entry is damaged");
  record_.tombstone = (bits & kTombstoneBit) != 0;
  ++(record_.tombstone ? tombstones_ : records_);
  return {};
}

}  // namespace gyre
