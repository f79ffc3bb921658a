// The header in which a proxy says whom it speaks for: the PROXY protocol, versions 1 (a line of text)
// and 2 (binary), as in HAProxy's doc/proxy-protocol.txt.
//
// It is the first thing on a connection. A port that expects it serves nobody who does not send it:
// guessing would let any client claim any address. Whoever can reach such a port is believed, so only
// proxies should.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "net/socket_address.h"
#include "proto/result.h"

namespace gyre {

struct ProxyHeader {
  // Of version 2 with all that a proxy may add (TLS, a unique id, ...). The text of version 1 has at
  // most 107 bytes.
  static constexpr std::size_t kBytesMax = 4096;

  std::size_t bytes = 0;  // of the header
  // Who connected to the proxy. None: the proxy speaks for itself (a health check), or does not know
  // the address, or it is none of IP.
  std::optional<SocketAddress> client;
};

// What `input` begins with; nothing if more is needed to tell. kInvalidArgument if it is no header, or
// a longer one than kBytesMax. Never reads behind the header.
Result<std::optional<ProxyHeader>> ParseProxyHeader(std::string_view input);

}  // namespace gyre
