// A listening TCP socket on a loop. Not uv_listen: libuv spins when files run out while several
// loops accept, and knows no SO_REUSEPORT in the version that Debian ships. What is left is a poll
// handle and accept4.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/counter.h"
#include "base/pause_detector.h"
#include "net/event_loop.h"
#include "net/socket_address.h"
#include "proto/result.h"

namespace gyre {

// Loop thread; the loop outlives it.
class Listener {
 public:
  // Takes over `file`, a connected, non-blocking socket. `pauses`: PauseDetector's number when nothing
  // waited to be accepted yet; if there were more of them since, its bytes may be as old. 0 where
  // nothing watches.
  using OnAccept = std::function<void(int file, const SocketAddress& peer, std::uint32_t pauses)>;

  // Connections that are accepted before others of the loop get their turn.
  static constexpr int kAcceptsPerWakeup = 64;
  // Pause after an error that the next accept would only meet again (no file, no memory).
  static constexpr Duration kErrorPause = std::chrono::milliseconds(100);
  static constexpr int kBacklog = 1024;

  // `errors` counts failed accepts. `pause_detector` may be null; it outlives the listener.
  static Result<std::unique_ptr<Listener>> Open(EventLoop& loop, const std::string& host,
                                                std::uint16_t port, const std::string& flag_name,
                                                const PauseDetector* pause_detector,
                                                Counter& errors, OnAccept on_accept);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  const SocketAddress& local() const { return local_; }

  // Accepts what waits, as the loop does when it hears of it. Without a call now and then, the next
  // connection after a pause would count as one that waited through it, however late it comes.
  void AcceptSome();

 private:
  struct Poll {
    uv_poll_t handle{};
    Listener* listener = nullptr;
  };

  Listener(EventLoop& loop, int file, const PauseDetector* pause_detector, Counter& errors,
           OnAccept on_accept);
  void StartPolling();
  void PauseAfter(int error);

  const int file_;
  SocketAddress local_;
  const PauseDetector* const pause_detector_;
  std::uint32_t pauses_when_empty_ = 0;  // the backlog
  Counter& errors_;
  OnAccept on_accept_;
  HandlePtr<Poll> poll_;
  Timer pause_;
};

}  // namespace gyre
