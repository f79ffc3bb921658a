// A backup: records of a whole ring in the files of a folder. Format version 1.
//
//   folder    = data-000001.gyb, data-000002.gyb, ..., manifest.json
//   manifest  = JSON, as BackupManifest writes it: what there is, and a checksum of itself. It comes
//               last, by a rename, when all else is on the disk: a folder without it holds a backup
//               that was not finished
//   file      = header, block ...                        integers are little-endian
//   header    = magic "GYREBACK", u32 format version, u32 number of the file (from 1), id (16 bytes),
//               u64 XXH3 of all before
//   block     = head, payload
//   head      = id (16 bytes), u32 number of the block in the file (from 0), u32 records, u32 payload
//               bytes, u64 XXH3 of the payload, u64 XXH3 of the head before it, with the number of
//               the file as the seed
//   payload   = record ...                               a record never spans two blocks
//   record    = u8 bits, u32 key bytes, u32 value bytes, [i64 expiry, unix ms], [u32 flags], key,
//               value                                    (bits: 1 has expiry, 2 has flags)
//
// The id is drawn for each backup. It stands before each block, so that a reader finds the next one
// behind any damage (as in Avro's object container files); with the numbers it makes a block that is
// missing, doubled, out of place or of another backup as wrong as one whose bits changed. Whoever
// changes anything here raises the format version; a reader refuses a version that it does not know.
//
// Cost: the bytes of keys and values, 9 to 21 bytes a record and 44 a block of about a mebibyte.
// Memory: one block, which is as large as the largest record where that is larger.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "client/shell/transfer.h"
#include "gyre/result.h"

namespace gyre::client {

inline constexpr std::uint32_t kBackupFormat = 1;
inline constexpr std::size_t kBackupBlockBytes = std::size_t{1} << 20;
inline constexpr std::size_t kBackupIdBytes = 16;
inline constexpr std::size_t kBackupHeaderBytes = 8 + 4 + 4 + kBackupIdBytes + 8;
inline constexpr std::size_t kBackupHeadBytes = kBackupIdBytes + 3 * 4 + 2 * 8;

// Which backup it is: bytes that no other has.
using BackupId = std::array<char, kBackupIdBytes>;

std::string BackupFileHeader(const BackupId& id, std::uint32_t file);

// Collects records, and gives them as a block.
class BackupBlock {
 public:
  void Add(const Entry& entry);
  std::size_t bytes() const { return payload_.size(); }
  std::uint32_t records() const { return records_; }
  // Whether it should be written before another record is added.
  bool full() const { return payload_.size() >= kBackupBlockBytes; }
  // Head and payload; it is empty afterwards.
  std::string Seal(const BackupId& id, std::uint32_t file, std::uint32_t number);

 private:
  std::string payload_;
  std::uint32_t records_ = 0;
};

// One file of a backup, as the manifest has it.
struct BackupFileInfo {
  std::string name;
  std::uint64_t bytes = 0;
  std::uint32_t blocks = 0;
  std::uint64_t keys = 0;

  friend bool operator==(const BackupFileInfo&, const BackupFileInfo&) = default;
};

struct BackupManifest {
  BackupId id{};
  std::int64_t started_ms = 0;   // unix time
  std::int64_t finished_ms = 0;  // what was there all the time in between is in it
  std::string match = "*";       // of the keys that were wanted
  std::uint64_t keys = 0;
  std::uint64_t bytes = 0;  // of keys and values
  std::vector<BackupFileInfo> files;

  std::string Encode() const;
  // kInvalidArgument: it is none, of another format, or damaged.
  static Result<BackupManifest> Decode(const std::string& text);

  friend bool operator==(const BackupManifest&, const BackupManifest&) = default;
};

// "data-000001.gyb"
std::string BackupFileName(std::uint32_t file);

// Reads the blocks of one file, and finds its way behind damage.
class BackupFileReader {
 public:
  // Fills `size` bytes from `offset` on, or as many as there are before the end; returns how many.
  using Source =
      std::function<Result<std::size_t>(std::uint64_t offset, char* to, std::size_t size)>;

  // `info` is what the manifest says; `bytes` is how long the file is.
  BackupFileReader(Source source, std::uint64_t bytes, const BackupId& id, std::uint32_t file,
                   BackupFileInfo info)
      : source_(std::move(source)), bytes_(bytes), id_(id), file_(file), info_(std::move(info)) {}

  enum class Step : std::uint8_t { kBlock, kDamage, kEnd };
  // kBlock: `entries` are those of the next block, whose checksum is right. kDamage: `damage` says
  // where and how, `lost` how many blocks are gone by it; the next call goes on behind it. Its error
  // is the source's.
  Result<Step> Next();
  std::vector<Entry>& entries() { return entries_; }
  const std::string& damage() const { return damage_; }
  std::uint32_t lost() const { return lost_; }

 private:
  struct Head;

  Step Damaged(const std::string& where, const std::string& how, std::uint32_t lost);
  std::string Place() const;
  Result<bool> ReadAt(std::uint64_t offset, std::size_t size, std::string& to);
  bool ParseHead(std::string_view bytes, Head& head) const;
  Result<Step> CheckHeader();
  Result<Step> Resync();
  Result<Step> ReadBlock(const Head& head);

  const Source source_;
  const std::uint64_t bytes_;
  const BackupId id_;
  const std::uint32_t file_;
  const BackupFileInfo info_;
  bool began_ = false;
  std::uint64_t offset_ = 0;
  std::uint32_t next_block_ = 0;
  std::string payload_;
  std::vector<Entry> entries_;
  std::string damage_;
  std::uint32_t lost_ = 0;
};

}  // namespace gyre::client
