#include "client/shell/server_stream.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

namespace gyre::client {
namespace {

constexpr std::string_view kSchemeEnd = "://";

Error BadUrl(std::string_view text, const std::string& why) {
  // Without what may be a password.
  const std::string scheme(text.substr(0, text.find(kSchemeEnd)));
  return {ErrorCode::kInvalidArgument,
          scheme + "://...: " + why +
              "; write redis://[user:password@]host[:port][/database] or memcached://host[:port]"};
}

bool TakePort(std::string_view text, std::uint16_t& port) {
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, port);
  return parsed.ec == std::errc() && parsed.ptr == end && port != 0;
}

// host, host:port, [address], [address]:port
bool TakeHostAndPort(std::string_view text, ServerUrl& url) {
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return false;
    url.host = text.substr(1, close - 1);
    rest = text.substr(close + 1);
  } else {
    const std::size_t colon = std::min(text.find(':'), text.size());
    url.host = text.substr(0, colon);
    rest = text.substr(colon);
  }
  if (url.host.empty()) return false;
  return rest.empty() || (rest.starts_with(':') && TakePort(rest.substr(1), url.port));
}

// Connects within the time; 0, or the system's error number.
int ConnectWithin(int socket, const sockaddr* address, socklen_t bytes, Milliseconds most) {
  if (connect(socket, address, bytes) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  pollfd waiting = {.fd = socket, .events = POLLOUT, .revents = 0};
  const int ready = poll(&waiting, 1, static_cast<int>(most.count()));
  if (ready == 0) return ETIMEDOUT;
  if (ready < 0) return errno;
  int error = 0;
  socklen_t size = sizeof error;
  return getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

void SetTimeouts(int socket, Milliseconds most) {
  const timeval time = {.tv_sec = most.count() / 1000, .tv_usec = most.count() % 1000 * 1000};
  (void)setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  (void)setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
  const int yes = 1;
  (void)setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

}  // namespace

std::string ServerUrl::address() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::optional<std::string> DecodePercent(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      bytes.push_back(text[i]);
      continue;
    }
    std::uint8_t byte = 0;
    const char* const begin = text.data() + i + 1;
    if (text.size() - i < 3) return std::nullopt;
    const auto parsed = std::from_chars(begin, begin + 2, byte, 16);
    if (parsed.ec != std::errc() || parsed.ptr != begin + 2) return std::nullopt;
    bytes.push_back(static_cast<char>(byte));
    i += 2;
  }
  return bytes;
}

std::optional<Result<ServerUrl>> ParseServerUrl(std::string_view text, std::uint16_t redis_port,
                                                std::uint16_t memcached_port) {
  const std::size_t scheme_end = text.find(kSchemeEnd);
  if (scheme_end == std::string_view::npos) return std::nullopt;
  ServerUrl url;
  url.scheme = text.substr(0, scheme_end);
  const bool redis = url.scheme == "redis";
  if (!redis && url.scheme != "memcached") {
    return BadUrl(text, "'" + url.scheme + "' is not known here");
  }
  url.port = redis ? redis_port : memcached_port;
  std::string_view rest = text.substr(scheme_end + kSchemeEnd.size());
  const std::size_t slash = std::min(rest.find('/'), rest.size());
  if (slash < rest.size()) url.path = rest.substr(slash + 1);
  rest = rest.substr(0, slash);
  const std::size_t at = rest.rfind('@');
  if (at != std::string_view::npos) {
    const std::string_view login = rest.substr(0, at);
    const std::size_t colon = std::min(login.find(':'), login.size());
    const std::optional<std::string> user = DecodePercent(login.substr(0, colon));
    const std::optional<std::string> password =
        DecodePercent(colon < login.size() ? login.substr(colon + 1) : "");
    if (!user || !password) return BadUrl(text, "a '%' in it needs two hexadecimal digits");
    url.user = *user;
    url.password = *password;
    rest = rest.substr(at + 1);
  }
  if (!TakeHostAndPort(rest, url)) return BadUrl(text, "the host or the port makes no sense");
  const bool database =
      url.path.find_first_not_of("0123456789") == std::string::npos && url.path.size() <= 9;
  if (redis && !database) return BadUrl(text, "a database is a number");
  if (!redis && (!url.path.empty() || at != std::string_view::npos)) {
    return BadUrl(text, "memcached has neither databases nor users here");
  }
  return url;
}

