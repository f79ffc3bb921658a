// Names to addresses, in the background (uv_getaddrinfo), each answer kept for a short time.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/event_loop.h"
#include "net/socket_address.h"
#include "proto/result.h"

namespace gyre {

// Loop thread; the loop outlives it.
class Resolver {
 public:
  // Never empty where it is a value. Each address carries the port asked for.
  using Done = std::function<void(Result<std::vector<SocketAddress>>)>;

  static constexpr Duration kKeepDefault = std::chrono::seconds(5);
  // Names that are remembered; the cache starts anew above it.
  static constexpr std::size_t kNamesMax = 1024;

  // `keep`: how long an answer is used again; 0: not at all.
  explicit Resolver(EventLoop& loop, Duration keep = kKeepDefault);
  // Outstanding lookups end without a call of `done`.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Calls `done` once: at once where `host` is numeric or remembered, else from the loop. Lookups
  // of one name that run at the same time share one.
  void Resolve(const std::string& host, std::uint16_t port, Done done);

 private:
  struct Core;
  std::shared_ptr<Core> core_;
};

// The first address of `host`, for binding. Blocks for the resolver where `host` is a name.
Result<SocketAddress> ResolveNow(const std::string& host, std::uint16_t port);

}  // namespace gyre
