// What is known here of memcached's binary protocol: enough to refuse a client in its own words.
//
//   magic 1 | opcode 1 | key bytes 2 | extras bytes 1 | type 1 | status 2 | body bytes 4 | opaque 4 |
//   CAS 8, all big-endian; then the body
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace gyre {

struct MemcachedBinary {
  static constexpr char kRequestMagic = '\x80';
  static constexpr std::size_t kHeaderBytes = 24;

  // What the refusal must repeat of a request (opcode, opaque), never 0: carried as Request::id,
  // which the text protocol does not use.
  static std::uint64_t Mark(std::string_view header) {
    std::uint32_t opaque = 0;
    std::memcpy(&opaque, header.data() + kOpaqueAt, sizeof opaque);
    const auto opcode = static_cast<std::uint8_t>(header[1]);
    return kMarked | std::uint64_t{opcode} << 32 | opaque;
  }

  // The response of status "not supported" to the request of that mark.
  static std::string Refusal(std::uint64_t mark, std::string_view text) {
    constexpr char kResponseMagic = '\x81';
    constexpr char kNotSupported = '\x83';
    std::string response(kHeaderBytes, '\0');
    response[0] = kResponseMagic;
    response[1] = static_cast<char>(mark >> 32);
    response[7] = kNotSupported;
    response[10] = static_cast<char>(text.size() >> 8);
    response[11] = static_cast<char>(text.size());
    const auto opaque = static_cast<std::uint32_t>(mark);
    std::memcpy(response.data() + kOpaqueAt, &opaque, sizeof opaque);
    return response.append(text);
  }

 private:
  static constexpr std::size_t kOpaqueAt = 12;
  static constexpr std::uint64_t kMarked = std::uint64_t{1} << 63;
};

}  // namespace gyre
