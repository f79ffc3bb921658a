// "host:port", as users write it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gyre/client.h"

namespace gyre::client {

inline constexpr std::uint16_t kDefaultPort = 7700;
inline constexpr std::size_t kHostBytesMax = 255;  // RFC 1035, 2.3.4

struct NodeAddress {
  std::string host;
  std::uint16_t port = kDefaultPort;

  friend bool operator==(const NodeAddress&, const NodeAddress&) = default;

  // "10.0.0.1:7700", "[::1]:7700".
  std::string ToString() const;
  // "host", "host:port", "[v6]", "[v6]:port". kInvalidArgument with what is wrong.
  static Result<NodeAddress> Parse(std::string_view text);
};

}  // namespace gyre::client
