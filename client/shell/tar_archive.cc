#include "client/shell/tar_archive.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

namespace gyre::client {
namespace {

constexpr std::size_t kTarBlock = 512;
// A stored block of deflate (RFC 1951, 3.2.4) has a length of 16 bits.
constexpr std::size_t kStoredBytesMax = 65535;

void PadToBlock(std::string& tar) {
  tar.resize((tar.size() + kTarBlock - 1) / kTarBlock * kTarBlock, '\0');
}

void AppendLittleEndian(std::string& bytes, std::uint64_t number, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    bytes += static_cast<char>(number >> (8 * i) & 0xff);
  }
}

}  // namespace

std::uint32_t Crc32(std::string_view bytes) {
  static const std::array<std::uint32_t, 256> kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < table.size(); ++i) {
      std::uint32_t c = i;
      for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? 0xedb88320U ^ c >> 1 : c >> 1;
      table[i] = c;
    }
    return table;
  }();
  std::uint32_t crc = 0xffffffffU;
  for (const char c : bytes) {
    crc = kTable[(crc ^ static_cast<unsigned char>(c)) & 0xff] ^ crc >> 8;
  }
  return crc ^ 0xffffffffU;
}

void TarArchive::Add(std::string_view name, std::string_view bytes) {
  // name 100, mode 8, uid 8, gid 8, size 12, mtime 12, checksum 8, type 1, link 100, "ustar\0" "00".
  std::array<char, kTarBlock> header{};
  const std::string_view cut = name.substr(0, kNameBytesMax);
  std::copy(cut.begin(), cut.end(), header.begin());
  const auto octal = [&header](std::size_t at, int digits, std::uint64_t number) {
    for (int digit = digits - 1; digit >= 0; --digit, number /= 8) {
      header[at + static_cast<std::size_t>(digit)] = static_cast<char>('0' + number % 8);
    }
  };
  octal(100, 7, 0600);
  octal(108, 7, 0);
  octal(116, 7, 0);
  octal(124, 11, bytes.size());
  octal(136, 11, unix_seconds_);
  std::memset(header.data() + 148, ' ', 8);  // the checksum counts as blanks
  header[156] = '0';
  std::memcpy(header.data() + 257,
              "ustar\0"
              "00",
              8);
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  octal(148, 6, sum);
  header[155] = ' ';
  tar_.append(header.data(), header.size());
  tar_ += bytes;
  PadToBlock(tar_);
}

std::string TarArchive::Finish() const {
  std::string tar = tar_;
  tar.append(2 * kTarBlock, '\0');
  // RFC 1952: magic, deflate, no flags, time, no hint, any system.
  std::string gz("\x1f\x8b\x08\x00", 4);
  AppendLittleEndian(gz, unix_seconds_, 4);
  gz += std::string("\x00\xff", 2);
  for (std::size_t at = 0; at < tar.size(); at += kStoredBytesMax) {
    const std::size_t count = std::min(kStoredBytesMax, tar.size() - at);
    gz += at + count == tar.size() ? '\x01' : '\x00';
    AppendLittleEndian(gz, count, 2);
    AppendLittleEndian(gz, ~count, 2);
    gz.append(tar, at, count);
  }
  AppendLittleEndian(gz, Crc32(tar), 4);
  AppendLittleEndian(gz, tar.size() & 0xffffffffU, 4);
  return gz;
}

}  // namespace gyre::client
