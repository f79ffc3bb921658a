#include "client/foreign_protocol.h"

namespace gyre::client {
namespace {

struct Beginning {
  std::string_view bytes;
  std::string_view protocol;
};

constexpr Beginning kBeginnings[] = {{"HTTP/", "HTTP"},
                                     {"ERROR", "memcached's protocol"},
                                     {"CLIENT_ERROR", "memcached's protocol"},
                                     {"SERVER_ERROR", "memcached's protocol"},
                                     {"\x81", "memcached's binary protocol"},
                                     {"-", "Redis's protocol"},
                                     {"+", "Redis's protocol"},
                                     {"\x15\x03", "TLS"},
                                     {"\x16\x03", "TLS"},
                                     {"SSH-", "SSH"}};

}  // namespace

std::string ForeignProtocol(std::string_view bytes) {
  std::string_view protocol = "another protocol";
  for (const Beginning& known : kBeginnings) {
    if (bytes.starts_with(known.bytes)) protocol = known.protocol;
  }
  return "that port speaks " + std::string(protocol) +
         "; name the one of gyred's --port (7700 by default)";
}

}  // namespace gyre::client
