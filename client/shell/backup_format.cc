#include "client/shell/backup_format.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>

#include "client/shell/json_fields.h"
#include "client/shell/printer.h"
#include "proto/hex.h"
#include "proto/limits.h"

namespace gyre::client {
namespace {

static_assert(std::endian::native == std::endian::little, "integers are copied as they stand");

constexpr std::string_view kBackupMagic = "GYREBACK";
constexpr std::string_view kManifestFormat = "gyre-backup";
constexpr std::uint8_t kHasExpiry = 1;
constexpr std::uint8_t kHasFlags = 2;
// A full block and a record of the largest size on top.
constexpr std::size_t kPayloadBytesMax = kBackupBlockBytes + kValueBytesHardMax + kKeyBytesMax + 64;

template <typename Number>
void PutNumber(Number number, std::string& out) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

// False: too few bytes.
template <typename Number>
bool TakeNumber(std::string_view& bytes, Number& number) {
  if (bytes.size() < sizeof number) return false;
  std::memcpy(&number, bytes.data(), sizeof number);
  bytes.remove_prefix(sizeof number);
  return true;
}

bool TakeText(std::string_view& bytes, std::size_t size, std::string& text) {
  if (bytes.size() < size) return false;
  text.assign(bytes.substr(0, size));
  bytes.remove_prefix(size);
  return true;
}

std::uint64_t Xxh3(std::string_view bytes, std::uint64_t seed = 0) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

// False: it does not end where it says.
bool TakeEntry(std::string_view& payload, Entry& entry) {
  std::uint8_t bits = 0;
  std::uint32_t key_bytes = 0;
  std::uint32_t value_bytes = 0;
  return TakeNumber(payload, bits) && (bits & ~(kHasExpiry | kHasFlags)) == 0 &&
         TakeNumber(payload, key_bytes) && TakeNumber(payload, value_bytes) &&
         ((bits & kHasExpiry) == 0 || TakeNumber(payload, entry.expiry_ms)) &&
         ((bits & kHasFlags) == 0 || TakeNumber(payload, entry.flags)) &&
         TakeText(payload, key_bytes, entry.key) && TakeText(payload, value_bytes, entry.value);
}

std::string HexOf(std::string_view bytes) {
  std::string hex;
  for (const char c : bytes) AppendHex(static_cast<unsigned char>(c), hex);
  return hex;
}

std::string_view IdBytes(const BackupId& id) { return {id.data(), id.size()}; }

std::optional<BackupId> IdOfHex(const std::string& hex) {
  if (hex.size() != 2 * kBackupIdBytes || hex.find_first_not_of(kHexDigits) != std::string::npos) {
    return std::nullopt;
  }
  BackupId id;
  for (std::size_t i = 0; i < id.size(); ++i) {
    id[i] = static_cast<char>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
  }
  return id;
}

Error BadManifest(const std::string& how) {
  return {ErrorCode::kInvalidArgument, "manifest.json " + how};
}

std::string ManifestText(const Json& manifest) { return manifest.dump(2) + "\n"; }

// With the checksum of the rest in its place.
std::string SignedText(Json manifest) {
  manifest["checksum"] = "";
  const std::uint64_t sum = Xxh3(ManifestText(manifest));
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(sum));
  manifest["checksum"] = hex;
  return ManifestText(manifest);
}

}  // namespace

std::string BackupFileName(std::uint32_t file) {
  char name[32];
  std::snprintf(name, sizeof name, "data-%06u.gyb", file);
  return name;
}

// ---- Writing ----------------------------------------------------------------------------------

std::string BackupFileHeader(const BackupId& id, std::uint32_t file) {
  std::string header(kBackupMagic);
  PutNumber(kBackupFormat, header);
  PutNumber(file, header);
  header += IdBytes(id);
  PutNumber(Xxh3(header), header);
  return header;
}

void BackupBlock::Add(const Entry& entry) {
  payload_.push_back(static_cast<char>((entry.expiry_ms != 0 ? kHasExpiry : 0) |
                                       (entry.flags != 0 ? kHasFlags : 0)));
  PutNumber(static_cast<std::uint32_t>(entry.key.size()), payload_);
  PutNumber(static_cast<std::uint32_t>(entry.value.size()), payload_);
  if (entry.expiry_ms != 0) PutNumber(entry.expiry_ms, payload_);
  if (entry.flags != 0) PutNumber(entry.flags, payload_);
  payload_ += entry.key;
  payload_ += entry.value;
  ++records_;
}

