// SIGTERM, SIGINT and SIGHUP as callbacks on a loop; SIGPIPE is ignored.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <vector>

#include "net/event_loop.h"
#include "net/handle.h"
#include "proto/result.h"

namespace gyre {

class Signals {
 public:
  // `on_stop` is called for each SIGTERM or SIGINT, `on_reload` for each SIGHUP.
  static Result<std::unique_ptr<Signals>> Create(EventLoop& loop, std::function<void()> on_stop,
                                                 std::function<void()> on_reload);

 private:
  struct Watch {
    uv_signal_t handle{};
    std::function<void()> act;
  };

  std::vector<HandlePtr<Watch>> watches_;
};

}  // namespace gyre
