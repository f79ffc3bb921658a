#include "proto/slot.h"

#include <array>

namespace gyre {
namespace {

// CRC-16/XMODEM: polynomial 0x1021, no reflection, initial value 0. Eight tables (slicing by 8), so
// that the critical path of a short key is two loads instead of one a byte.
constexpr std::uint16_t kPolynomial = 0x1021;
constexpr int kSlices = 8;

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
  for (int slice = 1; slice < kSlices; ++slice) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      const std::uint16_t previous = tables[slice - 1][byte];
      tables[slice][byte] =
          static_cast<std::uint16_t>((previous << 8) ^ tables[0][(previous >> 8) & 0xff]);
    }
  }
  return tables;
}

constexpr auto kTables = MakeTables();

std::uint16_t Crc16(std::string_view data) {
  std::uint16_t crc = 0;
  const auto* at = reinterpret_cast<const std::uint8_t*>(data.data());
  std::size_t left = data.size();
  for (; left >= kSlices; left -= kSlices, at += kSlices) {
    crc = static_cast<std::uint16_t>(kTables[7][at[0] ^ (crc >> 8)] ^
                                     kTables[6][at[1] ^ (crc & 0xff)] ^ kTables[5][at[2]] ^
                                     kTables[4][at[3]] ^ kTables[3][at[4]] ^ kTables[2][at[5]] ^
                                     kTables[1][at[6]] ^ kTables[0][at[7]]);
  }
  for (; left > 0; --left, ++at) {
    crc = static_cast<std::uint16_t>((crc << 8) ^ kTables[0][((crc >> 8) ^ *at) & 0xff]);
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