std::string BackupBlock::Seal(const BackupId& id, std::uint32_t file, std::uint32_t number) {
  std::string block(IdBytes(id));
  block.reserve(kBackupHeadBytes + payload_.size());
  PutNumber(number, block);
  PutNumber(std::exchange(records_, 0U), block);
  PutNumber(static_cast<std::uint32_t>(payload_.size()), block);
  PutNumber(Xxh3(payload_), block);
  PutNumber(Xxh3(block, file), block);
  block += payload_;
  const bool huge = payload_.capacity() > 4 * kBackupBlockBytes;
  if (huge) std::string().swap(payload_);
  payload_.clear();
  return block;
}

// ---- The manifest -----------------------------------------------------------------------------

std::string BackupManifest::Encode() const {
  Json list = Json::array();
  for (const BackupFileInfo& file : files) {
    list.push_back(
        {{"name", file.name}, {"bytes", file.bytes}, {"blocks", file.blocks}, {"keys", file.keys}});
  }
  Json manifest = {{"format", kManifestFormat},
                   {"version", kBackupFormat},
                   {"id", HexOf(IdBytes(id))},
                   {"started_unix_ms", started_ms},
                   {"finished_unix_ms", finished_ms},
                   {"keys", keys},
                   {"bytes", bytes},
                   {"files", std::move(list)}};
  AddBytes(manifest, "match", match);
  return SignedText(std::move(manifest));
}

// Every byte of the text counts: it must be what Encode would write, checksum included.
Result<BackupManifest> BackupManifest::Decode(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || TextAt(json, "format") != kManifestFormat) {
    return BadManifest("is not that of a backup");
  }
  const Json version = json.value("version", Json());
  if (version.is_number_unsigned() && version != kBackupFormat) {
    return BadManifest("has format version " + version.dump() + ", this release reads " +
                       std::to_string(kBackupFormat));
  }
  if (SignedText(json) != text) return BadManifest("does not have its checksum");
  const std::optional<BackupId> id = IdOfHex(TextAt(json, "id"));
  if (!id) return BadManifest("has no id");
  // What the checksum vouches for was written by Encode; its types are checked all the same.
  BackupManifest manifest;
  manifest.id = *id;
  const auto number = [](const Json& object, const char* name, auto& to) {
    const auto found = object.find(name);
    if (found == object.end() || !found->is_number_integer()) return false;
    to = found->template get<std::remove_reference_t<decltype(to)>>();
    return true;
  };
  bool whole = number(json, "started_unix_ms", manifest.started_ms) &&
               number(json, "finished_unix_ms", manifest.finished_ms) &&
               number(json, "keys", manifest.keys) && number(json, "bytes", manifest.bytes) &&
               json.contains("files") && json["files"].is_array();
  if (whole) {
    for (const Json& file : json["files"]) {
      BackupFileInfo info;
      whole = whole && file.is_object() && number(file, "bytes", info.bytes) &&
              number(file, "blocks", info.blocks) && number(file, "keys", info.keys);
      // The names follow from the numbers, so that a manifest points at nothing else.
      info.name = BackupFileName(static_cast<std::uint32_t>(manifest.files.size() + 1));
      whole = whole && TextAt(file, "name") == info.name;
      manifest.files.push_back(std::move(info));
    }
  }
  if (!whole) return BadManifest("lacks a field");
  if (json.contains("match")) manifest.match = TextAt(json, "match");
  return manifest;
}

// ---- Reading ----------------------------------------------------------------------------------

struct BackupFileReader::Head {
  std::uint32_t number = 0;
  std::uint32_t records = 0;
  std::uint32_t payload_bytes = 0;
  std::uint64_t payload_sum = 0;
};

std::string BackupFileReader::Place() const {
  return "block " + std::to_string(next_block_) + " (at byte " + std::to_string(offset_) + ")";
}

BackupFileReader::Step BackupFileReader::Damaged(const std::string& where, const std::string& how,
                                                 std::uint32_t lost) {
  damage_ = info_.name + ": " + where + " " + how;
  lost_ = lost;
  return Step::kDamage;
}

// False: the file ends before.
Result<bool> BackupFileReader::ReadAt(std::uint64_t offset, std::size_t size, std::string& to) {
  if (offset > bytes_ || size > bytes_ - offset) return false;
  to.resize(size);
  const Result<std::size_t> read = source_(offset, to.data(), size);
  if (!read) return read.error();
  return *read == size;
}

