// A UDP socket on a loop. Datagrams may be lost: what cannot be sent at once is dropped and
// counted.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/event_loop.h"
#include "net/resolver.h"
#include "proto/result.h"

namespace gyre {

struct UdpStats {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t send_errors = 0;  // full buffer, unknown host, unreachable
  std::uint64_t truncated = 0;    // larger than kDatagramBytesMax; dropped
};

// Loop thread; the loop outlives it.
class UdpSocket {
 public:
  static constexpr std::size_t kDatagramBytesMax = 65'536;

  // `ip` is numeric.
  using OnDatagram =
      std::function<void(const std::string& ip, std::uint16_t port, std::string_view bytes)>;

  UdpSocket(EventLoop& loop, OnDatagram on_datagram);
  ~UdpSocket();
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  // Binds and begins to receive. Port 0: any. `host` is an address or a name (then the call blocks
  // for the resolver). The message of an error is complete but for the flag to change.
  Status Bind(const std::string& host, std::uint16_t port);
  std::uint16_t bound_port() const;

  // `host` is an address or a name; names are resolved in the background and kept for a short time.
  void Send(const std::string& host, std::uint16_t port, std::string_view bytes);

  const UdpStats& stats() const;

 private:
  struct State;
  HandlePtr<State> state_;
  Resolver resolver_;
};

}  // namespace gyre
