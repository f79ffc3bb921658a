#include "cluster_net/seed_addresses.h"

#include <algorithm>
#include <tuple>

namespace gyre {

std::vector<Address> SeedAddresses(const std::vector<SocketAddress>& found, const Address& own) {
  const auto own_ip = SocketAddress::FromNumeric(own.host, own.port);
  const bool narrowed =
      own_ip && std::any_of(found.begin(), found.end(), [&own_ip](const SocketAddress& each) {
        return each.family() == own_ip->family();
      });
  std::vector<Address> addresses;
  for (const SocketAddress& each : found) {
    if (!narrowed || each.family() == own_ip->family()) {
      addresses.push_back({each.ip(), each.port()});
    }
  }
  const auto order = [](const Address& a, const Address& b) {
    return std::tie(a.host, a.port) < std::tie(b.host, b.port);
  };
  std::sort(addresses.begin(), addresses.end(), order);
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  return addresses;
}

}  // namespace gyre
