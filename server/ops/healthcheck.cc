#include "ops/healthcheck.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base/file.h"

namespace gyre {
namespace {

// Of an answer; what else comes is not read.
constexpr std::size_t kAnswerBytesMax = 16 * 1024;
constexpr std::string_view kQuestion =
    "GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

struct FreeAddresses {
  void operator()(addrinfo* addresses) const { freeaddrinfo(addresses); }
};

// Where a node that listens on `host` is reached from its own machine.
std::string ReachedAt(const std::string& host) {
  if (!IsUnspecified(host)) return host;
  return host.find(':') == std::string::npos ? "127.0.0.1" : "::1";
}

Result<File> Connect(const HostPort& node, Duration patience) {
  const auto fail = [&node](const char* why) {
    return Fail(ErrorCode::kIo, "nobody answers at " + FormatHostPort(node) + ": " + why +
                                    " (--healthcheck wants the node's --host and --http-port)");
  };
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failure =
      getaddrinfo(node.host.c_str(), std::to_string(node.port).c_str(), &wanted, &found);
  if (failure != 0) return fail(gai_strerror(failure));
  const std::unique_ptr<addrinfo, FreeAddresses> addresses(found);
  File file(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (file.descriptor() < 0) return fail(std::strerror(errno));
  timeval most{};
  most.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(patience).count();
  // It bounds connecting, too.
  setsockopt(file.descriptor(), SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
  setsockopt(file.descriptor(), SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
  if (connect(file.descriptor(), found->ai_addr, found->ai_addrlen) != 0) {
    return fail(errno == EINPROGRESS ? "it takes too long" : std::strerror(errno));
  }
  return file;
}

Result<std::string> Ask(const File& file) {
  if (Status sent = WriteAll(file, kQuestion); !sent) return tl::unexpected(sent.error());
  std::string answer(kAnswerBytesMax, '\0');
  std::size_t had = 0;
  while (had < answer.size()) {
    const Result<std::size_t> more = ReadSome(file, answer.data() + had, answer.size() - had);
    if (!more) return tl::unexpected(more.error());
    if (*more == 0) break;
    had += *more;
  }
  answer.resize(had);
  return answer;
}

}  // namespace

Status AskReady(const Config& config, Duration patience) {
  if (config.http_port == 0) {
    return Fail(ErrorCode::kInvalidArgument,
                "--healthcheck asks the HTTP port, which --http-port 0 turns off");
  }
  const HostPort node{ReachedAt(config.host), config.http_port};
  const Result<File> file = Connect(node, patience);
  if (!file) return tl::unexpected(file.error());
  const Result<std::string> answer = Ask(*file);
  if (!answer) {
    return Fail(ErrorCode::kIo,
                FormatHostPort(node) + " was asked, and did not answer: " + answer.error().message);
  }
  if (answer->starts_with("HTTP/1.1 200 ")) return {};
  const std::size_t body = answer->find("\r\n\r\n");
  if (!answer->starts_with("HTTP/1.1 ") || body == std::string::npos) {
    return Fail(ErrorCode::kProtocol, FormatHostPort(node) + " is no HTTP port of a gyred");
  }
  std::string reason = answer->substr(body + 4);
  reason.resize(std::min(reason.find('\n'), reason.size()));
  return Fail(ErrorCode::kUnavailable, "not ready: " + reason);
}

}  // namespace gyre
