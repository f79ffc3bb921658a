#include "client/node_address.h"

#include <charconv>

namespace gyre::client {
namespace {

Error Bad(std::string_view text, std::string_view why) {
  return {ErrorCode::kInvalidArgument, "'" + std::string(text) +
                                           "' is not an address: " + std::string(why) +
                                           "; write HOST:PORT, e.g. 127.0.0.1:7700"};
}

}  // namespace

std::string NodeAddress::ToString() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<NodeAddress> NodeAddress::Parse(std::string_view text) {
  NodeAddress address;
  std::string_view port;
  bool has_port = false;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return Bad(text, "the ']' is missing");
    address.host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && rest.front() != ':') return Bad(text, "after ']' comes ':' and the port");
    has_port = !rest.empty();
    if (has_port) port = rest.substr(1);
  } else {
    const std::size_t colon = text.find(':');
    has_port = colon != std::string_view::npos;
    address.host = text.substr(0, colon);
    if (has_port) port = text.substr(colon + 1);
    if (port.find(':') != std::string_view::npos) return Bad(text, "an IPv6 address stands in [ ]");
  }
  if (address.host.empty()) return Bad(text, "the host is missing");
  if (address.host.size() > kHostBytesMax) return Bad(text.substr(0, 32), "the host is too long");
  if (has_port) {
    const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (error != std::errc() || end != port.data() + port.size() || address.port == 0) {
      return Bad(text, "the port is a number from 1 to 65535");
    }
  }
  return address;
}

}  // namespace gyre::client
