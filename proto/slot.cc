#include "proto/slot.h"

#include <array>
#include <bit>
#include <cstring>

namespace gyre {
namespace {

// CRC-16/XMODEM: polynomial 0x1021, no reflection, initial value 0. Eight tables (slicing by 8), so
// that the critical path of a short key is two loads instead of one a byte. Zeros in front of the
// data change nothing, as the initial value is 0: so what is beyond a multiple of eight bytes is
// taken first, filled up with zeros.
constexpr std::uint16_t kPolynomial = 0x1021;
constexpr std::size_t kSlices = 8;

constexpr std::array<std::array<std::uint16_t, 256>, kSlices> MakeTables() {
  std::array<std::array<std::uint16_t, 256>, kSlices> tables{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::uint16_t crc = static_cast<std::uint16_t>(byte << 8);
    for (int bit = 0; bit < 8; ++bit) {
      const bool carry = (crc & 0x8000) != 0;
      crc = static_cast<std::uint16_t>(crc << 1);
      if (carry) crc ^= kPolynomial;
    }
    tables[0][byte] = crc;
  }
  for (std::size_t slice = 1; slice < kSlices; ++slice) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      const std::uint16_t previous = tables[slice - 1][byte];
      tables[slice][byte] =
          static_cast<std::uint16_t>((previous << 8) ^ tables[0][(previous >> 8) & 0xff]);
    }
  }
  return tables;
}

constexpr auto kTables = MakeTables();

// The CRC of what gave `crc`, followed by the eight bytes of `block`, the first one on top.
std::uint16_t Continue(std::uint16_t crc, std::uint64_t block) {
  block ^= std::uint64_t{crc} << 48;
  const auto byte = [block](int index) { return (block >> (56 - 8 * index)) & 0xff; };
  return static_cast<std::uint16_t>(
      kTables[7][byte(0)] ^ kTables[6][byte(1)] ^ kTables[5][byte(2)] ^ kTables[4][byte(3)] ^
      kTables[3][byte(4)] ^ kTables[2][byte(5)] ^ kTables[1][byte(6)] ^ kTables[0][byte(7)]);
}

std::uint64_t LoadBigEndian(const char* at) {
  std::uint64_t block = 0;
  std::memcpy(&block, at, sizeof block);
  if constexpr (std::endian::native == std::endian::little) block = __builtin_bswap64(block);
  return block;
}

std::uint16_t Crc16(std::string_view data) {
  const std::size_t first = data.size() % kSlices;
  std::uint64_t block = 0;
  if (data.size() >= kSlices) {
    if (first > 0) block = LoadBigEndian(data.data()) >> (8 * (kSlices - first));
  } else {
    for (const char byte : data) block = block << 8 | static_cast<std::uint8_t>(byte);
  }
  std::uint16_t crc = Continue(0, block);
  for (std::size_t at = first; at < data.size(); at += kSlices) {
    crc = Continue(crc, LoadBigEndian(data.data() + at));
  }
  return crc;
}

}  // namespace

std::string_view HashTag(std::string_view key) {
  const std::size_t open = key.find('{');
  if (open == std::string_view::npos) return key;
  const std::size_t close = key.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

Slot SlotOf(std::string_view key) {
  return static_cast<Slot>(Crc16(HashTag(key)) & (kSlotCount - 1));
}

}  // namespace gyre
