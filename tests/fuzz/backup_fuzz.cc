// Whatever stands in a backup, its reader ends, and gives no record but those that were backed up. Random
// bytes seldom get past a checksum, so the first byte chooses a road: the bytes as a manifest; as a file;
// or a true file with bits flipped, pieces cut out and pieces doubled.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "client/shell/backup_format.h"

namespace {

using namespace gyre;          // NOLINT(google-build-using-namespace): a program of one file
using namespace gyre::client;  // NOLINT(google-build-using-namespace): likewise

constexpr std::uint32_t kBlocks = 4;
constexpr std::uint32_t kRecordsABlock = 5;

void Require(bool holds) {
  if (!holds) std::abort();
}

BackupId Id() {
  BackupId id;
  id.fill('i');
  return id;
}

Entry EntryOf(std::uint32_t number) {
  Entry entry;
  entry.key = "key " + std::to_string(number);
  entry.value = std::string(number * 7 % 40, static_cast<char>('a' + number));
  if (number % 2 == 1) entry.expiry_ms = 1'800'000'000'000 + number;
  if (number % 3 == 1) entry.flags = number;
  return entry;
}

bool WasBackedUp(const Entry& entry) {
  for (std::uint32_t number = 0; number < kBlocks * kRecordsABlock; ++number) {
    if (EntryOf(number) == entry) return true;
  }
  return false;
}

std::string TrueFile() {
  std::string file = BackupFileHeader(Id(), 1);
  for (std::uint32_t block = 0; block < kBlocks; ++block) {
    BackupBlock records;
    for (std::uint32_t i = 0; i < kRecordsABlock; ++i) {
      records.Add(EntryOf(block * kRecordsABlock + i));
    }
    file += records.Seal(Id(), 1, block);
  }
  return file;
}

void Read(std::string_view file, bool only_known) {
  BackupFileReader reader(
      [file](std::uint64_t offset, char* to, std::size_t size) -> Result<std::size_t> {
        if (offset >= file.size()) return std::size_t{0};
        return file.copy(to, size, offset);
      },
      file.size(), Id(), 1,
      {.name = BackupFileName(1),
       .bytes = file.size(),
       .blocks = kBlocks,
       .keys = kBlocks * kRecordsABlock});
  // Each step takes a block, or passes over a byte at least.
  for (std::size_t steps = 0;; ++steps) {
    Require(steps <= file.size() + kBlocks + 1);
    const auto step = reader.Next();
    Require(static_cast<bool>(step));
    if (*step == BackupFileReader::Step::kEnd) return;
    if (*step == BackupFileReader::Step::kDamage) {
      Require(!reader.damage().empty());
      continue;
    }
    if (only_known) {
      Require(std::all_of(reader.entries().begin(), reader.entries().end(), WasBackedUp));
    }
  }
}

std::string Garbled(std::string file, std::string_view changes) {
  constexpr std::size_t kChangeBytes = 4;
  for (; changes.size() >= kChangeBytes; changes.remove_prefix(kChangeBytes)) {
    std::uint16_t at = 0;
    std::memcpy(&at, changes.data(), sizeof at);
    const std::size_t place = file.empty() ? 0 : at % file.size();
    const auto bits = static_cast<std::uint8_t>(changes[3]);
    switch (changes[2] & 3) {
      case 0:
        file.erase(place, bits);
        break;
      case 1:
        file.insert(place, file.substr(place, bits));
        break;
      default:
        if (!file.empty()) file[place] = static_cast<char>(file[place] ^ bits);
    }
  }
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::string file = TrueFile();
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 3) {
    case 0:
      if (const Result<BackupManifest> manifest = BackupManifest::Decode(std::string(bytes))) {
        const Result<BackupManifest> again = BackupManifest::Decode(manifest->Encode());
        Require(again && *again == *manifest);
      }
      break;
    case 1:
      Read(bytes, /*only_known=*/false);
      break;
    default:
      Read(Garbled(file, bytes), /*only_known=*/true);
  }
  return 0;
}
