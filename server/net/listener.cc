#include "net/listener.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "net/resolver.h"
#include "net/server.h"

namespace gyre {
namespace {

tl::unexpected<Error> CannotListen(int error, const SocketAddress& address,
                                   const std::string& flag_name) {
  const std::string port = std::to_string(address.port());
  switch (error) {
    case EADDRINUSE:
      return Fail(
          ErrorCode::kIo,
          "port " + port + " is in use: stop what listens there or choose another " + flag_name);
    case EADDRNOTAVAIL:
      return Fail(ErrorCode::kIo,
                  address.ip() + " is not an address of this machine: correct --host");
    case EACCES:
      return Fail(ErrorCode::kIo, "no permission to listen on port " + port + ": choose another " +
                                      flag_name + ", above 1023");
    default:
      return Fail(ErrorCode::kIo, "cannot listen on " + address.ToString() + ": " +
                                      std::strerror(error) + ": see " + flag_name);
  }
}

// The listening socket's file.
Result<int> ListenOn(const std::string& host, std::uint16_t port, const std::string& flag_name,
                     bool share_port) {
  const Result<SocketAddress> address = ResolveNow(host, port);
  if (!address) return tl::unexpected(address.error());
  const int file =
      socket(address->family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (file < 0) return CannotListen(errno, *address, flag_name);
  const int on = 1;
  // Connections of an earlier process that linger in TIME_WAIT must not block a restart.
  setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (share_port) setsockopt(file, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (bind(file, address->raw(), address->raw_bytes()) != 0 ||
      listen(file, Listener::kBacklog) != 0) {
    const int error = errno;
    close(file);
    return CannotListen(error, *address, flag_name);
  }
  return file;
}

// Errors of one connection, after which the next accept may well succeed.
bool ConcernsOneConnection(int error) {
  return error == ECONNABORTED || error == EINTR || error == EPROTO || error == EPERM;
}

}  // namespace

Status CheckPortFree(const std::string& host, std::uint16_t port, const std::string& flag_name) {
  const Result<int> file = ListenOn(host, port, flag_name, /*share_port=*/false);
  if (!file) return tl::unexpected(file.error());
  close(*file);
  return {};
}

Result<std::unique_ptr<Listener>> Listener::Open(EventLoop& loop, const std::string& host,
                                                 std::uint16_t port, const std::string& flag_name,
                                                 const PauseDetector* pause_detector,
                                                 Counter& errors, OnAccept on_accept) {
  const Result<int> file = ListenOn(host, port, flag_name, /*share_port=*/true);
  if (!file) return tl::unexpected(file.error());
  std::unique_ptr<Listener> listener(
      new Listener(loop, *file, pause_detector, errors, std::move(on_accept)));
  listener->StartPolling();
  return listener;
}

Listener::Listener(EventLoop& loop, int file, const PauseDetector* pause_detector, Counter& errors,
                   OnAccept on_accept)
    : file_(file),
      pause_detector_(pause_detector),
      pauses_when_empty_(pause_detector == nullptr ? 0 : pause_detector->Pauses(SteadyNow())),
      errors_(errors),
      on_accept_(std::move(on_accept)),
      poll_(new Poll),
      pause_(loop) {
  sockaddr_storage local{};
  socklen_t bytes = sizeof local;
  getsockname(file_, reinterpret_cast<sockaddr*>(&local), &bytes);
  local_ = SocketAddress::From(reinterpret_cast<sockaddr*>(&local));
  poll_->listener = this;
  poll_->handle.data = poll_.get();
  uv_poll_init(loop.raw(), &poll_->handle, file_);
}

Listener::~Listener() {
  poll_.reset();  // stops polling at once, so that the file may be closed
  close(file_);
}

void Listener::StartPolling() {
  uv_poll_start(&poll_->handle, UV_READABLE, [](uv_poll_t* handle, int, int) {
    static_cast<Poll*>(handle->data)->listener->AcceptSome();
  });
}

void Listener::AcceptSome() {
  for (int i = 0; i < kAcceptsPerWakeup; ++i) {
    sockaddr_storage peer{};
    socklen_t bytes = sizeof peer;
    // Before the backlog is found empty: what comes in between must not be missed.
    const std::uint32_t pauses =
        pause_detector_ == nullptr ? 0 : pause_detector_->Pauses(SteadyNow());
    const int file =
        accept4(file_, reinterpret_cast<sockaddr*>(&peer), &bytes, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (file >= 0) {
      on_accept_(file, SocketAddress::From(reinterpret_cast<sockaddr*>(&peer)), pauses_when_empty_);
      continue;
    }
    const int error = errno;
    if (error == EAGAIN || error == EWOULDBLOCK) {
      pauses_when_empty_ = pauses;
      return;
    }
    errors_.Add(1);
    if (ConcernsOneConnection(error)) continue;
    PauseAfter(error);
    return;
  }
}

void Listener::PauseAfter(int error) {
  LogWarn(
      "cannot accept connections: trying again",
      {{"address", local_.ToString()},
       {"error", std::strerror(error)},
       {"after_ms", std::chrono::duration_cast<std::chrono::milliseconds>(kErrorPause).count()}});
  uv_poll_stop(&poll_->handle);
  pause_.Start(kErrorPause, Duration::zero(), [this] { StartPolling(); });
}

}  // namespace gyre
