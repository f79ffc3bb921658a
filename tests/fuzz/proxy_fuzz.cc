// What a stranger sends where a PROXY header is expected: what it says does not depend on what follows.
#include <cstdlib>
#include <string>

#include "net/proxy_header.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gyre;
  const std::string input(reinterpret_cast<const char*>(data), size);
  const auto whole = ParseProxyHeader(input);
  if (!whole || !*whole) return 0;
  const std::size_t bytes = (*whole)->bytes;
  if (bytes == 0 || bytes > size || bytes > ProxyHeader::kBytesMax) std::abort();
  const auto alone = ParseProxyHeader(input.substr(0, bytes));
  if (!alone || !*alone || (*alone)->bytes != bytes) std::abort();
  if ((*alone)->client.has_value() != (*whole)->client.has_value()) std::abort();
  if ((*whole)->client && (*whole)->client->ToString() != (*alone)->client->ToString())
    std::abort();
  for (std::size_t part = 0; part < bytes; ++part) {
    const auto early = ParseProxyHeader(input.substr(0, part));
    if (!early || *early) std::abort();
  }
  return 0;
}
