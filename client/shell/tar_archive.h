// A .tar.gz in memory: POSIX ustar, in a gzip container of stored blocks (not made smaller: what is
// in a support bundle is small, and needs no library this way).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gyre::client {

class TarArchive {
 public:
  static constexpr std::size_t kNameBytesMax = 99;

  // `name` may have folders; a longer one is cut. `unix_seconds`: of all files.
  explicit TarArchive(std::uint64_t unix_seconds) : unix_seconds_(unix_seconds) {}

  void Add(std::string_view name, std::string_view bytes);
  // The bytes of the .tar.gz.
  std::string Finish() const;

 private:
  const std::uint64_t unix_seconds_;
  std::string tar_;
};

// Of gzip (ISO 3309).
std::uint32_t Crc32(std::string_view bytes);

}  // namespace gyre::client
