#include "net/udp_socket.h"

#include <utility>

namespace gyre {
namespace {

// A burst of gossip after a pause must not overflow the kernel's queue. The kernel caps it at
// net.core.rmem_max.
constexpr int kReceiveBufferBytes = 1024 * 1024;

}  // namespace

struct UdpSocket::State {
  uv_udp_t handle{};
  OnDatagram on_datagram;
  EventLoop* loop = nullptr;
  UdpStats stats;
  std::uint16_t port = 0;
  char scratch[kDatagramBytesMax];

  void Receive(ssize_t count, const sockaddr* from, unsigned flags) {
    if (from == nullptr) return;  // nothing more to read, or a queued error of an earlier send
    if (count < 0 || (flags & UV_UDP_PARTIAL) != 0) {
      ++stats.truncated;
      return;
    }
    ++stats.received;
    loop->now();
    const SocketAddress peer = SocketAddress::From(from);
    on_datagram(peer.ip(), peer.port(), {scratch, static_cast<std::size_t>(count)});
  }

  void SendTo(const SocketAddress& to, std::string_view bytes) {
    uv_buf_t buffer =
        uv_buf_init(const_cast<char*>(bytes.data()), static_cast<unsigned>(bytes.size()));
    if (uv_udp_try_send(&handle, &buffer, 1, to.raw()) >= 0) {
      ++stats.sent;
    } else {
      ++stats.send_errors;
    }
  }
};

UdpSocket::UdpSocket(EventLoop& loop, OnDatagram on_datagram) : state_(new State), resolver_(loop) {
  state_->handle.data = state_.get();
  state_->loop = &loop;
  state_->on_datagram = std::move(on_datagram);
  uv_udp_init(loop.raw(), &state_->handle);
}

UdpSocket::~UdpSocket() = default;

Status UdpSocket::Bind(const std::string& host, std::uint16_t port) {
  const Result<SocketAddress> address = ResolveNow(host, port);
  if (!address) return tl::unexpected(address.error());
  int error = uv_udp_bind(&state_->handle, address->raw(), 0);
  if (error == 0) {
    error = uv_udp_recv_start(
        &state_->handle,
        [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
          *buffer = uv_buf_init(static_cast<State*>(handle->data)->scratch, kDatagramBytesMax);
        },
        [](uv_udp_t* handle, ssize_t count, const uv_buf_t*, const sockaddr* from, unsigned flags) {
          static_cast<State*>(handle->data)->Receive(count, from, flags);
        });
  }
  if (error == UV_EADDRINUSE) {
    return Fail(ErrorCode::kIo, "UDP port " + std::to_string(port) +
                                    " is in use: stop what listens there or choose another");
  }
  if (error != 0) {
    return Fail(ErrorCode::kIo,
                "cannot use UDP on " + address->ToString() + ": " + uv_strerror(error));
  }
  int bytes = kReceiveBufferBytes;
  uv_recv_buffer_size(reinterpret_cast<uv_handle_t*>(&state_->handle), &bytes);
  sockaddr_storage local{};
  int local_bytes = sizeof local;
  uv_udp_getsockname(&state_->handle, reinterpret_cast<sockaddr*>(&local), &local_bytes);
  state_->port = SocketAddress::From(reinterpret_cast<sockaddr*>(&local)).port();
  return {};
}

std::uint16_t UdpSocket::bound_port() const { return state_->port; }

void UdpSocket::Send(const std::string& host, std::uint16_t port, std::string_view bytes) {
  if (const auto numeric = SocketAddress::FromNumeric(host, port)) {
    state_->SendTo(*numeric, bytes);
    return;
  }
  // The resolver, and with it this call, ends before the state does.
  resolver_.Resolve(host, port,
                    [state = state_.get(), copy = std::string(bytes)](
                        const Result<std::vector<SocketAddress>>& addresses) {
                      if (addresses) {
                        state->SendTo(addresses->front(), copy);
                      } else {
                        ++state->stats.send_errors;
                      }
                    });
}

const UdpStats& UdpSocket::stats() const { return state_->stats; }

}  // namespace gyre
