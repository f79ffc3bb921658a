#include "net/proxy_header.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>

namespace gyre {
namespace {

using Parsed = Result<std::optional<ProxyHeader>>;

constexpr std::string_view kTextBegin = "PROXY ";
constexpr std::size_t kTextBytesMax = 107;
constexpr std::string_view kBinaryBegin("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kBinaryFixedBytes = 16;

constexpr unsigned char kVersion2 = 0x2;
enum class ProxyCommand : unsigned char { kLocal = 0, kProxy = 1 };
// Family and transport, of which UDP and UNIX sockets do not come here.
constexpr unsigned char kTcp4 = 0x11;
constexpr unsigned char kTcp6 = 0x21;

Parsed Bad(const char* what) {
  return Fail(ErrorCode::kInvalidArgument, std::string("not a PROXY header: ") + what);
}

bool MayBecome(std::string_view input, std::string_view begin) {
  return input.substr(0, begin.size()) == begin.substr(0, input.size());
}

std::optional<std::uint16_t> PortOf(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

// PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n
Parsed ParseText(std::string_view input) {
  const std::size_t end = input.substr(0, kTextBytesMax).find("\r\n");
  if (end == std::string_view::npos) {
    if (input.size() >= kTextBytesMax) return Bad("its line does not end");
    return std::nullopt;
  }
  std::array<std::string_view, 5> words;
  std::string_view rest = input.substr(kTextBegin.size(), end - kTextBegin.size());
  ProxyHeader header{.bytes = end + 2, .client = std::nullopt};
  if (rest == "UNKNOWN" || rest.starts_with("UNKNOWN ")) return header;
  for (std::string_view& word : words) {
    word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
  }
  const auto port = PortOf(words[3]);
  const int family = words[0] == "TCP4" ? AF_INET : words[0] == "TCP6" ? AF_INET6 : AF_UNSPEC;
  if (family == AF_UNSPEC || !rest.empty() || words[4].empty() || !port) {
    return Bad("its line has other words");
  }
  header.client = SocketAddress::FromNumeric(std::string(words[1]), *port);
  if (!header.client || header.client->family() != family) return Bad("its address is none");
  return header;
}

template <typename Word>
Word Take(std::string_view bytes, std::size_t at) {
  Word word;
  std::memcpy(&word, bytes.data() + at, sizeof word);
  return word;
}

// A fixed part, the addresses (source, destination, their ports), and what else the proxy tells.
Parsed ParseBinary(std::string_view input) {
  if (input.size() < kBinaryFixedBytes) return std::nullopt;
  const auto kind = static_cast<unsigned char>(input[12]);
  const std::size_t bytes = kBinaryFixedBytes + ntohs(Take<std::uint16_t>(input, 14));
  if (kind >> 4 != kVersion2) return Bad("a version that is not known");
  if (bytes > ProxyHeader::kBytesMax) return Bad("it is too long");
  if (input.size() < bytes) return std::nullopt;
  ProxyHeader header{.bytes = bytes, .client = std::nullopt};
  const std::string_view addresses = input.substr(kBinaryFixedBytes, bytes - kBinaryFixedBytes);
  const auto command = static_cast<ProxyCommand>(kind & 0xf);
  if (command == ProxyCommand::kLocal) return header;
  if (command != ProxyCommand::kProxy) return Bad("a command that is not known");
  switch (static_cast<unsigned char>(input[13])) {
    case kTcp4: {
      if (addresses.size() < 12) return Bad("its addresses are cut off");
      sockaddr_in from{};
      from.sin_family = AF_INET;
      from.sin_addr = Take<in_addr>(addresses, 0);
      from.sin_port = Take<in_port_t>(addresses, 8);
      header.client = SocketAddress::From(reinterpret_cast<const sockaddr*>(&from));
      return header;
    }
    case kTcp6: {
      if (addresses.size() < 36) return Bad("its addresses are cut off");
      sockaddr_in6 from{};
      from.sin6_family = AF_INET6;
      from.sin6_addr = Take<in6_addr>(addresses, 0);
      from.sin6_port = Take<in_port_t>(addresses, 32);
      header.client = SocketAddress::From(reinterpret_cast<const sockaddr*>(&from));
      return header;
    }
    default:
      return header;
  }
}

}  // namespace

Result<std::optional<ProxyHeader>> ParseProxyHeader(std::string_view input) {
  if (input.starts_with(kTextBegin)) return ParseText(input);
  if (input.starts_with(kBinaryBegin)) return ParseBinary(input);
  if (MayBecome(input, kTextBegin) || MayBecome(input, kBinaryBegin)) return std::nullopt;
  return Bad("the connection begins otherwise");
}

}  // namespace gyre