Result<std::unique_ptr<ServerStream>> ServerStream::Connect(const ServerUrl& url) {
  const std::string address = url.address();
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed =
      getaddrinfo(url.host.c_str(), std::to_string(url.port).c_str(), &hints, &found);
  if (failed != 0) {
    return Error{ErrorCode::kCannotConnect, address + ": " + gai_strerror(failed)};
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  int error = 0;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    const int type = entry->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC;
    const int socket = ::socket(entry->ai_family, type, entry->ai_protocol);
    error = socket < 0 ? errno
                       : ConnectWithin(socket, entry->ai_addr, entry->ai_addrlen, kConnectTimeout);
    if (socket >= 0 && error == 0) {
      (void)fcntl(socket, F_SETFL, 0);  // from here on it waits
      SetTimeouts(socket, kSilenceMax);
      return std::unique_ptr<ServerStream>(new ServerStream(socket, address));
    }
    if (socket >= 0) close(socket);
  }
  return Error{ErrorCode::kCannotConnect,
               address + ": " + std::strerror(error) + "; is the server running there?"};
}

ServerStream::~ServerStream() { close(socket_); }

Error ServerStream::Broken(const std::string& why) const {
  return {ErrorCode::kIo, address_ + ": " + why};
}

std::optional<Error> ServerStream::Flush() {
  std::string_view left = out_;
  while (!left.empty()) {
    const ssize_t sent = send(socket_, left.data(), left.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) return Broken("takes nothing for a minute");
    if (sent < 0) return Broken(std::strerror(errno));
    left.remove_prefix(static_cast<std::size_t>(sent));
  }
  out_.clear();
  return std::nullopt;
}

std::optional<Error> ServerStream::Fill() {
  constexpr std::size_t kReadBytes = std::size_t{64} << 10;
  if (in_begin_ > 0) {
    in_.erase(0, in_begin_);
    in_begin_ = 0;
  }
  const std::size_t size = in_.size();
  in_.resize(size + kReadBytes);
  ssize_t got = 0;
  do {
    got = recv(socket_, in_.data() + size, kReadBytes, 0);
  } while (got < 0 && errno == EINTR);
  const int error = errno;
  in_.resize(size + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  if (got > 0) return std::nullopt;
  if (got == 0) return Broken("closed the connection");
  return Broken(error == EAGAIN ? "says nothing for a minute" : std::strerror(error));
}

Result<std::string> ServerStream::ReadLine() {
  std::size_t searched = in_begin_;
  while (true) {
    const std::size_t end = in_.find('\n', searched);
    if (end != std::string::npos) {
      std::string line = in_.substr(in_begin_, end - in_begin_);
      in_begin_ = end + 1;
      if (line.ends_with('\r')) line.pop_back();
      return line;
    }
    if (in_.size() - in_begin_ > kLineBytesMax) return Broken("its answer makes no sense");
    searched = in_.size() - in_begin_;
    if (std::optional<Error> error = Fill()) return *std::move(error);
  }
}

Result<std::string> ServerStream::ReadBlock(std::size_t bytes) {
  const std::size_t size = bytes + 2;
  while (in_.size() - in_begin_ < size) {
    if (std::optional<Error> error = Fill()) return *std::move(error);
  }
  std::string block = in_.substr(in_begin_, bytes);
  if (in_.compare(in_begin_ + bytes, 2, "\r\n") != 0) return Broken("its answer makes no sense");
  in_begin_ += size;
  return block;
}

}  // namespace gyre::client
