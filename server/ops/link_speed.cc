#include "ops/link_speed.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>

#include <charconv>
#include <fstream>
#include <memory>

namespace gyre {
namespace {

constexpr std::uint64_t kBytesAMegabit = 1'000'000 / 8;
// A terabit a second: beyond it is no speed.
constexpr std::int64_t kMegabitsMax = 1'000'000;

std::string TextOf(const sockaddr& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.sa_family == AF_INET) {
    const auto& ipv4 = reinterpret_cast<const sockaddr_in&>(address);
    inet_ntop(AF_INET, &ipv4.sin_addr, text, sizeof text);
  } else if (address.sa_family == AF_INET6) {
    const auto& ipv6 = reinterpret_cast<const sockaddr_in6&>(address);
    inet_ntop(AF_INET6, &ipv6.sin6_addr, text, sizeof text);
  }
  return text;
}

// Empty: there is none, or it is loopback.
std::string InterfaceOf(const std::string& host) {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> all(first, freeifaddrs);
  for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || (each->ifa_flags & IFF_LOOPBACK) != 0) continue;
    if (TextOf(*each->ifa_addr) == host) return each->ifa_name;
  }
  return {};
}

}  // namespace

std::uint64_t BytesOfLinkSpeed(const std::string& text) {
  std::int64_t megabits = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), megabits);
  if (error != std::errc() || megabits <= 0 || megabits > kMegabitsMax) return 0;
  return static_cast<std::uint64_t>(megabits) * kBytesAMegabit;
}

std::uint64_t LinkBytesPerSecond(const std::string& host, const std::string& root) {
  const std::string interface = InterfaceOf(host);
  if (interface.empty()) return 0;
  std::ifstream file(root + "/sys/class/net/" + interface + "/speed");
  std::string text;
  std::getline(file, text);
  return BytesOfLinkSpeed(text);
}

}  // namespace gyre