bool BackupFileReader::ParseHead(std::string_view bytes, Head& head) const {
  if (bytes.size() < kBackupHeadBytes || !bytes.starts_with(IdBytes(id_))) return false;
  std::string_view rest = bytes.substr(kBackupIdBytes, kBackupHeadBytes - kBackupIdBytes);
  std::uint64_t sum = 0;
  const bool whole = TakeNumber(rest, head.number) && TakeNumber(rest, head.records) &&
                     TakeNumber(rest, head.payload_bytes) && TakeNumber(rest, head.payload_sum) &&
                     TakeNumber(rest, sum);
  return whole && sum == Xxh3(bytes.substr(0, kBackupHeadBytes - sizeof sum), file_) &&
         head.payload_bytes <= kPayloadBytesMax;
}

Result<BackupFileReader::Step> BackupFileReader::CheckHeader() {
  std::string header;
  const Result<bool> read = ReadAt(0, kBackupHeaderBytes, header);
  if (!read) return read.error();
  began_ = true;
  offset_ = kBackupHeaderBytes;
  if (*read && header == BackupFileHeader(id_, file_)) return Step::kBlock;
  return Damaged("the header", *read ? "is damaged, or of another backup" : "is missing", 0);
}

Result<BackupFileReader::Step> BackupFileReader::Next() {
  if (!began_) {
    const Result<Step> header = CheckHeader();
    if (!header || *header == Step::kDamage) return header;
  }
  if (next_block_ >= info_.blocks) {
    if (offset_ < bytes_) {
      const std::uint64_t surplus = bytes_ - offset_;
      offset_ = bytes_;
      return Damaged("the end", "is followed by " + std::to_string(surplus) + " bytes", 0);
    }
    return Step::kEnd;
  }
  std::string bytes;
  const Result<bool> read = ReadAt(offset_, kBackupHeadBytes, bytes);
  if (!read) return read.error();
  Head head;
  if (!*read || !ParseHead(bytes, head) || head.number != next_block_) return Resync();
  return ReadBlock(head);
}

// Looks for the next head that can be one of those still to come.
Result<BackupFileReader::Step> BackupFileReader::Resync() {
  constexpr std::size_t kWindowBytes = std::size_t{1} << 20;
  const std::string place = Place();
  const std::uint32_t missing_from = next_block_;
  std::string window;
  for (std::uint64_t at = offset_; at < bytes_;) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kWindowBytes, bytes_ - at));
    const Result<bool> read = ReadAt(at, size, window);
    if (!read) return read.error();
    if (!*read) break;
    const std::string_view view = window;
    for (std::size_t found = view.find(IdBytes(id_)); found != std::string_view::npos;
         found = view.find(IdBytes(id_), found + 1)) {
      Head head;
      const bool usable = ParseHead(view.substr(found), head) && head.number >= missing_from &&
                          head.number < info_.blocks;
      if (!usable) continue;
      offset_ = at + found;
      next_block_ = head.number;
      return Damaged(place, "is not where it should be: its head is damaged or missing",
                     head.number - missing_from);
    }
    if (size < kBackupHeadBytes || at + size == bytes_) break;
    at += size - (kBackupHeadBytes - 1);  // a head may span two windows
  }
  next_block_ = info_.blocks;
  offset_ = bytes_;
  return Damaged(place, "and all behind it are damaged or missing", info_.blocks - missing_from);
}

Result<BackupFileReader::Step> BackupFileReader::ReadBlock(const Head& head) {
  const std::string place = Place();
  const Result<bool> read = ReadAt(offset_ + kBackupHeadBytes, head.payload_bytes, payload_);
  if (!read) return read.error();
  if (!*read) {
    next_block_ = info_.blocks;
    offset_ = bytes_;
    return Damaged(place, "ends too early: the tail of the file is missing",
                   info_.blocks - head.number);
  }
  if (Xxh3(payload_) != head.payload_sum) {
    // Its length is right, or the next head is looked for from there.
    ++next_block_;
    offset_ += kBackupHeadBytes + head.payload_bytes;
    return Damaged(place, "does not have its checksum", 1);
  }
  entries_.clear();
  std::string_view rest = payload_;
  bool whole = true;
  for (std::uint32_t i = 0; whole && i < head.records; ++i) {
    whole = TakeEntry(rest, entries_.emplace_back());
  }
  ++next_block_;
  offset_ += kBackupHeadBytes + head.payload_bytes;
  if (!whole || !rest.empty()) return Damaged(place, "has records that make no sense", 1);
  return Step::kBlock;
}

}  // namespace gyre::client
