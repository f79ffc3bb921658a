#include "client/shell/http_get.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace gyre::client {
namespace {

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

Error Failed(const char* what) {
  return {ErrorCode::kIo, std::string(what) + ": " + std::strerror(errno)};
}

Result<std::string> Exchange(const addrinfo& address, const std::string& request,
                             std::chrono::milliseconds patience) {
  const Socket socket(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.fd() < 0) return Failed("no socket");
  timeval time{};
  time.tv_sec = patience.count() / 1000;
  time.tv_usec = patience.count() % 1000 * 1000;
  // On Linux the one of sending bounds connecting, too.
  setsockopt(socket.fd(), SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
  setsockopt(socket.fd(), SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  if (connect(socket.fd(), address.ai_addr, address.ai_addrlen) != 0) return Failed("connecting");
  if (send(socket.fd(), request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return Failed("sending");
  }
  std::string answer;
  char buffer[16 * 1024];
  while (true) {
    const ssize_t count = recv(socket.fd(), buffer, sizeof buffer, 0);
    if (count == 0) return answer;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Failed("reading");
    answer.append(buffer, static_cast<std::size_t>(count));
    if (answer.size() > kHttpBytesMax) {
      return Error{ErrorCode::kTooLarge,
                   "the page has more than " + std::to_string(kHttpBytesMax) + " bytes"};
    }
  }
}

}  // namespace

Result<std::string> HttpGet(const std::string& host, std::uint16_t port, const std::string& path,
                            std::chrono::milliseconds patience) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int failed = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
      failed != 0) {
    return Error{ErrorCode::kIo, host + ": " + gai_strerror(failed)};
  }
  const std::string request =
      "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n";
  Result<std::string> answer = Exchange(*found, request, patience);
  freeaddrinfo(found);
  if (!answer) return answer;
  const std::string_view text = *answer;
  const std::size_t body = text.find("\r\n\r\n");
  if (body == std::string_view::npos || !text.starts_with("HTTP/1.1 ")) {
    return Error{ErrorCode::kIo, "the answer is no page"};
  }
  if (!text.starts_with("HTTP/1.1 200")) {
    return Error{ErrorCode::kIo, std::string(text.substr(0, text.find('\r')))};
  }
  return std::string(text.substr(body + 4));
}

}  // namespace gyre::client
