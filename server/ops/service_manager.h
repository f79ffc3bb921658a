// What the service manager that started this process is told of it: systemd, or whoever speaks as it
// does (sd_notify(3)). Without one nothing is said, and nothing differs.
//
//   READY=1       once, when /ready says 200 for the first time; until then STATUS= says what is missing
//   RELOADING=1   while SIGHUP is obeyed, with READY=1 at its end
//   STOPPING=1    from the first SIGTERM on, with the time that the stop may take
//   WATCHDOG=1    a few times in each WatchdogSec, as long as the caller knows of life
//
// A message is one datagram, in a format that is promised to stay. The manual of sd_notify says to
// write these lines rather than to link libsystemd for them, which brings along four libraries of
// compression and cryptography. What could not be sent is said again: the methods may be called as
// often as the caller likes. None of them waits. One thread's.
#pragma once

#include <sys/un.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/file.h"
#include "ops/surroundings.h"
#include "proto/result.h"

namespace gyre {

class ServiceManager {
 public:
  // NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID of `surroundings`. An error says what is wrong with
  // them; a process without a service manager is none.
  static Result<std::unique_ptr<ServiceManager>> Create(const Surroundings& surroundings);

  // What the process waits for before it is ready, for people.
  void Waits(std::string_view reason);
  void Ready();
  // Between both, what is configured may change. Nothing is said of it before Ready, which would
  // look like it.
  void BeginReload(TimePoint now);
  void EndReload();
  // The end, which takes at most so long.
  void BeginStop(Duration most);
  // It takes so long from now on.
  void ExtendStop(Duration most);
  // The process works: said a few times in the interval that the service manager wants.
  void Alive(TimePoint now);

  bool watched() const { return watchdog_interval_ > Duration{}; }

 private:
  ServiceManager() = default;
  // True: it was sent, or there is nobody to tell.
  bool Tell(const std::string& lines) const;

  std::optional<File> socket_;  // empty: no service manager
  sockaddr_un address_{};
  socklen_t address_bytes_ = 0;
  Duration watchdog_interval_{};
  TimePoint alive_told_{};
  bool ready_told_ = false;
  std::string status_told_;
};

}  // namespace gyre
