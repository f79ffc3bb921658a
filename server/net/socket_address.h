// An IPv4 or IPv6 address with a port.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>

namespace gyre {

class SocketAddress {
 public:
  SocketAddress() = default;
  // Nothing if `ip` is not numeric.
  static std::optional<SocketAddress> FromNumeric(const std::string& ip, std::uint16_t port);
  static SocketAddress From(const sockaddr* address);

  const sockaddr* raw() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  socklen_t raw_bytes() const;
  int family() const { return storage_.ss_family; }

  std::string ip() const;
  std::uint16_t port() const;
  void set_port(std::uint16_t port);
  // "127.0.0.1:6379", "[::1]:6379"
  std::string ToString() const;

 private:
  sockaddr_storage storage_{};
};

}  // namespace gyre
