#include "net/socket_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <uv.h>

#include <cstring>

namespace gyre {

std::optional<SocketAddress> SocketAddress::FromNumeric(const std::string& ip, std::uint16_t port) {
  SocketAddress address;
  if (uv_ip4_addr(ip.c_str(), port, reinterpret_cast<sockaddr_in*>(&address.storage_)) == 0 ||
      uv_ip6_addr(ip.c_str(), port, reinterpret_cast<sockaddr_in6*>(&address.storage_)) == 0) {
    return address;
  }
  return std::nullopt;
}

SocketAddress SocketAddress::From(const sockaddr* address) {
  SocketAddress copy;
  copy.storage_.ss_family = address->sa_family;
  std::memcpy(&copy.storage_, address, copy.raw_bytes());
  return copy;
}

socklen_t SocketAddress::raw_bytes() const {
  return storage_.ss_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
}

std::string SocketAddress::ip() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (storage_.ss_family == AF_INET6) {
    uv_ip6_name(reinterpret_cast<const sockaddr_in6*>(&storage_), text, sizeof text);
  } else {
    uv_ip4_name(reinterpret_cast<const sockaddr_in*>(&storage_), text, sizeof text);
  }
  return text;
}

// The port stands at the same place in both families.
static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));

std::uint16_t SocketAddress::port() const {
  return ntohs(reinterpret_cast<const sockaddr_in*>(&storage_)->sin_port);
}

void SocketAddress::set_port(std::uint16_t port) {
  reinterpret_cast<sockaddr_in*>(&storage_)->sin_port = htons(port);
}

std::string SocketAddress::ToString() const {
  std::string text = storage_.ss_family == AF_INET6 ? '[' + ip() + ']' : ip();
  text += ':';
  text += std::to_string(port());
  return text;
}

}  // namespace gyre
