// One page of a node's HTTP port.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "gyre/client.h"

namespace gyre::client {

// The body of a page that is answered with 200. Blocks for at most about `patience` for each of
// connecting, sending and a read. kIo for what the network or the page says; kTooLarge above
// kHttpBytesMax.
inline constexpr std::size_t kHttpBytesMax = std::size_t{16} << 20;
Result<std::string> HttpGet(const std::string& host, std::uint16_t port, const std::string& path,
                            std::chrono::milliseconds patience);

}  // namespace gyre::client
