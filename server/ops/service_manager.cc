#include "ops/service_manager.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace gyre {
namespace {

// The manual asks for twice in an interval; a message that is lost must not matter.
constexpr int kAlivePerInterval = 4;

std::optional<std::uint64_t> NumberOf(const char* text) {
  std::uint64_t number = 0;
  const char* const end = text + std::strlen(text);
  const auto [stop, error] = std::from_chars(text, end, number);
  if (error != std::errc() || stop != end || text == end) return std::nullopt;
  return number;
}

std::string Microseconds(Duration duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(duration).count());
}

// None where nobody watches, or another process is watched.
Result<Duration> WatchdogInterval(const Surroundings& surroundings) {
  const char* const interval = surroundings.variable("WATCHDOG_USEC");
  if (interval == nullptr) return Duration{};
  const std::optional<std::uint64_t> microseconds = NumberOf(interval);
  constexpr std::uint64_t kMicrosecondsMax = std::uint64_t{1} << 50;
  if (!microseconds || *microseconds == 0 || *microseconds > kMicrosecondsMax) {
    return Fail(ErrorCode::kInvalidArgument,
                std::string("WATCHDOG_USEC: '") + interval + "' is no number of microseconds");
  }
  const char* const process = surroundings.variable("WATCHDOG_PID");
  if (process != nullptr && NumberOf(process) != static_cast<std::uint64_t>(getpid())) {
    return Duration{};
  }
  return Duration(std::chrono::microseconds(*microseconds));
}

}  // namespace

Result<std::unique_ptr<ServiceManager>> ServiceManager::Create(const Surroundings& surroundings) {
  std::unique_ptr<ServiceManager> manager(new ServiceManager);
  const char* const path = surroundings.variable("NOTIFY_SOCKET");
  if (path == nullptr || *path == '\0') return manager;
  const std::size_t length = std::strlen(path);
  if ((path[0] != '/' && path[0] != '@') || length >= sizeof manager->address_.sun_path) {
    return Fail(ErrorCode::kInvalidArgument, std::string("NOTIFY_SOCKET: '") + path +
                                                 "' is neither the path of a socket nor an "
                                                 "abstract one (@NAME)");
  }
  const Result<Duration> interval = WatchdogInterval(surroundings);
  if (!interval) return tl::unexpected(interval.error());
  manager->watchdog_interval_ = *interval;
  manager->address_.sun_family = AF_UNIX;
  std::memcpy(manager->address_.sun_path, path, length);
  if (path[0] == '@') manager->address_.sun_path[0] = '\0';
  manager->address_bytes_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  const int file = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (file < 0) {
    return Fail(ErrorCode::kIo, std::string("NOTIFY_SOCKET: no socket: ") + std::strerror(errno));
  }
  manager->socket_.emplace(file);
  return manager;
}

bool ServiceManager::Tell(const std::string& lines) const {
  if (!socket_) return true;
  const auto sent = sendto(socket_->descriptor(), lines.data(), lines.size(), MSG_NOSIGNAL,
                           reinterpret_cast<const sockaddr*>(&address_), address_bytes_);
  return sent == static_cast<ssize_t>(lines.size());
}

void ServiceManager::Waits(std::string_view reason) {
  if (ready_told_ || reason == status_told_) return;
  const std::string status(reason.substr(0, reason.find('\n')));
  if (Tell("STATUS=Not ready: " + status)) status_told_ = reason;
}

void ServiceManager::Ready() {
  if (!ready_told_) ready_told_ = Tell("READY=1\nSTATUS=Ready");
}

void ServiceManager::BeginReload(TimePoint now) {
  if (!ready_told_) return;
  (void)Tell("RELOADING=1\nMONOTONIC_USEC=" + Microseconds(now.time_since_epoch()));
}

void ServiceManager::EndReload() {
  // Should it be lost, the next Ready says it again.
  if (ready_told_) ready_told_ = Tell("READY=1");
}

void ServiceManager::BeginStop(Duration most) {
  (void)Tell("STOPPING=1\nSTATUS=Stopping: hands over what it owns\nEXTEND_TIMEOUT_USEC=" +
             Microseconds(most));
}

void ServiceManager::ExtendStop(Duration most) {
  (void)Tell("EXTEND_TIMEOUT_USEC=" + Microseconds(most));
}

void ServiceManager::Alive(TimePoint now) {
  if (!watched() || now - alive_told_ < watchdog_interval_ / kAlivePerInterval) return;
  if (Tell("WATCHDOG=1")) alive_told_ = now;
}

}  // namespace gyre
